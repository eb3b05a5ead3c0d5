"""MQTT in a WebSocket (RFC 6455; MQTT 5 section 6): a `MqttSocket` for paho with frames underneath.

Everything above it, the fast path too, sees the plain MQTT stream: packets need not keep to frames.
"""

from __future__ import annotations

import base64
import hashlib
import os
import ssl
from collections.abc import Callable

from routemq_tui.worker.socket_wrapper import MqttSocket
from routemq_tui.worker.spec import BrokerAddress

_CONTINUATION, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x2, 0x8, 0x9, 0xA
_FINAL, _MASKED, _RESERVED = 0x80, 0x80, 0x70
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_HEAD_MOST = 16 * 1024
"""Bytes of a server's answer to the upgrade, at most."""
_CONTROL_MOST = 125
CLOSE_NORMAL = (1000).to_bytes(2, "big")


class WebSocketError(ConnectionError):
    """The server speaks no WebSocket here, or breaks its rules."""


def frame(opcode: int, payload: bytes | bytearray) -> bytes:
    """One final frame, masked as a client's have to be (RFC 6455 section 5.3)."""
    size = len(payload)
    if size <= _CONTROL_MOST:
        head = bytes((_FINAL | opcode, _MASKED | size))
    elif size < 1 << 16:
        head = bytes((_FINAL | opcode, _MASKED | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((_FINAL | opcode, _MASKED | 127)) + size.to_bytes(8, "big")
    key = os.urandom(4)
    mask = int.from_bytes((key * (size // 4 + 1))[:size], "big")
    return head + key + (int.from_bytes(payload, "big") ^ mask).to_bytes(size, "big")


class Frames:
    """Takes a server's frames apart; `reply` is called with a frame that has to go back."""

    def __init__(self, reply: Callable[[bytes], object]) -> None:
        self.closed = False
        """The server has said that it ends the connection."""
        self._reply = reply
        self._held = bytearray()
        self._left = 0
        """Bytes of data of the present frame that are still to come."""

    def feed(self, chunk: bytes) -> bytes:
        """The data in these bytes, given out as it comes. Raises WebSocketError."""
        held = self._held
        held += chunk
        data, at = bytearray(), 0
        while at < len(held) and not self.closed:
            if self._left:
                part = held[at : at + self._left]
                data += part
                at += len(part)
                self._left -= len(part)
                continue
            head = self._head(at)
            if head is None:
                break
            opcode, size, at_payload = head
            if opcode < _CLOSE:
                self._left, at = size, at_payload
            elif len(held) < at_payload + size:
                break
            else:
                at = at_payload + size
                self._control(opcode, bytes(held[at_payload:at]))
        del held[:at]
        return bytes(data)

    def _head(self, at: int) -> tuple[int, int, int] | None:
        """Opcode, size and place of the payload of the frame at `at`; None when that is not all there."""
        held = self._held
        if len(held) < at + 2:
            return None
        first, second = held[at], held[at + 1]
        if first & _RESERVED or second & _MASKED:
            raise WebSocketError("the server's WebSocket frames are not as RFC 6455 has them")
        opcode, size, extra = first & 15, second & 127, 0
        if opcode not in (_CONTINUATION, _BINARY, _CLOSE, _PING, _PONG):
            raise WebSocketError("the server sent a WebSocket frame that is not binary: that is no MQTT")
        if size > _CONTROL_MOST:
            if opcode >= _CLOSE:
                raise WebSocketError("the server sent a WebSocket control frame that is too long")
            extra = 2 if size == 126 else 8
            if len(held) < at + 2 + extra:
                return None
            size = int.from_bytes(held[at + 2 : at + 2 + extra], "big")
        return opcode, size, at + 2 + extra

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == _PING:
            self._reply(frame(_PONG, payload))
        elif opcode == _CLOSE:
            self.closed = True
            self._reply(frame(_CLOSE, payload[:2]))


class WebSocket(MqttSocket):
    """The handshake is part of `do_handshake`, as that of TLS is."""

    def __init__(self, raw: object, address: BrokerAddress) -> None:
        super().__init__(raw)  # type: ignore[arg-type]
        self._address = address
        self._frames = Frames(super().send)

    def _shake_hands(self) -> None:
        """Raises WebSocketError, OSError, and TimeoutError after the socket's own timeout."""
        super()._shake_hands()
        key = base64.b64encode(os.urandom(16))
        self._raw.sendall(upgrade(self._address, key))
        try:
            head, rest = self._read_head()
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError):
            head, rest = b"", b""
        except TimeoutError:
            raise WebSocketError(f"{self._address} does not answer the WebSocket handshake") from None
        check_upgrade(head, key, self._address)
        if self._frames.feed(rest):
            raise WebSocketError(f"{self._address} speaks before it was spoken to: that is no MQTT")

    def _read_head(self) -> tuple[bytes, bytes]:
        """The server's answer, and what came behind it."""
        got = bytearray()
        while b"\r\n\r\n" not in got and len(got) < _HEAD_MOST:
            chunk = self._raw.recv(4096)
            if not chunk:
                break
            got += chunk
        head, _, rest = bytes(got).partition(b"\r\n\r\n")
        return head, rest

    def send(self, data: bytes | bytearray) -> int:
        super().send(frame(_BINARY, data))
        return len(data)

    def read(self) -> bytes | None:
        chunk = super().read()
        if not chunk:
            return chunk
        try:
            data = self._frames.feed(chunk)
        except WebSocketError as error:
            self.error = error
            return b""
        if self._frames.closed:
            self._ended = True
        return data if data or self._ended else None

    def close(self) -> None:
        if self.linger and not self._closed and not self._frames.closed:
            super().send(frame(_CLOSE, CLOSE_NORMAL))
        super().close()


def upgrade(address: BrokerAddress, key: bytes) -> bytes:
    """The request that opens a WebSocket (RFC 6455 section 4.1), with `mqtt` as its subprotocol."""
    host = f"[{address.host}]" if ":" in address.host else address.host.encode("idna").decode()
    lines = (
        f"GET {address.websocket} HTTP/1.1",
        f"Host: {host}:{address.port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key.decode()}",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: mqtt",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def check_upgrade(head: bytes, key: bytes, address: BrokerAddress) -> None:
    """Raises WebSocketError unless this is the answer that opens the WebSocket."""
    where = f"{address}{address.websocket}"
    if not head.startswith(b"HTTP/"):
        scheme = "mqtts" if address.tls else "mqtt"
        hint = f"is it a port for plain MQTT? Then the URL begins with {scheme}://"
        if not head:
            other = "for TLS (wss://)" if not address.tls else "one that wants a client certificate"
            hint = f"is it a port for plain MQTT ({scheme}://), or {other}?"
        raise WebSocketError(f"{address} does not answer as a WebSocket does: {hint}")
    status, *lines = head.decode("latin-1").split("\r\n")
    if status.split(" ")[1:2] != ["101"]:
        said = status.partition(" ")[2].strip()
        raise WebSocketError(f"{where} opens no WebSocket, it says {said!r}: is the path in the URL right?")
    fields = {name.strip().lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}
    accept = base64.b64encode(hashlib.sha1(key + _MAGIC).digest()).decode()
    if fields.get("sec-websocket-accept") != accept or fields.get("upgrade", "").lower() != "websocket":
        raise WebSocketError(f"{where} does not answer the WebSocket handshake as RFC 6455 has it")
    if fields.get("sec-websocket-protocol") != "mqtt":
        raise WebSocketError(f"{where} opens a WebSocket, but not for MQTT")
