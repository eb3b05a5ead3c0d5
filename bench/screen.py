"""What the screen costs: 64 workers in 40 routes at 4 Hz and a flood of log lines, with a played engine.

Once headless (Textual's pilot) and once in a real terminal (tmux 120x36): CPU of the whole process, the flood
and the store included; the time from a key to its effect; the time of a frame. Filter and search are in
`log_search.py`.

    .venv/bin/python bench/screen.py [--lines 50000] [--seconds 10] [--keys 60] [--no-tmux]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import textual
from textual import events

sys.path.insert(0, str(Path(__file__).parents[1]))

from machine import machine
from terminal import HEIGHT, WIDTH, Terminal, cpu_seconds

import routemq_tui.tui.app
from routemq_tui.tui.app import RouteMQApp, collect_rarely
from routemq_tui.tui.screens.main import MainScreen
from tests.fakes.flood import FloodEngine

SETTLE = 2.0
TITLE_ROW = 2
"""The line of the detail's heading, which names the selection."""


class TimedScreen(MainScreen):
    """Notes how long each frame takes to be made and written."""

    frames: list[float]

    def _compositor_refresh(self) -> None:
        begun = time.perf_counter()
        super()._compositor_refresh()
        self.frames.append(time.perf_counter() - begun)


class TimedApp(RouteMQApp):
    CSS_PATH = str(Path(routemq_tui.tui.app.__file__).with_name("app.tcss"))

    def get_default_screen(self) -> TimedScreen:
        screen = TimedScreen(self._engine, self._tick, self.habits)
        screen.frames = []
        return screen


def percentile(values: Sequence[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else 0.0


def in_ms(values: Sequence[float]) -> str:
    middle, late, last = (percentile(values, each) * 1000 for each in (50, 95, 100))
    return f"p50 {middle:.1f}  p95 {late:.1f}  max {last:.1f} ms ({len(values)})"


# Headless


async def headless(lines: int, seconds: float, keys: int) -> list[tuple[str, str]]:
    engine = FloodEngine(lines)
    app = TimedApp(engine)
    collect_rarely()
    rows = []
    async with app.run_test(size=(WIDTH, HEIGHT)):
        engine.start()
        await asyncio.sleep(SETTLE)
        screen = app.screen_stack[0]
        assert isinstance(screen, TimedScreen)
        screen.frames.clear()
        share = await _cpu(seconds)
        latencies = [await _key_to_selection(app, screen, index) for index in range(keys)]
        rows += [
            ("headless: CPU of one core", f"{share:.0f} %"),
            ("headless: key to frame", in_ms(latencies)),
            ("headless: frame", in_ms(screen.frames)),
            ("headless: lines taken by the store", f"{engine.store.last_seq:,}"),
        ]
        engine.stop()
    return rows


async def _cpu(seconds: float) -> float:
    begun, used = time.monotonic(), time.process_time()
    await asyncio.sleep(seconds)
    return 100 * (time.process_time() - used) / (time.monotonic() - begun)


async def _key_to_selection(app: RouteMQApp, screen: TimedScreen, index: int) -> float:
    """From the key's arrival to the frame that shows its effect."""
    before = screen.table.selected
    key = "j" if index // 20 % 2 == 0 else "k"
    begun = time.perf_counter()
    app.post_message(events.Key(key, key))
    while screen.table.selected == before:
        await asyncio.sleep(0)
    count = len(screen.frames)
    while len(screen.frames) == count:
        await asyncio.sleep(0)
    taken = time.perf_counter() - begun
    await asyncio.sleep(0.037)
    return taken


def _time(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


# In a real terminal


def child(lines: int, report: str) -> None:
    """The program in the terminal; says at its end what its frames took."""
    engine = FloodEngine(lines)
    engine.stops_when_asked()
    app = TimedApp(engine)
    screens: list[TimedScreen] = []

    def begin() -> None:
        engine.start()
        screens.extend(each for each in app.screen_stack if isinstance(each, TimedScreen))
        Path(report + ".ready").touch()

    app.call_later(begin)
    collect_rarely()
    app.run()
    Path(report).write_text(json.dumps({"frames": screens[0].frames, "stored": engine.store.last_seq}))


def title(screen: list[str]) -> str:
    return screen[TITLE_ROW] if len(screen) > TITLE_ROW else ""


def terminal(lines: int, seconds: float, keys: int) -> list[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report = folder / "report.json"
        pane = Terminal(folder, f"exec {sys.executable} {__file__} --child {report} --lines {lines}")
        try:
            _wait(lambda: Path(f"{report}.ready").exists(), "the screen is there")
            time.sleep(SETTLE)
            begun, used = time.monotonic(), cpu_seconds(pane.pid)
            time.sleep(seconds)
            share = 100 * (cpu_seconds(pane.pid) - used) / (time.monotonic() - begun)
            looks = [_time(pane.screen) for _ in range(20)]
            latencies = []
            for index in range(keys):
                latencies.append(pane.until_changed(title, "j" if index // 20 % 2 == 0 else "k"))
                time.sleep(0.037)
            pane.keys("q")
            _wait(report.exists, "the program has ended")
            told = json.loads(report.read_text())
        finally:
            pane.close()
    return [
        ("tmux: CPU of one core", f"{share:.0f} %"),
        ("tmux: key to the pane", in_ms(latencies)),
        ("  of which one look at the pane", in_ms(looks)),
        ("tmux: frame", in_ms(told["frames"])),
        ("tmux: lines taken by the store", f"{told['stored']:,}"),
    ]


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within 20 s: {what}")
        time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=50_000, help="log lines a second")
    parser.add_argument("--seconds", type=float, default=10.0, help="for which the CPU is measured")
    parser.add_argument("--keys", type=int, default=60)
    parser.add_argument("--no-tmux", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.lines, given.child)
        return
    rows = [
        ("machine", machine()),
        ("versions", f"Python {platform.python_version()}, Textual {textual.__version__}"),
        ("load", f"64 workers, 40 routes, 4 Hz, {given.lines:,} lines/s, {WIDTH}x{HEIGHT}"),
    ]
    rows += asyncio.run(headless(given.lines, given.seconds, given.keys))
    if not given.no_tmux and shutil.which("tmux"):
        rows += terminal(given.lines, given.seconds, given.keys)
    width = max(len(label) for label, _ in rows)
    for label, value in rows:
        print(f"{label:<{width}}  {value}")


if __name__ == "__main__":
    main()
