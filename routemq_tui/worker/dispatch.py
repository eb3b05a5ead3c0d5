"""Messages to the handler: one after the other, or several async ones at once, counted and acknowledged.

Runs on the worker's loop. Nothing a handler raises gets out of here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from paho.mqtt.client import MQTTMessage

import routemq_tui
from routemq_tui.routing.binding import Bound, PayloadError
from routemq_tui.routing.message import Message, Publisher
from routemq_tui.routing.template import Template
from routemq_tui.worker import cells
from routemq_tui.worker.connection import Connection
from routemq_tui.worker.deliveries import Deliveries, Delivery
from routemq_tui.worker.spec import HandlerFailed, WorkerReport, WorkerSpec

TURN_SECONDS = 0.05
"""Handlers run for at most so long before the loop looks at the control pipe and the socket again."""
WAITING_MESSAGES = 256
WAITING_BYTES = 8 * 1024 * 1024
"""With this many messages (or `prefetch`, when that is more) or bytes waiting, the socket is not read."""
REPORT_SECONDS = 0.5
_LONG_NS = 50_000_000
_KNOWN_TOPICS = 4096
_PACKAGE = str(Path(routemq_tui.__file__).parent)

_log = logging.getLogger("routemq.handler")


class Dispatcher:
    def __init__(
        self,
        spec: WorkerSpec,
        template: Template,
        bound: Bound,
        words: memoryview,
        connection: Connection,
        client: Publisher,
        report: Callable[[WorkerReport], None],
    ) -> None:
        self.deliveries = Deliveries(connection.acknowledge)
        self.paused = spec.paused
        self.stopped_reading = False
        """Set by a drain that takes nothing more: reading is then not taken up again."""
        self.finished = 0
        """Messages whose handler ended."""
        self.sentinel: Callable[[bytes], None] | None = None
        self.sentinel_topic = f"routemq/{spec.client_id}/sentinel"
        """One of a drain that was cut short may still come to the next process."""
        self._spec = spec
        self._template = template
        self._bound = bound
        self._words = words
        self._connection = connection
        self._client = client
        self._report = report
        self._reported_at = 0.0
        self._limit = max(spec.prefetch, WAITING_MESSAGES)
        self._topics: dict[str, tuple[str, bytes, Mapping[str, Any] | None]] = {}
        self._wake = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()

    # -- what comes --------------------------------------------------------------------------------------

    def receive(self, packet: MQTTMessage) -> None:
        topic, raw_topic, params = self._topic_of(packet)
        link = self._connection.number
        if topic == self.sentinel_topic:
            self.deliveries.add(Delivery(raw_topic, None, packet.qos, packet.mid, link))
            if self.sentinel is not None:
                self.sentinel(bytes(packet.payload))
            return
        words = self._words
        words[cells.RECEIVED] += 1
        words[cells.BYTES] += len(packet.payload)
        if packet.dup:
            words[cells.DUPLICATES] += 1
        message = Message(
            topic=topic,
            params=params,  # type: ignore[arg-type]  # None is handled before the handler sees it
            payload=bytes(packet.payload),
            qos=packet.qos,
            retain=packet.retain,
            duplicate=packet.dup,
            properties=_properties(packet.properties),
            worker=self._spec.name,
            client=self._client,
        )
        self.deliveries.add(Delivery(raw_topic, message, packet.qos, packet.mid, link))
        words[cells.IN_FLIGHT] = self.deliveries.in_hand
        self._wake.set()
        if self._full():
            self._connection.pause_reading()

    def connected(self, session_present: bool) -> None:
        self.deliveries.connected(self._connection.number, session_present)
        self._words[cells.IN_FLIGHT] = self.deliveries.in_hand
        self._wake.set()

    def lost(self) -> None:
        self.deliveries.lost()

    def set_paused(self, paused: bool) -> None:
        self.paused = paused
        self._wake.set()

    def _full(self) -> bool:
        waiting = self.deliveries
        return len(waiting.waiting) >= self._limit or waiting.waiting_bytes >= WAITING_BYTES

    def _topic_of(self, packet: MQTTMessage) -> tuple[str, bytes, Mapping[str, Any] | None]:
        """The topic, its bytes, and its parameters, which are None when it does not match."""
        try:
            topic = packet.topic
        except UnicodeDecodeError as error:
            return error.object.decode("utf-8", "backslashreplace"), error.object, None
        known = self._topics.get(topic)
        if known is None:
            if len(self._topics) >= _KNOWN_TOPICS:
                self._topics.clear()
            known = self._topics[topic] = (topic, topic.encode(), self._template.match(topic))
        return known

    # -- handlers ----------------------------------------------------------------------------------------

    async def consume(self) -> None:
        """The one long-lived task that runs handlers; `asyncio.timeout` and the like work in them."""
        while True:
            if not self._ready():
                self._wake.clear()
                await self._wake.wait()
                continue
            turn_ends = time.monotonic() + TURN_SECONDS
            while self._ready() and time.monotonic() < turn_ends:
                delivery = self.deliveries.begin()
                if self._spec.concurrency > 1 and self._bound.is_async:
                    self._start(delivery)
                else:
                    await self._handle(delivery)
            if not self.stopped_reading and len(self.deliveries.waiting) <= self._limit // 2:
                self._connection.resume_reading()
            # Once to let the loop look at its descriptors, once to let it call what it found.
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    def _ready(self) -> bool:
        waiting = bool(self.deliveries.waiting) and not self.paused
        return waiting and len(self._running) < self._spec.concurrency

    def _start(self, delivery: Delivery) -> None:
        task = asyncio.get_running_loop().create_task(self._handle(delivery))
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wake.set()

    async def _handle(self, delivery: Delivery) -> None:
        message = delivery.message
        if message is None or message.params is None:
            self._fail(delivery, f"{delivery.raw_topic!r} does not match {self._template.text}", None)
            self._close(delivery)
            return
        words = self._words
        started = time.monotonic_ns()
        cells.set_current(words, delivery.raw_topic, started)
        try:
            result = self._bound.call(message)
            if self._bound.is_async:
                await result
        except PayloadError as error:
            self._fail(delivery, str(error), None)
        except BaseException as error:  # a handler may raise anything, SystemExit included
            if _is_our_cancellation(error):
                raise
            self._fail(delivery, _one_line(error), error)
        else:
            words[cells.OK] += 1
        took = time.monotonic_ns() - started
        words[cells.BUSY_NS] += took
        words[cells.HISTOGRAM + cells.bucket_of(took)] += 1
        if took > _LONG_NS and delivery.qos:
            self._connection.look()
        self._close(delivery)

    def _close(self, delivery: Delivery) -> None:
        self.finished += 1
        self.deliveries.finish(delivery)
        self._words[cells.IN_FLIGHT] = self.deliveries.in_hand
        if len(self._running) < 2:  # this one, or none: with several, the newest stays named
            cells.clear_current(self._words)

    def _fail(self, delivery: Delivery, text: str, error: BaseException | None) -> None:
        self._words[cells.FAILED] += 1
        topic = delivery.message.topic if delivery.message is not None else repr(delivery.raw_topic)
        if error is None:
            _log.error("%s", text)
        else:
            where = _handler_frames(error.__traceback__)
            _log.error("%s: %s", topic, text, exc_info=(type(error), error, where))
        now = time.monotonic()
        if now - self._reported_at >= REPORT_SECONDS:
            self._reported_at = now
            self._report(HandlerFailed(topic=topic, error=text))


def _is_our_cancellation(error: BaseException) -> bool:
    if isinstance(error, GeneratorExit):
        return True
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def _one_line(error: BaseException) -> str:
    """`ValueError: bad reading`. A `__str__` that fails is the handler's fault too."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the caller logs the handler's own traceback
        text = "(its text cannot be made)"
    kind = type(error).__name__
    return f"{kind}: {text.splitlines()[0]}" if text else kind


def _handler_frames(where: TracebackType | None) -> TracebackType | None:
    """The traceback from the handler on: our own frames above it say nothing to its author."""
    own = where
    while own is not None and own.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        own = own.tb_next
    return own or where


_PROPERTY_NAMES = {
    "PayloadFormatIndicator": "payload_format_indicator",
    "MessageExpiryInterval": "message_expiry_interval",
    "ContentType": "content_type",
    "ResponseTopic": "response_topic",
    "CorrelationData": "correlation_data",
    "SubscriptionIdentifier": "subscription_identifier",
    "UserProperty": "user_property",
}
_NO_PROPERTIES: Mapping[str, Any] = {}


def _properties(found: Any) -> Mapping[str, Any]:
    if found is None or found.isEmpty():
        return _NO_PROPERTIES
    values = vars(found)
    return {ours: values[name] for name, ours in _PROPERTY_NAMES.items() if name in values}
