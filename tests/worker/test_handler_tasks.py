"""Handlers that meddle with the task they run on, and processes that they fork."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from routemq_tui.errors import ExitCode
from tests.worker.harness import Project, Publisher

Make = Callable[[str], Project]


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("then", ["await asyncio.sleep(1)", "pass"])
def test_a_handler_that_cancels_its_own_task_costs_its_message_only(
    project: Make, publisher: Publisher, concurrency: int, then: str
) -> None:
    here = project(f"""
        import asyncio
        async def handle(n):
            if n == "0":
                asyncio.current_task().cancel()
                {then}
            else:
                await asyncio.sleep(0)
            record(n)
    """)
    worker = here.running(concurrency=concurrency)
    publisher.publish_many(40)
    worker.wait_handled(40)
    lost = then != "pass"
    assert worker.counters.failed == lost
    assert sorted(map(int, here.calls())) == list(range(int(lost), 40))
    assert worker.process is not None
    assert worker.process.is_alive()
    assert worker.drain() == ExitCode.OK


def test_a_task_that_is_cancelled_later_costs_no_message(project: Make, publisher: Publisher) -> None:
    # given a handler that cancels its task when it has long been another message's
    here = project("""
        import asyncio
        async def handle(n):
            asyncio.get_running_loop().call_later(0.05, asyncio.current_task().cancel)
            record(n)
    """)
    worker = here.running()
    publisher.publish_many(1)
    worker.wait_handled(1)
    publisher.publish_many(60, first=1, per_second=200)
    worker.wait_handled(61)
    assert worker.counters.ok == 61
    assert worker.drain() == ExitCode.OK


def test_a_pool_of_forked_processes_is_no_part_of_the_worker(project: Make, publisher: Publisher) -> None:
    # given a handler whose children are ended by SIGTERM, and log and print much
    here = project("""
        import logging, multiprocessing, sys
        def work(n):
            for each in range(300):
                logging.info("child %d %s", n, "x" * (each % 300))
            print("printed", n)
            print("complained", n, file=sys.stderr)
            return n
        def handle(n):
            logging.info("before")
            with multiprocessing.get_context("fork").Pool(2) as pool:
                pool.map(work, range(4))
            logging.info("after %s", n)
    """)
    worker = here.running()
    publisher.publish_many(3)
    worker.wait_handled(3)
    # then the worker stays, its own log is whole, and the children's lines are there as well
    worker.wait_until(lambda: "after 2" in worker.texts("log"), what="the last line")
    assert worker.texts("log").count("before") == 3
    assert not any("child" in text for text in worker.texts("log"))
    worker.wait_until(
        lambda: worker.raw["stderr"].count(b"INFO:root:child ") == 3 * 4 * 300, what="the children's lines"
    )
    assert worker.raw["stdout"].count(b"printed ") == 12
    assert worker.raw["stderr"].count(b"complained ") == 12
    assert worker.counters.log_dropped == 0
    assert worker.process is not None
    assert worker.process.is_alive()
    assert worker.drain() == ExitCode.OK


LEAVING = {
    "returns": ("pass", 0),
    "exits": ("sys.exit(3)", 3),
    "exits at once": ("os._exit(4)", 4),
    "fails": ("raise ValueError('in the child')", 1),
    "awaits": ("await asyncio.sleep(0.1)", 1),
}


@pytest.mark.parametrize(
    ("form", "leaving"),
    [
        (form, leaving)
        for form in ("plain", "async", "several")
        for leaving in LEAVING
        if (form, leaving) != ("plain", "awaits")
    ],
)
def test_a_forked_child_that_leaves_its_handler_is_no_second_worker(
    project: Make, publisher: Publisher, form: str, leaving: str
) -> None:
    code, status = LEAVING[leaving]
    here = project(f"""
        import asyncio, sys
        {"" if form == "plain" else "async "}def handle(n):
            child = os.fork()
            if child == 0:
                record("child", n)
                {code}
            else:
                record("parent", n, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """)
    worker = here.running(concurrency=4 if form == "several" else 1)
    publisher.publish_many(20)
    worker.wait_handled(20)
    assert worker.counters.ok == 20
    assert worker.counters.connects == 1
    numbers = map(str, range(20))
    assert sorted(here.calls()) == sorted(
        line for n in numbers for line in (f"child {n}", f"parent {n} {status}")
    )
    assert not any("please report" in text for text in worker.texts("log"))
    assert worker.drain() == ExitCode.OK


def test_a_handler_that_publishes_without_rest_keeps_its_connection(
    project: Make, publisher: Publisher, tmp_path: Path
) -> None:
    # given a handler that publishes at QoS 0, which nothing answers, for twice the broker's patience
    here = project("""
        import asyncio
        async def handle(client):
            for _ in range(60):
                client.publish("progress", b"", 0)
                await asyncio.sleep(0.05)
    """)
    worker = here.running(keepalive=1)
    publisher.publish_many(1)
    worker.wait_handled(1)
    assert worker.counters.ok == 1
    assert worker.counters.connects == 1
