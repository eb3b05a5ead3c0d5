"""What a traceback shows to the author of a handler: their frames, in whatever they lie between."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from routemq_tui.errors import ExitCode
from routemq_tui.middleware import RateLimit, Timing
from routemq_tui.routing.binding import bind
from routemq_tui.routing.message import Message
from routemq_tui.routing.middleware import with_middleware
from routemq_tui.routing.template import Template
from routemq_tui.worker.failure import failed
from tests.worker.harness import Project, Publisher
from tests.worker.test_error_place import module

TEMPLATE = Template.parse("t/{n}")
CODE = """
class Outer:
    async def handle(self, context, next_handler):
        return await next_handler(context)

async def inner(message, call_next):
    return await call_next(message)

def fails(n):
    raise ValueError(n)

def falls_back(n):
    try:
        fails(n)
    except ValueError:
        raise LookupError(n)

def fine(n): pass
"""
Make = Callable[[str], Project]


def names(error: BaseException) -> list[str]:
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def failure_of(handler: Any, *middleware: Any) -> BaseException:
    """As a worker has it, called below a frame of ours."""
    bound = with_middleware(bind(handler, TEMPLATE), middleware)
    message = Message(topic="t/1", payload=b"", params={"n": "1"})
    try:
        result = bound.call(message)
        if bound.is_async:
            asyncio.run(_await(result))
    except Exception as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        found = failed(error.with_traceback(trace), 1).exception
        assert found is not None
        return found
    raise AssertionError("it did not fail")


async def _await(result: Any) -> Any:
    return await result


def of_asyncio(found: list[str]) -> list[str]:
    return [each for each in found if each not in ("run", "run_until_complete", "result", "_await")]


def test_below_middleware_only_theirs_is_left(tmp_path: Path) -> None:
    # given middleware of both forms, one of ours among them
    work = module(tmp_path, CODE)
    error = failure_of(work.fails, Timing(), work.Outer(), RateLimit(1000), work.inner)
    assert of_asyncio(names(error)) == ["handle", "inner", "fails"]
    assert "routemq_tui" not in "".join(traceback.format_exception(error))


def test_what_it_came_of_has_only_theirs_as_well(tmp_path: Path) -> None:
    error = failure_of(module(tmp_path, CODE).falls_back)
    assert names(error) == ["falls_back"]
    assert error.__context__ is not None
    assert names(error.__context__) == ["falls_back", "fails"]


def test_a_middleware_of_ours_that_fails_is_seen(tmp_path: Path) -> None:
    work = module(tmp_path, CODE)

    class Broken(RateLimit):
        def _bucket(self, key: object) -> Any:
            del self._buckets
            return super()._bucket(key)

    found = of_asyncio(names(failure_of(work.fine, work.Outer(), Broken(5))))
    assert (found[0], found[-1]) == ("handle", "_bucket")
    # but a function given to it, which fails, is its author's
    found = of_asyncio(names(failure_of(work.fine, RateLimit(5, key=lambda _: work.fails(1)))))
    assert found == ["<lambda>", "fails"]


def test_the_log_and_the_letter_of_a_worker(project: Make, publisher: Publisher) -> None:
    here = project(f"""{CODE}
async def handle(n):
    fails(n)
""")
    worker = here.running(middleware=("handlers:Outer", "handlers:inner"))
    publisher.publish_many(1)
    worker.wait_handled(1)
    (letter,) = here.letters()
    (line,) = [each.text for each in worker.logs if "ValueError" in each.text]
    for text in (letter.traceback, line):
        assert text.count("  File ") == text.count("handlers.py") == 4
        assert "in inner" in text


# A worker that does not begin


def log_of_start(here: Project, **changes: Any) -> str:
    worker = here.worker(**changes)
    worker.start()
    assert worker.wait_exit() == ExitCode.IMPORT_FAILED
    (text,) = [each.text for each in worker.logs if each.logger == "routemq.worker" and each.level >= 40]
    return text


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("def handle(n, context): pass", "nothing is known for the parameter 'context'"),
        ("def handle(n: 'Unknown'): pass", "the annotation of 'n' cannot be resolved"),
        ("def other(n): pass", "has no 'handle'"),
    ],
)
def test_what_we_find_wrong_is_one_line(project: Make, code: str, why: str) -> None:
    text = log_of_start(project(code))
    assert why in text
    assert "\n" not in text


def test_a_module_that_is_not_there_is_one_line(project: Make) -> None:
    text = log_of_start(project(""), handler="nowhere:handle")
    assert "there is no module 'nowhere'" in text
    assert "\n" not in text


def test_a_module_that_raises_shows_its_own_frames(project: Make) -> None:
    here = project("def connect():\n    raise OSError('no database')\n")
    (here.root / "deeper.py").write_text("import handlers\nhandlers.connect()\n")
    text = log_of_start(here, handler="deeper:handle")
    assert "Traceback (most recent call last):" in text
    assert [line.split(", in ")[-1] for line in text.splitlines() if line.startswith("  File ")] == [
        "<module>",
        "connect",
    ]
