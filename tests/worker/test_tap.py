"""What a real worker tells of single messages: failed ones always, others while the tap is on, bounded."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from routemq_tui.worker import cells
from routemq_tui.worker.spec import ErrorsCounted, MessageTold, TurnTap
from routemq_tui.worker.tap import FAILED_A_SECOND, OK_A_SECOND, SAMPLE_MOST, Allowance
from tests.waiting import wait_until
from tests.worker.harness import Project, Publisher, Worker

Make = Callable[[str], Project]


def told(worker: Worker) -> list[MessageTold]:
    worker.pump()
    return [each for each in worker.reports if isinstance(each, MessageTold)]


def counted(worker: Worker) -> dict[str, int]:
    """Counts by place, added up over all reports."""
    sums: dict[str, int] = {}
    for report in worker.reports:
        if isinstance(report, ErrorsCounted):
            for each in report.groups:
                sums[each.where] = sums.get(each.where, 0) + each.count
    return sums


def until_told(worker: Worker, count: int) -> list[MessageTold]:
    worker.wait_until(lambda: len(told(worker)) >= count, what=f"{count} messages told")
    return told(worker)


# -- what goes well -------------------------------------------------------------------------------------


def test_without_a_tap_nothing_is_told_of_what_goes_well(project: Make, publisher: Publisher) -> None:
    here = project("""
        def handle(payload):
            pass
    """)
    worker = here.running()
    publisher.publish_many(50)
    worker.wait_handled(50)
    assert worker.drain() == 0
    assert told(worker) == []


@pytest.mark.parametrize("kind", ["", "async "])
def test_a_tap_tells_every_message_while_they_are_few(project: Make, publisher: Publisher, kind: str) -> None:
    # given a worker whose tap is turned on while it runs
    here = project(f"""
        {kind}def handle(payload: dict):
            time.sleep(0.002)
    """)
    worker = here.running()
    worker.send(TurnTap(True))
    worker.wait_until(lambda: _has_read_commands(worker, publisher), what="the tap is on")
    worker.reports.clear()
    # when messages come, fewer than it may tell
    properties = Properties(PacketTypes.PUBLISH)
    properties.ContentType = "application/json"
    properties.CorrelationData = b"\x00\xff"
    for number in range(10):
        publisher.client.publish(f"t/{number}", json.dumps({"n": number}), 1, properties=properties)
    # then each is told, with what a person wants to know of it
    messages = until_told(worker, 10)
    assert [each.topic for each in messages] == [f"t/{number}" for number in range(10)]
    assert [each.passed for each in messages] == [1] * 10
    first = messages[0]
    assert (first.outcome, first.payload, first.size, first.qos) == ("ok", b'{"n": 0}', 8, 1)
    assert (first.attempts, first.error, first.group) == (1, "", "")
    assert first.properties == {"content_type": "application/json", "correlation_data": "AP8="}
    assert all(0.002 <= each.duration < 1 for each in messages)
    assert first.fingerprint == cells.fingerprint(b"t/0", b'{"n": 0}')


def publish_until_told(worker: Worker, publisher: Publisher, qos: int = 1) -> int:
    """Publish one after the other until one is told; returns which of them that was, from 1."""
    before, first = len(told(worker)), worker.counters.ok
    published = 0

    def is_told() -> bool:
        nonlocal published
        published += 1
        publisher.publish(f"t/more{published}", b"", qos).wait_for_publish(5)
        worker.wait_handled(first + published)
        return len(told(worker)) > before

    worker.wait_until(is_told, what="one more message told")
    return int(told(worker)[before].topic.removeprefix("t/more"))


def _has_read_commands(worker: Worker, publisher: Publisher) -> bool:
    """A command is read some time after it was sent: look whether a message is told."""
    before = len(told(worker))
    publisher.publish("t/probe", b"{}").wait_for_publish(5)
    worker.wait_until(lambda: worker.counters.in_flight == 0 and worker.counters.received > before)
    return len(told(worker)) > before


def test_a_worker_may_begin_with_its_tap_on_and_have_it_turned_off(
    project: Make, publisher: Publisher
) -> None:
    here = project("""
        def handle(payload):
            pass
    """)
    worker = here.running(tapped=True)
    publisher.publish_many(1)
    until_told(worker, 1)
    worker.send(TurnTap(False))
    worker.wait_until(lambda: not _has_read_commands(worker, publisher), what="the tap is off")


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_beyond_its_bound_a_tap_tells_some_and_how_many_passed(
    project: Make, publisher: Publisher, qos: int
) -> None:
    # given many more messages than may be told
    here = project("""
        def handle(payload):
            pass
    """)
    worker = here.running(tapped=True, qos=qos, prefetch=200)
    publisher.publish_many(600, qos)
    worker.wait_handled(600)
    # then a second's worth is told at once, and the next one that is told says how many were not
    assert OK_A_SECOND <= len(told(worker)) < 300
    before = len(told(worker))
    count = 600 + publish_until_told(worker, publisher, qos)
    messages = told(worker)[: before + 1]
    assert max(each.passed for each in messages) > 1
    assert sum(each.passed for each in messages) == count
    counters = worker.counters
    assert (counters.failed, counters.in_flight) == (0, 0)
    assert counters.acknowledged == counters.received == counters.ok >= count


def test_a_large_payload_is_cut_and_its_size_told(project: Make, publisher: Publisher) -> None:
    here = project("""
        def handle(payload, n):
            if n == "bad":
                raise ValueError("too large")
    """)
    worker = here.running(tapped=True)
    for topic in ("t/good", "t/bad"):
        publisher.publish(topic, b"x" * 100_000)
    good, bad = until_told(worker, 2)
    assert (len(good.payload), good.size) == (SAMPLE_MOST, 100_000)
    assert (len(bad.payload), bad.size) == (64 * 1024, 100_000)


def test_an_engine_that_does_not_read_costs_told_messages_and_no_time(
    project: Make, publisher: Publisher
) -> None:
    # given an engine that reads nothing, and payloads that soon fill the pipe
    here = project("""
        def handle(payload):
            pass
    """)
    worker = here.running(tapped=True)
    for number in range(200):
        publisher.publish(f"t/{number}", b"x" * SAMPLE_MOST)
    wait_until(lambda: worker.counters.ok == 200 and not worker.counters.in_flight, 10)
    # then those that fit in the pipe come, and the next one that is told says how many did not
    before = len(told(worker))
    assert 0 < before < OK_A_SECOND
    count = 200 + publish_until_told(worker, publisher)
    assert sum(each.passed for each in told(worker)[: before + 1]) == count


# -- what does not --------------------------------------------------------------------------------------

FAILING = """
    import json

    class Odd(Exception):
        pass

    def check(value):
        if value % 2:
            raise Odd(f"odd: {value}")

    def handle(n: int, message):
        if n % 3 == 0:
            check(n // 3 * 2 + 1)
        if n % 3 == 1:
            json.loads("{")
"""


def test_failures_are_grouped_by_place_and_counted_exactly(project: Make, publisher: Publisher) -> None:
    # given failures of two kinds, among messages that are handled
    here = project(FAILING)
    worker = here.running(template="t/{n:int}", on_error="drop")
    publisher.publish_many(90)
    worker.wait_handled(90)
    assert worker.drain() == 0
    # then the counts by place add up to the failed counter
    assert sum(counted(worker).values()) == worker.counters.failed == 60
    places = {
        where.partition(":")[0] + " " + where.rpartition(" ")[2]: n for where, n in counted(worker).items()
    }
    assert places == {"handlers.py check": 30, "handlers.py handle": 30}
    # and some are told, the first of each place among them, with their traceback
    messages = told(worker)
    assert FAILED_A_SECOND <= len(messages) < 60
    by_group = {each.group: each for each in reversed(messages)}
    assert sorted(each.error.partition(":")[0] for each in by_group.values()) == ["JSONDecodeError", "Odd"]
    for each in by_group.values():
        assert each.outcome == "dropped"
        assert "handlers.py" in each.traceback
        assert "routemq_tui" not in each.traceback


def test_failures_of_one_place_are_one_group_whatever_they_say(project: Make, publisher: Publisher) -> None:
    here = project("""
        def deeper(n):
            raise ValueError(f"reading {n}")

        def handle(n):
            deeper(n) if int(n) % 2 else deeper(n + n)
    """)
    worker = here.running(on_error="drop")
    publisher.publish_many(20)
    worker.wait_handled(20)
    worker.drain()
    assert list(counted(worker).values()) == [20]


def test_the_first_failure_is_counted_at_once(project: Make, publisher: Publisher) -> None:
    here = project(FAILING)
    worker = here.running(template="t/{n:int}", on_error="drop")
    publisher.publish_many(1)
    report: Any = worker.wait_for(ErrorsCounted)
    (group,) = report.groups
    assert (group.kind, group.text, group.count) == ("Odd", "odd: 1", 1)


def test_a_dead_letter_and_its_attempts_are_told(project: Make, publisher: Publisher) -> None:
    # given a message that is tried again and becomes a dead letter
    here = project("""
        def handle(payload):
            time.sleep(0.01)
            raise KeyError("severe")
    """)
    worker = here.running(retries=2, retry_delay=0.01)
    publisher.publish("t/1", b"first")
    first, second, last = until_told(worker, 3)
    (letter,) = here.letters()
    assert [each.outcome for each in (first, second, last)] == ["retried", "retried", "dead-lettered"]
    assert [each.attempts for each in (first, second, last)] == [1, 2, 3]
    assert (last.letter, first.letter) == (letter.id, None)
    assert last.error == "KeyError: 'severe'"
    assert last.group == first.group != ""
    assert last.duration >= 0.01
    assert (first.passed, last.passed) == (0, 1)
    # and it counts once
    worker.wait_until(lambda: sum(counted(worker).values()) == 1)


def test_a_message_that_succeeds_at_last_is_told_by_a_tap_with_its_attempts(
    project: Make, publisher: Publisher
) -> None:
    here = project("""
        def handle(message):
            if message.attempt < 2:
                raise ValueError("not yet")
    """)
    worker = here.running(retries=2, retry_delay=0.01, tapped=True)
    publisher.publish_many(1)
    retried, done = until_told(worker, 2)
    assert (retried.outcome, done.outcome, done.attempts) == ("retried", "ok", 2)
    assert not counted(worker)


@pytest.mark.parametrize("policy", ["drop", "stop"])
def test_what_becomes_of_it_by_policy_is_told(project: Make, publisher: Publisher, policy: str) -> None:
    here = project("""
        def handle(payload):
            raise ValueError("bad")
    """)
    worker = here.running(on_error=policy)
    publisher.publish_many(1)
    (message,) = until_told(worker, 1)
    assert message.outcome == {"drop": "dropped", "stop": "stopped"}[policy]
    if policy == "stop":
        worker.wait_exit()
        assert sum(counted(worker).values()) == worker.counters.failed == 1


def test_a_payload_that_does_not_decode_is_a_group_of_its_kind(project: Make, publisher: Publisher) -> None:
    here = project("""
        def handle(payload: dict):
            pass
    """)
    worker = here.running(on_error="drop")
    for text in ("{", '{"a": ', "{"):
        publisher.publish("t/1", text)
    worker.wait_handled(3)
    worker.drain()
    groups = [
        each for report in worker.reports if isinstance(report, ErrorsCounted) for each in report.groups
    ]
    assert {each.kind for each in groups} == {"payload"}
    assert {each.where for each in groups} == {"handlers:handle"}
    assert sum(each.count for each in groups) == 3


def test_a_handler_that_is_too_slow_is_told_as_such(project: Make, publisher: Publisher) -> None:
    here = project("""
        import asyncio
        async def handle(payload):
            await asyncio.sleep(5)
    """)
    worker = here.running(timeout=0.1)
    publisher.publish_many(1)
    (message,) = until_told(worker, 1)
    assert (message.outcome, message.error) == ("timeout", "TimeoutError: not done within 100ms")
    assert message.letter is not None
    assert "asyncio.sleep(5)" in message.traceback


def test_an_allowance_is_a_second_s_worth(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("routemq_tui.worker.tap.time.monotonic", lambda: now)
    allowance = Allowance(4)
    assert [allowance.take(1) for _ in range(5)] == [True] * 4 + [False]
    now += 0.5
    assert [allowance.take(1) for _ in range(3)] == [True, True, False]
    now += 60
    assert not allowance.take(1, reserve=4)
    assert [allowance.take(1) for _ in range(5)] == [True] * 4 + [False]


def test_a_message_that_is_held_is_told_before_and_after_its_letter_is_stored(
    project: Make, publisher: Publisher
) -> None:
    # given a store that cannot be made, since a file lies in its place
    here = project("""
        def handle(payload):
            raise ValueError("bad")
    """)
    folder = here.root / ".routemq"
    folder.write_text("in the way")
    worker = here.running()
    publisher.publish_many(1)
    (held,) = until_told(worker, 1)
    assert (held.outcome, held.letter) == ("failed", None)
    # when it is mended
    folder.unlink()
    _, stored = until_told(worker, 2)
    assert (stored.outcome, stored.letter) == ("dead-lettered", 1)
    worker.wait_until(lambda: sum(counted(worker).values()) == 1, what="it counts once")


def test_several_at_once_are_told_each_with_its_own_time(project: Make, publisher: Publisher) -> None:
    here = project("""
        import asyncio
        async def handle(payload: int):
            await asyncio.sleep(payload / 100)
            if payload == 9:
                raise ValueError("nine")
    """)
    worker = here.running(tapped=True, concurrency=4)
    for number in (3, 9, 1):
        publisher.publish(f"t/{number}", str(number))
    messages = {each.topic: each for each in until_told(worker, 3)}
    assert {topic: each.outcome for topic, each in messages.items()} == {
        "t/1": "ok",
        "t/3": "ok",
        "t/9": "dead-lettered",
    }
    assert all(each.duration >= int(topic[2:]) / 100 for topic, each in messages.items())
    assert messages["t/1"].duration < 0.03
