"""A handler that fails: tried again in place, then given up by policy, the letter before the PUBACK."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from routemq_tui.errors import ExitCode
from routemq_tui.worker.spec import Drain, Drained, GivenUp, Pause, Resume, Stopped, Subscribed
from tests.worker.harness import Project, Publisher, Worker

Make = Callable[[str], Project]


def log_of(worker: Worker) -> list[tuple[int, str]]:
    return [(each.level, each.text) for each in worker.logs if each.logger == "routemq.handler"]


# -- tried again ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["", "async "])
def test_a_message_that_succeeds_at_last_counts_once(project: Make, publisher: Publisher, kind: str) -> None:
    # given a handler that fails twice for the second of three messages
    here = project(f"""
        {kind}def handle(n, message):
            record(n, message.attempt)
            message.payload = b"changed by the handler"
            if n == "1" and message.attempt < 3:
                raise ValueError("not yet")
    """)
    worker = here.running(retries=2, retry_delay=0.05)
    publisher.publish_many(3)
    worker.wait_handled(3)
    # then its attempts come one after the other, before the third message
    assert here.calls() == ["0 1", "1 1", "1 2", "1 3", "2 1"]
    counters = worker.counters
    assert (counters.ok, counters.failed, counters.retried, counters.dead_lettered) == (3, 0, 2, 0)
    assert (counters.received, counters.acknowledged, counters.current_since_ns) == (3, 3, 0)
    assert here.letters() == []
    # and the log warns of each, with what comes next
    warnings = log_of(worker)
    assert [level for level, _ in warnings] == [30, 30]
    assert warnings[0][1].startswith("t/1: ValueError: not yet (attempt 1 of 3; again in ")
    assert "handlers.py" in warnings[0][1]


def test_a_retry_waits_longer_each_time(project: Make, publisher: Publisher) -> None:
    here = project("""
        def handle(n):
            record(time.monotonic())
            raise ValueError
    """)
    worker = here.running(retries=3, retry_delay=0.1)
    publisher.publish_many(1)
    worker.wait_handled(1)
    times = [float(each) for each in here.calls()]
    for doubled, (before, after) in enumerate(pairwise(times)):
        assert 0.05 * 2**doubled <= after - before <= 0.1 * 2**doubled + 0.2


def test_during_a_back_off_commands_work(project: Make, publisher: Publisher) -> None:
    # given a message that waits for its second attempt, and others behind it
    here = project("""
        def handle(n, message):
            record(n, message.attempt)
            if n == "0" and message.attempt == 1:
                raise ValueError
    """)
    worker = here.running(retries=1, retry_delay=0.5)
    publisher.publish_many(3)
    worker.wait_until(lambda: here.calls() == ["0 1"], what="the first attempt")
    # then a death is soon not this message's fault
    worker.wait_until(lambda: worker.counters.current_since_ns == 0, what="the back-off")
    # when it is paused, longer than the back-off, and goes on
    worker.send(Pause())
    beat = worker.counters.heartbeat_ns
    worker.wait_until(lambda: worker.counters.heartbeat_ns > beat + 0.6e9, what="the back-off is over")
    assert here.calls() == ["0 1"]
    worker.send(Resume())
    worker.wait_handled(3)
    # then the order was kept
    assert here.calls() == ["0 1", "0 2", "1 1", "2 1"]


def test_a_drain_during_a_back_off_finishes_the_attempts(project: Make, publisher: Publisher) -> None:
    here = project("""
        def handle(n, message):
            record(n, message.attempt)
            if message.attempt == 1:
                raise ValueError
    """)
    worker = here.running(retries=1, retry_delay=0.5)
    publisher.publish_many(1)
    worker.wait_until(here.calls, what="the first attempt")
    assert worker.drain() == ExitCode.OK
    assert here.calls() == ["0 1", "0 2"]
    assert worker.last(Drained) == Drained(finished=1, left=0)


def test_a_drain_out_of_time_in_a_back_off_leaves_the_message(project: Make, publisher: Publisher) -> None:
    here = project("""
        def handle(n, message):
            record(n, message.duplicate)
            if not message.duplicate:
                raise ValueError
    """)
    worker = here.running(retries=1, retry_delay=30.0)
    publisher.publish_many(1)
    worker.wait_until(here.calls, what="the first attempt")
    began = time.monotonic()
    worker.send(Drain(keep_session=False, timeout=0.3))
    assert worker.wait_exit() == ExitCode.OK
    assert time.monotonic() - began < 3
    assert worker.last(Drained) == Drained(finished=0, left=1)
    # then it is still in the session, and no letter was made of it
    worker.start()
    worker.wait_handled(1)
    assert here.calls() == ["0 False", "0 True"]
    assert here.letters() == []


# -- given up -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_when_all_attempts_failed_the_letter_has_everything(
    project: Make, publisher: Publisher, protocol: str
) -> None:
    here = project("""
        def handle(n):
            record(n)
            raise LookupError("no device\\nand more \\udcff")
    """)
    worker = here.running(retries=1, retry_delay=0.01, protocol=protocol)
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ContentType = "text/x"
    properties.CorrelationData = b"\x00\xff"
    properties.MessageExpiryInterval = 3600
    properties.UserProperty = [("trace", "1"), ("trace", "2")]
    publisher.client.publish("t/7", b"\xff payload", 1, properties=properties).wait_for_publish(5)
    worker.wait_handled(1)
    [letter] = here.letters()
    assert (letter.route, letter.worker, letter.topic, letter.payload) == ("r", "r/1", "t/7", b"\xff payload")
    assert (letter.qos, letter.attempts, letter.cause) == (1, 2, "handler")
    assert letter.error == "LookupError: no device"
    assert 'raise LookupError("no device' in letter.traceback
    assert "dispatch.py" not in letter.traceback
    assert abs(letter.time - time.time()) < 60
    if protocol == "5":
        assert letter.properties["content_type"] == "text/x"
        assert letter.properties["correlation_data"] == "AP8="
        assert letter.properties["user_property"] == [["trace", "1"], ["trace", "2"]]
        assert 3590 <= letter.properties["message_expiry_interval"] <= 3600
    counters = worker.counters
    assert (counters.ok, counters.failed, counters.retried, counters.dead_lettered) == (0, 1, 1, 1)
    assert worker.wait_for(GivenUp) == GivenUp("t/7", "LookupError: no device", "handler", 2, "stored")
    level, text = log_of(worker)[-1]
    assert level == 40
    assert text.startswith("t/7: LookupError: no device (attempt 2 of 2; given up)")
    # and the broker sees it acknowledged: nothing comes again
    worker.kill()
    worker.start()
    worker.wait_for(Subscribed)
    publisher.publish_many(1)
    worker.wait_until(lambda: len(here.calls()) > 3, what="the next message")
    assert here.calls() == ["7", "7", "0", "0"]


def test_a_kill_between_letter_and_acknowledgement_loses_nothing(project: Make, publisher: Publisher) -> None:
    # given a process that dies right after the letter is on the disk
    here = project("""
        import os, signal
        from routemq_tui.worker.dead_letters import DeadLetterStore
        add = DeadLetterStore.add
        def add_and_die(store, letter):
            add(store, letter)
            if not os.path.exists("died"):
                open("died", "w").close()
                os.kill(os.getpid(), signal.SIGKILL)
        DeadLetterStore.add = add_and_die
        os.chdir(os.path.dirname(__file__))
        def handle(n):
            record(n)
            raise ValueError
    """)
    worker = here.running()
    publisher.publish_many(1)
    assert worker.wait_exit() == -9
    # then the letter is there, and the message was not acknowledged: it comes again
    assert len(here.letters()) == 1
    assert (worker.counters.received, worker.counters.acknowledged) == (1, 0)
    worker.start()
    worker.wait_until(lambda: worker.counters.dead_lettered == 1, what="given up again")
    worker.wait_until(lambda: worker.counters.in_flight == 0, what="acknowledged")
    assert worker.counters.duplicates == 1
    assert here.calls() == ["0", "0"]


@pytest.mark.parametrize("concurrency", [1, 3])
def test_an_async_handler_beyond_its_time_is_cancelled(
    project: Make, publisher: Publisher, concurrency: int
) -> None:
    here = project("""
        import asyncio
        async def handle(n, message):
            record(n, message.attempt)
            if n == "0":
                await deep()
            if n == "1":
                raise TimeoutError("its own")
        async def deep():
            try:
                await asyncio.sleep(60)
            finally:
                record("cancelled")
    """)
    worker = here.running(timeout=0.1, retries=1, retry_delay=0.01, concurrency=concurrency)
    publisher.publish_many(3)
    worker.wait_handled(3)
    assert sorted(here.calls()) == ["0 1", "0 2", "1 1", "1 2", "2 1", "cancelled", "cancelled"]
    by_topic = {each.topic: each for each in here.letters()}
    assert by_topic["t/0"].cause == "timeout"
    assert by_topic["t/0"].error == "TimeoutError: not done within 100ms"
    assert "await asyncio.sleep(60)" in by_topic["t/0"].traceback
    assert (by_topic["t/1"].cause, by_topic["t/1"].error) == ("handler", "TimeoutError: its own")
    assert (worker.counters.ok, worker.counters.failed, worker.counters.retried) == (1, 2, 2)


def test_a_message_that_may_be_dropped_is(project: Make, publisher: Publisher) -> None:
    here = project("def handle(n): raise ValueError(n)")
    worker = here.running(on_error="drop")
    publisher.publish_many(4)
    worker.wait_handled(4)
    counters = worker.counters
    assert (counters.failed, counters.dropped, counters.dead_lettered) == (4, 4, 0)
    assert counters.acknowledged == 4
    assert worker.wait_for(GivenUp) == GivenUp("t/0", "ValueError: 0", "handler", 1, "dropped")
    assert not (here.root / ".routemq").exists()


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_route_may_stop_at_a_failure(project: Make, publisher: Publisher, concurrency: int) -> None:
    here = project("""
        import os
        async def handle(n):
            record(n)
            if n == "2" and not os.path.exists(os.path.join(os.path.dirname(__file__), "mended")):
                raise ValueError("stop here")
    """)
    worker = here.running(on_error="stop", concurrency=concurrency)
    publisher.publish_many(8)
    # when a message fails, then the worker says so and leaves
    assert worker.wait_exit() == ExitCode.OK
    assert worker.last(Stopped) == Stopped("t/2", "ValueError: stop here")
    assert worker.last(GivenUp).outcome == "stopped"
    assert not any(isinstance(each, Drained) for each in worker.reports)
    assert (worker.counters.failed, worker.counters.acknowledged) == (1, 2)
    ran = here.calls()
    assert ran[:3] == ["0", "1", "2"]
    assert len(ran) <= 2 + concurrency
    # and, once it is mended, goes on with the same message: it was not acknowledged
    (here.root / "mended").touch()
    worker.start()
    worker.wait_until(lambda: worker.counters.acknowledged == worker.counters.received > 8, what="the rest")
    assert here.calls()[len(ran) :] == [str(number) for number in range(2, 8)]


def test_dead_letters_go_to_a_topic(project: Make, publisher: Publisher) -> None:
    # given someone who reads dead letters, and a worker at QoS 0 with more waiting than it reads
    got: list[bytes] = []
    publisher.client.on_message = lambda _c, _d, packet: got.append(packet.payload)
    publisher.client.subscribe("dead/r", 1)
    here = project("""
        def handle(n):
            record(n)
            if n in ("0", "1"):
                raise ValueError(n)
    """)
    worker = here.running(dead_letter_topic="dead/r", qos=0, paused=True)
    publisher.publish_many(600, qos=0)
    worker.wait_until(lambda: worker.counters.in_flight >= 256, what="it reads no more")
    worker.send(Resume())
    worker.wait_handled(600)
    worker.wait_until(lambda: len(got) == 2, what="two letters")
    found = [json.loads(each) for each in got]
    assert [(each["topic"], each["error"], each["payload"]) for each in found] == [
        ("t/0", "ValueError: 0", "0"),
        ("t/1", "ValueError: 1", "1"),
    ]
    assert "raise ValueError(n)" in found[0]["traceback"]
    assert here.calls() == [str(number) for number in range(600)]
    assert (worker.counters.dead_lettered, worker.counters.failed) == (2, 2)
    assert worker.wait_for(GivenUp).outcome == "published"
    assert not (here.root / ".routemq").exists()


def test_a_topic_for_dead_letters_that_nobody_reads_is_told(project: Make, publisher: Publisher) -> None:
    here = project("""
        def handle(n):
            raise ValueError(n)
    """)
    worker = here.running(dead_letter_topic="dead/r")
    publisher.publish_many(5)
    worker.wait_handled(5)
    told = "nobody is subscribed to dead/r: dead letters published there are lost"
    worker.wait_until(lambda: told in worker.texts("log"), what="the warning")
    assert worker.texts("log").count(told) == 1
    assert worker.counters.dead_lettered == 5


def test_what_cannot_get_better_is_not_tried_again(project: Make, publisher: Publisher) -> None:
    here = project("def handle(n, payload: dict): record(n)")
    worker = here.running(template="t/{n:int}", retries=5, retry_delay=30.0)
    publisher.publish("t/1", "no json")
    publisher.publish("t/x", "{}")
    publisher.publish("t/2", "{}")
    worker.wait_handled(3)
    assert here.calls() == ["2"]
    assert (worker.counters.failed, worker.counters.dead_lettered, worker.counters.retried) == (2, 2, 0)
    undecodable, unmatched = here.letters()
    assert (undecodable.cause, undecodable.topic, undecodable.payload) == ("payload", "t/1", b"no json")
    assert undecodable.error.startswith("the payload does not fit: ")
    assert (unmatched.cause, unmatched.topic) == ("payload", "t/x")
    assert "t/{n:int}" in unmatched.error


def test_many_failures_at_once_are_all_stored(project: Make, publisher: Publisher) -> None:
    here = project("""
        import asyncio
        async def handle(n):
            await asyncio.sleep(0)
            raise ValueError(n)
    """)
    worker = here.running(concurrency=10)
    publisher.publish_many(100)
    worker.wait_handled(100)
    worker.drain()
    assert sorted(int(each.topic[2:]) for each in here.letters()) == list(range(100))
    assert 1 <= sum(isinstance(each, GivenUp) for each in worker.reports) <= 12


def test_a_store_that_was_deleted_is_made_anew(project: Make, publisher: Publisher) -> None:
    here = project("def handle(n): raise ValueError(n)")
    worker = here.running()
    publisher.publish_many(1)
    worker.wait_handled(1)
    for file in (here.root / ".routemq").iterdir():
        file.unlink()
    publisher.publish_many(1, first=1)
    worker.wait_handled(2)
    assert [each.topic for each in here.letters()] == ["t/1"]
