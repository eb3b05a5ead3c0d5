"""Long trials of single promises, each with the real program, a real broker and real worker processes.

    python bench/trials.py scaling order orphans many logs        # minutes
    python bench/trials.py sleep                                  # a handler of three minutes

scaling   4 -> 1 -> 4 workers, twenty times under load: nothing lost, nothing handled twice
order     a route that is not shared, its worker killed in between: repeats, but never a swap
orphans   50 SIGKILLs of the program, with handlers that ignore signals and start deaf children
many      64 workers, then SIGTERM to the program alone: the time to the last process
logs      200 kills while each worker logs 10,000 lines/s: no pane goes silent, no worker stands still
sleep     a sync handler of 180 s with a keepalive of 10 s: handled once, on one connection
"""

from __future__ import annotations

import argparse
import itertools
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from chaos import MosquittoBroker, Publisher  # beside this file
from instance import Instance, wait_for

RECORDING = """
import os, signal, subprocess, sys, threading, time
from pathlib import Path

ROOT = Path(__file__).parent
descriptor = None


def record(number):
    global descriptor
    if descriptor is None:
        descriptor = os.open(ROOT / "handled", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.write(descriptor, b"%d\\n" % number)
"""


class Trial:
    """A project in a folder of its own, on a mosquitto of its own."""

    def __init__(self, handler: str, route: str, app: str = "", broker: str = "") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="trial-"))
        self.broker = MosquittoBroker(self.folder / "mosquitto")
        (self.folder / "handlers.py").write_text(RECORDING + handler)
        (self.folder / "routemq.toml").write_text(
            f'[app]\ngroup = "trial"\n{app}\n[broker]\nurl = "{self.broker.url}"\n{broker}\n'
            f'[routes.it]\ntopic = "chaos/{{number:int}}"\nhandler = "handlers:handle"\nqos = 1\n{route}\n'
        )
        self.instance = Instance(self.folder)

    def __enter__(self) -> Trial:
        return self

    def __exit__(self, *_: object) -> None:
        self.instance.kill()
        self.broker.stop()
        for process in self.processes():
            process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        self.instance.start()
        self.wait_up()

    def wait_up(self) -> None:
        def up() -> bool:
            snapshot = self.instance.snapshot()
            return bool(snapshot["running"] >= snapshot["desired"] > 0)

        wait_for(up, 60, "all workers run")

    def workers(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.instance.snapshot()["routes"][0]["workers"]
        return found

    def handled(self) -> list[int]:
        file = self.folder / "handled"
        return [int(line) for line in file.read_bytes().split()] if file.exists() else []

    def processes(self) -> list[psutil.Process]:
        """Everything that runs in the project's folder, but for the broker."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.cwd() == str(self.folder) and process.name() != "mosquitto":
                    found.append(process)
            except psutil.Error:
                continue
        return [each for each in found if each.status() != psutil.STATUS_ZOMBIE]


def scaling() -> bool:
    with Trial("def handle(number: int):\n    record(number)\n", "workers = 4") as trial:
        trial.start()
        publisher = Publisher(trial.broker.port, 1, frozenset())
        number = 0
        for _ in range(20):
            for count in (1, 4):
                trial.instance.ask(do="scale", route="it", count=count)
                for _ in range(400):
                    publisher.publish(number)
                    number += 1
                    time.sleep(0.0005)
        wait_for(lambda: len(publisher.accepted) == number, 30, "all accepted")
        wait_for(lambda: len(set(trial.handled())) == number, 30, "all handled")
        publisher.close()
        handled = trial.handled()
        twice = len(handled) - len(set(handled))
        print(f"  scaling: {number} published, {number - len(set(handled))} lost, {twice} handled twice")
        return twice == 0


def order() -> bool:
    with Trial("def handle(number: int):\n    record(number)\n", "shared = false") as trial:
        trial.start()
        publisher = Publisher(trial.broker.port, 1, frozenset())
        kills = set(random.Random(1).sample(range(500, 9500), 20))
        for number in range(10_000):
            publisher.publish(number)
            if number in kills:
                trial.instance.ask(do="kill", worker="it/1")
            time.sleep(0.0005)
        wait_for(lambda: len(set(trial.handled())) == 10_000, 60, "all handled")
        publisher.close()
        handled = trial.handled()
        firsts = list(dict.fromkeys(handled))
        swaps = sum(later < earlier for earlier, later in itertools.pairwise(firsts))
        print(f"  order: 10000 in {len(handled)} calls over 20 kills, {swaps} swapped")
        return swaps == 0


DEAF = """
def handle(number: int):
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    subprocess.Popen(["sh", "-c", "trap '' TERM HUP INT; while :; do sleep 1; done"])
    record(number)
    time.sleep(300)
"""


def orphans(trials: int = 50) -> bool:
    longest, left = 0.0, 0
    with Trial(DEAF, "workers = 3", "shutdown_timeout = 2") as trial:
        for number in range(trials):
            (trial.folder / "handled").unlink(missing_ok=True)
            trial.start()
            publisher = Publisher(trial.broker.port, 1, frozenset())
            for each in range(3):
                publisher.publish(3 * number + each)
            wait_for(lambda: len(trial.handled()) >= 3, 30, "the handlers hang")
            publisher.close()
            trial.instance.kill()
            killed = time.monotonic()
            while trial.processes() and time.monotonic() - killed < 10:
                time.sleep(0.05)
            left += len(trial.processes())
            longest = max(longest, time.monotonic() - killed)
    print(f"  orphans: {trials} SIGKILLs, {left} processes left, longest {longest:.1f} s (may drain for 2 s)")
    return left == 0


def many() -> bool:
    handler = "def handle(number: int):\n    record(number)\n    time.sleep(0.01)\n"
    with Trial(handler, "workers = 64") as trial:
        trial.start()
        publisher = Publisher(trial.broker.port, 1, frozenset())
        for number in range(5000):
            publisher.publish(number)
        begun = time.monotonic()
        trial.instance.stop()
        ended = time.monotonic() - begun
        after = [" ".join(process.cmdline())[:60] for process in trial.processes()]
        while trial.processes() and time.monotonic() - begun < 10:
            time.sleep(0.005)
        seconds, left = time.monotonic() - begun, len(trial.processes())
        publisher.close()
        print(f"  many: 64 busy workers and the program stopped in {ended:.2f} s (limit 10)")
        print(f"        the last process after {seconds:.2f} s, {left} left; later than the program: {after}")
        return left == 0


LOGGING = """
def handle(number: int):
    for line in range(20):
        print("line", number, line)
    record(number)
"""


def logs() -> bool:
    with Trial(LOGGING, "workers = 4") as trial:
        trial.start()
        publisher = Publisher(trial.broker.port, 1, frozenset())
        chance = random.Random(1)
        number = 0
        for _ in range(200):
            trial.instance.ask(do="kill", worker=f"it/{chance.randint(1, 4)}")
            until = time.monotonic() + 0.15
            while time.monotonic() < until:  # 4 x 500 messages/s of 20 lines
                publisher.publish(number)
                number += 1
                time.sleep(0.0004)
        wait_for(lambda: len(set(trial.handled())) == number, 60, "all handled: no worker stands still")
        trial.wait_up()
        before = {each["name"]: _lines(trial, each["name"]) for each in trial.workers()}
        for each in range(400):
            publisher.publish(number + each)
        wait_for(lambda: len(set(trial.handled())) == number + 400, 30, "the last ones are handled")
        wait_for(lambda: all(_lines(trial, name) != seen for name, seen in before.items()), 10, "panes move")
        publisher.close()
        dropped = sum(each["log_dropped"] for each in trial.workers())
        print(
            f"  logs: 200 kills, {number * 20} lines written, {dropped} dropped and counted, no pane silent"
        )
        return True


def _lines(trial: Trial, worker: str) -> int:
    batch = trial.instance.ask(do="logs", of=worker, lines=1)["lines"]
    return int(batch[-1]["seq"]) if batch else 0


def sleep() -> bool:
    with Trial(
        "def handle(number: int):\n    time.sleep(180)\n    record(number)\n", "", "", "keepalive = 10"
    ) as trial:
        trial.start()
        publisher = Publisher(trial.broker.port, 1, frozenset())
        publisher.publish(1)
        wait_for(lambda: bool(trial.handled()), 200, "handled")
        time.sleep(3)  # long enough for a redelivery to be seen
        publisher.close()
        log = (trial.folder / "instance.log").read_text()
        lost, connected = log.count("lost connection"), log.count("connected, ")
        print(
            f"  sleep: handled {trial.handled()}, connected {connected} times, connection lost {lost} times"
        )
        return trial.handled() == [1] and connected == 1


TRIALS: dict[str, Callable[[], bool]] = {
    each.__name__: each for each in (scaling, order, orphans, many, logs, sleep)
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[*TRIALS, []], metavar="TRIAL")
    names = parser.parse_args().names or list(TRIALS)
    failed = [name for name in names if not TRIALS[name]()]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
