"""A load peer: speaks just enough MQTT to pump messages into one subscriber, so that no broker limits it.

`python bench/peer.py [--messages N] [--window N] [--distinct]` prints its port, takes one connection (3.1.1
or 5), answers CONNECT, SUBSCRIBE, UNSUBSCRIBE and PINGREQ, and from the first SUBSCRIBE on sends N messages
as fast as they are taken, at the QoS that was asked for (0 or 1). At QoS 1 at most `--window` are
unacknowledged, or the client's Receive Maximum if that is less. The packets are made before. It ends when
the client goes.
"""

from __future__ import annotations

import argparse
import selectors
import socket
from collections.abc import Iterator

KINDS = 16
DEVICES = 10
FILTER = "fleet/+/+/data"
TEMPLATE = "fleet/{kind}/{device}/data"
PAYLOAD = (
    b'{"device": 4711, "temperature": 21.53, "humidity": 40.2, "unit": "C", "at": "2025-01-01T12:00:00.000Z"}'
)
_SLICE = 400
"""Messages handed to the kernel at once."""


def topic(number: int, distinct: bool) -> bytes:
    device = number if distinct else number // KINDS % DEVICES
    return b"fleet/kind%d/device%d/data" % (number % KINDS, device)


def packet(first: int, body: bytes) -> bytes:
    size, encoded = len(body), bytearray()
    while size >= 0x80:
        encoded.append(size & 0x7F | 0x80)
        size >>= 7
    encoded.append(size)
    return bytes((first,)) + bytes(encoded) + body


class Ring:
    """Packets made before, to be sent from any place on; after the last comes the first."""

    def __init__(self, v5: bool, qos: int, size: int, distinct: bool) -> None:
        middle = b"\x00" if v5 else b""
        self.size = size
        self._ends = [0]
        parts = []
        for number in range(size):
            name = topic(number, distinct)
            packet_id = (number % 65535 + 1).to_bytes(2, "big") if qos else b""
            body = len(name).to_bytes(2, "big") + name + packet_id + middle + PAYLOAD
            parts.append(packet(0x30 | qos << 1, body))
            self._ends.append(self._ends[-1] + len(parts[-1]))
        self._bytes = memoryview(b"".join(parts))

    def slice(self, start: int, count: int) -> tuple[memoryview, int]:
        """At most `count` packets from the `start`th on, and how many they are."""
        at = start % self.size
        count = min(count, self.size - at)
        return self._bytes[self._ends[at] : self._ends[at + count]], count


class Conversation:
    def __init__(self, link: socket.socket, messages: int, window: int, distinct: bool) -> None:
        self._link = link
        self._messages = messages
        self._window = window
        self._distinct = distinct
        self._v5 = False
        self._qos = 0
        self._ring: Ring | None = None
        self._sent = 0
        self._acknowledged = 0
        self._out = memoryview(b"")
        self._in = b""

    def run(self) -> None:
        """Until the client goes."""
        with selectors.DefaultSelector() as selector, self._link:
            self._link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._link.setblocking(False)
            selector.register(self._link, selectors.EVENT_READ)
            while True:
                self._load()
                wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._out else 0)
                selector.modify(self._link, wanted)
                for _, events in selector.select():
                    if events & selectors.EVENT_READ and not self._receive():
                        return
                    if events & selectors.EVENT_WRITE:
                        self._send()

    def _load(self) -> None:
        """Have the next packets ready when none are waiting and the window is open."""
        if self._ring is None or self._out:
            return
        room = min(_SLICE, self._messages - self._sent)
        if self._qos:
            room = min(room, self._window - (self._sent - self._acknowledged))
        if room > 0:
            self._out, count = self._ring.slice(self._sent, room)
            self._sent += count

    def _send(self) -> None:
        try:
            self._out = self._out[self._link.send(self._out) :]
        except BlockingIOError:
            return

    def _receive(self) -> bool:
        try:
            data = self._link.recv(256 * 1024)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        if not data:
            return False
        whole = len(data) // 4
        if (
            not self._in
            and len(data) == 4 * whole
            and data[::4] + data[1::4] == b"\x40" * whole + b"\x02" * whole
        ):
            self._acknowledged += whole  # nothing but short PUBACKs
            return True
        self._in += data
        return all(self._answer(first, body) for first, body in self._packets())

    def _packets(self) -> Iterator[tuple[int, bytes]]:
        while len(self._in) >= 2:
            length = shift = 0
            at = 1
            while at < len(self._in):
                byte = self._in[at]
                length |= (byte & 0x7F) << shift
                shift, at = shift + 7, at + 1
                if byte < 0x80:
                    break
            else:
                return
            if at + length > len(self._in):
                return
            first, body = self._in[0], self._in[at : at + length]
            self._in = self._in[at + length :]
            yield first, body

    def _answer(self, first: int, body: bytes) -> bool:
        kind = first >> 4
        if kind == 4:
            self._acknowledged += 1
        elif kind == 1:
            self._connect(body)
        elif kind == 8:
            self._qos = min(body[-1] & 3, 1)
            self._reply(packet(0x90, body[:2] + (b"\x00" if self._v5 else b"") + bytes((self._qos,))))
            if self._ring is None:
                size = self._messages if self._distinct else KINDS * DEVICES * 64
                self._ring = Ring(self._v5, self._qos, size, self._distinct)
        elif kind == 10:
            self._reply(packet(0xB0, body[:2] + (b"\x00\x00" if self._v5 else b"")))
        elif kind == 12:
            self._reply(b"\xd0\x00")
        return kind != 14

    def _reply(self, answer: bytes) -> None:
        """After the packet that is being sent."""
        self._out = memoryview(bytes(self._out) + answer)

    def _connect(self, body: bytes) -> None:
        self._v5 = body[6] == 5
        if self._v5:
            self._window = min(self._window, receive_maximum(body[11 : 11 + body[10]]))
        self._reply(b"\x20\x03\x00\x00\x00" if self._v5 else b"\x20\x02\x00\x00")


def receive_maximum(properties: bytes) -> int:
    """Of CONNECT's properties, which are shorter than 128 bytes here."""
    sizes = {0x11: 4, 0x17: 1, 0x19: 1, 0x21: 2, 0x22: 2, 0x27: 4}
    at = 0
    while at < len(properties):
        code = properties[at]
        size = sizes.get(code)
        if size is None:
            raise ValueError(f"property 0x{code:02x} in CONNECT is not known here")
        if code == 0x21:
            return int.from_bytes(properties[at + 1 : at + 3], "big")
        at += 1 + size
    return 65535


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--window", type=int, default=1000)
    parser.add_argument("--distinct", action="store_true", help="every message has a topic of its own")
    arguments = parser.parse_args()
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        link, _ = server.accept()
    Conversation(link, arguments.messages, arguments.window, arguments.distinct).run()


if __name__ == "__main__":
    main()
