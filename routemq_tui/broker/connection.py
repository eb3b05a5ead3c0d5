"""One client's TCP connection: bytes into packets, frames into batched writes, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Protocol, cast

from routemq_tui.broker import encode
from routemq_tui.broker.packets import V5
from routemq_tui.broker.reasons import (
    KEEP_ALIVE_TIMEOUT,
    PACKET_TOO_LARGE,
    QUOTA_EXCEEDED,
    PacketError,
    malformed,
)
from routemq_tui.broker.server import Broker

log = logging.getLogger("routemq_tui.broker")

FIRST_PACKET = 256 * 1024
"""Largest CONNECT: nobody has introduced themselves yet."""
FAIR_SHARE = 64 * 1024
"""Unread bytes a client may always have."""
SLICE = 0.02
"""Seconds of one client's packets, after which others have their turn."""
STRIDE = 4
"""Packets between two looks at the clock."""


class Conversation(Protocol):
    """What the packets of this connection are given to."""

    def handle(self, first: int, body: bytes) -> None: ...
    def lost(self) -> None: ...
    def writable(self) -> None: ...


class Connection(asyncio.Protocol):
    """The transport side; the conversation decides what packets mean and tells version and limits."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.conversation: Conversation | None = None
        self.client = "a client that has not said CONNECT"
        self.version = V5
        self.introduced = False
        self.keepalive = 0.0
        """Seconds of silence that end the connection; 0 for no end."""
        self.window = broker.limits.default_window
        self.maximum_packet = 0x10000004
        self.accepted_packet = FIRST_PACKET
        self.writable = True
        self.closing = False
        self._paused = False
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._counted = 0
        """Of that and of what the transport holds, the bytes the ledger knows of."""
        self._ledger = broker.ledger
        self._rest = bytearray()
        self._wanted = 0
        self._seen = self._opened = time.monotonic()
        self._deadline: float | None = None
        limits = broker.limits
        self._high = limits.write_buffer
        self._watched = min(self._high - 1, FAIR_SHARE)
        self._most = 4 * limits.write_buffer + limits.packet_bytes
        """No client that reads comes near: what respects `writable`, and a large message."""
        self._transport: asyncio.Transport | None = None

    # From the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=self._high)
        self.broker.connections.add(self)

    def data_received(self, data: bytes) -> None:
        self._seen = time.monotonic()
        if self.closing:
            return
        self.broker.ledger.totals.bytes_received += len(data)
        if self._rest:
            self._keep_rest(data)
            if self.closing or len(self._rest) < self._wanted:
                return
            data = self._take_rest()
        try:
            used = self._take_packets(data)
        except PacketError as violation:
            self._refuse(violation)
        except Exception:
            # A mistake of ours in one client's packet must not end the broker for all the others.
            self.broker.ledger.totals.internal_errors += 1
            log.exception("internal error while handling a packet of %s; closing it", self.client)
            self.close(0x80, "internal error")
        else:
            if not self.closing and used < len(data):
                self._keep_rest(memoryview(data)[used:])

    def _take_rest(self) -> bytes:
        data = bytes(self._rest)
        self.broker.ledger.let_go(len(data))
        self._rest.clear()
        return data

    def _keep_rest(self, data: bytes | memoryview) -> None:
        """Until the rest of the packet comes."""
        if self.broker.ledger.keep(len(data)):
            self._rest += data
        else:
            self._refuse(PacketError(QUOTA_EXCEEDED, "the broker keeps as much as it may for its clients"))

    def _take_packets(self, data: bytes) -> int:
        """Hand on every whole packet that time allows; returns how many bytes they took."""
        assert self.conversation is not None
        handle = self.conversation.handle
        position, size = 0, len(data)
        until, unwatched = self._seen + SLICE, STRIDE
        while size - position >= 2:
            length = data[position + 1]
            start = position + 2
            if length & 0x80:
                length, start = _long_length(data, position + 1)
                if not start:
                    self._wanted = 0
                    return position
            end = start + length
            if end - position > self.accepted_packet:
                text = f"a packet of {end - position} bytes; {self.accepted_packet} are accepted"
                raise PacketError(PACKET_TOO_LARGE, text)
            if end > size:
                self._wanted = end - position
                return position
            handle(data[position], data[start:end])
            position = end
            if self.closing:
                return position
            unwatched -= 1
            if not unwatched:
                unwatched = STRIDE
                if time.monotonic() >= until and position < size:
                    self._go_on_later()
                    break
        self._wanted = 0
        return position

    def _go_on_later(self) -> None:
        """Let the others have their turn before the rest of what came, and read no more until then."""
        assert self._transport is not None
        self._transport.pause_reading()
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if not self.closing and self._transport is not None:
            self._transport.resume_reading()
            self.data_received(b"")

    def pause_writing(self) -> None:
        self._paused = True
        self.writable = False

    def resume_writing(self) -> None:
        self._count(self._held() + self._out_bytes)
        self._paused = False
        self.writable = True
        if self.conversation is not None and not self.closing:
            self.conversation.writable()

    def connection_lost(self, error: Exception | None) -> None:
        self.broker.connections.discard(self)
        self.closing = True
        self.writable = False
        self._out.clear()
        self._out_bytes = 0
        self._count(0)
        self._take_rest()
        if self.conversation is not None:
            self.conversation.lost()

    # To the transport

    def write(self, frame: bytes) -> None:
        """Queue a frame for the end of this turn of the loop."""
        out = self._out
        if not out:
            self.broker.write_soon(self)
        out.append(frame)
        self._out_bytes += len(frame)
        if self._out_bytes > self._watched:
            self._count(self._out_bytes + self._held())
            if self._out_bytes >= self._high:
                self.writable = False

    def flush(self) -> None:
        out, self._out = self._out, []
        count, self._out_bytes = self._out_bytes, 0
        if not out or self._transport is None or self._transport.is_closing():
            return
        self._ledger.totals.bytes_sent += count
        self._transport.write(out[0] if len(out) == 1 else b"".join(out))
        held = self._held()
        if held != self._counted:
            self._count(held)
        if held > self._most:
            log.warning("%s sends but does not read what it is answered; cutting it off", self.client)
            self._transport.abort()
        elif not self._paused and not self.writable and not self.closing:
            self.resume_writing()

    def _held(self) -> int:
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def _count(self, unsent: int) -> None:
        """Let the ledger know how much waits for this client; less than a fair share may go uncounted."""
        self._ledger.count_unsent(unsent - self._counted)
        self._counted = unsent

    def keeps_up(self, size: int) -> bool:
        """Whether the client has a right to so many bytes even while too much waits for others."""
        return self._held() + self._out_bytes + size <= FAIR_SHARE

    def _refuse(self, violation: PacketError) -> None:
        self.broker.ledger.totals.violations += 1
        log.warning("%s: %s (reason 0x%02x); closing it", self.client, violation.text, violation.reason)
        self.close(violation.reason, violation.text)

    def close(self, reason: int, text: str) -> None:
        """End the connection from this side, telling an MQTT 5 client why."""
        if self.closing:
            return
        self.closing = True
        self.writable = False
        if self.introduced and self.version == V5:
            frame = encode.disconnect(reason, text)
            if len(frame) <= self.maximum_packet:
                self.write(frame)
        self.hang_up()

    def hang_up(self) -> None:
        """Close after what is written has gone out; a client that does not read is cut off in a while."""
        self.closing = True
        self.writable = False
        self.flush()
        if self._transport is not None:
            self._transport.close()
        self._deadline = time.monotonic() + self.broker.limits.close_timeout
        if self.conversation is not None:
            self.conversation.lost()

    def tick(self, now: float) -> None:
        """Look at the clock: keepalive, first packet, and closing must not take for ever."""
        self._count(self._held() + self._out_bytes)
        if self._deadline is not None:
            if now >= self._deadline and self._transport is not None:
                self._transport.abort()
        elif not self.introduced:
            if now - self._opened > self.broker.limits.connect_timeout:
                log.warning("%s for %.0f s; closing it", self.client, now - self._opened)
                self.hang_up()
        elif self.keepalive and now - self._seen > self.keepalive:
            log.warning("%s was silent for %.1f s, one and a half keepalives", self.client, now - self._seen)
            self.close(KEEP_ALIVE_TIMEOUT, "keep alive timeout")


def _long_length(data: bytes, at: int) -> tuple[int, int]:
    """A Remaining Length of two to four bytes and where the body starts; (0, 0) while it is cut short."""
    value = shift = 0
    for position in range(at, min(at + 4, len(data))):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            if not byte:
                raise malformed("the Remaining Length is longer than it needs to be")
            return value, position + 1
        shift += 7
    if shift == 28:
        raise malformed("the Remaining Length has more than four bytes")
    return 0, 0
