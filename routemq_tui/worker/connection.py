"""One worker's connection to the broker: connect, stay connected, subscribe, and know when to give up.

Drives an unmodified paho client from the worker's asyncio loop over `socket_wrapper`. Knows nothing of
handlers: packets go to a `Receiver`. paho's own reconnecting and its keepalive are not used: the back-off
here has jitter and tells the engine, and all pings are the guardian's.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Callable, Sequence
from typing import Any

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from routemq_tui.errors import ExitCode
from routemq_tui.worker import cells, reasons
from routemq_tui.worker.acknowledgements import Qos2Window, pubacks, pubrecs
from routemq_tui.worker.inbound import Inbound, Receiver
from routemq_tui.worker.paho_client import in_thread, make_client
from routemq_tui.worker.socket_wrapper import MqttSocket
from routemq_tui.worker.spec import (
    Connected,
    Disconnected,
    Refused,
    Subscribed,
    TakenOver,
    WorkerReport,
    WorkerSpec,
)
from routemq_tui.worker.subscriptions import Subscriptions
from routemq_tui.worker.wire import StreamError

FIRST_RETRY = 0.2
LONGEST_RETRY = 15.0
STEADY_SECONDS = 5.0
"""A connection that held for so long starts the back-off anew."""
ANSWER_SECONDS = 10.0
"""How long CONNACK and SUBACK may take."""
TAKEN_OVER_CLOSES = 3
"""MQTT 3.1.1 and older mosquittos only close when another client takes the id: so often in a row, each soon
after SUBACK, is taken for that, since two clients would push each other out for ever."""

_LOOK_CHUNKS = 16

_log = logging.getLogger("routemq.worker")


class Connection:
    """Belongs to the main thread, but for `socket` and `keepalive`, which the guardian reads."""

    def __init__(self, spec: WorkerSpec, words: memoryview, report: Callable[[WorkerReport], None]) -> None:
        self.socket: MqttSocket | None = None
        """The socket while connected (CONNACK came), else None."""
        self.keepalive = spec.broker.keepalive
        self.number = 0
        """Rises with each CONNACK: an acknowledgement belongs to the connection its message came on."""
        self.subscribed = False
        self.reading = True
        self._spec = spec
        self._words = words
        self._report = report
        self._socket: MqttSocket | None = None
        self._lost: asyncio.Future[str] | None = None
        self._verdict: ExitCode | None = None
        self._leaving = False
        self._subscribe_id: int | None = None
        self._asked_at = 0.0
        self._subscribed_at: float | None = None
        self._connected_at = 0.0
        self._close_reason = ""
        self._quick_closes = 0
        self._failures = 0
        self._heard_base = 0.0
        self._writer_on = False
        self._paho_read = False
        """It may have more to read, or to write."""
        self.client = make_client(spec)
        self.subscriptions = Subscriptions(self.client, spec.broker.protocol == "5", self._watch_unsent)
        self._receiver: Receiver
        self.qos2 = Qos2Window(words[cells.QOS2 : cells.QOS2 + cells.QOS2_WORDS].cast("B"))
        self._inbound: Inbound | None = None
        self._set_callbacks()

    @property
    def settled(self) -> bool:
        """Not between CONNACK and SUBACK. A kept session's messages come in between: a handler that took one
        and ran long would leave the worker looking as if it had never subscribed."""
        return self.subscribed or self.socket is None

    def attach(self, receiver: Receiver) -> None:
        self._receiver = receiver
        if self._spec.fast_path:
            v5 = self._spec.broker.protocol == "5"
            self._inbound = Inbound(v5, receiver.resolve, receiver.take_packets, self.qos2)

    # -- life --------------------------------------------------------------------------------------------

    async def run(self) -> ExitCode:
        """Stay connected until there is a reason not to; returns that reason, or OK after `disconnect`."""
        while not self._leaves():
            reason = await self._connect_once()
            if self._leaves():
                break
            if self._verdict is not None:
                return self._verdict
            delay = self._next_delay()
            self._report(Disconnected(reason=reason, retry_in=delay))
            await asyncio.sleep(delay)
        return ExitCode.OK

    def _leaves(self) -> bool:
        return self._leaving

    def stay_away(self) -> None:
        """Do not connect again when this connection goes."""
        self._leaving = True

    async def disconnect(self, end_session: bool) -> None:
        """Send DISCONNECT after all else; with `end_session` an MQTT 5 broker forgets the session."""
        self._leaving = True
        if self._socket is None:
            return
        properties = None
        if end_session and self._spec.broker.protocol == "5":
            properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 0
        self._socket.linger = True
        self.client.disconnect(properties=properties)

    def _next_delay(self) -> float:
        if self._connected_at and time.monotonic() - self._connected_at > STEADY_SECONDS:
            self._failures = 0
        self._connected_at = 0.0
        delay = min(FIRST_RETRY * 2.0**self._failures, LONGEST_RETRY)
        self._failures = min(self._failures + 1, 16)
        return delay * random.uniform(0.5, 1.0)

    async def _connect_once(self) -> str:
        """One connection from beginning to end; returns why it ended."""
        loop = asyncio.get_running_loop()
        self._subscribed_at = None
        self._close_reason = ""
        try:
            await in_thread(self.client.reconnect)
        except ssl.SSLCertVerificationError as error:
            return self._refuse(
                f"the certificate of {self._spec.broker} is not trusted: {error.verify_message}"
            )
        except (OSError, ValueError) as error:
            self._quick_closes = 0
            return f"{type(error).__name__}: {error}" if isinstance(error, ssl.SSLError) else str(error)
        socket: Any = self.client.socket()
        if socket is None:
            return "the broker closed the connection at once"
        self._socket = socket
        self._lost = loop.create_future()
        self._asked_at = self._heard_base = time.monotonic()
        self.reading = True
        if self._inbound is not None:
            self._inbound.connected_anew()
        loop.add_reader(socket.fileno(), self._on_readable)
        return await self._lost

    # -- reading and writing -----------------------------------------------------------------------------

    def _on_readable(self) -> None:
        socket = self._socket
        if socket is not None:
            self._receiver.read_begins()
            try:
                self._read_chunk(socket)
            finally:
                self._receiver.read_ended()
            if self._writer_on or socket.unsent:
                self._watch_unsent()

    def _read_chunk(self, socket: MqttSocket) -> bool:
        """Read once; False when there was nothing."""
        if self._inbound is None:
            if not socket.fill():
                return False
        elif chunk := socket.read():
            fault = self._inbound.feed(chunk, self._read_by_paho, self.send)
            if fault is not None:
                self._refuse_stream(socket, fault)
            if self._socket is not socket:
                return True
            if not (self._paho_read or socket.over or self.client.want_write()):
                return True
            self._paho_read = False
        elif chunk is None:
            return False
        self._read_packets()
        return True

    def _read_by_paho(self, packet: bytes) -> bool:
        """Give paho a packet; False when the connection ended with it."""
        socket = self._socket
        if socket is None:
            return False
        socket.give(packet)
        self._paho_read = True
        self._loop_read(socket)
        return self._socket is socket

    def _loop_read(self, socket: MqttSocket) -> None:
        try:
            self.client.loop_read()
        except Exception:  # noqa: BLE001 - logged
            # paho 2.1 raises what it stumbles over in a packet, and would at each further read. A new
            # connection starts afresh: that is right for an error of our own callbacks as well.
            _log.exception("a packet of the broker could not be dealt with: the connection is given up")
            self._on_socket_close(None, None, socket)
            socket.close()
            self._end("the broker sent a packet that could not be dealt with")

    def _refuse_stream(self, socket: MqttSocket, fault: StreamError) -> None:
        """Nothing can be made of what would come next (MQTT 5 section 4.13)."""
        if self._spec.broker.protocol == "5":
            socket.linger = True  # what else it has sent is not read, and would make the end a reset
            self.send(bytes((0xE0, 2, fault.reason, 0)))
        socket.fail(f"the broker sent what is not MQTT: {fault.text}")

    def _read_packets(self) -> None:
        socket = self._socket
        while socket is not None and self.reading and (socket.buffered or socket.over):
            self._loop_read(socket)
            if self._socket is not socket:
                return
        if self.client.want_write():  # what a callback queued
            self.client.loop_write()
        self._watch_unsent()

    def look(self) -> None:
        """Notice, before an acknowledgement is wasted on it, a connection that went during a long handler."""
        socket = self._socket
        for _ in range(_LOOK_CHUNKS):
            if socket is None or self._socket is not socket or not self.reading:
                return
            if not self._read_chunk(socket):
                return

    def pause_reading(self) -> None:
        """Let the rest wait in the kernel and at the broker. Pings go on."""
        if self.reading:
            self.reading = False
            if self._socket is not None:
                asyncio.get_running_loop().remove_reader(self._socket.fileno())

    def resume_reading(self) -> None:
        if not self.reading:
            self.reading = True
            self._heard_base = time.monotonic()
            if self._socket is not None:
                loop = asyncio.get_running_loop()
                loop.add_reader(self._socket.fileno(), self._on_readable)
                loop.call_soon(self._read_packets)

    def _watch_unsent(self) -> None:
        """Have the loop send the rest of what the kernel did not take at once."""
        socket = self._socket
        if socket is not None and bool(socket.unsent) is not self._writer_on:
            loop = asyncio.get_running_loop()
            self._writer_on = not self._writer_on
            if self._writer_on:
                loop.add_writer(socket.fileno(), self._on_writable)
            else:
                loop.remove_writer(socket.fileno())

    def _on_writable(self) -> None:
        socket = self._socket
        if socket is None:
            return
        try:
            socket.flush()
        except OSError as error:
            socket.fail(str(error))
            self._force_read()
        self._watch_unsent()

    def _force_read(self) -> None:
        """Let paho see a broken socket, also while not reading."""
        self.reading = True
        self._read_packets()

    def tick(self, now: float) -> None:
        """Twice a second: look for silence and for answers that do not come."""
        socket = self._socket
        if socket is None:
            return
        self._watch_unsent()
        if not self.reading:
            self._heard_base = now
        heard = max(socket.last_received, self._heard_base)
        if self._subscribed_at is None and now - self._asked_at > ANSWER_SECONDS:
            socket.fail(f"no {'SUBACK' if self.socket else 'CONNACK'} within {ANSWER_SECONDS:.0f} s")
        elif self.keepalive and now - heard > 1.5 * self.keepalive:
            socket.fail(f"nothing came from the broker for {now - heard:.0f} s")
        if socket.error is not None:
            self._force_read()

    def after_absence(self) -> None:
        """The loop did not run for a while (a long handler): silence counts from now."""
        self._heard_base = self._asked_at = time.monotonic()

    # -- packets -----------------------------------------------------------------------------------------

    def acknowledge(self, packet_id: int, qos: int) -> None:
        """On the connection the caller has checked the message to belong to."""
        if self._inbound is None:
            self.client.ack(packet_id, qos)
        elif qos == 2:
            self.acknowledge_all((), (packet_id,))
        else:
            self.acknowledge_all((packet_id,), ())

    def confirm_again(self, packet_id: int) -> None:
        """PUBREC once more, in its place; unless PUBREL came meanwhile: the id may be another's by now."""
        if self.qos2.seen(packet_id):
            self.send(pubrecs((packet_id,)))

    def acknowledge_all(self, qos1: Sequence[int], qos2: Sequence[int]) -> None:
        """PUBACK and PUBREC for these packet ids, each in the order of receipt, in one write."""
        if qos2:
            for packet_id in qos2:
                self.qos2.mark(packet_id)
            self.send(pubacks(qos1) + pubrecs(qos2))
        elif qos1:
            self.send(pubacks(qos1))

    def send(self, packets: bytes) -> None:
        socket = self._socket
        if socket is None:
            return
        socket.send(packets)
        if socket.error is not None:
            asyncio.get_running_loop().call_soon(self._force_read)
        if self._writer_on or socket.unsent:
            self._watch_unsent()

    # -- paho's callbacks --------------------------------------------------------------------------------

    def _set_callbacks(self) -> None:
        client = self.client
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_socket_close = self._on_socket_close
        client.on_message = lambda _client, _data, packet: self._receiver.receive(packet)

    def _on_connect(self, _client: Any, _data: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            text = f"the broker refused the connection: {reason}"
            if reason.value in reasons.CONNACK_FOR_GOOD:
                self._refuse(text)
            self._end(text)
            return
        present = bool(flags.session_present)
        self.number += 1
        self.keepalive = getattr(properties, "ServerKeepAlive", self._spec.broker.keepalive)
        self._connected_at = self._asked_at = time.monotonic()
        self._words[cells.CONNECTS] += 1
        if not present:
            self._words[cells.GENERATION] += 1
            if self._inbound is not None:
                self._inbound.session_lost()
        self.socket = self._socket
        cap = getattr(properties, "SessionExpiryInterval", None)
        shorter = cap is not None and cap < self._spec.broker.session_expiry
        receive_maximum = getattr(properties, "ReceiveMaximum", None)
        self._report(Connected(present, receive_maximum, cap if shorter else None))
        self._receiver.connected(present)
        # SUBSCRIBE whatever session-present says: a broker may have kept the session and lost this.
        self._subscribe_id = self.subscriptions.send(self._spec.subscription, self._spec.qos)

    def _on_subscribe(self, _client: Any, _data: Any, packet_id: int, codes: Any, _properties: Any) -> None:
        code = codes[0]
        self.subscriptions.answered(packet_id, str(code) if code.is_failure else None)
        if packet_id != self._subscribe_id:
            return
        if code.is_failure:
            text = f"the broker refused the subscription to {self._spec.subscription}: {code}"
            if code.value in reasons.SUBACK_FOR_GOOD or self._spec.broker.protocol != "5":
                self._refuse(text)
            if self._socket is not None:
                self._socket.fail(text)
            return
        self.subscribed = True
        self._subscribed_at = time.monotonic()
        self._words[cells.CONNECTED] = 1
        self._report(Subscribed(granted_qos=code.value))
        self._receiver.subscribed()

    def _on_disconnect(self, _client: Any, _data: Any, flags: Any, reason: Any, _properties: Any) -> None:
        now = time.monotonic()
        by_packet = bool(flags.is_disconnect_packet_from_server)
        soon = self._subscribed_at is not None and now - self._subscribed_at < STEADY_SECONDS
        closed = not by_packet and not self._close_reason  # in order, not broken
        self._quick_closes = self._quick_closes + 1 if soon and closed else 0
        taken = by_packet and reason.value == reasons.SESSION_TAKEN_OVER
        if (taken or self._quick_closes >= TAKEN_OVER_CLOSES) and not self._leaving:
            self._verdict = ExitCode.TAKEN_OVER
            self._report(TakenOver())
        if by_packet:
            self._end(f"the broker ended the connection: {reason}")
        else:
            self._end(self._close_reason or "the broker closed the connection")

    def _on_socket_close(self, _client: Any, _data: Any, socket: Any) -> None:
        if self._socket is None or socket is not self._socket:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(socket.fileno())
        loop.remove_writer(socket.fileno())
        self._writer_on = False
        self._close_reason = str(socket.error or "")
        was_connected, self.socket, self._socket = self.socket is not None, None, None
        self.subscribed = False
        self._words[cells.CONNECTED] = 0
        self.subscriptions.lost()
        if was_connected:
            self._receiver.lost()

    def _end(self, reason: str) -> None:
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(reason)

    def _refuse(self, reason: str) -> str:
        if self._verdict is None:
            self._verdict = ExitCode.BROKER_REFUSED
            self._report(Refused(reason))
            _log.error("%s", reason)
        return reason
