"""One worker's connection to the broker: connect, stay connected, subscribe, and know when to give up.

Drives an unmodified paho client from the worker's asyncio loop over `socket_wrapper`. Knows nothing of
handlers: packets go to a `Receiver`. paho's own reconnecting and its keepalive are not used: the back-off
here has jitter and tells the engine, and all pings are the guardian's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from routemq_tui.config.model import NOT_VERIFIED
from routemq_tui.errors import ExitCode
from routemq_tui.worker import cells, reasons, tls
from routemq_tui.worker.acknowledgements import Qos2Window, pubacks, pubrecs
from routemq_tui.worker.inbound import Inbound, Receiver
from routemq_tui.worker.link import Link
from routemq_tui.worker.packet_size import LARGEST_PACKET, largest_taken
from routemq_tui.worker.paho_client import in_thread, make_client
from routemq_tui.worker.reconnecting import BackOff, QuickCloses
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

ANSWER_SECONDS = 10.0
"""How long CONNACK and SUBACK may take."""

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
        self.maximum_packet = LARGEST_PACKET
        """Bytes of the largest packet the broker takes, as it said last. A broker that cannot say so (3.1.1)
        may take less."""
        self.when_lost: Callable[[], None] = lambda: None
        """Called at the end of each connection on which CONNACK had come, before there is another."""
        self._spec = spec
        self._words = words
        self._report = report
        self._lost: asyncio.Future[str] | None = None
        self._verdict: ExitCode | None = None
        self._leaving = False
        self._subscribe_id: int | None = None
        self._asked_at = 0.0
        self._subscribed_at: float | None = None
        self._back_off = BackOff()
        self._hurry = asyncio.Event()
        self._close_reason = ""
        self._close_fault: tls.Fault | None = None
        """Of a connection on which nobody answered CONNECT."""
        self._answered = False
        self._quick_closes = QuickCloses()
        self._v5 = spec.broker.protocol == "5"
        self.client = make_client(spec)
        self.link = Link(self.client, self._v5, self._give_up)
        self.subscriptions = Subscriptions(self.client, self._v5, self.link.watch_unsent)
        self._receiver: Receiver
        self.qos2 = Qos2Window(words[cells.QOS2 : cells.QOS2 + cells.QOS2_WORDS].cast("B"))
        self._set_callbacks()

    @property
    def settled(self) -> bool:
        """Not between CONNACK and SUBACK. A kept session's messages come in between: a handler that took one
        and ran long would leave the worker looking as if it had never subscribed."""
        return self.subscribed or self.socket is None

    def attach(self, receiver: Receiver) -> None:
        self._receiver = receiver
        inbound = Inbound(self._v5, receiver.resolve, receiver.take_packets, self.qos2)
        self.link.attach(receiver, inbound if self._spec.fast_path else None)

    # -- life --------------------------------------------------------------------------------------------

    async def run(self) -> ExitCode:
        """Stay connected until there is a reason not to; returns that reason, or OK after `disconnect`."""
        self._warn_if_insecure()
        while not self._leaves():
            reason = await self._connect_once()
            if self._leaves():
                break
            if self._verdict is not None:
                return self._verdict
            delay = self._back_off.next_delay(time.monotonic())
            self._report(Disconnected(reason=reason, retry_in=delay))
            self._hurry.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), delay)
        return ExitCode.OK

    def _warn_if_insecure(self) -> None:
        if self._spec.broker.tls and self._spec.broker.security.insecure:
            _log.warning("%s (broker.insecure)", NOT_VERIFIED)

    def _leaves(self) -> bool:
        """Not the attribute: a type checker takes that for unchanged over an await."""
        return self._leaving

    def try_now(self) -> None:
        """End a back-off that is under way."""
        self._hurry.set()

    def stay_away(self) -> None:
        """Do not connect again when this connection goes."""
        self._leaving = True

    async def disconnect(self, end_session: bool) -> None:
        """Send DISCONNECT after all else; with `end_session` an MQTT 5 broker forgets the session."""
        self._leaving = True
        socket = self.link.socket
        if socket is None:
            return
        properties = None
        if end_session and self._v5:
            properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 0
        socket.linger = True
        self.client.disconnect(properties=properties)

    async def _connect_once(self) -> str:
        """One connection from beginning to end; returns why it ended."""
        loop = asyncio.get_running_loop()
        self._subscribed_at = None
        self._close_reason, self._close_fault = "", None
        self._answered = False
        try:
            await in_thread(self.client.reconnect)
        except (OSError, ValueError) as error:
            self._quick_closes.forget()
            return self._judge(tls.explain(error, self._spec.broker))
        socket: Any = self.client.socket()
        if socket is None:
            return "the broker closed the connection at once"
        self._lost = loop.create_future()
        self._asked_at = time.monotonic()
        self.link.open(socket)
        return await self._lost

    def tick(self, now: float) -> None:
        """Twice a second: look for silence and for answers that do not come."""
        socket = self.link.socket
        if socket is None:
            return
        self.link.watch_unsent()
        silent = self.link.silent_for(socket, now)
        if self._subscribed_at is None and now - self._asked_at > ANSWER_SECONDS:
            socket.fail(f"no {'SUBACK' if self.socket else 'CONNACK'} within {ANSWER_SECONDS:.0f} s")
        elif self.keepalive and silent > 1.5 * self.keepalive:
            socket.fail(f"nothing came from the broker for {silent:.0f} s")
        if socket.error is not None:
            self.link.force_read()

    def after_absence(self) -> None:
        """The loop did not run for a while (a long handler): silence counts from now."""
        self._asked_at = time.monotonic()
        self.link.heard_nothing_yet()

    # -- packets -----------------------------------------------------------------------------------------

    def acknowledge(self, packet_id: int, qos: int) -> None:
        """On the connection the caller has checked the message to belong to."""
        if self.link.inbound is None:
            self.client.ack(packet_id, qos)
        elif qos == 2:
            self.acknowledge_all((), (packet_id,))
        else:
            self.acknowledge_all((packet_id,), ())

    def confirm_again(self, packet_id: int) -> None:
        """PUBREC once more, in its place; unless PUBREL came meanwhile: the id may be another's by now."""
        if self.qos2.seen(packet_id):
            self.link.send(pubrecs((packet_id,)))

    def acknowledge_all(self, qos1: Sequence[int], qos2: Sequence[int]) -> None:
        """PUBACK and PUBREC for these packet ids, each in the order of receipt, in one write."""
        if qos2:
            for packet_id in qos2:
                self.qos2.mark(packet_id)
            self.link.send(pubacks(qos1) + pubrecs(qos2))
        elif qos1:
            self.link.send(pubacks(qos1))

    # -- paho's callbacks --------------------------------------------------------------------------------

    def _set_callbacks(self) -> None:
        client = self.client
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_socket_close = self._on_socket_close
        client.on_message = lambda _client, _data, packet: self._receiver.receive(packet)

    def _on_connect(self, _client: Any, _data: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._answered = True
        if reason.is_failure:
            text = f"the broker refused the connection: {reason}"
            if reason.value in reasons.CONNACK_FOR_GOOD:
                self._refuse(text)
            self._end(text)
            return
        present = bool(flags.session_present)
        self.number += 1
        self.keepalive = getattr(properties, "ServerKeepAlive", self._spec.broker.keepalive)
        self.maximum_packet = largest_taken(properties)
        self._asked_at = time.monotonic()
        self._back_off.connected(self._asked_at)
        self._words[cells.CONNECTS] += 1
        if not present:
            self._words[cells.GENERATION] += 1
            if self.link.inbound is not None:
                self.link.inbound.session_lost()
        self.socket = self.link.socket
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
            if code.value in reasons.SUBACK_FOR_GOOD or not self._v5:
                self._refuse(text)
            if self.link.socket is not None:
                self.link.socket.fail(text)
            return
        self.subscribed = True
        self._subscribed_at = time.monotonic()
        self._words[cells.CONNECTED] = 1
        self._report(Subscribed(granted_qos=code.value))
        self._receiver.subscribed()

    def _on_disconnect(self, _client: Any, _data: Any, flags: Any, reason: Any, _properties: Any) -> None:
        by_packet = bool(flags.is_disconnect_packet_from_server)
        held = None if self._subscribed_at is None else time.monotonic() - self._subscribed_at
        in_order = not by_packet and not self._close_reason  # not broken
        taken = self._quick_closes.are_a_takeover(held, in_order)
        taken = taken or (by_packet and reason.value == reasons.SESSION_TAKEN_OVER)
        if taken and not self._leaving:
            self._verdict = ExitCode.TAKEN_OVER
            self._report(TakenOver())
        if by_packet:
            self._end(f"the broker ended the connection: {reason}")
        elif self._close_fault is not None:
            self._end(self._judge(self._close_fault))
        else:
            self._end(self._close_reason or "the broker closed the connection")

    def _on_socket_close(self, _client: Any, _data: Any, socket: Any) -> None:
        if self.link.socket is None or socket is not self.link.socket:
            return
        self.link.close()
        self._close_reason = str(socket.error or "")
        if not self._answered and not self._leaving:
            met = self._words[cells.CONNECTS] > 0
            self._close_fault = tls.explain_end(socket.first, socket.error, self._spec.broker, met)
        was_connected, self.socket = self.socket is not None, None
        self.subscribed = False
        self._words[cells.CONNECTED] = 0
        self.subscriptions.lost()
        if was_connected:
            self._receiver.lost()
            self.when_lost()

    def _give_up(self, socket: MqttSocket) -> None:
        self._on_socket_close(None, None, socket)
        socket.close()
        self._end("the broker sent a packet that could not be dealt with")

    def _judge(self, fault: tls.Fault) -> str:
        """Give up on what lasts, unless this broker was good before: its certificate may be renewed."""
        if fault.lasting and not self._words[cells.CONNECTS]:
            return self._refuse(fault.text)
        return fault.text

    def _end(self, reason: str) -> None:
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(reason)

    def _refuse(self, reason: str) -> str:
        if self._verdict is None:
            self._verdict = ExitCode.BROKER_REFUSED
            self._report(Refused(reason))
            _log.error("%s", reason)
        return reason
