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
from tests.worker.faults import FAULTS, FAULTS_3, REPLY_FAULTS, REPLY_FAULTS_3
from tests.worker.reference_stream import Other, Publish, Reference, Release
from tests.worker.streams import (
    PINGRESP,
    PUBACK,
    SIZES,
    SNARES,
    SUBACK_3,
    SUBACK_5,
    UNSUBACK_3,
    UNSUBACK_5,
    cut,
    field,
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


@pytest.mark.parametrize("name", SNARES)
def test_what_is_remembered_is_not_mistaken(name: str) -> None:
    v5, stream = SNARES[name]
    for sizes in ([len(stream)], [1], [7]):
        check(stream, sizes, v5, 1)


@pytest.mark.parametrize("v5", [True, False], ids=["5", "3.1.1"])
def test_every_kind_of_packet_may_be_cut_at_every_byte(v5: bool) -> None:
    known = b"\x26" + field("k") + field("v") if v5 else None
    stream = b"".join(
        (
            publish("a/b", b"x" * 130, 1, 7, block=known),
            publish("a/b", b"y" * 130, 1, 8, block=known),
            publish("a", b"z", 2, 9, dup=True, block=b"" if v5 else None),
            publish("a", b"", retain=True, block=b"" if v5 else None),
            pubrel(9, b"\x00\x00" if v5 else b""),
            SUBACK_5 if v5 else SUBACK_3,
            UNSUBACK_5 if v5 else UNSUBACK_3,
            PUBACK,
            PINGRESP,
        )
    )
    whole = take(PublishStream(v5, str), stream, [len(stream)])
    assert (len(whole[0]), whole[1]) == (9, None)
    for at in range(1, len(stream)):
        assert take(PublishStream(v5, str), stream, [at, len(stream)]) == whole
        assert take(PublishStream(v5, str), stream, [at]) == whole


@pytest.mark.parametrize("length", [127, 128, 16_383, 16_384, 2_097_151, 2_097_152])
def test_lengths_of_one_to_four_bytes_are_read_wherever_they_are_cut(length: int) -> None:
    message = publish("t", b"x" * (length - 5), 1, 7)
    stream = PublishStream(False, str)
    for at in range(1, 10):
        got = stream.feed(message[:at]) + stream.feed(message[at:] + message)
        assert [(each[1], len(each[2]), each[3]) for each in got] == [("t", length - 5, 7)] * 2


def test_the_greatest_length_is_believed_and_costs_nothing_before_it_comes() -> None:
    stream = PublishStream(True, str)
    tracemalloc.start()
    for byte in b"\x32\xff\xff\xff\x7f\x00\x01t":
        assert stream.feed(bytes((byte,))) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert stream.held == 8
    assert peak < 100_000


@pytest.mark.slow
def test_a_packet_of_256_mib_comes_whole_and_is_not_there_three_times() -> None:
    size = 268_435_455 - 5
    head = b"\x32\xff\xff\xff\x7f\x00\x01t\x00\x07"
    stream = PublishStream(False, str)
    piece = bytes(64 * 1024)
    tracemalloc.start()
    got = stream.feed(head)
    left = size
    while left:
        got += stream.feed(piece[:left] if left < len(piece) else piece)
        left -= min(left, len(piece))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(each[3], len(each[2])) for each in got] == [(7, size)]
    assert stream.held == 0
    assert peak < 2.4 * size


@pytest.mark.parametrize("seed", [1, 2])
def test_mutants_of_all_known_packets_are_judged_as_the_reference_judges_them(seed: int) -> None:
    # given good and bad packets of every kind: the short form of bench/fuzz.py
    chance = random.Random(seed)
    known = {
        v5: [each for _, each in bad.values() if len(each) < 1000]
        + [each for of_5, each in SNARES.values() if of_5 is v5 and len(each) < 1000]
        + good
        for v5, bad, good in (
            (
                True,
                FAULTS | REPLY_FAULTS,
                [SUBACK_5, UNSUBACK_5, pubrel(7, b"\x92"), publish("t", block=b"")],
            ),
            (False, FAULTS_3 | REPLY_FAULTS_3, [SUBACK_3, UNSUBACK_3, pubrel(7), publish("t", b"x", 1, 1)]),
        )
    }
    # when they are put together and changed
    for _ in range(1500):
        v5 = chance.random() < 0.7
        data = bytearray(b"".join(chance.choices(known[v5], k=chance.randint(1, 4))))
        for _ in range(chance.randint(0, 3)):
            at = chance.randrange(len(data) + 1)
            data[at : at + chance.randint(0, 2)] = chance.randbytes(chance.randint(0, 2))
        check(bytes(data), [chance.randint(1, 40), chance.randint(1, 400)], v5, chance.randint(0, 2))


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


@pytest.mark.parametrize("name", FAULTS | REPLY_FAULTS)
@pytest.mark.parametrize("step", [1, 3, 10_000])
def test_what_is_forbidden_ends_the_stream_with_its_reason(name: str, step: int) -> None:
    reason, bad = (FAULTS | REPLY_FAULTS)[name]
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


@pytest.mark.parametrize("name", FAULTS_3 | REPLY_FAULTS_3)
@pytest.mark.parametrize("step", [1, 10_000])
def test_what_3_1_1_forbids_ends_the_stream_too(name: str, step: int) -> None:
    reason, bad = (FAULTS_3 | REPLY_FAULTS_3)[name]
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


def test_an_alias_stands_for_the_topic_it_was_set_to_last() -> None:
    one, two = b"\x23\x00\x01", b"\x23\x00\x02"
    stream = PublishStream(True, str, alias_maximum=2)

    def topics(*packets: bytes) -> list[str | None]:
        return [packet[1] for packet in stream.feed(b"".join(packets))]

    # set and used, with other properties beside it, and in the shape of a packet seen before
    assert topics(publish("a", block=one), publish("b", block=two)) == ["a", "b"]
    assert topics(publish("", b"x", block=one), publish("", b"y", block=two + b"\x01\x01")) == ["a", "b"]
    # overwritten, and the other one is not
    assert topics(publish("c", block=one), publish("", block=one), publish("", block=two)) == ["c", "c", "b"]
    # a topic without an alias changes none
    assert topics(publish("d", block=b""), publish("", block=one)) == ["d", "c"]


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
