"""One PUBLISH as a worker holds it. Plain values, the same whoever took the packet apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from routemq_tui.worker.wire import NO_PROPERTIES


class Topic(NamedTuple):
    """What is made of a topic once, however many messages it has."""

    text: str
    raw: bytes
    params: Mapping[str, Any] | None
    """The template's parameters; None when the topic does not match it."""


class Delivery:
    """`link` is the number of the connection it came on. The payload stays as it came."""

    __slots__ = (
        "again",
        "announced",
        "attempts",
        "begun",
        "done",
        "duplicate",
        "fingerprint",
        "link",
        "number",
        "packet_id",
        "payload",
        "private",
        "properties",
        "qos",
        "retain",
        "took_ns",
        "topic",
    )

    def __init__(
        self,
        topic: Topic,
        payload: bytes,
        qos: int,
        packet_id: int,
        link: int,
        *,
        retain: bool = False,
        duplicate: bool = False,
        properties: Mapping[str, Any] = NO_PROPERTIES,
        private: bool = False,
    ) -> None:
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.packet_id = packet_id
        self.link = link
        self.retain = retain
        self.duplicate = duplicate
        self.properties = properties
        self.private = private
        """Not for the handler, and not counted: a drain's sentinel."""
        self.again = False
        """Handled and confirmed before: only its PUBREC goes out once more."""
        self.begun = private
        """Nothing of it is left to begin: while it waits it only keeps its place in the order."""
        self.done = False
        self.number = -1
        """Of receipt, see `receipts`."""
        self.fingerprint = 0
        self.attempts = 1
        self.took_ns = 0
        """Of the last one."""
        self.announced = False
        """The engine was told that it came."""

    def same_as(self, other: Delivery) -> bool:
        return self.topic.raw == other.topic.raw and self.payload == other.payload

    def is_sent_again(self, topic: Topic, payload: bytes, qos: int) -> bool:
        """Whether a packet with DUP and the packet id of this one is this one: never by its id alone, or a
        broker that gives an id away too early would have a message thrown away."""
        same = self.topic.raw == topic.raw and self.payload == payload
        return self.qos == qos and (same or self.again)

    def without_payload(self) -> Delivery:
        """What can be kept for a while."""
        slim = Delivery(self.topic, b"", self.qos, self.packet_id, self.link, duplicate=self.duplicate)
        slim.fingerprint, slim.announced = self.fingerprint, self.announced
        return slim
