"""A connection's socket on the worker's loop: read in chunks, taken apart, written when the kernel takes it.

Knows packets only as bytes: what they mean to the connection is told by paho's callbacks, see `connection`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from paho.mqtt.client import Client

from routemq_tui.worker.inbound import Inbound, Receiver
from routemq_tui.worker.socket_wrapper import MqttSocket
from routemq_tui.worker.wire import StreamError

_LOOK_CHUNKS = 16

_log = logging.getLogger("routemq.worker")


class Link:
    """`broken` is told of a socket that paho could not go on with; it is closed then."""

    def __init__(self, client: Client, v5: bool, broken: Callable[[MqttSocket], None]) -> None:
        self.socket: MqttSocket | None = None
        """From the TCP connection on; None when there is none."""
        self.reading = True
        self.inbound: Inbound | None = None
        self._client = client
        self._v5 = v5
        self._broken = broken
        self._receiver: Receiver
        self._writer_on = False
        self._paho_read = False
        """It may have more to read, or to write."""
        self._heard_base = 0.0

    def fileno(self) -> int:
        """The socket's; -1 without one."""
        return -1 if self.socket is None else self.socket.fileno()

    def attach(self, receiver: Receiver, inbound: Inbound | None) -> None:
        """Without `inbound` paho takes everything apart."""
        self._receiver, self.inbound = receiver, inbound

    def open(self, socket: MqttSocket) -> None:
        """A new connection."""
        self.socket = socket
        self.reading = True
        self.heard_nothing_yet()
        if self.inbound is not None:
            self.inbound.connected_anew()
        asyncio.get_running_loop().add_reader(socket.fileno(), self._on_readable)

    def close(self) -> None:
        """The loop lets go of the socket, which is paho's to close."""
        if self.socket is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self.socket.fileno())
            loop.remove_writer(self.socket.fileno())
            self._writer_on = False
            self.socket = None

    # -- reading -----------------------------------------------------------------------------------------

    def _on_readable(self) -> None:
        socket = self.socket
        if socket is not None:
            self._receiver.read_begins()
            try:
                self._read_chunk(socket)
            finally:
                self._receiver.read_ended()
            if self._writer_on or socket.unsent:
                self.watch_unsent()

    def _read_chunk(self, socket: MqttSocket) -> bool:
        """Read once; False when there was nothing."""
        if self.inbound is None:
            if not socket.fill():
                return False
        elif chunk := socket.read():
            fault = self.inbound.feed(chunk, self._read_by_paho, self.send)
            if fault is not None:
                self._refuse_stream(socket, fault)
            if self.socket is not socket:
                return True
            if not (self._paho_read or socket.over or self._client.want_write()):
                return True
            self._paho_read = False
        elif chunk is None:
            return False
        self._read_packets()
        return True

    def _read_by_paho(self, packet: bytes) -> bool:
        """Give paho a packet; False when the connection ended with it."""
        socket = self.socket
        if socket is None:
            return False
        socket.give(packet)
        self._paho_read = True
        self._loop_read(socket)
        return self.socket is socket

    def _loop_read(self, socket: MqttSocket) -> None:
        try:
            self._client.loop_read()
        except Exception:  # noqa: BLE001 - logged
            # paho 2.1 raises what it stumbles over in a packet, and would at each further read. A new
            # connection starts afresh: that is right for an error of our own callbacks as well.
            _log.exception("a packet of the broker could not be dealt with: the connection is given up")
            self._broken(socket)

    def _refuse_stream(self, socket: MqttSocket, fault: StreamError) -> None:
        """Nothing can be made of what would come next (MQTT 5 section 4.13)."""
        if self._v5:
            socket.linger = True  # what else it has sent is not read, and would make the end a reset
            self.send(bytes((0xE0, 2, fault.reason, 0)))
        socket.fail(f"the broker sent what is not MQTT: {fault.text}")

    def _read_packets(self) -> None:
        socket = self.socket
        while socket is not None and self.reading and (socket.buffered or socket.over):
            self._loop_read(socket)
            if self.socket is not socket:
                return
        if self._client.want_write():  # what a callback queued
            self._client.loop_write()
        self.watch_unsent()

    def look(self) -> None:
        """Notice, before an acknowledgement is wasted on it, a connection that went during a long handler."""
        socket = self.socket
        for _ in range(_LOOK_CHUNKS):
            if socket is None or self.socket is not socket or not self.reading:
                return
            if not self._read_chunk(socket):
                return

    def pause_reading(self) -> None:
        """Let the rest wait in the kernel and at the broker. Pings go on."""
        if self.reading:
            self.reading = False
            if self.socket is not None:
                asyncio.get_running_loop().remove_reader(self.socket.fileno())

    def resume_reading(self) -> None:
        if not self.reading:
            self.reading = True
            self.heard_nothing_yet()
            if self.socket is not None:
                loop = asyncio.get_running_loop()
                loop.add_reader(self.socket.fileno(), self._on_readable)
                loop.call_soon(self._read_packets)

    def force_read(self) -> None:
        """Let paho see a broken socket, also while not reading."""
        self.reading = True
        self._read_packets()

    # -- silence -----------------------------------------------------------------------------------------

    def heard_nothing_yet(self) -> None:
        """Silence counts from now."""
        self._heard_base = time.monotonic()

    def silent_for(self, socket: MqttSocket, now: float) -> float:
        """Seconds in which the broker could have been heard and was not."""
        if not self.reading:
            self._heard_base = now
        return now - max(socket.last_received, self._heard_base)

    # -- writing -----------------------------------------------------------------------------------------

    def send(self, packets: bytes) -> None:
        socket = self.socket
        if socket is None:
            return
        socket.send(packets)
        if socket.error is not None:
            asyncio.get_running_loop().call_soon(self.force_read)
        if self._writer_on or socket.unsent:
            self.watch_unsent()

    def watch_unsent(self) -> None:
        """Have the loop send the rest of what the kernel did not take at once."""
        socket = self.socket
        if socket is not None and bool(socket.unsent) is not self._writer_on:
            loop = asyncio.get_running_loop()
            self._writer_on = not self._writer_on
            if self._writer_on:
                loop.add_writer(socket.fileno(), self._on_writable)
            else:
                loop.remove_writer(socket.fileno())

    def _on_writable(self) -> None:
        socket = self.socket
        if socket is None:
            return
        try:
            socket.flush()
        except OSError as error:
            socket.fail(str(error))
            self.force_read()
        self.watch_unsent()
