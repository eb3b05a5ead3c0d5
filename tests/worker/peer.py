"""A broker of which the test decides every byte, for one client after the other; plain TCP or TLS."""

from __future__ import annotations

import socket
import ssl
from types import TracebackType

from tests.worker.streams import packet

CONNECT, SUBSCRIBE = 0x10, 0x82
SECONDS = 10.0


class Peer:
    def __init__(self, tls: ssl.SSLContext | None = None, receive_buffer: int | None = None) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        if receive_buffer is not None:
            self._server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._server.settimeout(SECONDS)
        self.port: int = self._server.getsockname()[1]
        self._tls = tls
        self._links: list[Link] = []

    def accept(self) -> Link:
        plain, _ = self._server.accept()
        plain.settimeout(SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            plain = self._tls.wrap_socket(plain, server_side=True, suppress_ragged_eofs=False)
        self._links.append(Link(plain))
        return self._links[-1]

    def greet(self, v5: bool = True, present: bool = False) -> Link:
        """Accept a worker, CONNECT and SUBSCRIBE."""
        link = self.accept()
        assert link.packet()[0] == CONNECT
        link.send(connack(v5, present))
        link.subscribed(v5)
        return link

    def close(self) -> None:
        for each in self._links:
            each.close()
        self._server.close()

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Link:
    """One connection. What comes is read whole packet by whole packet, and only when asked for."""

    def __init__(self, plain: socket.socket) -> None:
        self.socket = plain
        self._read = bytearray()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def packet(self) -> bytes:
        """The next one; ConnectionError at the end of the connection, TimeoutError when none comes."""
        while (size := _whole(self._read)) is None:
            chunk = self.socket.recv(65536)
            if not chunk:
                raise ConnectionError("the client closed the connection")
            self._read += chunk
        found = bytes(self._read[:size])
        del self._read[:size]
        return found

    def until(self, last: bytes) -> list[bytes]:
        """Packets up to this one, pings left out."""
        found: list[bytes] = []
        while not found or found[-1] != last:
            found.append(self.packet())
        return [each for each in found if each != b"\xc0\x00"]

    def subscribed(self, v5: bool = True) -> bytes:
        """Answer a SUBSCRIBE, which is given back."""
        subscribe = self.packet()
        assert subscribe[0] == SUBSCRIBE
        self.send(b"\x90" + (b"\x04" if v5 else b"\x03") + subscribe[2:4] + (b"\0" if v5 else b"") + b"\x01")
        return subscribe

    def rest(self) -> list[bytes]:
        """All up to the end of the connection."""
        found: list[bytes] = []
        try:
            while True:
                found.append(self.packet())
        except ConnectionError:
            return found

    def close(self) -> None:
        self.socket.close()


def connack(v5: bool = True, present: bool = False, code: int = 0, properties: bytes = b"") -> bytes:
    return packet(0x20, bytes((present, code)) + (bytes((len(properties),)) + properties if v5 else b""))


def ack(first: int, packet_id: int) -> bytes:
    """PUBACK, PUBREC or PUBCOMP by its first byte, of success."""
    return bytes((first, 2)) + packet_id.to_bytes(2, "big")


def _whole(data: bytearray) -> int | None:
    """Length of the packet at the beginning, if it is all there."""
    length = shift = 0
    for at, byte in enumerate(data[1:5], 2):
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return at + length if len(data) >= at + length else None
    return None
