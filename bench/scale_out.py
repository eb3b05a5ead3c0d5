"""From the key `+` to the first message that the new worker has handled: the real program in a terminal.

One route at QoS 1 under steady traffic, its workers added one by one. The handler notes the time of its
process's first message. With mosquitto (where it is installed) and the embedded broker.

    .venv/bin/python bench/scale_out.py [--rounds 15] [--rate 500]
"""

from __future__ import annotations

import argparse
import platform
import shutil
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from instance import free_port
from machine import machine, percentile
from own_pty import OwnPty
from start import PROGRAM

HANDLERS = """\
import os, time

noted = False


def handle(payload: dict, device: str):
    global noted
    if not noted:
        noted = True
        with open("first", "a") as file:
            file.write(f"{os.getpid()} {time.time()}\\n")
"""
SETTLE = 0.5
"""Seconds between a worker's first message and the next key."""
LIMIT = 20.0


def project(folder: Path, broker: str, workers: int, rate: float) -> None:
    (folder / "handlers.py").write_text(HANDLERS)
    (folder / "routemq.toml").write_text(
        f'[broker]\nurl = "{broker}"\nport = {free_port()}\n'
        '[routes.r]\ntopic = "sensors/{device}/reading"\nhandler = "handlers:handle"\nqos = 1\n'
        f"workers = 1\nmax_workers = {workers}\n"
        f'[[traffic]]\ntopic = "sensors/{{device}}/reading"\nrate = {rate:g}\nqos = 1\n'
        "payload = '{\"value\": {value}}'\n[traffic.values]\ndevice = [1, 2, 3]\nvalue = [1, 2, 3]\n"
    )


def first_messages(folder: Path) -> dict[int, float]:
    """Process id and the time of its first message, as far as they are noted."""
    file = folder / "first"
    lines = file.read_text().splitlines() if file.exists() else []
    return {int(pid): float(at) for pid, at in (line.split() for line in lines)}


def next_worker(folder: Path, program: OwnPty, known: set[int]) -> tuple[int, float]:
    deadline = time.monotonic() + LIMIT
    while not (new := first_messages(folder).keys() - known):
        if time.monotonic() > deadline:
            raise SystemExit(f"no message for the new worker within {LIMIT:.0f} s")
        program.drain(0.005)
    (pid,) = new
    return pid, first_messages(folder)[pid]


def scale_out(broker: str, rounds: int, rate: float) -> list[float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project(folder, broker, rounds + 1, rate)
        program = OwnPty([*PROGRAM[1:], "run"], folder)
        try:
            pid, _ = next_worker(folder, program, set())
            known, taken = {pid}, []
            for _ in range(rounds):
                program.drain(SETTLE)
                pressed = time.time()
                program.press("+")
                pid, at = next_worker(folder, program, known)
                known.add(pid)
                taken.append(at - pressed)
            return taken
        finally:
            program.stop()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15, help="workers added, one by one")
    parser.add_argument("--rate", type=float, default=500, help="messages/s")
    given = parser.parse_args()
    print(f"{machine()}; Python {platform.python_version()}, Textual {version('textual')}", flush=True)
    for broker in ("embedded", "mosquitto"):
        if broker == "mosquitto" and not shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin"):
            continue
        taken = [1000 * each for each in scale_out(broker, given.rounds, given.rate)]
        print(
            f"{broker:<10} + to the first handled message: p50 {percentile(taken, 50):.0f}"
            f"  max {max(taken):.0f} ms ({len(taken)})",
            flush=True,
        )


if __name__ == "__main__":
    main()
