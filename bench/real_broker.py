"""CPU a message costs its subscriber behind a real mosquitto, which sends a few messages at a time.

`python bench/real_broker.py [--rates N,…] [--bursts N,…] [--seconds S] [--rounds N] [--only NAME,…]`. A
publisher sends JSON at a steady rate at QoS 1, one or a few messages at a time, mosquitto passes each on as
it comes, and one subscriber at a time takes them: ours in the real worker process of the real program (its
engine's CPU is another column), the others as in `hot_path.py`. Every subscriber decodes the JSON. Measured
is the subscriber's process, user and system time by getrusage, after a second of warm-up, and how often it
slept: messages a wake-up. "Bare" is a socket that is waited for, read and answered, without a client: what
waking up and three system calls cost here. So the targets are for more than one message at a time.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
from broker import mosquitto  # beside this file
from instance import Instance, free_port, wait_for
from machine import machine
from peer import PAYLOAD, TEMPLATE
from subscribers import WITH_BARE, Usage

OURS = "routemq-tui worker"
BESIDE = "bare,paho,gmqtt"
LIMIT = 60.0
TARGETS = {"paho": 4.0, "gmqtt": 2.0}

HANDLERS = """
import os, sys
sys.path.insert(0, {bench!r})
from subscribers import usage
left, measured, before = {total}, {messages}, None

def handle(payload: dict, kind: str, device: str):
    global left, before
    left -= 1
    if left == measured:
        before = usage()
    elif not left:
        with open({result!r} + ".new", "w") as file:
            print(*(now - then for now, then in zip(usage(), before)), file=file)
        os.rename({result!r} + ".new", {result!r})
"""


class Case(NamedTuple):
    version: int
    rate: int
    seconds: float
    window: int
    burst: int

    @property
    def warm_up(self) -> int:
        return self.rate

    @property
    def messages(self) -> int:
        return int(self.rate * self.seconds)

    @property
    def title(self) -> str:
        return f"{'5' if self.version == 5 else '3.1.1'}, {self.rate:,}/s by {self.burst}"


class Figures(NamedTuple):
    """Of one run, a message: microseconds of CPU; messages a wake-up; messages/s that were handled."""

    cpu: float
    batch: float
    rate: float
    engine: float = 0.0


@contextmanager
def publishing(port: int, case: Case) -> Iterator[None]:
    command = [sys.executable, str(Path(__file__).with_name("load.py")), str(port), "1"]
    command += ["--rate", str(case.rate), "--burst", str(case.burst)]
    with subprocess.Popen(command) as process:
        try:
            yield
        finally:
            process.kill()


def figures(text: str, case: Case, engine: float = 0.0) -> Figures:
    cpu, sleeps, seconds = text.split()
    used = Usage(float(cpu), int(sleeps), float(seconds))
    messages = case.messages
    return Figures(used.cpu / messages * 1e6, messages / max(used.sleeps, 1), messages / used.seconds, engine)


def measure_peer(name: str, port: int, case: Case) -> Figures:
    numbers = (port, case.version, 1, case.warm_up, case.messages, case.window)
    command = [sys.executable, str(Path(__file__).with_name("subscribers.py")), name, *map(str, numbers)]
    with publishing(port, case):
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=LIMIT, check=True)
    return figures(done.stdout.splitlines()[-1], case)


def measure_ours(port: int, case: Case) -> Figures:
    folder = Path(tempfile.mkdtemp(prefix="real-broker-"))
    result = folder / "result"
    total = case.warm_up + case.messages
    bench = str(Path(__file__).parent)
    code = HANDLERS.format(total=total, messages=case.messages, result=str(result), bench=bench)
    (folder / "handlers.py").write_text(code)
    (folder / "routemq.toml").write_text(
        f'[app]\ngroup = "bench"\n[broker]\nurl = "mqtt://127.0.0.1:{port}"\nport = {free_port()}\n'
        f'protocol = "{"5" if case.version == 5 else "3.1.1"}"\n[routes.bench]\ntopic = "{TEMPLATE}"\n'
        f'handler = "handlers:handle"\nqos = 1\nworkers = 1\nprefetch = {case.window}\n'
    )
    instance = Instance(folder)
    try:
        instance.start()
        wait_for(lambda: bool(instance.snapshot()["running"]), 20, "the worker runs")
        with publishing(port, case):
            time.sleep(case.warm_up / case.rate)
            process = psutil.Process(instance.pid)
            before, began = sum(process.cpu_times()[:2]), time.monotonic()
            wait_for(result.exists, LIMIT, "all messages were handled")
            engine = (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began) * 100
        return figures(result.read_text(), case, engine)
    finally:
        instance.kill()
        shutil.rmtree(folder, ignore_errors=True)


def measure(name: str, program: str, case: Case) -> Figures:
    """On a broker of its own: none that has kept what another could not take."""
    with mosquitto(program, "") as (port, _, _):
        return measure_ours(port, case) if name == OURS else measure_peer(name, port, case)


def median(runs: list[Figures]) -> Figures:
    return Figures(*(statistics.median(each) for each in zip(*runs, strict=True)))


def run_case(case: Case, names: list[str], program: str, rounds: int) -> dict[str, Figures]:
    """All in turn, so often: what else the machine does meets each of them."""
    runs: dict[str, list[Figures]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            runs[name].append(measure(name, program, case))
    return {name: median(each) for name, each in runs.items()}


def tell(case: Case, found: dict[str, Figures]) -> bool:
    """Print a case; whether the ratios are what they should be."""
    ours, good = found[OURS], True
    for name, each in found.items():
        title = WITH_BARE[name].title if name in WITH_BARE else name
        behind = "" if each.rate >= 0.97 * case.rate else "  does not keep up"
        ratio = "" if name == OURS else f"{each.cpu / ours.cpu:.1f}x"
        engine = f"{each.engine:.1f} %" if each.engine else ""
        print(
            f"{case.title:<22}{title:<26}{each.cpu:>12.1f}{ratio:>8}{each.batch:>12.1f}"
            f"{each.rate:>12,.0f}{engine:>10}{behind}",
            flush=True,
        )
        good = good and (case.burst == 1 or each.cpu >= TARGETS.get(name, 0.0) * ours.cpu)
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rates", default="2000,20000", help="messages/s offered")
    parser.add_argument("--bursts", default="1,20", help="messages that the publisher sends at once")
    parser.add_argument("--seconds", type=float, default=5.0, help="measured of each run")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, of which the median counts")
    parser.add_argument("--versions", default="4,5", help="MQTT 3.1.1 and 5")
    parser.add_argument("--window", type=int, default=20, help="prefetch, or Receive Maximum")
    parser.add_argument("--only", default=BESIDE, help=f"some of {','.join(WITH_BARE)}; ours is always there")
    arguments = parser.parse_args()
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise SystemExit("mosquitto is not installed (apt-get install mosquitto)")
    names = [name for name in arguments.only.split(",") if name]
    if unknown := [name for name in names if name not in WITH_BARE]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(WITH_BARE)}")
    for name in [name for name in names if WITH_BARE[name].missing]:
        print(f"left out: {name} ({WITH_BARE[name].missing} not installed)")
        names.remove(name)
    packages = {"msgspec", *(each for name in names for each in WITH_BARE[name].distributions)}
    with mosquitto(program, "") as (_, _, version):
        print(f"{machine()}, Python {sys.version.split()[0]}, {version}, QoS 1, {len(PAYLOAD)} bytes of JSON")
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in sorted(packages)))
    print(f"{'':<48}{'CPU us/msg':>12}{'':>8}{'msgs/wake':>12}{'handled/s':>12}{'engine':>10}")
    good = True
    numbers = [
        [int(number) for number in each.split(",")]
        for each in (arguments.versions, arguments.rates, arguments.bursts)
    ]
    for number, rate, burst in itertools.product(*numbers):
        case = Case(number, rate, arguments.seconds, arguments.window, burst)
        good &= tell(case, run_case(case, [OURS, *names], program, arguments.rounds))
    wanted = ", ".join(f"{name} {ratio:g}x" for name, ratio in TARGETS.items())
    print(f"\ntargets (a few at a time, at least {wanted}): {'met' if good else 'MISSED'}; {machine()}")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
