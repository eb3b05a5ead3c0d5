"""What the screen costs, in a pseudo-terminal of its own and headless (Textual's pilot), at 120x36.

64 workers in 40 routes whose figures all change at 4 Hz, played in the same process: without log lines, and
with a flood of them. CPU is that of the whole process, in per cent of a core; a key's time is from the key to
the bytes that show its effect; a frame's, to compose, draw and write it. Then the real program with workers
that have nothing to do, and what the engine's part of it costs. Filter and search: `log_search.py`.

    .venv/bin/python bench/screen.py [--lines 50000] [--seconds 10] [--keys 100] [--no-headless]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import textual
from textual import events

sys.path.insert(0, str(Path(__file__).parents[1]))

from machine import machine, percentile
from own_pty import HEIGHT, WIDTH, OwnPty
from start import PROGRAM, project

import routemq_tui.tui.app
from routemq_tui.config.load import load
from routemq_tui.engine.commands import Stop
from routemq_tui.engine.engine import Engine
from routemq_tui.tui.app import RouteMQApp, collect_rarely
from routemq_tui.tui.screens.main import MainScreen
from tests.fakes.flood import FloodEngine

SETTLE = 2.0
HEADING = r"Detail (route-\S+)"
BETWEEN = 0.037
"""Seconds from one key to the next: out of step with the ticks."""


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


def in_ms(values: Sequence[float]) -> str:
    middle, late, last = (percentile(values, each) * 1000 for each in (50, 95, 100))
    return f"p50 {middle:5.1f}  p95 {late:5.1f}  max {last:5.1f} ms ({len(values)})"


def key_of(index: int) -> str:
    """Down twenty rows and up again."""
    return "j" if index // 20 % 2 == 0 else "k"


# Headless


async def headless(lines: int, seconds: float, keys: int) -> None:
    engine = FloodEngine(lines)
    app = TimedApp(engine)
    collect_rarely()
    async with app.run_test(size=(WIDTH, HEIGHT)):
        engine.start()
        await asyncio.sleep(SETTLE)
        screen = app.screen_stack[0]
        assert isinstance(screen, TimedScreen)
        screen.frames.clear()
        begun, used = time.monotonic(), time.process_time()
        await asyncio.sleep(seconds)
        share = 100 * (time.process_time() - used) / (time.monotonic() - begun)
        frames = list(screen.frames)
        latencies = [await _key_to_frame(app, screen, index) for index in range(keys)]
        engine.stop()
    tell("headless", lines, share, latencies, frames)


async def _key_to_frame(app: RouteMQApp, screen: TimedScreen, index: int) -> float:
    """From the key's arrival to the frame that shows its effect."""
    before, key = screen.table.selected, key_of(index)
    begun = time.perf_counter()
    app.post_message(events.Key(key, key))
    while screen.table.selected == before:
        await asyncio.sleep(0)
    count = len(screen.frames)
    while len(screen.frames) == count:
        await asyncio.sleep(0)
    taken = time.perf_counter() - begun
    await asyncio.sleep(BETWEEN)
    return taken


# In a terminal


def child(lines: int, report: str) -> None:
    """The program in the terminal; says at its end what its frames took."""
    engine = FloodEngine(lines)
    engine.stops_when_asked()
    app = TimedApp(engine)
    screens: list[TimedScreen] = []

    def begin() -> None:
        engine.start()
        screens.extend(each for each in app.screen_stack if isinstance(each, TimedScreen))

    app.call_later(begin)
    collect_rarely()
    app.run()
    Path(report).write_text(json.dumps(screens[0].frames))


def terminal(lines: int, seconds: float, keys: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        report = Path(name) / "report.json"
        words = [str(Path(__file__).resolve()), "--child", str(report), "--lines", str(lines)]
        program = OwnPty(words, Path(name))
        try:
            program.wait_for("route / worker")
            program.drain(SETTLE)
            share = program.share(seconds)
            latencies = [_key_to_bytes(program, index) for index in range(keys)]
        finally:
            program.stop()
        tell("terminal", lines, share, latencies, json.loads(report.read_text())[10:])


def _key_to_bytes(program: OwnPty, index: int) -> float:
    """The heading of the detail is drawn when the selection is another, and only then."""
    begun = time.perf_counter()
    program.press(key_of(index))
    program.wait_for(HEADING)
    taken = time.perf_counter() - begun
    program.drain(BETWEEN)
    return taken


# The real program


def idle(workers: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        project(Path(name), 1, workers)
        program = OwnPty([*PROGRAM[1:], "run"], Path(name))
        try:
            program.wait_for("route / worker")
            program.drain(SETTLE + workers / 16)
            share = program.share(seconds)
        finally:
            program.stop()
    say(f"the real program, {workers} idle worker{'s' if workers > 1 else ''}", f"{share:.1f} % of a core")


def snapshots(workers: int, rounds: int = 200) -> None:
    """What the engine does twice a second (sample) and up to ten times (snapshot), with real workers."""
    with tempfile.TemporaryDirectory() as name:
        project(Path(name), 1, workers)
        engine = Engine(load(Path(name) / "routemq.toml"))
        engine.start()
        try:
            deadline = time.monotonic() + 30
            while engine.snapshot().running < workers:
                if time.monotonic() > deadline:
                    raise SystemExit(f"not all of {workers} workers run within 30 s")
                time.sleep(0.05)
            taken = []
            for _ in range(rounds):
                begun = time.thread_time()
                engine._observe(time.monotonic())
                taken.append(time.thread_time() - begun)
        finally:
            engine.send(Stop())
            engine.wait(30)
    say(f"a snapshot of {workers} workers", f"{percentile(taken, 50) * 1e6:.0f} us of CPU")


# What is told


def tell(where: str, lines: int, share: float, latencies: Sequence[float], frames: Sequence[float]) -> None:
    what = f"{where}, {lines:,} lines/s" if lines else f"{where}, no lines"
    say(f"{what}: CPU", f"{share:.1f} % of a core")
    say(f"{what}: key", in_ms(latencies))
    say(f"{what}: frame", in_ms(frames))


def say(label: str, value: str) -> None:
    print(f"{label:<40}  {value}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=50_000, help="log lines a second of the flood")
    parser.add_argument("--seconds", type=float, default=10.0, help="for which the CPU is measured")
    parser.add_argument("--keys", type=int, default=100)
    parser.add_argument("--no-headless", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.lines, given.child)
        return
    print(f"{machine()}; Python {platform.python_version()}, Textual {textual.__version__}", flush=True)
    for lines in (0, given.lines):
        terminal(lines, given.seconds, given.keys)
        if not given.no_headless:
            asyncio.run(headless(lines, given.seconds, given.keys))
    for workers in (2, 64):
        idle(workers, given.seconds)
    snapshots(64)


if __name__ == "__main__":
    main()
