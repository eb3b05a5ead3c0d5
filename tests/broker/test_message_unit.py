"""PUBLISH frames: shared encodings are right for every subscriber, and hold nothing that is not charged."""

from __future__ import annotations

import itertools
import sys

import psutil
import pytest

from routemq_tui.broker.message import Message
from tests.broker.conftest import Connect, Start
from tests.broker.raw import number, packet, text, varint

MEBIBYTE = 1024 * 1024


def expected(message: Message, version: int, head: int, packet_id: int, ids: bytes) -> bytes:
    properties = message.properties + ids
    block = varint(len(properties)) + properties if version == 5 else b""
    identifier = packet_id.to_bytes(2, "big") if packet_id else b""
    return packet(head, text(message.topic) + identifier + block + message.payload)


@pytest.mark.parametrize("payload", [b"", b"x" * 200, b"x" * 20_000], ids=len)
def test_whatever_was_encoded_before_a_frame_is_right(payload: bytes) -> None:
    message = Message("t/é", payload, 1, passing=b"\x01\x01")
    kinds = list(itertools.product((4, 5), (0, 7), (b"", number(0x0B, 300))))

    for first, second in itertools.product(kinds, repeat=2):
        for version, packet_id, ids in (first, second):
            head = 0x32 if packet_id else 0x30
            assert message.frame(version, head, packet_id, ids) == expected(
                message, version, head, packet_id, ids
            )


def test_what_a_message_holds_after_encoding_is_charged() -> None:
    message = Message("\N{BANANA}" * 10_000, b"x" * 100_000, 1, passing=b"\x26" * 50_000)

    for version, packet_id, at in itertools.product((4, 5), (0, 1), range(100)):
        message.frame(version, 0x30, packet_id, number(0x0B, at) if at else b"")

    held = (message.topic, message.payload, message.properties, *message._parts)
    assert sum(map(sys.getsizeof, held)) <= message.size


def test_a_retained_message_is_held_once_however_many_identifiers_it_is_sent_with(
    connect: Connect, start: Start
) -> None:
    broker = start()
    client = connect(port=broker.port)
    client.publish("big", b"z" * MEBIBYTE, retain=True)
    client.subscribe("big", 0, identifier=500)
    client.published()
    process = psutil.Process(broker.pid)
    before = process.memory_info().rss

    for identifier in range(1, 101):
        client.subscribe("big", 0, identifier=identifier)
        assert client.published().properties[0x0B] == [identifier]

    assert process.memory_info().rss - before < 20 * MEBIBYTE
