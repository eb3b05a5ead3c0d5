"""How long it takes until somebody can work: command to first frame, workers, `check`.

    .venv/bin/python bench/start.py [--rounds 5]

Each figure is the median of the rounds, with warm caches, each round a program of its own. "running" is told
by the program itself: the worker is connected and its SUBSCRIBE was answered.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from instance import free_port
from machine import machine
from own_pty import LIMIT, WARM, OwnPty

PROGRAM = [sys.executable, "-m", "routemq_tui"]
HANDLERS = "def handle(payload: dict, device: str):\n    pass\n"


def project(folder: Path, routes: int, workers: int) -> None:
    parts = [f'[broker]\nurl = "embedded"\nport = {free_port()}\n']
    for number in range(routes):
        parts.append(
            f'[routes.r{number}]\ntopic = "sensors/{{device}}/m{number}"\nhandler = "handlers:handle"\n'
            f"qos = 1\nworkers = {workers}\nmax_workers = {max(workers, 2)}\n"
        )
    (folder / "routemq.toml").write_text("\n".join(parts))
    (folder / "handlers.py").write_text(HANDLERS)


def first_frame(folder: Path) -> float:
    """Seconds from the command to the table's heading in what a terminal of 120x36 was sent."""
    program = OwnPty([*PROGRAM[1:], "run"], folder)
    try:
        program.wait_for("route / worker")
        return time.perf_counter() - program.begun
    finally:
        program.stop()


def all_running(folder: Path, workers: int) -> tuple[float, ...]:
    """Seconds from the command until: the broker listens, the first and the last worker is forked, all run.

    Read off the program's own log, which tells the time of each: asking for it would slow it down.
    """
    begun = time.time()
    words = [*PROGRAM, "run", "--headless", "--log-format", "json"]
    program = subprocess.Popen(words, cwd=folder, env=WARM, stdout=subprocess.PIPE)
    assert program.stdout is not None
    listens = 0.0
    forked: list[float] = []
    subscribed: list[float] = []
    late = threading.Timer(LIMIT, program.kill)
    late.start()
    try:
        for line in program.stdout:
            entry = json.loads(line)
            event, at = entry.get("event", ""), datetime.fromisoformat(entry["ts"]).timestamp() - begun
            if " listens on " in event:
                listens = at
            elif event.startswith("started, pid"):
                forked.append(at)
            elif event.startswith("subscribed"):
                subscribed.append(at)
            if len(subscribed) == workers:
                break
        else:
            raise SystemExit(f"not all of {workers} workers run within {LIMIT:.0f} s: {len(subscribed)} do")
    finally:
        late.cancel()
        program.terminate()
        program.communicate()
    return listens, min(forked), max(forked), max(subscribed)


def command(folder: Path, *arguments: str) -> float:
    begun = time.perf_counter()
    subprocess.run([*PROGRAM, *arguments], cwd=folder, env=WARM, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def median(rounds: int, once: Callable[[], float]) -> float:
    once()
    return statistics.median(once() for _ in range(rounds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    versions = f"Python {platform.python_version()}, Textual {version('textual')}"
    print(f"{machine()}; {versions}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project(folder, 1, 2)
        version_told = median(rounds, lambda: command(folder, "--version"))
        print(f"--version                     {version_told:8.3f} s")
        print(
            f"first frame                   {median(rounds, lambda: first_frame(folder)):8.3f} s", flush=True
        )
    print("workers  all running  broker listens  first forked  last forked, s from the command")
    for workers in (1, 8, 64):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            project(folder, 1, workers)
            all_running(folder, workers)
            taken = [all_running(folder, workers) for _ in range(rounds)]
            listens, first, last, running = (statistics.median(each) for each in zip(*taken, strict=True))
            print(f"{workers:7}  {running:11.3f}  {listens:14.3f}  {first:12.3f}  {last:11.3f}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project(folder, 100, 1)
        print(f"check, 100 routes             {median(rounds, lambda: command(folder, 'check')):8.3f} s")


if __name__ == "__main__":
    main()
