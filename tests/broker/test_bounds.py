"""Memory and counts are bounded, and what exceeds a bound is counted, logged and told to the publisher."""

from __future__ import annotations

import contextlib
import os

import psutil
import pytest

from routemq_tui.broker.handle import EmbeddedBroker
from tests.broker.conftest import Connect, Start
from tests.broker.raw import PUBACK, PUBREC, RawClient, packet, text
from tests.waiting import wait_until

MEBIBYTE = 1024 * 1024


class Log:
    """What a broker has logged so far."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        self._fd = broker.log_fd
        self._text = ""

    def __contains__(self, words: str) -> bool:
        with contextlib.suppress(BlockingIOError):
            self._text += os.read(self._fd, 65536).decode()
        return words in self._text


def test_a_full_session_queue_says_so_everywhere(connect: Connect, start: Start) -> None:
    broker = start(queue_messages=10)
    log = Log(broker)
    away = connect("away", port=broker.port, expiry=60)
    away.subscribe("full", 2)
    away.leave()
    publisher = connect(port=broker.port)

    answers = []
    for number in range(15):
        publisher.publish("full", b"x", 1, number + 1)
        answers.append(publisher.expect(PUBACK)[2:])
    publisher.publish("full", b"x", 2, 99)
    assert publisher.expect(PUBREC) == b"\x00\x63\x97"

    assert answers == [b""] * 10 + [b"\x97"] * 5
    assert broker.inspect()["totals"]["dropped"] == 6
    wait_until(lambda: "dropped 6 messages: the queue of away is full" in log, 4, "the log says so")


def test_a_full_group_queue_says_so_and_takes_on_again(connect: Connect, start: Start) -> None:
    broker = start(queue_messages=5)
    log = Log(broker)
    member = connect(port=broker.port, window=2)
    member.subscribe("$share/g/t", 1)
    publisher = connect(port=broker.port)

    answers = []
    for number in range(8):
        publisher.publish("t", str(number).encode(), 1, number + 1)
        answers.append(publisher.expect(PUBACK)[2:])
    assert answers == [b""] * 5 + [b"\x97"] * 3
    for _ in range(5):
        member.answer(0x40, member.published().packet_id)
    wait_until(lambda: broker.inspect()["groups"][0]["unfinished"] == 0)
    publisher.publish("t", b"again", 1, 9)

    assert publisher.expect(PUBACK) == b"\x00\x09"
    group = broker.inspect()["groups"][0]
    assert (group["accepted"], group["dropped"]) == (6, 3)
    wait_until(lambda: "dropped 3 messages: the queue of $share/g/t is full" in log, 4, "the log says so")


def test_bytes_are_bounded_for_one_and_for_all(connect: Connect, start: Start) -> None:
    broker = start(queue_bytes=1000 * 100, total_bytes=1500 * 100)
    for name in ("one", "two"):
        away = connect(name, port=broker.port, expiry=60)
        away.subscribe(name, 1)
        away.leave()
    publisher = connect(port=broker.port)

    for name in ("one", "two"):
        for number in range(100):
            publisher.publish(name, b"x" * 2000, 1, number + 1)
            publisher.expect(PUBACK)

    state = broker.inspect()
    assert 90_000 < state["sessions"][0]["bytes"] <= 100_000
    assert 40_000 < state["sessions"][1]["bytes"] <= 60_000
    assert state["totals"]["held_bytes"] <= 150_000
    connect("one", port=broker.port, clean=True)
    connect("two", port=broker.port, clean=True)
    assert broker.inspect()["totals"]["held_bytes"] == 0, "all is given back with the sessions"


def test_a_client_that_does_not_read_costs_bounded_memory(connect: Connect, start: Start) -> None:
    broker = start(queue_bytes=8 * MEBIBYTE, total_bytes=16 * MEBIBYTE)
    publisher, witness = connect(port=broker.port), connect(port=broker.port)
    for qos in (0, 1):
        connect(f"dead-{qos}", port=broker.port, window=65535).subscribe(f"flood/{qos}", qos)
    process = psutil.Process(broker.pid)
    before, payload = process.memory_info().rss, b"x" * 10_000

    for number in range(6000):
        publisher.publish(f"flood/{number % 2}", payload, number % 2, number + 1)
        if number % 2:
            publisher.expect(PUBACK)

    grown = process.memory_info().rss - before
    assert grown < 40 * MEBIBYTE, f"grew by {grown / MEBIBYTE:.0f} MiB for 60 MB of messages"
    state = broker.inspect()
    held = next(one for one in state["sessions"] if one["client_id"] == "dead-1")
    delivered = state["totals"]["sent"] - held["unacknowledged"]
    refused = 3000 - held["unacknowledged"] - held["queued"]
    assert refused > 1000
    assert state["totals"]["dropped"] == refused + 3000 - delivered
    assert witness.nothing_comes()


def test_sessions_subscriptions_and_retained_messages_are_bounded(connect: Connect, start: Start) -> None:
    broker = start(sessions=3, subscriptions=2, retained_messages=20)
    clients = [connect(port=broker.port) for _ in range(3)]
    codes = [clients[0].subscribe(topic) for topic in ("a", "b", "c", "a")]
    wait_until(lambda: broker.inspect()["totals"]["retained"] == 14, what="$SYS is retained")
    answers = []
    for number in range(8):
        clients[1].publish(f"r/{number}", b"x", 1, number + 1, retain=True)
        answers.append(clients[1].expect(PUBACK)[2:])

    assert codes == [1, 1, 0x97, 1]
    assert answers == [b"\x10"] * 6 + [b"\x97"] * 2
    refused = connect(port=broker.port)
    assert refused.hello[1] == 0x97
    clients[0].leave()
    assert connect(port=broker.port).hello[1] == 0


def test_an_abandoned_group_is_forgotten_and_its_messages_are_counted(connect: Connect, start: Start) -> None:
    broker = start(linger=1)
    member = connect(port=broker.port, window=1)
    member.subscribe("$share/g/t", 1)
    publisher = connect(port=broker.port)
    for number in range(4):
        publisher.publish("t", b"x", 1, number + 1)
        publisher.expect(PUBACK)
    member.close()

    wait_until(lambda: not broker.inspect()["groups"], 5, "the group is forgotten")

    totals = broker.inspect()["totals"]
    assert (totals["dropped"], totals["held_bytes"]) == (4, 0)


def test_who_never_says_connect_is_closed(start: Start, connect: Connect) -> None:
    broker = start(connect_timeout=1)
    with RawClient(broker.port) as stranger:
        stranger.send(packet(0x10, text("MQTT"))[:4])

        assert stranger.goodbye() == (0, b"")


def test_who_sends_but_does_not_read_the_answers_is_cut_off(connect: Connect, start: Start) -> None:
    broker = start(write_buffer=65536, packet_bytes=65536, retained_bytes=65536)
    process = psutil.Process(broker.pid)
    before = process.memory_info().rss
    client = connect(port=broker.port)
    pings = b"\xc0\x00" * 20_000_000

    with pytest.raises(ConnectionError):
        client.send(pings)

    assert process.memory_info().rss - before < 16 * MEBIBYTE
    assert connect(port=broker.port).nothing_comes()


def test_all_retained_messages_come_even_beyond_the_write_buffer(connect: Connect, start: Start) -> None:
    broker = start(write_buffer=10_000)
    publisher, late = connect(port=broker.port), connect(port=broker.port)
    for number in range(100):
        publisher.publish(f"kept/{number}", b"x" * 1000, 1, number + 1, retain=True)
        publisher.expect(PUBACK)

    late.subscribe("kept/#", 0)

    assert {late.published().topic for _ in range(100)} == {f"kept/{number}" for number in range(100)}


def test_hostile_client_ids_stay_on_their_log_line(connect: Connect, start: Start) -> None:
    broker = start()
    log = Log(broker)

    connect("a\nERROR forged\x1b[2J", port=broker.port)

    wait_until(lambda: "INFO a\\nERROR forged\\x1b[2J connected" in log)


def test_work_that_outlives_its_group_comes_back_and_is_accounted_for(connect: Connect, start: Start) -> None:
    broker = start(linger=1)
    leaving, publisher = connect(port=broker.port, window=5), connect(port=broker.port)
    leaving.subscribe("$share/g/t", 1)
    for number in range(2):
        publisher.publish("t", b"x", 1, number + 1)
        publisher.expect(PUBACK)
        leaving.published()
    leaving.unsubscribe("$share/g/t")
    wait_until(lambda: not broker.inspect()["groups"], 5, "the group is forgotten")

    leaving.close()
    wait_until(lambda: broker.inspect()["groups"], what="the group is there again")
    successor = connect(port=broker.port)
    successor.subscribe("$share/g/t", 1)

    assert broker.inspect()["groups"][0]["unfinished"] == 2
    for _ in range(2):
        message = successor.published()
        assert message.dup
        successor.answer(0x40, message.packet_id)
    wait_until(lambda: broker.inspect()["totals"]["held_bytes"] == 0, what="nothing is held any more")


def test_a_qos_2_message_is_let_go_at_pubrec(connect: Connect, start: Start) -> None:
    broker = start()
    client, publisher = connect(port=broker.port), connect(port=broker.port)
    client.subscribe("t", 2)
    publisher.publish("t", b"x" * 1000, 2, 1)
    message = client.published()
    assert broker.inspect()["totals"]["held_bytes"] > 1000

    client.answer(0x50, message.packet_id)
    client.read()

    state = broker.inspect()
    assert state["totals"]["held_bytes"] == 0
    assert [one["unacknowledged"] for one in state["sessions"] if one["subscriptions"]] == [1]


def test_a_wide_window_is_filled_only_as_fast_as_the_client_reads(connect: Connect, start: Start) -> None:
    broker = start()
    connect("wide", port=broker.port, expiry=60).subscribe("wide", 1)
    connect("wide", port=broker.port, clean=False, expiry=60).leave()
    publisher = connect(port=broker.port)
    for number in range(800):
        publisher.publish("wide", b"x" * 20_000, 1, number + 1)
        publisher.expect(PUBACK)

    client = connect("wide", port=broker.port, clean=False, window=65535)

    session = next(one for one in broker.inspect()["sessions"] if one["client_id"] == "wide")
    assert session["queued"] > 100
    assert sum(len(client.published().payload) for _ in range(800)) == 16_000_000
