"""How a worker leaves: drained, restarted, out of time, or because its engine died."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from routemq_tui.errors import ExitCode
from routemq_tui.worker.spec import (
    Connected,
    Drain,
    Drained,
    Draining,
)
from tests.waiting import wait_until
from tests.worker.harness import Project, Publisher
from tests.worker.proxy import Proxy

Make = Callable[[str], Project]
NO_MATCHING_SUBSCRIBERS = 0x10


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_member_drained_under_load_loses_and_doubles_nothing(
    project: Make, publisher: Publisher, protocol: str
) -> None:
    # given two members of a group, under load
    here = project("""
        def handle(n):
            record(n)
            time.sleep(0.001)
    """)
    stays = here.running(protocol=protocol)
    goes = here.running(protocol=protocol, slot=2, client_id="g-n-r-2")
    load = threading.Thread(target=publisher.publish_many, args=(600, 1, 0, 1500))
    load.start()
    goes.wait_until(lambda: goes.counters.ok > 50, what="the second member works")
    # when one is drained
    code = goes.drain()
    load.join()
    # then it says so, and every message was handled once, by one of them
    assert code == ExitCode.OK
    assert any(isinstance(report, Draining) for report in goes.reports)
    drained = next(report for report in goes.reports if isinstance(report, Drained))
    assert drained.left == 0
    wait_until(lambda: stays.counters.ok + goes.counters.ok >= 600, what="all are handled")
    assert Counter(here.calls()) == Counter(str(number) for number in range(600))
    assert stays.counters.ok > goes.counters.ok > 50


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_drained_session_is_gone(project: Make, publisher: Publisher, protocol: str) -> None:
    here = project("def handle(n): record(n)")
    worker = here.running(protocol=protocol)
    assert worker.drain() == 0
    worker.start()
    assert not worker.wait_for(Connected).session_present


@pytest.mark.parametrize("qos", [1, 2])
def test_a_restart_keeps_the_session_and_every_message(project: Make, publisher: Publisher, qos: int) -> None:
    # given the only worker of a route, under load
    here = project("""
        def handle(n):
            record(n)
            time.sleep(0.001)
    """)
    worker = here.running(qos=qos)
    load = threading.Thread(target=publisher.publish_many, args=(400, qos, 0, 600))
    load.start()
    worker.wait_until(lambda: worker.counters.ok > 50, what="it works")
    # when it is restarted, with messages published while it is away
    assert worker.drain(keep_session=True) == 0
    assert load.is_alive()  # it did not wait for the stream to end
    publisher.publish("t/between", qos=qos).wait_for_publish(5)
    worker.start()
    load.join()
    # then its session was still there and every message was handled once
    assert worker.wait_for(Connected).session_present
    worker.wait_handled(401)
    assert Counter(here.calls()) == Counter(["between", *(str(number) for number in range(400))])


def test_sigterm_is_a_drain_that_keeps_the_session(project: Make, publisher: Publisher) -> None:
    here = project("""
        def handle(n):
            record("begin")
            time.sleep(0.3)
            record("end")
    """)
    worker = here.running()
    publisher.publish_many(1)
    worker.wait_until(lambda: here.calls() == ["begin"], what="the handler begins")
    assert worker.process is not None
    assert worker.process.pid is not None
    # the terminal's signals are the engine's business
    os.kill(worker.process.pid, signal.SIGINT)
    os.kill(worker.process.pid, signal.SIGHUP)
    os.kill(worker.process.pid, signal.SIGTERM)
    assert worker.wait_exit() == ExitCode.OK
    assert here.calls() == ["begin", "end"]
    worker.start()
    assert worker.wait_for(Connected).session_present
    assert worker.counters.in_flight == 0


def test_a_drain_out_of_time_leaves_the_rest_to_the_session(project: Make, publisher: Publisher) -> None:
    # given an async handler that takes longer than the drain may
    here = project("""
        import asyncio
        async def handle(n):
            record(n)
            await asyncio.sleep(60)
    """)
    worker = here.running()
    publisher.publish_many(3)
    worker.wait_until(lambda: worker.counters.in_flight == 3, what="three are in hand")
    # when it is drained
    code = worker.drain(timeout=0.5)
    # then it leaves in time and says what it left, which the session still has
    assert code == ExitCode.OK
    assert next(report for report in worker.reports if isinstance(report, Drained)).left == 3
    worker.start()
    worker.wait_until(lambda: worker.counters.received == 6, what="all come again")


def test_the_engines_death_ends_a_worker_after_its_message(project: Make, publisher: Publisher) -> None:
    here = project("""
        def handle(n):
            record("begin", n)
            time.sleep(0.4)
            record("end", n)
    """)
    worker = here.running(prefetch=1)
    publisher.publish_many(2)
    worker.wait_until(lambda: here.calls() == ["begin 0"], what="the handler begins")
    # when the engine dies
    worker.let_go()
    # then the message is finished and acknowledged, and the process ends by itself
    assert worker.wait_exit() == ExitCode.ENGINE_GONE
    assert here.calls()[:2] == ["begin 0", "end 0"]
    calls = len(here.calls())
    worker.start()
    worker.wait_until(lambda: len(here.calls()) == 4, what="the second is handled")
    assert here.calls()[calls:] in ([], ["begin 1", "end 1"])


@pytest.mark.parametrize("child", ["sleep 60", "trap '' TERM; while :; do sleep 1; done"])
def test_a_handler_that_never_ends_does_not_outlive_the_engine(
    child: str, project: Make, publisher: Publisher
) -> None:
    # given a handler that never ends, with a child process, which may be deaf
    here = project(f"""
        import subprocess
        def handle(n):
            child = subprocess.Popen(["sh", "-c", {child!r}])
            record(child.pid)
            child.wait()
    """)
    worker = here.running(drain_timeout=0.7)
    publisher.publish_many(1)
    worker.wait_until(here.calls, what="the handler begins")
    number = int(here.calls()[0])
    # when the engine dies
    worker.let_go()
    # then both are gone soon after the time a drain may take
    assert worker.wait_exit(4) in (ExitCode.ENGINE_GONE, -signal.SIGKILL)
    wait_until(lambda: not _lives(number), timeout=2, what="the child ends")


def _lives(pid: int) -> bool:
    """A zombie that nobody reaps is not alive."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_worker_may_start_paused(project: Make, publisher: Publisher) -> None:
    here = project("def handle(n): record(n)")
    worker = here.running(paused=True)
    publisher.publish_many(3)
    worker.wait_until(lambda: worker.counters.in_flight == 3, what="messages wait")
    assert worker.drain(keep_session=True) == 0  # what is in hand is finished all the same
    assert here.calls() == ["0", "1", "2"]


def test_a_second_drain_shortens_the_first(project: Make, publisher: Publisher) -> None:
    here = project("""
        import asyncio
        async def handle(n):
            record(n)
            await asyncio.sleep(60)
    """)
    worker = here.running()
    publisher.publish_many(1)
    worker.wait_until(here.calls, what="the handler begins")
    worker.send(Drain(keep_session=True, timeout=60))
    worker.wait_for(Draining)
    began = time.monotonic()
    worker.send(Drain(keep_session=True, timeout=0))
    assert worker.wait_exit() == ExitCode.OK
    assert time.monotonic() - began < 5


def test_a_queue_is_known_to_be_empty_by_two_sentinels(project: Make, publisher: Publisher) -> None:
    # given someone who listens to the private topic
    seen: list[bytes] = []
    publisher.client.on_message = lambda _c, _d, packet: seen.append(packet.payload)
    publisher.client.subscribe("routemq/g-n-r-1/sentinel", 1)
    here = project("def handle(n): record(n)")
    worker = here.running()
    publisher.publish_many(3)
    # when the worker is drained
    worker.drain()
    # then two went there, and neither was handled or counted
    wait_until(lambda: seen == [b"0", b"1"], what="two sentinels")
    assert here.calls() == ["0", "1", "2"]
    assert worker.counters.received == 3


def test_a_drain_whose_connection_breaks_begins_anew(
    project: Make, publisher: Publisher, proxy: Proxy
) -> None:
    # given a drain that has emptied its queue and waits for the message in hand, while others are published
    here = project("""
        import asyncio
        async def handle(n):
            record("begin", n)
            while n == "held" and not os.path.exists(os.path.join(os.path.dirname(__file__), "open")):
                await asyncio.sleep(0.01)
            record("end", n)
    """)
    worker = here.running(port=proxy.port)
    publisher.publish("t/held")
    worker.wait_until(lambda: "begin held" in here.calls(), what="the handler begins")
    worker.send(Drain(keep_session=False, timeout=30.0))
    reasons: list[int] = []
    publisher.client.on_publish = lambda *about: reasons.append(about[3].value)

    def nobody_subscribes() -> bool:
        publisher.publish("t/more").wait_for_publish(5)
        return reasons[-1] == NO_MATCHING_SUBSCRIBERS

    worker.wait_until(nobody_subscribes, what="it has unsubscribed")
    over = threading.Event()

    def publish_on() -> None:
        while not over.wait(0.005):
            publisher.publish("t/more").wait_for_publish(5)

    load = threading.Thread(target=publish_on)
    load.start()
    # when the connection breaks, and the next one is there
    proxy.cut()
    worker.wait_until(lambda: worker.counters.connects == 2, what="it is connected again")
    (here.root / "open").touch()
    try:
        code = worker.wait_exit(10)
    finally:
        over.set()
        load.join()
    # then it takes leave in the middle of the load, long before its time is up, with nothing in hand
    assert code == ExitCode.OK
    assert worker.last(Drained).left == 0
    begun = Counter(call.removeprefix("begin ") for call in here.calls() if call.startswith("begin"))
    ended = Counter(call.removeprefix("end ") for call in here.calls() if call.startswith("end"))
    assert begun - ended <= Counter({"held": 1})  # which may have come again
    worker.start()
    assert not worker.wait_for(Connected).session_present
