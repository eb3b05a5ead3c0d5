"""The handler of `log_flood.py`: some work, then so many lines as the message says, and notes of both.

The notes are a file per worker that is mapped into memory, so that what a worker has said is known even if it
is killed: four words (lines, messages, two spare), then four for each message: phase, and nanoseconds of the
work, of its CPU time, and of the lines.
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import time
from functools import cache
from pathlib import Path

MESSAGES = 60_000
NOTE = 4
"""Words of a note."""
PHASES = ("silent", "thrown away", "flood")
TEXT = "device %s reads %.1f degrees, which is what it read before, and nobody is surprised"
RECORD = json.dumps({"device": "d-17", "values": list(range(100)), "note": "x" * 200})

_loud = logging.getLogger("app.handlers")
_quiet = logging.getLogger("app.quiet")
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False
_nowhere = Path(os.devnull).open("w")  # noqa: SIM115 - for as long as the process lives


@cache
def notes() -> memoryview:
    """The notes of this process, in its current folder."""
    with Path(f"notes-{os.getpid()}").open("wb+") as file:
        file.truncate(8 * NOTE * (MESSAGES + 1))
        return memoryview(mmap.mmap(file.fileno(), 0)).cast("q")


def handle(payload: dict) -> None:  # type: ignore[type-arg]
    phase, lines = payload["phase"], payload["lines"]
    begun, used = time.perf_counter_ns(), time.thread_time_ns()
    for _ in range(10):
        json.dumps(json.loads(RECORD))
    used, worked = time.thread_time_ns() - used, time.perf_counter_ns()
    if phase:
        say(lines, _loud if phase == 2 else _quiet, None if phase == 2 else _nowhere)
    said = time.perf_counter_ns()
    words = notes()
    if phase == 2:
        words[0] += lines
    place = NOTE * (words[1] + 1)
    note = (phase, worked - begun, used, said - worked)
    for each, word in enumerate(note, place):
        words[each] = word
    words[1] += 1


def say(lines: int, log: logging.Logger, out: object) -> None:
    """Half of them logged, half printed."""
    for number in range(lines):
        if number % 2:
            print(TEXT % (number, 21.5), file=out)  # type: ignore[call-overload]
        else:
            log.info(TEXT, number, 21.5)
