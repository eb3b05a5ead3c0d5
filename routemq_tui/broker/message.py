"""A published message and its PUBLISH frames: subscribers alike, one after the other, share one encoding."""

from __future__ import annotations

import math
import time
from collections.abc import Collection

from routemq_tui.broker import properties, wire
from routemq_tui.broker.budget import Budget
from routemq_tui.broker.packets import V5

OVERHEAD = 400
"""Bytes a message costs in memory beyond its topic, payload and properties (measured, rounded up)."""


class Message:
    """Immutable but for its latest encoding, which holds neither the payload nor identifiers."""

    __slots__ = ("_key", "_parts", "expires_at", "payload", "properties", "qos", "retain", "size", "topic")

    def __init__(
        self,
        topic: str,
        payload: bytes,
        qos: int,
        retain: bool = False,
        passing: bytes = b"",
        expires_at: float | None = None,
    ) -> None:
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.properties = passing
        self.expires_at = expires_at
        # Topic and properties twice, the second time encoded; a character may take four bytes each time.
        text = len(topic) if topic.isascii() else 4 * len(topic)
        self.size = len(payload) + 2 * (text + len(passing)) + OVERHEAD
        self._key: tuple[int, bool] | None = None
        self._parts = b"", b""

    def frame(self, version: int, head: int, packet_id: int, ids: bytes) -> bytes:
        """The PUBLISH packet: `head` is its first byte, `ids` the encoded subscription identifiers."""
        key = (version, packet_id > 0)
        if ids or self.expires_at is not None:
            before, after = self._encode(version, packet_id > 0, ids)
        else:
            if key != self._key:
                self._key, self._parts = key, self._encode(version, packet_id > 0, b"")
            before, after = self._parts
        if packet_id:
            return b"%c%b%b%b%b" % (head, before, packet_id.to_bytes(2, "big"), after, self.payload)
        return b"%c%b%b%b" % (head, before, after, self.payload)

    def expired(self) -> bool:
        return self.expires_at is not None and time.monotonic() >= self.expires_at

    def _encode(self, version: int, identified: bool, ids: bytes) -> tuple[bytes, bytes]:
        """What stands before the packet identifier (but the first byte), and from there to the payload."""
        tail = b""
        if version == V5:
            block = self.properties + ids
            if self.expires_at is not None:
                left = max(0, math.ceil(self.expires_at - time.monotonic()))
                block = properties.encode_one(properties.MESSAGE_EXPIRY, left) + block
            tail = wire.varint(len(block)) + block
        topic = wire.text(self.topic)
        length = len(topic) + 2 * identified + len(tail) + len(self.payload)
        return wire.varint(length) + topic, tail


class Delivery:
    """One message on its way to one session or share group; it is charged to a budget until it is done."""

    __slots__ = ("budget", "dup", "group", "ids", "message", "qos", "released", "retain", "sequence")

    def __init__(self, message: Message, budget: Budget, qos: int, retain: bool, ids: bytes) -> None:
        self.message = message
        self.budget = budget
        """Where it is charged (already)."""
        self.qos = qos
        self.retain = retain
        self.ids = ids
        self.dup = False
        self.released = False
        """QoS 2: PUBREC has come, PUBREL is out; the message itself is delivered."""
        self.group: tuple[str, str] | None = None
        """Share group and filter it was pulled from, and goes back to."""
        self.sequence = 0
        """Its place in the share group's order."""

    def release(self) -> None:
        """The message is delivered, or given up: nothing of it is held any more."""
        self.budget.release(self.message.size)
        self.message = GONE


GONE = Message("", b"", 0)


def forget_expired(waiting: Collection[Delivery], now: float) -> list[Delivery] | None:
    """Release those that have expired, and return the others; None when none has."""
    expired = [one for one in waiting if one.message.expires_at is not None and one.message.expires_at <= now]
    if not expired:
        return None
    for delivery in expired:
        delivery.budget.ledger.totals.expired += 1
        delivery.release()
    return [one for one in waiting if one.message is not GONE]
