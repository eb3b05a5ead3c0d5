"""A client of bytes, written apart from the broker's own codec, that can also say what no client should."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from types import TracebackType

TWO_BYTES = {0x21, 0x22, 0x23, 0x13}
FOUR_BYTES = {0x02, 0x11, 0x18, 0x27}
ONE_BYTE = {0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A}

CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 2, 3, 4, 5, 6, 7
SUBACK, UNSUBACK, PINGRESP, DISCONNECT = 9, 11, 13, 14


def varint(value: int) -> bytes:
    encoded = bytearray()
    while True:
        byte, value = value & 0x7F, value >> 7
        encoded.append(byte | 0x80 if value else byte)
        if not value:
            return bytes(encoded)


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return len(raw).to_bytes(2, "big") + raw


def packet(first: int, body: bytes = b"") -> bytes:
    return bytes((first,)) + varint(len(body)) + body


def number(code: int, value: int) -> bytes:
    """One numeric property."""
    if code == 0x0B:
        return b"\x0b" + varint(value)
    size = 2 if code in TWO_BYTES else 4 if code in FOUR_BYTES else 1
    return bytes((code,)) + value.to_bytes(size, "big")


def block(*properties: bytes) -> bytes:
    joined = b"".join(properties)
    return varint(len(joined)) + joined


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at


def read_properties(data: bytes, at: int) -> tuple[dict[int, list[object]], int]:
    length, at = read_varint(data, at)
    end, found = at + length, {}
    while at < end:
        code, at = data[at], at + 1
        value: object
        if code == 0x0B:
            value, at = read_varint(data, at)
        elif code in ONE_BYTE | TWO_BYTES | FOUR_BYTES:
            size = 1 if code in ONE_BYTE else 2 if code in TWO_BYTES else 4
            value, at = int.from_bytes(data[at : at + size], "big"), at + size
        else:
            parts = []
            for _ in range(2 if code == 0x26 else 1):
                size = int.from_bytes(data[at : at + 2], "big")
                parts.append(data[at + 2 : at + 2 + size])
                at += 2 + size
            value = tuple(parts) if code == 0x26 else parts[0]
        found.setdefault(code, []).append(value)
    return found, at


@dataclass(frozen=True)
class Published:
    topic: str
    payload: bytes
    qos: int
    dup: bool
    retain: bool
    packet_id: int
    properties: dict[int, list[object]] = field(default_factory=dict)


class ClosedError(Exception):
    """The broker closed the connection."""


class RawClient:
    """One connection. `hello` is the CONNACK's body once `connect` was called."""

    def __init__(self, port: int, version: int = 5, timeout: float = 5.0) -> None:
        self.link = socket.create_connection(("127.0.0.1", port), timeout)
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.version = version
        self.hello = b""
        self._rest = b""

    def __enter__(self) -> RawClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.link.close()

    def close(self) -> None:
        """End the TCP connection without a word, as a killed process does."""
        self.link.close()

    def leave(self) -> None:
        """DISCONNECT in good order; returns when the broker has seen it."""
        self.send(b"\xe0\x00")
        self.goodbye()

    def send(self, data: bytes) -> None:
        self.link.sendall(data)

    def read(self, timeout: float | None = None) -> tuple[int, bytes]:
        """The next packet: first byte and body. ClosedError at the end, TimeoutError when none comes."""
        self.link.settimeout(5.0 if timeout is None else timeout)
        while True:
            frame = self._frame()
            if frame is not None:
                return frame
            try:
                data = self.link.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise ClosedError
            self._rest += data

    def _frame(self) -> tuple[int, bytes] | None:
        data = self._rest
        try:
            length, at = read_varint(data, 1)
        except IndexError:
            return None
        if at + length > len(data):
            return None
        self._rest = data[at + length :]
        return data[0], data[at : at + length]

    def expect(self, kind: int) -> bytes:
        first, body = self.read()
        assert first >> 4 == kind, f"packet {first:02x} {body.hex()} instead of type {kind}"
        return body

    def connect(
        self,
        client_id: str = "",
        *,
        clean: bool = True,
        keepalive: int = 60,
        properties: bytes = b"\x00",
        will: bytes = b"",
        will_flags: int = 0,
    ) -> RawClient:
        flags = 2 * clean | (4 | will_flags if will else 0)
        middle = properties if self.version == 5 else b""
        head = text("MQTT") + bytes((self.version, flags)) + keepalive.to_bytes(2, "big")
        self.send(packet(0x10, head + middle + text(client_id) + will))
        self.hello = self.expect(CONNACK)
        return self

    @property
    def session_present(self) -> bool:
        return bool(self.hello[0])

    def subscribe(self, topic_filter: str, options: int = 1, identifier: int = 0) -> int:
        """The SUBACK's code."""
        self.send_subscribe(topic_filter, options, identifier)
        return self.expect(SUBACK)[-1]

    def send_subscribe(self, topic_filter: str, options: int = 1, identifier: int = 0) -> None:
        """SUBSCRIBE without waiting for the SUBACK."""
        properties = block(number(0x0B, identifier)) if identifier else b"\x00"
        middle = properties if self.version == 5 else b""
        self.send(packet(0x82, b"\x00\x09" + middle + text(topic_filter) + bytes((options,))))

    def unsubscribe(self, topic_filter: str) -> bytes:
        middle = b"\x00" if self.version == 5 else b""
        self.send(packet(0xA2, b"\x00\x0a" + middle + text(topic_filter)))
        return self.expect(UNSUBACK)

    def publish(
        self,
        topic: str,
        payload: bytes = b"",
        qos: int = 0,
        packet_id: int = 1,
        *,
        retain: bool = False,
        dup: bool = False,
        properties: bytes = b"\x00",
    ) -> None:
        middle = properties if self.version == 5 else b""
        identifier = packet_id.to_bytes(2, "big") if qos else b""
        self.send(packet(0x30 | dup << 3 | qos << 1 | retain, text(topic) + identifier + middle + payload))

    def published(self, timeout: float | None = None) -> Published:
        """The next packet, which has to be a PUBLISH."""
        first, body = self.read(timeout)
        assert first >> 4 == PUBLISH, f"packet {first:02x} {body.hex()} instead of PUBLISH"
        return self.parse(first, body)

    def parse(self, first: int, body: bytes) -> Published:
        """A PUBLISH taken apart."""
        size = int.from_bytes(body[:2], "big")
        at, qos, packet_id = 2 + size, first >> 1 & 3, 0
        if qos:
            packet_id, at = int.from_bytes(body[at : at + 2], "big"), at + 2
        found: dict[int, list[object]] = {}
        if self.version == 5:
            found, at = read_properties(body, at)
        return Published(
            body[2 : 2 + size].decode(), body[at:], qos, bool(first & 8), bool(first & 1), packet_id, found
        )

    def answer(self, first: int, packet_id: int) -> None:
        """PUBACK 0x40, PUBREC 0x50, PUBREL 0x62 or PUBCOMP 0x70."""
        self.send(packet(first, packet_id.to_bytes(2, "big")))

    def nothing_comes(self) -> bool:
        """Whether nothing but the answer to a ping comes: what the broker had to say it said before."""
        self.send(b"\xc0\x00")
        first, body = self.read()
        assert first >> 4 == PINGRESP, f"packet {first:02x} {body.hex()} came"
        return True

    def goodbye(self) -> tuple[int, bytes]:
        """The last packet before the broker closes: first byte and body; (0, b"") when it just closes."""
        last = 0, b""
        try:
            while True:
                last = self.read()
        except ClosedError:
            return last

    def disconnect_reason(self) -> int | None:
        """The reason of the broker's DISCONNECT; None when it closed without one."""
        first, body = self.goodbye()
        return body[0] if first == 0xE0 else None
