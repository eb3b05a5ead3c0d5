"""Publish and subscribe between raw clients: QoS, options, properties, retained messages."""

from __future__ import annotations

import pytest

from tests.broker.conftest import Connect
from tests.broker.raw import (
    PUBACK,
    PUBCOMP,
    PUBREC,
    PUBREL,
    SUBACK,
    block,
    number,
    packet,
    read_properties,
    text,
)
from tests.waiting import wait_until

VERSIONS = pytest.mark.parametrize("version", [4, 5])


@VERSIONS
@pytest.mark.parametrize("sent", [0, 1, 2])
@pytest.mark.parametrize("granted", [0, 1, 2])
def test_a_message_comes_at_the_lower_qos_of_both(
    connect: Connect, version: int, sent: int, granted: int
) -> None:
    subscriber, publisher = connect(version=version), connect(version=version)
    topic = f"qos/{version}/{sent}/{granted}"
    assert subscriber.subscribe(topic, granted) == granted

    publisher.publish(topic, b"hello", sent, 77)

    if sent == 1:
        assert publisher.expect(PUBACK)[:2] == b"\x00\x4d"
    if sent == 2:
        assert publisher.expect(PUBREC)[:2] == b"\x00\x4d"
        publisher.answer(0x62, 77)
        assert publisher.expect(PUBCOMP)[:2] == b"\x00\x4d"
    message = subscriber.published()
    assert (message.topic, message.payload, message.qos) == (topic, b"hello", min(sent, granted))
    assert not message.dup
    assert not message.retain
    if message.qos == 2:
        subscriber.answer(0x50, message.packet_id)
        assert subscriber.expect(PUBREL)[:2] == message.packet_id.to_bytes(2, "big")
        subscriber.answer(0x70, message.packet_id)
    elif message.qos == 1:
        subscriber.answer(0x40, message.packet_id)
    assert subscriber.nothing_comes()


@VERSIONS
def test_a_repeated_qos_2_publish_is_handed_on_once(connect: Connect, version: int) -> None:
    subscriber, publisher = connect(version=version), connect(version=version)
    subscriber.subscribe(f"once/{version}", 0)

    for dup in (False, True):
        publisher.publish(f"once/{version}", b"x", 2, 5, dup=dup)
        publisher.expect(PUBREC)
    publisher.answer(0x62, 5)
    publisher.expect(PUBCOMP)
    publisher.publish(f"once/{version}", b"y", 2, 5)
    publisher.expect(PUBREC)

    assert [subscriber.published().payload for _ in range(2)] == [b"x", b"y"]
    assert subscriber.nothing_comes()


def test_puback_says_when_nobody_subscribed(connect: Connect) -> None:
    publisher = connect()

    publisher.publish("nobody/here", b"x", 1, 3)

    assert publisher.expect(PUBACK) == b"\x00\x03\x10"


def test_a_pubrel_for_an_unknown_packet_is_answered_so(connect: Connect) -> None:
    client = connect()

    client.answer(0x62, 9)
    assert client.expect(PUBCOMP) == b"\x00\x09\x92"
    client.answer(0x50, 9)
    assert client.expect(PUBREL) == b"\x00\x09\x92"


def test_properties_pass_through_and_the_expiry_counts_down(connect: Connect) -> None:
    subscriber, publisher = connect(), connect()
    subscriber.subscribe("properties", 1, identifier=300)
    passing = (
        number(0x01, 1)
        + b"\x03" + text("text/plain")
        + b"\x08" + text("answer/here")
        + b"\x09" + text(b"\x00\xff")
        + b"\x26" + text("b") + text("1")
        + b"\x26" + text("a") + text("2")
        + b"\x26" + text("b") + text("3")
    )  # fmt: skip

    publisher.publish("properties", b"x", 0, properties=block(number(0x02, 60), passing, number(0x23, 4)))

    found = subscriber.published().properties
    assert found.pop(0x02)[0] in (59, 60)
    assert found == {
        0x01: [1],
        0x03: [b"text/plain"],
        0x08: [b"answer/here"],
        0x09: [b"\x00\xff"],
        0x26: [(b"b", b"1"), (b"a", b"2"), (b"b", b"3")],
        0x0B: [300],
    }


def test_a_subscriber_of_3_1_1_gets_no_properties(connect: Connect) -> None:
    subscriber, publisher = connect(version=4), connect()
    subscriber.subscribe("down", 0)

    publisher.publish("down", b"plain", properties=block(number(0x01, 1)))

    assert subscriber.published().payload == b"plain"


def test_overlapping_subscriptions_deliver_once_with_the_highest_qos_and_all_identifiers(
    connect: Connect,
) -> None:
    subscriber, publisher = connect(), connect()
    subscriber.subscribe("over/#", 1, identifier=1)
    subscriber.subscribe("over/+", 2, identifier=2)
    subscriber.subscribe("over/lap", 0, identifier=3)

    publisher.publish("over/lap", b"x", 2, 1)

    message = subscriber.published()
    assert message.qos == 2
    assert sorted(map(int, message.properties[0x0B])) == [1, 2, 3]  # type: ignore[call-overload]
    assert subscriber.nothing_comes()


def test_no_local_keeps_ones_own_messages_away(connect: Connect) -> None:
    client, other = connect(), connect()
    client.subscribe("local/#", 0b100)
    client.publish("local/own", b"own")
    other.publish("local/other", b"other")

    assert client.published().payload == b"other"

    client.subscribe("local/own", 0)
    client.publish("local/own", b"own")
    assert client.published().payload == b"own"


def test_topic_aliases_of_a_client(connect: Connect) -> None:
    subscriber, publisher = connect(), connect()
    subscriber.subscribe("alias/#", 0)

    publisher.publish("alias/one", b"1", properties=block(number(0x23, 7)))
    publisher.publish("", b"2", properties=block(number(0x23, 7)))
    publisher.publish("alias/two", b"3", properties=block(number(0x23, 7)))
    publisher.publish("", b"4", properties=block(number(0x23, 7)))

    got = [subscriber.published() for _ in range(4)]
    assert [one.topic for one in got] == ["alias/one", "alias/one", "alias/two", "alias/two"]
    assert all(0x23 not in one.properties for one in got)


@pytest.mark.parametrize(("topic", "alias", "reason"), [("x", 101, 0x94), ("", 5, 0x82), ("x", 0, 0x94)])
def test_wrong_topic_aliases_end_the_connection(
    connect: Connect, topic: str, alias: int, reason: int
) -> None:
    client = connect()

    client.publish(topic, b"", properties=block(number(0x23, alias)))

    assert client.disconnect_reason() == reason


def test_retained_messages(connect: Connect) -> None:
    publisher, live, published = connect(), connect(), connect()
    live.subscribe("kept/#", 0)
    published.subscribe("kept/#", 0b1000)
    publisher.publish("kept/a", b"1", 1, 1, retain=True)
    publisher.publish("kept/a", b"2", 1, 2, retain=True)
    publisher.publish("kept/b", b"3", 1, 3, retain=True)
    for _ in range(3):
        publisher.expect(PUBACK)

    late = connect()
    late.subscribe("kept/+", 1)

    assert {(one.payload, one.retain, one.qos) for one in (late.published(), late.published())} == {
        (b"2", True, 1),
        (b"3", True, 1),
    }
    assert [live.published().retain for _ in range(3)] == [False] * 3
    assert [published.published().retain for _ in range(3)] == [True] * 3


def test_an_empty_retained_message_deletes(connect: Connect) -> None:
    publisher = connect()
    publisher.publish("gone/a", b"1", 1, 1, retain=True)
    publisher.publish("gone/a", b"", 1, 2, retain=True)
    publisher.expect(PUBACK)
    publisher.expect(PUBACK)

    late = connect()
    late.subscribe("gone/#", 1)

    assert late.nothing_comes()


@pytest.mark.parametrize(("handling", "times"), [(0, 2), (1, 1), (2, 0)])
def test_retain_handling(connect: Connect, handling: int, times: int) -> None:
    topic = f"handling/{handling}"
    publisher, client = connect(), connect()
    publisher.publish(topic, b"kept", 1, 1, retain=True)
    publisher.expect(PUBACK)

    got = 0
    for _ in range(2):
        client.subscribe(topic, handling << 4)
        client.send(b"\xc0\x00")
        while client.read()[0] >> 4 == 3:
            got += 1

    assert got == times


def test_an_expired_message_is_not_delivered(connect: Connect) -> None:
    publisher, sleeper = connect(), connect("expiring", expiry=60)
    sleeper.subscribe("expire", 1)
    sleeper.leave()
    publisher.publish("expire", b"short", 1, 1, properties=block(number(0x02, 1)))
    publisher.publish("expire", b"long", 1, 2, properties=block(number(0x02, 100)))
    publisher.publish("expire", b"at once", 1, 3, properties=block(number(0x02, 0)))
    publisher.publish("expire/kept", b"x", 1, 4, retain=True, properties=block(number(0x02, 1)))
    for _ in range(4):
        publisher.expect(PUBACK)

    def only_long_is_left() -> bool:
        late = connect()
        late.subscribe("expire/kept", 1)
        late.send(b"\xc0\x00")
        return late.read()[0] >> 4 != 3

    wait_until(only_long_is_left, 5, "the retained message expires")
    back = connect("expiring", clean=False, expiry=60)
    message = back.published()
    assert message.payload == b"long"
    assert 95 <= int(str(message.properties[0x02][0])) <= 99
    assert back.nothing_comes()


def test_several_filters_in_one_subscribe_have_a_code_each(connect: Connect) -> None:
    new, old = connect(), connect(version=4)
    filters = b"".join(text(one) + b"\x01" for one in ("a", "b/#/c", "$share/g", "$share/g/x#", "c/+"))

    new.send(packet(0x82, b"\x00\x01\x00" + filters))
    assert new.expect(SUBACK)[3:] == bytes((1, 0x8F, 0x8F, 0x8F, 1))
    old.send(packet(0x82, b"\x00\x01" + filters))
    assert old.expect(SUBACK)[2:] == bytes((1, 0x80, 0x80, 0x80, 1))


def test_unsubscribe_says_what_existed(connect: Connect) -> None:
    client, old = connect(), connect(version=4)
    client.subscribe("there", 1)

    assert client.unsubscribe("there")[-1] == 0
    assert client.unsubscribe("there")[-1] == 0x11
    assert old.unsubscribe("there") == b"\x00\x0a"


def test_the_brokers_own_topics(connect: Connect) -> None:
    client, everything = connect(), connect()
    everything.subscribe("#", 2 << 4)
    client.subscribe("$SYS/broker/#", 0)

    found = {}
    while len(found) < 10:
        message = client.published(10)
        found[message.topic] = message.payload
    assert found["$SYS/broker/version"].startswith(b"routemq-tui ")
    assert int(found["$SYS/broker/clients/connected"]) >= 0
    client.publish("$SYS/broker/version", b"mine", 1, 1)
    while (frame := client.read())[0] >> 4 == 3:
        pass
    assert frame == (0x40, b"\x00\x01\x87")
    assert everything.nothing_comes()


def test_the_connack_names_the_brokers_limits_and_the_assigned_id(connect: Connect) -> None:
    first, second = connect(), connect()

    found, _ = read_properties(first.hello, 2)
    other, _ = read_properties(second.hello, 2)
    assert found[0x21] == [1000]
    assert found[0x22] == [100]
    assert found[0x27] == [16 * 1024 * 1024]
    assert found[0x12] != other[0x12]


def test_order_of_one_publisher_is_kept(connect: Connect) -> None:
    subscriber, publisher = connect(window=3), connect()
    subscriber.subscribe("order/#", 1)
    for number_ in range(200):
        publisher.publish(f"order/{number_ % 3}", str(number_).encode(), 1, number_ + 1)

    got = []
    for _ in range(200):
        message = subscriber.published()
        got.append(int(message.payload))
        subscriber.answer(0x40, message.packet_id)

    assert got == list(range(200))
