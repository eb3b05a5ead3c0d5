"""How large a PUBLISH of ours is, and the largest that a broker takes. Of any connection."""

from __future__ import annotations

from typing import Any

from paho.mqtt.properties import Properties

from routemq_tui.worker.publish_stream import LARGEST_PACKET

__all__ = ("LARGEST_PACKET", "largest_taken", "publish_size")


def largest_taken(connack: Any) -> int:
    """By the properties of a CONNACK (MQTT 5 section 3.2.2.3.6); without a word, all that MQTT can."""
    return getattr(connack, "MaximumPacketSize", 0) or LARGEST_PACKET


def publish_size(topic: str, payload: bytes, qos: int, properties: Properties | None, v5: bool) -> int:
    """Bytes of the whole packet. UnicodeEncodeError for a topic that cannot be UTF-8."""
    block = 0
    if v5:
        block = 1 if properties is None else len(properties.pack())  # type: ignore[no-untyped-call]
    rest = 2 + len(topic.encode()) + (2 if qos else 0) + block + len(payload)
    return 1 + (rest.bit_length() + 6) // 7 + rest
