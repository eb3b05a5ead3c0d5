"""PUBLISH and PUBREL taken out of a stream as the plain reference does it, however it is cut or broken."""

from __future__ import annotations

import random
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routemq_tui.worker.publish_stream import PUBREL, Packet, PublishStream
from routemq_tui.worker.wire import StreamError
from tests.worker.reference_stream import Other, Publish, Reference, Release
from tests.worker.streams import (
    PINGRESP,
    SIZES,
    SUBACK_5,
    cut,
    field,
    packet,
    packets,
    publish,
    pubrel,
    varint,
)


def plain(taken: Packet[str]) -> Publish | Release | Other:
    first, topic, payload, packet_id, properties = taken
    if first == PUBREL:
        return Release(packet_id)
    if first >> 4 != 3:
        return Other(payload)
    assert isinstance(topic, str)
    return Publish(
        topic, payload, first >> 1 & 3, bool(first & 1), bool(first & 8), packet_id, dict(properties)
    )


def take(stream: PublishStream[str], data: bytes, sizes: list[int]) -> tuple[list[Any], int | None]:
    """As the reference answers: what came, and the reason code of the end."""
    got: list[Packet[str]] = []
    try:
        for chunk in cut(data, sizes):
            got += stream.feed(chunk)
    except StreamError as error:
        return [plain(each) for each in got + error.packets], error.reason
    return [plain(each) for each in got], None


def check(data: bytes, sizes: list[int], v5: bool, aliases: int = 0) -> None:
    limit = 5000 if len(data) % 2 else 268_435_460
    expected = Reference(v5, aliases, limit).read(data)
    stream = PublishStream(v5, str, alias_maximum=aliases, maximum_packet=limit)
    assert take(stream, data, sizes) == expected


@pytest.mark.parametrize("v5", [False, True], ids=["3.1.1", "5"])
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_valid_streams_are_taken_as_the_reference_takes_them(v5: bool, data: Any) -> None:
    aliases = data.draw(st.integers(0, 3)) if v5 else 0
    check(b"".join(data.draw(packets(v5, aliases))), data.draw(SIZES), v5, aliases)


@pytest.mark.parametrize("v5", [False, True], ids=["3.1.1", "5"])
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_broken_streams_end_as_the_reference_ends_them(v5: bool, data: Any) -> None:
    # given a stream with some bytes changed, put in or left out
    broken = bytearray(b"".join(data.draw(packets(v5, 2))))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(broken)))
        broken[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    check(bytes(broken), data.draw(SIZES), v5, 2)


@given(st.binary(max_size=80), SIZES, st.booleans())
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_judged_as_the_reference_judges_them(data: bytes, sizes: list[int], v5: bool) -> None:
    check(data, sizes, v5, 1)
    check(b"\x30" + varint(len(data)) + data, sizes, v5, 1)
    check(b"\x32" + varint(len(data)) + data, sizes, v5, 1)


def test_mutants_raise_one_kind_of_error_and_keep_no_memory() -> None:
    # given good packets of every kind
    seed = random.Random(5)
    good = [
        publish("a/b", b"x" * 90, 1, 7, block=b"\x26" + field("k") + field("v")),
        publish("a", b"y", block=b"\x01\x01\x02\x00\x00\x00\x09\x0b\x85\x03"),
        publish("", b"z", 2, 9, block=b"\x23\x00\x01"),
        pubrel(9, b"\x00\x00"),
        SUBACK_5,
    ]
    faults: dict[int, int] = {}
    tracemalloc.start()
    for _ in range(4000):
        # when they are mixed and bits are turned
        data = bytearray(b"".join(seed.choices(good, k=4)))
        for _ in range(seed.randrange(4)):
            data[seed.randrange(len(data))] ^= 1 << seed.randrange(8)
        stream = PublishStream(seed.random() < 0.7, str, alias_maximum=1)
        reason = take(stream, bytes(data), [seed.randrange(1, 200)])[1]
        if reason is not None:
            faults[reason] = faults.get(reason, 0) + 1
            assert stream.held == 0
        assert stream.held <= len(data)
    # then every kind of fault has come, and nothing but a StreamError got out
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert {0x81, 0x82, 0x94} <= set(faults)
    assert peak < 4_000_000


def block(content: bytes) -> bytes:
    return publish("t", block=content)


FAULTS: dict[str, tuple[int, bytes]] = {
    "QoS 3": (0x81, packet(0x36, field("t") + b"\0\1\0")),
    "DUP without QoS": (0x81, packet(0x38, field("t") + b"\0")),
    "PUBREL with other flags": (0x81, b"\x60\x02\x00\x01"),
    "packet type 0": (0x81, b"\x00\x00"),
    "a length of five bytes": (0x81, b"\x30\xff\xff\xff\xff"),
    "a length longer than need be": (0x81, b"\x30\x86\x00" + field("t") + b"\0xx"),
    "no body": (0x81, b"\x30\x00"),
    "half a topic length": (0x81, b"\x30\x01\x00"),
    "a topic beyond the packet": (0x81, b"\x30\x04\x00\x05ab"),
    "no packet id": (0x81, packet(0x32, field("t"))),
    "half a packet id": (0x81, packet(0x32, field("t") + b"\x01")),
    "packet id 0": (0x82, publish("t", b"", 1, 0, block=b"")),
    "no property length": (0x81, packet(0x30, field("t"))),
    "a property length longer than need be": (0x81, packet(0x30, field("t") + b"\x80\x00")),
    "a subscription identifier longer than need be": (0x81, block(b"\x0b\x81\x00")),
    "properties beyond the packet": (0x81, packet(0x30, field("t") + b"\x05\x01\x00")),
    "a string beyond the properties": (0x81, block(b"\x03\x00\x09ab")),
    "a number cut short": (0x81, block(b"\x02\x00\x00")),
    "an unknown property": (0x81, block(b"\x7f\x00")),
    "a property of another packet": (0x81, block(b"\x11\x00\x00\x00\x01")),
    "the same property twice": (0x82, block(b"\x01\x00\x01\x00")),
    "a flag of 2": (0x82, block(b"\x01\x02")),
    "subscription identifier 0": (0x82, block(b"\x0b\x00")),
    "a response topic with #": (0x82, block(b"\x08" + field("a/#"))),
    "a response topic with +": (0x82, block(b"\x08" + field("a/+"))),
    "a content type that is not UTF-8": (0x81, block(b"\x03" + field(b"\xff"))),
    "a topic with +": (0x90, publish("a/+", block=b"")),
    "a topic with #": (0x90, publish("a/#", block=b"")),
    "a topic that is not UTF-8": (0x81, publish(b"a\xff", block=b"")),
    "a topic with a surrogate": (0x81, publish(b"a\xed\xa0\x80", block=b"")),
    "a topic with U+0000": (0x81, publish(b"a\0b", block=b"")),
    "no topic": (0x82, publish("", block=b"")),
    "topic alias 0": (0x94, block(b"\x23\x00\x00")),
    "an alias above the maximum": (0x94, block(b"\x23\x00\x03")),
    "an alias that stands for nothing": (0x82, publish("", block=b"\x23\x00\x02")),
    "PUBREL with id 0": (0x82, pubrel(0)),
    "PUBREL without an id": (0x81, b"\x62\x00"),
    "PUBREL with an unknown reason": (0x82, pubrel(1, b"\x80")),
    "PUBREL with bytes left over": (0x81, pubrel(1, b"\x00\x00\x1f\x00\x01x")),
    "PUBREL with a PUBLISH's property": (0x81, pubrel(1, b"\x00\x02\x01\x00")),
    "a header of more than the maximum": (0x95, b"\x30\x80\x40"),
    "a packet of more than the maximum": (0x95, publish("t", b"x" * 8000, block=b"")),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("step", [1, 3, 10_000])
def test_what_is_forbidden_ends_the_stream_with_its_reason(name: str, step: int) -> None:
    reason, bad = FAULTS[name]
    stream = PublishStream(True, str, alias_maximum=2, maximum_packet=8000)
    good = publish("t", b"before", block=b"\x01\x00")
    # when a good packet, the bad one and another good one come
    got, code = take(stream, good + bad + good, [step])
    # then the first is there, the code is right and the text says something
    assert [each.payload for each in got] == [b"before"]
    assert code == reason
    with pytest.raises(StreamError) as caught:
        stream.feed(good)
    assert (caught.value.reason, caught.value.packets) == (reason, [])
    assert len(caught.value.text) > 4
    # and a new connection begins afresh
    stream.reset()
    assert len(stream.feed(good)) == 1


FAULTS_3: dict[str, tuple[int, bytes]] = {
    "half a packet id": (0x81, packet(0x32, field("t") + b"\x01")),
    "half a topic length": (0x81, b"\x30\x01\x00"),
    "a length of five bytes": (0x81, b"\x32\xff\xff\xff\xff"),
    "a PUBREL that is too long": (0x81, pubrel(1, b"\x00")),
    "packet id 0": (0x82, publish("t", b"x", 2, 0)),
}


@pytest.mark.parametrize("name", FAULTS_3)
@pytest.mark.parametrize("step", [1, 10_000])
def test_what_3_1_1_forbids_ends_the_stream_too(name: str, step: int) -> None:
    reason, bad = FAULTS_3[name]
    good = publish("t", b"before", 1, 1)
    got, code = take(PublishStream(False, str), good + bad + good, [step])
    assert [each.payload for each in got] == [b"before"]
    assert code == reason


def test_3_1_1_takes_a_length_that_is_longer_than_need_be() -> None:
    # given what MQTT 5 section 1.5.5 forbids and 3.1.1 does not
    body = field("t") + b"payload"
    stream = PublishStream(False, str)
    assert stream.feed(b"\x30" + bytes((len(body) | 128, 0)) + body)[0][2] == b"payload"


def test_a_packet_too_large_is_refused_before_it_comes() -> None:
    stream = PublishStream(True, str, maximum_packet=100)
    assert len(stream.feed(publish("t", b"x" * 94, block=b""))) == 1
    with pytest.raises(StreamError, match="101 bytes"):
        stream.feed(publish("t", b"x" * 95, block=b"")[:2])


def test_a_new_connection_forgets_the_partial_packet_and_the_aliases() -> None:
    stream = PublishStream(True, str, alias_maximum=1)
    stream.feed(publish("t", block=b"\x23\x00\x01") + b"\x30\x7f half")
    assert stream.held == 7
    stream.reset()
    assert stream.held == 0
    assert stream.feed(PINGRESP)[0][2] == PINGRESP
    with pytest.raises(StreamError, match="stands for no topic"):
        stream.feed(publish("", block=b"\x23\x00\x01"))


def test_topics_are_resolved_once_and_the_cache_is_bounded() -> None:
    asked: list[str] = []

    def resolve(topic: str) -> tuple[str, ...]:
        asked.append(topic)
        return tuple(topic.split("/"))

    stream = PublishStream(False, resolve)
    same = stream.feed(publish("a/b") * 3)
    assert same[0][1] is same[2][1] is not None
    assert asked == ["a/b"]
    for number in range(10_000):
        stream.feed(publish(f"a/{number}"))
    assert len(asked) == 10_001
    # the last is still known, the first is not, and a long one never is
    asked.clear()
    stream.feed(publish("a/9999") + publish("a/b") + publish("long/" * 60) * 2)
    assert asked == ["a/b", "long/" * 60, "long/" * 60]


def test_an_error_of_the_resolver_is_not_taken_for_a_fault_of_the_stream() -> None:
    def fail(_topic: str) -> str:
        raise IndexError("mine")

    with pytest.raises(IndexError, match="mine"):
        PublishStream(False, fail).feed(publish("t"))


def test_properties_of_many_messages_are_shared_and_cannot_be_changed() -> None:
    message = publish("t", block=b"\x26" + field("a") + field("b"))
    first, second = PublishStream(True, str).feed(message * 2)
    assert first[4] is second[4]
    assert first[4] == {"user_property": (("a", "b"),)}
    with pytest.raises(TypeError):
        first[4]["user_property"] = ()  # type: ignore[index]


def test_the_cache_of_properties_is_bounded() -> None:
    stream = PublishStream(True, str)
    message = publish("t", block=b"\x26" + field("a") + field("b"))
    [first] = stream.feed(message)
    for number in range(3000):
        stream.feed(publish("t", block=b"\x09" + field(str(number))))
    [again] = stream.feed(message)
    assert again[4] == first[4]
    assert again[4] is not first[4]


def test_a_long_payload_costs_in_proportion_to_its_length() -> None:
    # given 64 MiB that come in 32 KiB pieces; copying all at each piece would be 64 GiB
    size = 64 * 1024 * 1024
    message = publish("t", b"x" * size, 1, 5)
    stream = PublishStream(False, str)
    began = time.process_time()
    got = [each for chunk in cut(message, [32 * 1024]) for each in stream.feed(chunk)]
    assert time.process_time() - began < 2.0
    assert [len(each[2]) for each in got] == [size]
    assert stream.held == 0
