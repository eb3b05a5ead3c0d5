"""From a worker's queue to the store: every line there or counted, each with its own time, in order."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator

import pytest

from routemq_tui.engine.log_pump import LogPump
from routemq_tui.engine.log_store import LogStore
from routemq_tui.engine.port import LogLine
from routemq_tui.engine.process import OutputPipes
from routemq_tui.worker.log_queue import CAPACITY_BYTES, LINE_LIMIT, LogQueue, LogRecord
from tests.waiting import wait_until

SOURCE = "flood/1"


class Way:
    """A worker's log channel and its two raw descriptors, pumped into a store."""

    def __init__(self, capacity: int = CAPACITY_BYTES) -> None:
        self.store = LogStore(64 * 1024 * 1024)
        self.pump = LogPump(self.store)
        (logs, self._logs), (stdout, self._stdout), (stderr, self._stderr) = (
            multiprocessing.Pipe(duplex=False) for _ in range(3)
        )
        self.stdout = self._stdout.fileno()
        self.queue = LogQueue(self._logs, capacity)
        self.pump.watch_worker(SOURCE, OutputPipes(logs, stdout, stderr))

    def put(self, text: str, at: float = 1.0, level: int = 20, stream: str = "log") -> None:
        self.queue.put_nowait(LogRecord(at, level, stream, "app", text))

    def lines(self) -> list[LogLine]:
        return list(self.store.read(limit=1_000_000).lines)

    def end(self) -> list[LogLine]:
        """Close what a worker's end closes, and see the last words through."""
        self.queue.close(5)
        for connection in (self._stdout, self._stderr):
            connection.close()
        self.pump.stop(5)
        return self.lines()


@pytest.fixture
def way() -> Iterator[Way]:
    made = Way()
    made.pump.start()
    yield made
    made.pump.stop(0)


def test_each_line_keeps_its_time_level_and_place(way: Way) -> None:
    for number in range(3000):
        way.put(f"line {number}", at=float(number), level=20 + 10 * (number % 2))
    lines = way.end()
    assert [(line.text, line.time, line.level) for line in lines] == [
        (f"line {number}", float(number), 20 + 10 * (number % 2)) for number in range(3000)
    ]
    assert {(line.source, line.stream, line.logger) for line in lines} == {(SOURCE, "log", "app")}


def test_colours_blank_lines_and_long_lines_arrive_as_what_they_are(way: Way) -> None:
    way.put("\x1b[31mred\x1b[0m\n\nthird")
    way.put("")
    way.put("y" * 3_000_000)
    way.put("\x1b[2Jgone")
    texts = [(line.text, line.ansi) for line in way.end()]
    assert texts[:4] == [("red", "\x1b[31mred\x1b[0m"), ("", None), ("third", None), ("", None)]
    cut = 3_000_000 - LINE_LIMIT
    assert texts[4] == ("y" * LINE_LIMIT + f" … {cut:,} characters more were cut", None)
    assert texts[5:] == [("␛[2Jgone", None)]


def test_lines_stored_and_lines_dropped_are_all_lines() -> None:
    # given a pump that does not read for a while, and more lines than the channel holds
    way = Way(capacity=200_000)
    for number in range(50_000):
        way.put(f"{number:05d} {'x' * 50}")
    assert way.queue.dropped > 0
    # when it reads again, and lines go on
    way.pump.start()
    for number in range(50_000, 60_000):
        way.put(f"{number:05d} {'x' * 50}")
    lines = way.end()
    # then none is missing without account, and they are in order
    assert len(lines) + way.queue.dropped == 60_000
    numbers = [int(line.text[:5]) for line in lines]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 59_999


def test_raw_output_is_read_while_records_come(way: Way) -> None:
    for number in range(200):
        way.put(f"record {number}")
        os.write(way.stdout, f"raw {number}\n".encode())
    wait_until(lambda: len(way.lines()) == 400, what="all lines")
    raw = [line.text for line in way.lines() if line.stream == "stdout"]
    assert raw == [f"raw {number}" for number in range(200)]
