"""Bounds of the operating system, and handlers that do not want to end."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from routemq_tui.errors import ExitCode
from routemq_tui.worker.spec import Drain, ImportFailed
from tests.worker.harness import Project, Publisher

Make = Callable[[str], Project]


def test_limits_hold_before_the_handlers_module_is_imported(project: Make) -> None:
    here = project("""
        import resource
        record(*resource.getrlimit(resource.RLIMIT_NOFILE), *resource.getrlimit(resource.RLIMIT_CPU))
        def handle(n): pass
    """)
    worker = here.running(open_files=200, cpu_time=59.5)
    assert here.calls() == ["200 200 60 65"]
    assert worker.drain() == ExitCode.OK


def test_a_limit_the_system_refuses_is_logged(project: Make) -> None:
    worker = project("def handle(n): pass").running(open_files=2**60)
    [line] = [text for text in worker.texts("log") if "open_files" in text]
    assert line.startswith(f"limits.open_files = {2**60} could not be set: ")
    assert "the system allows" in line


def test_too_many_open_files_are_the_handlers_failure(project: Make, publisher: Publisher) -> None:
    here = project("""
        kept = []
        def handle(n):
            try:
                while True:
                    kept.append(open("/dev/null"))
            finally:
                kept.clear()
    """)
    worker = here.running(open_files=60, on_error="drop")
    publisher.publish_many(1)
    worker.wait_handled(1)
    assert any("Too many open files" in text for text in worker.texts("log"))


def test_cpu_time_ends_the_process(project: Make, publisher: Publisher) -> None:
    here = project("""
        def handle(n):
            while True: pass
    """)
    worker = here.running(cpu_time=1.0)
    publisher.publish_many(1)
    assert worker.wait_exit(20) == -signal.SIGXCPU
    assert worker.counters.current_since_ns > 0


def test_several_of_a_sync_handler_are_refused_as_by_check(project: Make) -> None:
    worker = project("def handle(n): pass").worker(concurrency=3)
    worker.start()
    assert worker.wait_exit() == ExitCode.IMPORT_FAILED
    assert worker.last(ImportFailed).reason == (
        "found 3 with a handler that is not async (handlers.py:7) "
        "(it handles one message at a time: add workers, or write it as async def)"
    )


STUBBORN = {
    "ignores SIGTERM": """
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        async def handle(n):
            import asyncio
            record(n)
            await asyncio.sleep(60)
    """,
    "swallows its cancellation": """
        import asyncio
        async def handle(n):
            record(n)
            while True:
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    pass
    """,
    "started children": """
        import asyncio, subprocess
        async def handle(n):
            child = await asyncio.create_subprocess_exec("sleep", "5")
            record(n)
            await child.wait()
    """,
}


@pytest.mark.parametrize("code", STUBBORN.values(), ids=STUBBORN)
def test_a_drain_ends_in_time_whatever_the_handler_does(
    project: Make, publisher: Publisher, code: str
) -> None:
    here = project(code)
    worker = here.running(timeout=0.05 if "swallows" in code else None)
    publisher.publish_many(2)
    worker.wait_until(here.calls, what="the handler begins")
    began = time.monotonic()
    worker.send(Drain(keep_session=True, timeout=0.2))
    assert worker.wait_exit(5) == ExitCode.OK
    assert time.monotonic() - began < 3
    assert worker.counters.acknowledged == 0
