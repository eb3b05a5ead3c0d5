"""What comes from the broker, made deliveries: topics resolved, messages counted, reading held back in time.

`take` is for whoever takes packets apart; `receive` does it for those that paho has taken apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from paho.mqtt.client import MQTTMessage

from routemq_tui.routing.template import Template
from routemq_tui.worker import cells
from routemq_tui.worker.acknowledgements import Qos2Window
from routemq_tui.worker.connection import Connection
from routemq_tui.worker.deliveries import Deliveries
from routemq_tui.worker.delivery import Delivery, Topic
from routemq_tui.worker.engine_notes import Watched
from routemq_tui.worker.hot_path import Packet
from routemq_tui.worker.socket_wrapper import CHUNK_BYTES
from routemq_tui.worker.spec import WorkerSpec
from routemq_tui.worker.wire import NO_PROPERTIES

WAITING_MESSAGES = 256
WAITING_BYTES = 8 * 1024 * 1024
"""With this many messages (or `prefetch`, when that is more) or bytes waiting, the socket is not read."""
_RECORDED = cells.RECORD_MOST - CHUNK_BYTES
"""With so much recorded the next read may not fit, and would have to go the plain way."""
_KNOWN_TOPICS = 4096


class Intake:
    """The connection's receiver."""

    def __init__(
        self,
        spec: WorkerSpec,
        template: Template,
        words: memoryview,
        connection: Connection,
        deliveries: Deliveries,
        watched: Watched,
        qos2: Qos2Window,
    ) -> None:
        self.arrived: Callable[[], None]
        """Called when there is something for the handlers to do; to be set before anything comes."""
        self.read_begins: Callable[[], None]
        self.read_ended: Callable[[], None]
        """Called around each read of a reader callback."""
        self.closed = False
        """Set by a drain that takes nothing more: reading is then not taken up again."""
        self.sentinel: Callable[[bytes], None] | None = None
        self.sentinel_topic = f"routemq/{spec.client_id}/sentinel"
        """One of a drain that was cut short may still come to the next process."""
        self._template = template
        self._words = words
        self._connection = connection
        self._deliveries = deliveries
        self._watched = watched
        self._limit = max(spec.prefetch, WAITING_MESSAGES)
        self._topics: dict[str, Topic] = {}
        self._qos2 = qos2
        self._answers_wanted = 0

    # -- messages ----------------------------------------------------------------------------------------

    def resolve(self, text: str) -> Topic:
        """A topic with its parameters; matched once, as long as it is remembered."""
        known = self._topics.get(text)
        if known is None:
            if len(self._topics) >= _KNOWN_TOPICS:
                self._topics.clear()
            ours = text == self.sentinel_topic
            params = None if ours else self._template.match(text)
            # Shared by all messages of the topic: a handler that changes it would change the next one's.
            shared = None if params is None else MappingProxyType(params)
            known = self._topics[text] = Topic(text, text.encode(), shared)
        return known

    def receive(self, packet: MQTTMessage) -> None:
        try:
            topic = self.resolve(packet.topic)
        except UnicodeDecodeError as error:
            topic = Topic(error.object.decode("utf-8", "backslashreplace"), error.object, None)
        self.take(
            topic,
            bytes(packet.payload),
            packet.qos,
            packet.mid,
            packet.retain,
            packet.dup,
            _properties(packet.properties),
        )

    def take_packets(self, packets: list[Packet], chunk: bytes, taken: int) -> None:
        """What the stream has taken apart, in order."""
        if self.closed or self._watched.active or not self._deliveries.take(packets, chunk, taken):
            self._take_one_by_one(packets)
            return
        self.arrived()
        self._hold_back()

    def _take_one_by_one(self, packets: list[Packet]) -> None:
        held: dict[int, Delivery] | None = None
        for first, topic, payload, packet_id, properties in packets:
            qos = first >> 1 & 3
            if first & 8:
                if held is None:
                    held = self._deliveries.unacknowledged()
                before = held.get(packet_id)
                if before is not None and before.is_sent_again(topic, payload, qos):
                    # Some brokers get impatient: the acknowledgement to come is for it too.
                    self._words[cells.DUPLICATES] += 1
                    continue
                if first & 4 and self._qos2.seen(packet_id):
                    self._confirm_again(topic, packet_id)
                    continue
            taken = self.take(topic, payload, qos, packet_id, bool(first & 1), bool(first & 8), properties)
            if held is not None and packet_id:
                held[packet_id] = taken

    def _confirm_again(self, topic: Topic, packet_id: int) -> None:
        """Handled and confirmed before, but the broker did not hear of it (MQTT 5 section 4.4)."""
        delivery = Delivery(topic, b"", 2, packet_id, self._connection.number, private=True)
        delivery.again = True
        self._deliveries.add(delivery)

    def take(
        self,
        topic: Topic,
        payload: bytes,
        qos: int,
        packet_id: int,
        retain: bool = False,
        duplicate: bool = False,
        properties: Mapping[str, Any] = NO_PROPERTIES,
    ) -> Delivery:
        delivery = Delivery(
            topic,
            payload,
            qos,
            packet_id,
            self._connection.number,
            retain=retain,
            duplicate=duplicate,
            properties=properties,
            private=topic.text == self.sentinel_topic,
        )
        if delivery.private:
            self._deliveries.add(delivery)
            if self.sentinel is not None:
                self.sentinel(payload)
            return delivery
        if self.closed:
            return delivery  # the session stays, and what is not acknowledged comes again
        words = self._words
        words[cells.BYTES] += len(payload)
        if duplicate:
            words[cells.DUPLICATES] += 1
        self._deliveries.add(delivery)
        if delivery.done:  # by the process before this one: a kill asks what became of it
            self._watched.ended_all((delivery,))
        elif self._watched.active:
            self._watched.came(delivery)
        self.arrived()
        self._hold_back()
        return delivery

    def _hold_back(self) -> None:
        """Stop reading when enough waits, unless an answer is to come behind it."""
        if not self._answers_wanted and self._connection.settled and (self.closed or self._full()):
            self._connection.link.pause_reading()

    # -- the connection ----------------------------------------------------------------------------------

    def connected(self, session_present: bool) -> None:
        self._deliveries.connected(self._connection.number, session_present)
        self.arrived()

    def subscribed(self) -> None:
        self.arrived()
        self._hold_back()

    def lost(self) -> None:
        self._deliveries.lost()

    def _full(self) -> bool:
        waiting = self._deliveries
        held = waiting.waiting_bytes + waiting.batch.bytes
        recorded = waiting.batch.recorded
        return waiting.not_begun >= self._limit or held >= WAITING_BYTES or recorded >= _RECORDED

    def close(self) -> None:
        """Take nothing more."""
        self.closed = True
        self._hold_back()

    def read_on(self) -> None:
        """Read again, when there is room; messages that go the plain way first, or all behind them would."""
        if self._connection.link.reading:
            return
        hands = self._deliveries
        room = 0 if hands.waiting and hands.hot is not None else self._limit // 2
        if not self.closed and hands.not_begun <= room:
            self._connection.link.resume_reading()

    @contextmanager
    def wanting_answers(self) -> Iterator[None]:
        """Read meanwhile, however much waits: the broker's answer comes behind it."""
        self._answers_wanted += 1
        self._connection.link.resume_reading()
        try:
            yield
        finally:
            self._answers_wanted -= 1
            if not self._answers_wanted and (self.closed or self._full()):
                self._connection.link.pause_reading()


_PROPERTY_NAMES = {
    "PayloadFormatIndicator": "payload_format_indicator",
    "MessageExpiryInterval": "message_expiry_interval",
    "ContentType": "content_type",
    "ResponseTopic": "response_topic",
    "CorrelationData": "correlation_data",
    "SubscriptionIdentifier": "subscription_identifier",
    "UserProperty": "user_property",
}
_SEVERAL = ("user_property", "subscription_identifier")


def _properties(found: Any) -> Mapping[str, Any]:
    if found is None or found.isEmpty():
        return NO_PROPERTIES
    values = {ours: getattr(found, name) for name, ours in _PROPERTY_NAMES.items() if hasattr(found, name)}
    for name in _SEVERAL:
        if name in values:
            values[name] = tuple(values[name])
    return MappingProxyType(values)
