"""Which lines are a traceback: in a record, and line by line as they come on stderr."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from routemq_tui.engine.log_store import LogStore
from routemq_tui.engine.sanitise import clean_batch
from routemq_tui.engine.traceback_lines import TracebackLines, traceback_places
from routemq_tui.worker.log_queue import LogBatch

CHAINED = """
try:
    {}["a"]
except KeyError:
    try:
        int("x")
    except ValueError as error:
        raise RuntimeError("both") from error
"""
GROUP = 'raise ExceptionGroup("many", [ValueError("one"), KeyError("two")])'


def said_by_python(program: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, check=False)
    return done.stderr.splitlines()


@pytest.mark.parametrize("program", ["1 / 0", CHAINED, GROUP, "def f(): f()\nf()"], ids=range(4))
def test_all_that_python_says_on_stderr_belongs_to_the_first_line(program: str) -> None:
    lines = said_by_python(textwrap.dedent(program))
    places = TracebackLines().places(["before", *lines, "after"])
    assert places == list(range(2, len(lines) + 1))


def test_lines_may_come_one_by_one() -> None:
    whole = said_by_python("1 / 0")
    tracebacks = TracebackLines()
    assert [bool(tracebacks.places([text])) for text in [*whole, "later"]] == [
        False,
        *[True] * (len(whole) - 1),
        False,
    ]


def test_two_tracebacks_after_each_other_are_two() -> None:
    whole = said_by_python("1 / 0")
    assert TracebackLines().places([*whole, *whole]) == [
        *range(1, len(whole)),
        *range(len(whole) + 1, 2 * len(whole)),
    ]


def test_of_a_record_only_the_traceback_goes_below_its_line() -> None:
    lines = ["failed", "because of this:", "Traceback (most recent call last):", "  frame", "ValueError: x"]
    assert list(traceback_places(lines)) == [2, 3, 4]
    assert list(traceback_places(lines[2:])) == [1, 2]
    assert list(traceback_places(["a", "b", "  c"])) == []


def test_the_store_keeps_it_through_blocks_and_seals() -> None:
    # given a record with a traceback among others, more lines than a block holds
    store = LogStore(10_000_000)
    text = "failed\nTraceback (most recent call last):\n  frame\nValueError: x"
    texts = [text if number % 400 == 7 else f"line {number}" for number in range(3_000)]
    run, numbers = clean_batch(LogBatch([(20, "log", "")], bytes(3_000), [0.0] * 3_000, texts, {}))
    # when it is stored
    store.add_mixed("a/1", run, ((20, "log", ""),), numbers)
    # then exactly those lines are told to go on
    told = [line.text for line in store.read(limit=10**6).lines if line.continued]
    assert told == text.split("\n")[1:] * 8
