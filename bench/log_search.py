"""What log store and view cost over 1,000,000 stored lines: append, memory, pauses, filter, search, keys.

The lines are those of 8 workers, with and without colours and wide characters. Filters and searches go over
all of them as the view has it done, without the rests that it leaves for keys; then keys are pressed in the
view itself, headless, while a filter or a search runs over all lines and a thread adds more (made harmless
before: what that costs is told by `log_flood.py`).

    .venv/bin/python bench/log_search.py [--lines 1000000] [--flood 100000] [--keys 100]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import platform
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import textual
from textual import events

sys.path.insert(0, str(Path(__file__).parents[1]))

from machine import machine, percentile
from screen import TimedApp, TimedScreen

from routemq_tui.engine.log_filter import LogFilter
from routemq_tui.engine.log_store import LogStore
from routemq_tui.engine.sanitise import CleanLine, CleanRun, clean_lines
from routemq_tui.tui.app import collect_rarely
from routemq_tui.tui.logs.index import LogIndex
from routemq_tui.tui.logs.page import ALL
from routemq_tui.tui.logs.scan import LogSearch, LogWork
from routemq_tui.tui.rows import EVERYTHING
from tests.fakes.flood import FloodEngine

SOURCES = [f"route-0{number}/1" for number in range(8)]
BATCH = 100
MEMORY = 512 * 1024**2
TEXTS = (
    "device {0} reads {1}.5 C at valve {2}",
    "GET /devices/{0}/state 200 in {1} ms, 512 bytes",
    "\x1b[32mstored\x1b[0m reading {0} of \x1b[1;36mdevice {2}\x1b[0m",
    "Lager 漢字 {0}: {1} °C",
    "retrying message {0} of sensors/{2}/temperature: timed out after {1} s",
)
FILTERS = (
    ("rare literal", LogFilter.parse("reads 7.5 c at valve 77")),
    ("literal in no line", LogFilter.parse("nowhere")),
    ("common literal", LogFilter.parse("device")),
    ("inverted", LogFilter.parse("!device")),
    ("regex with a literal in it", LogFilter.parse(r"timed out after [89]\d? s$")),
    ("alternatives", LogFilter.parse("timed out|refused|reset")),
    ("regex without one", LogFilter.parse(r"\d{5}\s")),
    ("level error", LogFilter(level=40)),
)
SEARCHES = (
    ("literal in no line", LogFilter.parse("nowhere")),
    ("near the end", LogFilter.parse("timed out")),
    ("regex in no line", LogFilter.parse(r"\d{9}")),
)
Row = tuple[str, str]


class Pauses:
    """How long the garbage collector stopped everything."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._begun = 0.0
        gc.callbacks.append(self._note)

    def _note(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._begun = time.perf_counter()
        else:
            self.longest = max(self.longest, time.perf_counter() - self._begun)

    def stop(self) -> None:
        gc.callbacks.remove(self._note)


def lines_of(batch: int) -> list[CleanLine]:
    texts = (
        TEXTS[line % len(TEXTS)].format(batch * BATCH + line, line % 90, batch % 1000)
        for line in range(BATCH)
    )
    return clean_lines("\n".join(texts))


def fill(store: LogStore, lines: int) -> list[Row]:
    """Store so many lines; only the storing is measured."""
    kept = [lines_of(batch) for batch in range(100)]
    process, pauses = psutil.Process(), Pauses()
    empty = timed(gc.collect)
    before, cpu, longest = process.memory_info().rss, 0.0, 0.0
    for batch in range(lines // BATCH):
        given = kept[batch % 100] if batch % 10 else lines_of(batch)
        level = 40 if batch % 50 == 0 else 20
        begun = time.thread_time()
        store.add(SOURCES[batch % len(SOURCES)], given, level, "stdout")
        taken = time.thread_time() - begun
        cpu += taken
        longest = max(longest, taken)
    pauses.stop()
    full = timed(gc.collect)
    grown = process.memory_info().rss - before
    held = sum(len(block) for holding in store.holdings() for block in holding.blocks)
    single = append_singly()
    return [
        (
            "append, 100 lines at once",
            f"{cpu / lines * 1e6:.2f} us a line, longest call {longest * 1000:.1f} ms",
        ),
        ("append, a line at once", f"{single:.2f} us a line"),
        (
            "memory",
            f"{store.bytes / held:.0f} bytes a line as counted, {grown / held:.0f} of RSS ({held:,} held)",
        ),
        (
            "garbage collection",
            f"longest pause while storing {pauses.longest * 1000:.1f} ms, a whole one {full * 1000:.1f} ms, "
            f"{empty * 1000:.1f} ms before",
        ),
    ]


def append_singly(lines: int = 100_000) -> float:
    store = LogStore(MEMORY)
    given = [line for batch in range(10) for line in lines_of(batch)]
    begun = time.thread_time()
    for number in range(lines):
        store.add(SOURCES[number % 8], [given[number % 1000]], 20, "log", "app")
    return (time.thread_time() - begun) / lines * 1e6


def timed(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def filters(store: LogStore) -> list[Row]:
    rows = []
    for name, chosen in FILTERS:
        index = LogIndex()
        index.set_filter(chosen)
        index.look(store.holdings())
        work = LogWork(index)
        work.came(ALL)
        first = 0.0
        total = 0.0
        slices = []
        more = True
        while more:
            begun = time.perf_counter()
            more = work.slice(0.005)
            slices.append(time.perf_counter() - begun)
            total += slices[-1]
            if not first and len(index) >= 30:
                first = total
        told = f"first screen {first * 1000:.0f} ms, " if first else ""
        rows.append(
            (
                f"filter, {name}",
                f"{told}all {total * 1000:.0f} ms, {len(index):,} lines, "
                f"longest slice {max(slices) * 1000:.0f} ms",
            )
        )
    return rows


def searches(store: LogStore) -> list[Row]:
    index = LogIndex()
    index.look(store.holdings())
    rows = []
    for name, wanted in SEARCHES:
        search = LogSearch(index, wanted, ALL, -1)
        taken = timed(lambda search=search: search.slice(float("inf")))  # type: ignore[misc]
        rows.append((f"search, {name}", f"{taken * 1000:.1f} ms"))
    rows.append(("oldest, newest and a middle line", _places(index)))
    return rows


def _places(index: LogIndex) -> str:
    taken = [
        timed(lambda: next(index.forward(0)).line),
        timed(lambda: next(index.backward(ALL)).line),
        timed(lambda: index.at(len(index) // 2)),
    ]
    return ", ".join(f"{each * 1000:.1f}" for each in taken) + " ms"


async def in_the_view(store: LogStore, flood: int, keys: int) -> list[Row]:
    engine = FloodEngine(0)
    engine.store = engine.logs = store  # type: ignore[assignment]
    app = TimedApp(engine)
    rows: list[Row] = []
    ended = threading.Event()
    writer = threading.Thread(target=write, args=(store, flood, ended))
    async with app.run_test(size=(120, 36)):
        screen = app.screen_stack[0]
        assert isinstance(screen, TimedScreen)
        writer.start()
        screen.table.select(EVERYTHING)
        screen.action_pane("logs")
        await asyncio.sleep(1)
        screen.logs.toggle_follow()
        still = [await key(app, screen) for _ in range(keys)]
        rows.append((f"key, {flood:,} lines/s come", in_ms(still)))
        begins: tuple[tuple[str, Callable[[], None]], ...] = (
            ("a filter runs", lambda: screen.logs.set_filter(LogFilter.parse(rf"\d{{5}}\s|{time.time()}"))),
            ("a search runs", lambda: screen.logs.find(LogFilter.parse(r"\d{9}"), -1, lambda went: None)),
        )
        for name, begin in begins:
            taken: list[float] = []
            runs = 0
            screen.logs.set_filter(LogFilter())
            while len(taken) < keys:
                if not busy(screen):
                    begin()
                    runs += 1
                    while busy(screen) and screen.logs.status.shown < keys:
                        await asyncio.sleep(0.01)  # without lines a key has no effect to wait for
                taken.append(await key(app, screen))
            screen.logs.cancel()
            rows.append((f"key while {name}", f"{in_ms(taken)}, begun {runs} times"))
        screen.logs.set_filter(LogFilter())
        begun = time.perf_counter()
        screen.logs.set_filter(LogFilter.parse(r"\d{5}\s"))
        while busy(screen):
            await asyncio.sleep(0.01)
        told = f"{time.perf_counter() - begun:.1f} s for {screen.logs.status.held:,} lines"
        rows.append(("the filter in the view, to its end", told))
        ended.set()
        writer.join()
    return rows


def write(store: LogStore, rate: int, ended: threading.Event) -> None:
    """Add so many lines a second, those that are due every 20 ms."""
    runs = [
        CleanRun([line.text for line in lines_of(batch)], [time.time()] * BATCH, {}) for batch in range(50)
    ]
    begun, written = time.monotonic(), 0
    while not ended.wait(0.02):
        due = int((time.monotonic() - begun) * rate)
        while written < due:
            batch = written // BATCH
            store.add_run(SOURCES[batch % len(SOURCES)], runs[batch % 50], 20, "stdout")
            written += BATCH


def busy(screen: TimedScreen) -> bool:
    return bool(screen.logs.status.busy)


async def key(app: TimedApp, screen: TimedScreen) -> float:
    """From the key's arrival to the frame that shows its effect."""
    before = screen.logs._current
    begun = time.perf_counter()
    app.post_message(events.Key("k", "k"))
    while screen.logs._current == before:
        if time.perf_counter() - begun > 2:
            return 2.0
        await asyncio.sleep(0)
    count = len(screen.frames)
    while len(screen.frames) == count and time.perf_counter() - begun < 2:
        await asyncio.sleep(0)
    taken = time.perf_counter() - begun
    await asyncio.sleep(0.02)
    return taken


def in_ms(values: list[float]) -> str:
    return ", ".join(
        f"{name} {percentile(values, at) * 1000:.0f} ms"
        for name, at in (("p50", 50), ("p95", 95), ("max", 100))
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--flood", type=int, default=100_000, help="lines a second while keys are pressed")
    parser.add_argument("--keys", type=int, default=100)
    given = parser.parse_args()
    store = LogStore(MEMORY)
    rows = [
        ("machine", machine()),
        ("versions", f"Python {platform.python_version()}, Textual {textual.__version__}"),
        ("lines", f"{given.lines:,} of {len(SOURCES)} workers"),
    ]
    rows += fill(store, given.lines)
    collect_rarely()
    rows += filters(store)
    rows += searches(store)
    rows += asyncio.run(in_the_view(store, given.flood, given.keys))
    width = max(len(label) for label, _ in rows)
    for label, value in rows:
        print(f"{label:<{width}}  {value}")


if __name__ == "__main__":
    main()
