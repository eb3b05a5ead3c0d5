"""Acknowledgements as bytes, and what has to be remembered between those of QoS 2.

QoS 2 here delivers on PUBLISH and stores the packet id (MQTT 5 section 4.3.3; in 3.1.1 it is method B), the
handler before PUBREC. "Marked" is a bit of `Qos2Window`, which outlives the process:

    PUBLISH, id not marked   handle; mark(id); send PUBREC
    PUBLISH, id marked, DUP  send PUBREC; do not handle
    PUBLISH, id marked       without DUP it is a new message: a broker that lost its memory uses the id again
    PUBREL                   release(id); send PUBCOMP, also when it was not marked
    session present = 0      clear(): the broker numbers anew, an old mark would swallow a new message

Marking before PUBREC and releasing before PUBCOMP makes a kill between the two harmless: the broker sends its
packet again on the next connection (section 4.4). Only a kill between the handler's start and the mark has it
run twice. PUBACKs and PUBRECs go out in the order of the PUBLISH packets, PUBCOMPs in that of the PUBRELs
(section 4.6).
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import pack
from typing import Final


def pubacks(ids: Iterable[int]) -> bytes:
    """PUBACKs of success, in this order, for either version: reason 0 may be left out (section 3.4.2.1)."""
    return _answers(0x4002_0000, ids)


def pubrecs(ids: Iterable[int]) -> bytes:
    return _answers(0x5002_0000, ids)


def pubcomps(ids: Iterable[int]) -> bytes:
    return _answers(0x7002_0000, ids)


def _answers(head: int, ids: Iterable[int]) -> bytes:
    words = [head | packet_id for packet_id in ids]
    return pack(f">{len(words)}I", *words)


class Qos2Window:
    """The packet ids between our PUBREC and the broker's PUBREL: one bit each, in memory that is given.

    The memory belongs to the slot and is shared, so the next process of the slot finds the marks.
    """

    BYTES: Final = 8192

    def __init__(self, memory: memoryview) -> None:
        self._bits = memory.cast("B")
        if len(self._bits) != self.BYTES or self._bits.readonly:
            raise ValueError(f"wanted: {self.BYTES} writable bytes, got: {len(self._bits)}")

    def seen(self, packet_id: int) -> bool:
        return bool(self._bits[packet_id >> 3] >> (packet_id & 7) & 1)

    def mark(self, packet_id: int) -> None:
        """Before PUBREC is sent."""
        self._bits[packet_id >> 3] |= 1 << (packet_id & 7)

    def release(self, packet_id: int) -> None:
        """Before PUBCOMP is sent."""
        self._bits[packet_id >> 3] &= ~(1 << (packet_id & 7))

    def clear(self) -> None:
        """The broker has no session for us: none of its old ids counts."""
        self._bits[:] = bytes(self.BYTES)
