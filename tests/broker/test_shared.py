"""Shared subscriptions: fair by free window, nothing lost with a member, order, and an absent group."""

from __future__ import annotations

import itertools

import pytest

from routemq_tui.broker.handle import EmbeddedBroker
from tests.broker.conftest import Connect
from tests.broker.raw import PUBACK, PUBREL, RawClient, packet, text
from tests.waiting import wait_until


def group_of(broker: EmbeddedBroker, name: str) -> dict[str, object]:
    groups = [group for group in broker.inspect()["groups"] if group["group"] == name]
    return groups[0] if groups else {}


def send(publisher: RawClient, topic: str, count: int, qos: int = 1) -> None:
    for number in range(count):
        publisher.publish(topic, str(number).encode(), qos, number + 1)
    for _ in range(count):
        if qos == 1:
            assert publisher.expect(PUBACK)[2:] in (b"", b"\x00")


def take(client: RawClient, count: int, acknowledge: bool = True) -> list[int]:
    got = []
    for _ in range(count):
        message = client.published()
        got.append(int(message.payload))
        if acknowledge:
            client.answer(0x40, message.packet_id)
    return got


@pytest.mark.parametrize("version", [4, 5])
def test_three_members_get_a_third_each_and_every_message_once(connect: Connect, version: int) -> None:
    members = [connect(version=version) for _ in range(3)]
    for member in members:
        member.subscribe(f"$share/third/{version}/#", 1)
    send(connect(), f"{version}/a", 30)

    got = [take(member, 10) for member in members]

    assert sorted(itertools.chain(*got)) == list(range(30))
    assert all(part == sorted(part) for part in got)
    assert all(member.nothing_comes() for member in members)


def test_qos_0_is_shared_too(connect: Connect) -> None:
    members = [connect(version=version) for version in (4, 5)]
    for member in members:
        member.subscribe("$share/zero/zero", 0)
    send(connect(), "zero", 10, qos=0)

    assert sorted(take(members[0], 5, False) + take(members[1], 5, False)) == list(range(10))


def test_two_groups_and_a_plain_subscriber_each_get_all(connect: Connect) -> None:
    clients = [connect() for _ in range(3)]
    for client, topic_filter in zip(clients, ("$share/one/all", "$share/two/all", "all"), strict=True):
        client.subscribe(topic_filter, 1)
    send(connect(), "all", 5)

    assert [take(client, 5) for client in clients] == [list(range(5))] * 3


def test_a_slow_member_does_not_hoard(connect: Connect, broker: EmbeddedBroker) -> None:
    slow, quick = connect("hoard-slow", window=3), connect("hoard-quick", window=3)
    for member in (slow, quick):
        member.subscribe("$share/hoard/hoard", 1)
    send(connect(), "hoard", 100)

    held = take(slow, 3, acknowledge=False)
    done = take(quick, 97)

    assert sorted(held + done) == list(range(100))
    assert slow.nothing_comes()
    assert group_of(broker, "hoard")["queued"] == 0


@pytest.mark.parametrize("expiry", [0, 60])
@pytest.mark.parametrize("version", [4, 5])
def test_what_a_killed_member_had_goes_to_the_others_first_and_in_order(
    connect: Connect, broker: EmbeddedBroker, version: int, expiry: int
) -> None:
    name = f"kill-{version}-{expiry}"
    clean = not expiry
    victim = connect(f"{name}-victim", version=version, expiry=expiry, clean=clean, window=4)
    victim.subscribe(f"$share/{name}/{name}", 1)
    send(connect(), name, 30)
    window = 4 if version == 5 else 20
    assert take(victim, window, acknowledge=False) == list(range(window))
    victim.answer(0x40, 1)  # the first message is done, so one more comes
    assert take(victim, 1, acknowledge=False) == [window]
    survivor = connect(f"{name}-survivor", window=1)
    survivor.subscribe(f"$share/{name}/{name}", 1)
    first = survivor.published()
    assert (int(first.payload), first.dup) == (window + 1, False)

    victim.close()
    wait_until(lambda: group_of(broker, name)["returned"] == window, what="the victim's work is back")
    survivor.answer(0x40, first.packet_id)

    got = []
    for _ in range(28):
        message = survivor.published()
        survivor.answer(0x40, message.packet_id)
        got.append((int(message.payload), message.dup))
    returned = [(number, True) for number in range(1, window + 1)]
    assert got == returned + [(number, False) for number in range(window + 2, 30)]


def test_two_killed_members_work_comes_back_in_the_publishers_order(
    connect: Connect, broker: EmbeddedBroker
) -> None:
    victims = [connect(f"both-{number}", window=3) for number in range(2)]
    for victim in victims:
        victim.subscribe("$share/both/both", 1)
    waiting = connect("both-waiting", expiry=60)
    waiting.subscribe("$share/both/both", 1)
    waiting.close()
    wait_until(lambda: not group_of(broker, "both")["members"][2]["connected"])  # type: ignore[index]
    send(connect(), "both", 10)
    for victim in victims:
        take(victim, 3, acknowledge=False)
        victim.close()
    wait_until(lambda: group_of(broker, "both")["queued"] == 10, what="all of it is back in the queue")

    heir = connect("both-waiting", clean=False, expiry=60, window=5)

    assert heir.session_present
    assert take(heir, 10) == list(range(10))


def test_the_queue_is_kept_while_every_member_is_away_and_returns_to_whoever_comes(
    connect: Connect, broker: EmbeddedBroker
) -> None:
    member = connect("away", expiry=60, window=5)
    member.subscribe("$share/away/away", 1)
    member.leave()
    send(connect(), "away", 20)
    assert group_of(broker, "away")["queued"] == 20

    other = connect("away-other", window=5)
    other.subscribe("$share/away/away", 1)
    assert take(other, 10) == list(range(10))
    # A close with unread messages resets the connection, which may overtake the last acknowledgements.
    wait_until(lambda: group_of(broker, "away")["unfinished"] == 10, what="all acknowledgements are seen")
    other.close()
    wait_until(lambda: group_of(broker, "away")["queued"] == 10, what="the window came back")
    back = connect("away", clean=False, expiry=60, window=5)

    assert take(back, 10) == list(range(10, 20))


def test_after_unsubscribe_the_window_is_finished_and_the_queue_is_the_others(
    connect: Connect, broker: EmbeddedBroker
) -> None:
    leaving, staying = connect("leaving", window=2), connect("staying", window=2)
    leaving.subscribe("$share/leave/leave", 1)
    send(connect(), "leave", 10)
    first = [leaving.published() for _ in range(2)]
    leaving.unsubscribe("$share/leave/leave")
    staying.subscribe("$share/leave/leave", 1)

    for message in first:
        leaving.answer(0x40, message.packet_id)

    assert take(staying, 8) == list(range(2, 10))
    assert leaving.nothing_comes()
    wait_until(lambda: group_of(broker, "leave")["unfinished"] == 0)


def test_a_group_without_subscriptions_lingers_for_its_successor(
    connect: Connect, broker: EmbeddedBroker
) -> None:
    only = connect("only", window=2)
    only.subscribe("$share/linger/linger", 1)
    send(connect(), "linger", 5)
    take(only, 2, acknowledge=False)
    only.close()
    wait_until(lambda: not group_of(broker, "linger")["members"])

    publisher = connect()
    publisher.publish("linger", b"99", 1, 1)
    assert publisher.expect(PUBACK) == b"\x00\x01\x10", "without a subscription nothing new is taken on"
    successor = connect("successor")
    successor.subscribe("$share/linger/linger", 1)

    assert take(successor, 5) == list(range(5))


def test_qos_2_is_not_redelivered_once_pubrec_came_and_goes_on_with_pubrel(connect: Connect) -> None:
    member, other = connect("twice", expiry=60, window=2), connect("twice-other", window=5)
    member.subscribe("$share/twice/twice", 2)
    publisher = connect()
    for number in range(3):
        publisher.publish("twice", str(number).encode(), 2, number + 1)
    received, held = member.published(), member.published()
    member.answer(0x50, received.packet_id)
    member.expect(PUBREL)
    other.subscribe("$share/twice/twice", 2)
    assert other.published().payload == b"2"

    member.close()

    again = other.published()
    assert (again.payload, again.dup, again.qos) == (b"1", True, 2)
    assert other.nothing_comes()
    back = connect("twice", clean=False, expiry=60, window=2)
    assert back.expect(PUBREL) == received.packet_id.to_bytes(2, "big")
    back.answer(0x70, received.packet_id)
    publisher.publish("twice", b"3", 2, 9)
    publisher.publish("twice", b"4", 2, 10)
    fresh = back.published()
    assert fresh.packet_id != held.packet_id, "the client may still know that identifier"
    assert not fresh.dup


def test_takeover_gives_the_work_back_before_the_new_connection_takes_any(connect: Connect) -> None:
    first = connect("taken", expiry=60, window=3)
    first.subscribe("$share/taken/taken", 1)
    send(connect(), "taken", 5)
    take(first, 3, acknowledge=False)

    second = connect("taken", clean=False, expiry=60, window=3)

    got = [second.published() for _ in range(3)]
    assert [(int(one.payload), one.dup) for one in got] == [(0, True), (1, True), (2, True)]
    assert first.disconnect_reason() == 0x8E


def test_a_shared_subscription_gets_no_retained_messages(connect: Connect) -> None:
    publisher, member = connect(), connect()
    publisher.publish("old/news", b"x", 1, 1, retain=True)
    publisher.expect(PUBACK)

    member.subscribe("$share/old/old/#", 1)

    assert member.nothing_comes()


def test_no_local_on_a_shared_subscription_is_a_protocol_error(connect: Connect) -> None:
    client = connect()

    client.send(packet(0x82, b"\x00\x01\x00" + text("$share/g/a") + b"\x05"))

    assert client.disconnect_reason() == 0x82


def test_a_member_of_qos_0_takes_from_the_queue(connect: Connect) -> None:
    member = connect()
    member.subscribe("$share/low/low", 0)
    send(connect(), "low", 50)

    assert [member.published().qos for _ in range(50)] == [0] * 50


def test_members_share_their_window_between_groups_in_turn(connect: Connect) -> None:
    member, publisher = connect(window=1), connect()
    member.subscribe("$share/turn/turn/a", 1)
    member.subscribe("$share/turn/turn/b", 1)
    send(publisher, "turn/a", 10)
    send(publisher, "turn/b", 10)

    topics = []
    for _ in range(20):
        message = member.published()
        topics.append(message.topic)
        member.answer(0x40, message.packet_id)

    assert topics[2:18].count("turn/b") >= 6, "neither group waits for the other to be empty"


def test_who_has_least_in_hand_is_served_first(connect: Connect) -> None:
    busy, idle = connect(window=10), connect(window=10)
    busy.subscribe("$share/least/least", 1)
    publisher = connect()
    send(publisher, "least", 4)
    take(busy, 4, acknowledge=False)
    idle.subscribe("$share/least/least", 1)

    send(publisher, "least", 4)

    assert take(idle, 4, acknowledge=False) == list(range(4))
    assert busy.nothing_comes()
