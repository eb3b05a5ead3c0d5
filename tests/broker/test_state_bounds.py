"""What the broker keeps for clients beside their messages has one bound, and is given back in full."""

from __future__ import annotations

import psutil
import pytest

from routemq_tui.broker import distribution
from routemq_tui.broker.budget import Ledger
from routemq_tui.broker.distribution import Distribution
from routemq_tui.broker.handle import EmbeddedBroker
from routemq_tui.broker.limits import Limits
from routemq_tui.broker.message import Message
from routemq_tui.broker.packets import Request
from routemq_tui.broker.session import Session
from tests.broker.conftest import Connect, Start
from tests.broker.raw import block, number, packet, text
from tests.waiting import wait_until

BOUND = 300_000
LONG = "x" * 20_000


def state(broker: EmbeddedBroker) -> int:
    return int(broker.inspect()["totals"]["state_bytes"])


def test_all_that_is_kept_is_given_back(connect: Connect, start: Start) -> None:
    broker = start(linger=0)
    will = block() + text("gone") + text("x" * 1000)
    clients = [connect(f"c{at}", port=broker.port, will=will, expiry=60 * (at % 2)) for at in range(4)]
    for client in clients:
        assert [client.subscribe(one) for one in ("a", "a/b", "$share/g/a", "a")] == [1] * 4
        client.unsubscribe("a")
        for at in (1, 2, 1):
            client.publish(f"alias/{at}", properties=block(number(0x23, at)))
            client.publish("alias", properties=block(number(0x23, at)))
        client.send(packet(0x30, text("half") + b"\x00" + b"x" * 100_000)[:50_000])
    wait_until(lambda: state(broker) > 200_000, what="all of it is accounted for")

    for client in clients:
        client.close()
    for at in range(4):
        connect(f"c{at}", port=broker.port).leave()

    wait_until(lambda: state(broker) == 0, what="nothing is kept any more")


def test_filters_and_groups_are_bounded_together(connect: Connect, start: Start) -> None:
    broker = start(state_bytes=BOUND)
    client = connect(port=broker.port)

    codes = [client.subscribe(f"{at}/{LONG}") for at in range(10)]
    client.unsubscribe(f"0/{LONG}")
    again = [
        client.subscribe(f"1/{LONG}"),
        client.subscribe(f"$share/g/{LONG}"),
        client.subscribe(f"9/{LONG}"),
    ]

    assert codes == [1] * 4 + [0x97] * 6
    assert again == [1, 0x97, 1], "known ones are free, a group costs twice, and what is free can be had"


def test_groups_that_linger_still_count(connect: Connect, start: Start) -> None:
    broker = start(state_bytes=BOUND)
    client = connect(port=broker.port)

    codes = []
    for at in range(10):
        codes.append(client.subscribe(f"$share/{at}/{LONG}"))
        client.unsubscribe(f"$share/{at}/{LONG}")

    assert codes == [1] * 3 + [0x97] * 7


def test_wills_and_client_ids_are_bounded_and_who_is_refused_keeps_its_session(
    connect: Connect, start: Start
) -> None:
    broker = start(state_bytes=BOUND)
    connect("kept", port=broker.port, expiry=60).subscribe("t")
    will = block() + text("gone") + text("w" * 60_000)
    answers = [connect(port=broker.port, will=will).hello[1] for _ in range(6)]
    answers.append(connect("i" * 30_000, port=broker.port).hello[1])

    refused = connect("kept", port=broker.port, clean=False, expiry=60, will=will)
    present = connect("kept", port=broker.port, clean=False, expiry=60)

    assert answers == [0] * 4 + [0x97] * 3
    assert refused.hello[1] == 0x97
    assert present.session_present


def test_topic_aliases_are_bounded(connect: Connect, start: Start) -> None:
    client = connect(port=start(state_bytes=BOUND).port)
    for at in (1, 1, 2, 3, 4, 5):
        client.publish(LONG[:-1] + str(at), properties=block(number(0x23, at)))

    assert client.disconnect_reason() == 0x97


def test_unfinished_packets_are_bounded(connect: Connect, start: Start) -> None:
    broker = start(state_bytes=8 * 1024 * 1024)
    half = packet(0x30, text("t") + b"\x00" + b"x" * 3_000_000)[:-1]
    clients = [connect(port=broker.port) for _ in range(2)]
    for client in clients:
        client.send(half)
    wait_until(lambda: state(broker) > 5_900_000, what="both are held")

    third = connect(port=broker.port)
    with pytest.raises(ConnectionError):
        third.send(half * 10)

    for client in clients:
        client.send(b"x")
        assert client.nothing_comes()
    wait_until(lambda: state(broker) < 100_000, what="nothing is held any more")


def test_plans_for_topics_that_many_take_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution, "CACHED_ENTRIES", 100)
    ledger = Ledger(Limits())
    hub = Distribution(ledger)
    for at in range(30):
        hub.subscribe(Session(f"c{at}", ledger), Request("#", 0), None)

    for at in range(50):
        hub.publish(Message(f"t/{at}", b"", 0), None)

    assert sum(len(targets) for targets, _ in hub._plans.values()) <= 100


def test_a_large_message_for_many_who_do_not_read_is_bounded_and_small_ones_pass(
    connect: Connect, start: Start
) -> None:
    broker = start(unsent_bytes=20_000_000)
    process = psutil.Process(broker.pid)
    deaf = [connect(port=broker.port) for _ in range(30)]
    for client in deaf:
        client.subscribe("#", 0)
    publisher, reader = connect(port=broker.port), connect(port=broker.port)
    reader.subscribe("small", 0)
    before = process.memory_info().rss

    publisher.publish("large", b"x" * 10_000_000)
    assert publisher.nothing_comes()
    grown = process.memory_info().rss - before
    publisher.publish("small", b"x" * 1000)

    assert grown < 80_000_000
    assert len(reader.published().payload) == 1000
    assert 25 < broker.inspect()["totals"]["dropped"] < 60
    for client in deaf:
        client.close()
    wait_until(lambda: broker.inspect()["totals"]["unsent_bytes"] == 0, what="nothing waits any more")
