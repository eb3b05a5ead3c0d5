"""What the screen costs: 64 workers in 40 routes at 4 Hz and a flood of log lines, with a played engine.

Once headless (Textual's pilot) and once in a real terminal (tmux 120x36): CPU of the whole process, the flood
and the store included; the time from a key to its effect; the time of a frame. Then a filter and a search of
a full view. In tmux a key's time holds `send-keys` and polls of `capture-pane`; what one costs is printed.

    .venv/bin/python bench/screen.py [--lines 50000] [--seconds 10] [--keys 60] [--no-tmux]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import textual
from textual import events

sys.path.insert(0, str(Path(__file__).parents[1]))

import routemq_tui.tui.app
from routemq_tui.tui.app import RouteMQApp, collect_rarely
from routemq_tui.tui.log_buffer import LogFilter, expression_of
from routemq_tui.tui.screens.main import MainScreen
from tests.fakes.flood import FloodEngine

WIDTH, HEIGHT = 120, 36
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
        screen = TimedScreen(self._engine, self._tick)
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
        rows += _view_costs(screen)
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


def _view_costs(screen: TimedScreen) -> list[tuple[str, str]]:
    """What filter and search cost on the lines a view holds; it holds no more than these."""
    logs = screen.logs
    held = logs.status.held
    stored = sum(1 for _ in screen._engine.logs.read(None, 0, 10_000_000).lines)

    def timed(action: Callable[[], object]) -> str:
        return in_ms([_time(action) for _ in range(10)])

    chosen, expression = LogFilter.parse("device 7[0-9]+"), expression_of("nothing has this")
    rows = [
        (f"filter: {held:,} lines of the view", timed(lambda: logs.set_filter(chosen))),
        ("filter taken away", timed(lambda: logs.set_filter(LogFilter()))),
    ]
    logs.set_search(expression)
    rows.append((f"search without a match: {held:,} lines", timed(lambda: logs.find_match(-1))))
    rows.append(("lines in the store, not searched", f"{max(0, stored - held):,} of {stored:,}"))
    return rows


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


class Tmux:
    def __init__(self, folder: Path) -> None:
        self._base = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]

    def run(self, *command: str) -> str:
        return subprocess.run([*self._base, *command], check=True, capture_output=True, text=True).stdout

    def start(self, command: str) -> None:
        self.run("new-session", "-d", "-x", str(WIDTH), "-y", str(HEIGHT), command)
        self.run("set-option", "-g", "status", "off")
        self.run("resize-window", "-x", str(WIDTH), "-y", str(HEIGHT))

    @property
    def pid(self) -> int:
        return int(self.run("display", "-p", "#{pane_pid}"))

    def heading(self) -> str:
        return self.run("capture-pane", "-p", "-S", str(TITLE_ROW), "-E", str(TITLE_ROW)).rstrip()

    def stop(self) -> None:
        subprocess.run([*self._base, "kill-server"], check=False, capture_output=True)


def terminal(lines: int, seconds: float, keys: int) -> list[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report = folder / "report.json"
        tmux = Tmux(folder)
        try:
            tmux.start(f"exec {sys.executable} {__file__} --child {report} --lines {lines}")
            _wait(lambda: Path(f"{report}.ready").exists(), "the screen is there")
            time.sleep(SETTLE)
            pid = tmux.pid
            begun, used = time.monotonic(), _ticks(pid)
            time.sleep(seconds)
            share = 100 * (_ticks(pid) - used) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - begun)
            polls = [_time(tmux.heading) for _ in range(20)]
            latencies = [_key_in_tmux(tmux, index) for index in range(keys)]
            tmux.run("send-keys", "q")
            _wait(report.exists, "the program has ended")
            told = json.loads(report.read_text())
        finally:
            tmux.stop()
    return [
        ("tmux: CPU of one core", f"{share:.0f} %"),
        ("tmux: key to capture-pane", in_ms(latencies)),
        ("  of which one look at the pane", in_ms(polls)),
        ("tmux: frame", in_ms(told["frames"])),
        ("tmux: lines taken by the store", f"{told['stored']:,}"),
    ]


def _key_in_tmux(tmux: Tmux, index: int) -> float:
    before = tmux.heading()
    begun = time.perf_counter()
    tmux.run("send-keys", "j" if index // 20 % 2 == 0 else "k")
    while tmux.heading() == before:
        if time.perf_counter() - begun > 10:
            raise SystemExit("no key answered within 10 s")
    taken = time.perf_counter() - begun
    time.sleep(0.037)
    return taken


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within 20 s: {what}")
        time.sleep(0.05)


def _machine() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    load = os.getloadavg()[0]
    return f"{model}, {os.cpu_count()} cores, load {load:.1f}"


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
        ("machine", _machine()),
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
