"""Connecting, sessions over several connections, takeover, expiry, wills, keepalive, windows."""

from __future__ import annotations

import pytest

from routemq_tui.broker.handle import EmbeddedBroker
from tests.broker.conftest import Connect
from tests.broker.raw import (
    CONNACK,
    PUBACK,
    PUBREC,
    PUBREL,
    ClosedError,
    RawClient,
    block,
    number,
    packet,
    text,
)
from tests.waiting import wait_until


def session_of(broker: EmbeddedBroker, client_id: str) -> dict[str, object]:
    return next((one for one in broker.inspect()["sessions"] if one["client_id"] == client_id), {})


def test_a_session_keeps_subscriptions_and_messages(connect: Connect) -> None:
    for version, more in ((4, {"clean": False}), (5, {"expiry": 60})):
        client_id = f"keeps-{version}"
        first = connect(client_id, version=version, **more)
        assert not first.session_present
        first.subscribe(f"keeps/{version}", 1)
        first.leave()
        publisher = connect()
        publisher.publish(f"keeps/{version}", b"1", 1, 1)
        publisher.publish(f"keeps/{version}", b"0", 0)
        publisher.publish(f"keeps/{version}", b"2", 1, 2)
        publisher.expect(PUBACK)
        publisher.expect(PUBACK)

        again = connect(client_id, version=version, clean=False, expiry=60)

        assert again.session_present
        assert [again.published().payload for _ in range(2)] == [b"1", b"2"]
        assert again.nothing_comes()


def test_a_clean_start_ends_the_old_session(connect: Connect) -> None:
    first = connect("clean", expiry=60)
    first.subscribe("clean", 1)
    first.leave()

    assert not connect("clean", clean=True, expiry=60).session_present
    assert not connect("never-seen", clean=False).session_present


def test_unacknowledged_messages_come_again_in_order_with_dup_and_their_ids(connect: Connect) -> None:
    first, publisher = connect("resume", expiry=60, window=3), connect()
    first.subscribe("resume", 2)
    for number_ in range(5):
        publisher.publish("resume", str(number_).encode(), 1 + number_ % 2, number_ + 1)
        publisher.read()
    sent = [first.published() for _ in range(3)]
    first.answer(0x50, sent[1].packet_id)
    first.expect(PUBREL)
    first.close()

    second = connect("resume", clean=False, expiry=60, window=3)

    assert second.expect(PUBREL) == sent[1].packet_id.to_bytes(2, "big")
    again = [second.published() for _ in range(2)]
    assert [(one.payload, one.packet_id, one.dup) for one in again] == [
        (sent[0].payload, sent[0].packet_id, True),
        (sent[2].payload, sent[2].packet_id, True),
    ]
    assert second.nothing_comes(), "the window of 3 is full"
    second.answer(0x70, sent[1].packet_id)
    fresh = second.published()
    assert (fresh.payload, fresh.dup) == (b"3", False)


def test_a_resumed_session_keeps_to_a_smaller_window(connect: Connect) -> None:
    first, publisher = connect("smaller", expiry=60, window=10), connect()
    first.subscribe("smaller", 1)
    for number_ in range(10):
        publisher.publish("smaller", str(number_).encode(), 1, number_ + 1)
    for _ in range(10):
        first.published()
    first.close()

    second = connect("smaller", clean=False, window=2)

    got = []
    for _ in range(5):
        pair = [second.published(), second.published()]
        assert second.nothing_comes()
        got += [int(one.payload) for one in pair]
        second.send(b"".join(packet(0x40, one.packet_id.to_bytes(2, "big")) for one in pair))
    assert got == list(range(10))


@pytest.mark.parametrize("version", [4, 5])
def test_takeover(connect: Connect, version: int) -> None:
    first = connect(f"takeover-{version}", version=version, clean=False, expiry=60)

    second = connect(f"takeover-{version}", version=version, clean=False, expiry=60)

    assert second.session_present
    assert first.disconnect_reason() == (0x8E if version == 5 else None)
    assert second.nothing_comes()


def test_a_session_expires(connect: Connect, broker: EmbeddedBroker) -> None:
    connect("brief", expiry=1).leave()
    assert session_of(broker, "brief")

    wait_until(lambda: not session_of(broker, "brief"), 5, "the session expires")

    assert not connect("brief", clean=False).session_present


def test_disconnect_can_change_the_expiry(connect: Connect, broker: EmbeddedBroker) -> None:
    client = connect("shorter", expiry=60)
    client.send(packet(0xE0, b"\x00" + block(number(0x11, 0))))
    client.goodbye()
    assert not session_of(broker, "shorter")

    refused = connect("longer")
    refused.send(packet(0xE0, b"\x00" + block(number(0x11, 60))))
    assert refused.disconnect_reason() == 0x82


def will(topic: str, payload: str, *properties: bytes) -> bytes:
    return block(*properties) + text(topic) + text(payload)


def test_a_will_is_sent_when_the_connection_breaks_but_not_on_disconnect(connect: Connect) -> None:
    watcher = connect()
    watcher.subscribe("will/#", 1)
    connect("good", will=will("will/good", "x")).leave()
    connect("says-so", will=will("will/asked", "asked")).send(packet(0xE0, b"\x04"))
    asked = watcher.published()
    connect(
        "breaks", will=will("will/broken", "gone", b"\x26" + text("k") + text("v")), will_flags=0b1000
    ).close()
    broken = watcher.published()

    assert (asked.topic, asked.payload, asked.qos) == ("will/asked", b"asked", 0)
    assert (broken.topic, broken.payload, broken.qos) == ("will/broken", b"gone", 1)
    assert broken.properties == {0x26: [(b"k", b"v")]}


def test_a_retained_will_of_3_1_1(connect: Connect) -> None:
    watcher = connect()
    watcher.subscribe("old-will", 1)
    connect("old", version=4, will=text("old-will") + text("dead"), will_flags=0x20).close()
    assert watcher.published().payload == b"dead"

    late = connect()
    late.subscribe("old-will", 0)

    assert late.published().retain


def test_a_delayed_will_is_cancelled_by_coming_back_and_sent_otherwise(connect: Connect) -> None:
    watcher = connect()
    watcher.subscribe("delayed/#", 1)
    delay = number(0x18, 1)
    connect("returns", expiry=60, will=will("delayed/returns", "x", delay)).close()
    connect("stays-away", expiry=60, will=will("delayed/away", "away", delay)).close()
    connect("ends", expiry=0, will=will("delayed/ends", "ended", number(0x18, 60))).close()
    assert watcher.published().payload == b"ended", "the session's end does not wait for the delay"
    connect("returns", clean=False, expiry=60, will=will("delayed/returns", "a will of this connection"))

    assert watcher.published().payload == b"away"
    assert watcher.nothing_comes()


@pytest.mark.parametrize("version", [4, 5])
def test_a_silent_client_is_closed_after_one_and_a_half_keepalives(connect: Connect, version: int) -> None:
    client, pinging = connect(version=version, keepalive=1), connect(version=version, keepalive=1)

    def closed() -> bool:
        pinging.nothing_comes()
        try:
            assert client.read(0.05)[0] == 0xE0
        except TimeoutError:
            return False
        except ClosedError:
            return version == 4
        return version == 5

    wait_until(closed, 4, "the silent client is closed")


def test_a_keepalive_of_0_is_no_limit_and_the_reason_is_right(connect: Connect) -> None:
    for_ever, silent = connect(keepalive=0), connect(keepalive=1)

    assert silent.disconnect_reason() == 0x8D
    assert for_ever.nothing_comes()


def test_receive_maximum_of_the_client_is_kept(connect: Connect) -> None:
    client, publisher = connect(window=2), connect()
    client.subscribe("window", 2)
    for number_ in range(4):
        publisher.publish("window", b"", 2, number_ + 1)
        publisher.expect(PUBREC)

    first, _ = client.published(), client.published()
    assert client.nothing_comes()
    client.answer(0x50, first.packet_id)
    client.expect(PUBREL)
    assert client.nothing_comes(), "PUBREC frees nothing"
    client.answer(0x70, first.packet_id)
    client.published()
    assert client.nothing_comes()


def test_receive_maximum_of_the_broker_is_enforced(connect: Connect) -> None:
    client = connect()
    for number_ in range(1001):
        client.publish("much", b"", 2, number_ + 1)

    assert client.disconnect_reason() == 0x93


def test_a_message_beyond_the_clients_maximum_packet_size_is_dropped_and_counted(
    connect: Connect, broker: EmbeddedBroker
) -> None:
    client, publisher = connect(more=number(0x27, 100)), connect()
    client.subscribe("size", 1)
    before = broker.inspect()["totals"]["dropped"]

    publisher.publish("size", b"x" * 200, 1, 1)
    publisher.publish("size", b"x" * 200, 0)
    publisher.publish("size", b"small", 1, 2)

    assert client.published().payload == b"small"
    assert broker.inspect()["totals"]["dropped"] == before + 2
    assert session_of(broker, "x") == {}


def connack_of(port: int, body: bytes) -> tuple[int, bytes] | None:
    with RawClient(port) as client:
        client.send(packet(0x10, body))
        try:
            first, answer = client.read()
        except ClosedError:
            return None
        assert first >> 4 == CONNACK
        return answer[1], answer


KEEP = b"\x00\x3c"


def five(flags: int, rest: bytes, properties: bytes = b"\x00", name: str = "MQTT") -> bytes:
    return text(name) + bytes((5, flags)) + KEEP + properties + rest


REFUSED = [
    ("3.1", text("MQIsdp") + b"\x03\x02" + KEEP + text("a"), 1),
    ("level 3 of MQTT", text("MQTT") + b"\x03\x02" + KEEP + text("a"), 1),
    ("level 6", text("MQTT") + b"\x06\x02" + KEEP + b"\x00" + text("a"), 0x84),
    ("a wrong name", five(2, text("a"), name="HTTP"), 0x84),
    ("no id and no clean session", text("MQTT") + b"\x04\x00" + KEEP + text(""), 2),
    ("enhanced authentication", five(2, text("a"), block(b"\x15" + text("X"))), 0x8C),
    ("Receive Maximum 0", five(2, text("a"), block(number(0x21, 0))), 0x82),
    ("reserved flag", five(3, text("a")), 0x81),
    ("will QoS 3", five(0x1E, text("a") + b"\x00" + text("t") + text("")), 0x81),
    ("will flags without a will", five(0x22, text("a")), 0x81),
    ("will to a filter", five(6, text("a") + b"\x00" + text("+") + text("")), 0x90),
    ("will to $SYS", five(6, text("a") + b"\x00" + text("$SYS/a") + text("")), 0x87),
    ("bytes left over", five(2, text("a") + b"x"), 0x81),
]


@pytest.mark.parametrize(("body", "code"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_wrong_connect_is_refused_with_the_right_code(
    broker: EmbeddedBroker, body: bytes, code: int
) -> None:
    answer = connack_of(broker.port, body)

    assert answer is not None
    assert answer[0] == code


def test_a_password_without_a_name_is_for_mqtt_5_only(broker: EmbeddedBroker) -> None:
    old = text("MQTT") + b"\x04\x42" + KEEP + text("a") + text("secret")
    new = text("MQTT") + b"\x05\x42" + KEEP + b"\x00" + text("a") + text("secret")

    assert connack_of(broker.port, old) is None
    answer = connack_of(broker.port, new)
    assert answer is not None
    assert answer[0] == 0
