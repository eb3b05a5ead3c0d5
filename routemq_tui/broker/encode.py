"""Packets the broker sends, except PUBLISH, which `message` makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from routemq_tui.broker import properties, wire
from routemq_tui.broker.packets import V5
from routemq_tui.broker.properties import Value
from routemq_tui.broker.reasons import CONNACK_3

PINGRESP: Final = b"\xd0\x00"
PUBACK: Final = b"\x40\x02"
PUBREC: Final = b"\x50\x02"
PUBREL: Final = b"\x62\x02"
PUBCOMP: Final = b"\x70\x02"


def connack(version: int, present: bool, reason: int, pairs: Sequence[tuple[int, Value]] = ()) -> bytes:
    """In 3.1.1 the reason becomes a return code; b"" where that version has none for it."""
    if version == V5:
        body = bytes((present, reason)) + properties.encode(pairs)
        return b"\x20" + wire.varint(len(body)) + body
    if reason and reason not in CONNACK_3:
        return b""
    return bytes((0x20, 2, present, CONNACK_3.get(reason, 0)))


def acknowledgement(head: bytes, packet_id: int, version: int, reason: int = 0) -> bytes:
    """PUBACK, PUBREC, PUBREL or PUBCOMP, named by its two-byte head; the short form when all is well."""
    if reason and version == V5:
        return bytes((head[0], 3, packet_id >> 8, packet_id & 255, reason))
    return head + packet_id.to_bytes(2, "big")


def suback(packet_id: int, version: int, codes: Sequence[int]) -> bytes:
    if version != V5:
        codes = [min(code, 0x80) for code in codes]
    return _listed(0x90, packet_id, version, codes)


def unsuback(packet_id: int, version: int, codes: Sequence[int]) -> bytes:
    return _listed(0xB0, packet_id, version, codes if version == V5 else ())


def _listed(first: int, packet_id: int, version: int, codes: Sequence[int]) -> bytes:
    body = packet_id.to_bytes(2, "big") + (b"\0" if version == V5 else b"") + bytes(codes)
    return bytes((first,)) + wire.varint(len(body)) + body


def disconnect(reason: int, text: str) -> bytes:
    """MQTT 5 only: a 3.1.1 server cannot say why it closes."""
    body = bytes((reason,)) + properties.encode([(properties.REASON_STRING, text)])
    return b"\xe0" + wire.varint(len(body)) + body
