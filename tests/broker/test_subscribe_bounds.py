"""However much one client subscribes to, the others are answered, and nothing that it is owed is lost."""

from __future__ import annotations

import itertools
import time

import psutil
import pytest

from tests.broker.conftest import Connect, Start
from tests.broker.raw import PINGRESP, PUBACK, SUBACK, UNSUBACK, ClosedError, RawClient, block, packet, text
from tests.waiting import wait_until

MEBIBYTE = 1024 * 1024
PATIENCE = 1.5
"""Seconds an answer may take on a busy machine; the work it waits for took at least five times as long."""


def many(filters: list[str], options: bytes = b"\x00", version: int = 5) -> bytes:
    """SUBSCRIBE, or UNSUBSCRIBE when there are no options, with all these filters."""
    first = 0x82 if options else 0xA2
    properties = b"\x00" if version == 5 else b""
    return packet(first, b"\x00\x07" + properties + b"".join(text(one) + options for one in filters))


def answered_in(client: RawClient) -> float:
    began = time.monotonic()
    client.send(b"\xc0\x00")
    client.expect(PINGRESP)
    return time.monotonic() - began


def retain(client: RawClient, count: int, payload: bytes = b"x", qos: int = 0) -> None:
    for number in range(count):
        client.publish(f"kept/{number}", payload, qos, number % 60_000 + 1, retain=True)
        if qos:
            client.read()
    client.nothing_comes()


@pytest.mark.parametrize("options", [b"\x00", b""], ids=["SUBSCRIBE", "UNSUBSCRIBE"])
def test_more_filters_than_a_session_may_have_are_refused(
    connect: Connect, start: Start, options: bytes
) -> None:
    broker = start(subscriptions=10)
    filters = [f"t/{number}" for number in range(11)]
    new, old = connect(port=broker.port), connect(port=broker.port, version=4)
    new.send(many(filters[:10], options))
    assert new.expect(SUBACK if options else UNSUBACK)[3:] == (b"\x00" if options else b"\x11") * 10

    new.send(many(filters, options))
    old.send(many(filters, options, version=4))

    assert new.disconnect_reason() == 0x97
    with pytest.raises(ClosedError):
        old.read()


def test_many_filters_over_many_retained_messages_hold_up_nobody(connect: Connect, start: Start) -> None:
    broker = start(subscriptions=20_000)
    retain(connect(port=broker.port), 2000)
    greedy, other = connect(port=broker.port), connect(port=broker.port)

    greedy.send(many([f"+/nope/{number}" for number in range(15_000)]))
    assert greedy.expect(SUBACK)[3:] == b"\x00" * 15_000

    assert max(answered_in(other) for _ in range(5)) < PATIENCE


def test_many_packets_that_ask_for_all_hold_up_nobody(connect: Connect, start: Start) -> None:
    broker = start()
    retain(connect(port=broker.port), 5000)
    greedy, other = connect(port=broker.port), connect(port=broker.port)

    greedy.send(many(["+/#/nope", "+/nope"]) * 4000)

    assert max(answered_in(other) for _ in range(5)) < PATIENCE


def test_many_packets_that_are_much_work_hold_up_nobody(connect: Connect, start: Start) -> None:
    broker = start()
    greedy, other = connect(port=broker.port), connect(port=broker.port)
    halves = itertools.islice(itertools.product("+a", repeat=10), 1000)
    greedy.send(many(["/".join(levels) for levels in halves]))
    greedy.expect(SUBACK)
    topics = ("/".join(["a"] * 9 + [str(number)]) for number in range(10_000))

    connect(port=broker.port).send(b"".join(packet(0x30, text(topic) + b"\x00") for topic in topics))

    assert max(answered_in(other) for _ in range(5)) < PATIENCE


def test_packets_of_many_slices_are_handled_in_order(connect: Connect, start: Start) -> None:
    broker = start()
    publisher, subscriber = connect(port=broker.port), connect(port=broker.port, window=60_000)
    subscriber.subscribe("t", 1)
    frames = [packet(0x32, text("t") + b"\0\1\0" + number.to_bytes(4, "big")) for number in range(20_000)]

    publisher.send(b"".join(frames) + b"\xc0\x00")

    numbers = [int.from_bytes(subscriber.published().payload, "big") for _ in range(20_000)]
    assert numbers == list(range(20_000))
    assert [publisher.read()[0] >> 4 for _ in range(20_001)] == [PUBACK] * 20_000 + [PINGRESP]


def test_the_properties_of_a_packet_are_bounded(connect: Connect) -> None:
    client = connect()
    client.publish("t", properties=block(b"\x26\0\0\0\0" * 1000))
    assert client.nothing_comes()

    client.publish("t", properties=block(b"\x26\0\0\0\0" * 1001))

    assert client.disconnect_reason() == 0x97


def test_a_filter_that_stands_there_twice_gets_its_retained_messages_once(connect: Connect) -> None:
    client = connect()
    client.publish("twice/a", b"x", retain=True)

    client.send(many(["twice/#"] * 50 + ["twice/a"]))
    client.expect(SUBACK)

    assert [client.published().topic for _ in range(2)] == ["twice/a"] * 2
    assert client.nothing_comes()


def test_retained_messages_wait_for_a_client_that_reads_slowly(connect: Connect, start: Start) -> None:
    broker = start()
    retain(connect(port=broker.port), 40, b"x" * MEBIBYTE)
    process = psutil.Process(broker.pid)
    before = process.memory_info().rss
    slow = connect(port=broker.port)

    slow.send(many(["kept/#", "+/+", "#/nope"]))
    assert slow.expect(SUBACK)[3:] == b"\x00\x00\x8f"
    broker.inspect()

    assert process.memory_info().rss - before < 20 * MEBIBYTE
    assert [slow.published().topic for _ in range(80)] == [f"kept/{number}" for number in range(40)] * 2
    assert broker.inspect()["totals"]["dropped"] == 0


def test_what_is_owed_at_qos_1_comes_after_a_reconnect(connect: Connect, start: Start) -> None:
    broker = start()
    retain(connect(port=broker.port), 40, b"x" * MEBIBYTE, qos=1)
    first = connect("late", port=broker.port, expiry=60, window=100)
    first.send(many(["kept/#"], b"\x01"))
    first.expect(SUBACK)
    first.close()
    wait_until(lambda: broker.inspect()["totals"]["clients_connected"] == 1)

    second = connect("late", port=broker.port, clean=False, expiry=60, window=100)

    topics = {second.published().topic for _ in range(40)}
    assert topics == {f"kept/{number}" for number in range(40)}


def test_who_unsubscribes_is_owed_nothing_more(connect: Connect, start: Start) -> None:
    broker = start()
    retain(connect(port=broker.port), 40, b"x" * MEBIBYTE)
    client = connect(port=broker.port)

    client.send(many(["kept/#"]) + many(["kept/#"], b""))

    kinds = []
    while PINGRESP not in kinds:
        if UNSUBACK in kinds:
            client.send(b"\xc0\x00")
        kinds.append(client.read()[0] >> 4)
    assert kinds.count(3) < 20
