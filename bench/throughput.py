"""Messages a second from end to end, through mosquitto and the embedded broker, and who is the limit.

`python bench/throughput.py [--messages N] [--rounds N] [--brokers mosquitto,embedded] [--only NAME,…]`. The
real program without a screen and its worker processes, 1, 2 and 4 of one route, beside single subscribers of
other clients; all decode JSON. In two ways:

drain  the messages wait at the broker, in the sessions that the subscribers left; it has nothing else to do
live   a publisher sends them as fast as the broker takes them, while they are handled

Counted is from the first message handled to the last. CPU is in per cent of one core. The limit is whoever
had a core to itself, or all cores, or nobody: then they wait for each other. On a machine where others work
too, compare what a message costs the broker and what it costs the subscribers: the dearer is the limit.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import mmap
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import psutil
from broker import mosquitto  # beside this file
from instance import Instance, free_port, wait_for
from load import Link, queueing_session, ring_of
from machine import machine
from peer import FILTER, PAYLOAD, TEMPLATE
from subscribers import SUBSCRIBERS

from routemq_tui.broker.handle import EmbeddedBroker
from routemq_tui.broker.limits import Limits

LIMIT = 30.0
STILL = 2.0
"""With nothing handled for so long, nothing more is awaited."""
SUBSCRIBING = 0.3
WINDOW = 20
BESIDE = "paho,gmqtt"
OURS = "routemq-tui"
CELLS = 8
"""Of a worker process: messages handled, the time of the first one in nanoseconds; of at most so many."""

HANDLERS = """
import mmap, os, time

descriptor = os.open({counts!r}, os.O_RDWR)
cells = memoryview(mmap.mmap(descriptor, {size})).cast("Q")
place = os.getpid() % {cells} * 2
while True:
    # A place of its own: the first that nobody has taken.
    try:
        os.close(os.open({counts!r} + str(place), os.O_CREAT | os.O_EXCL))
        break
    except FileExistsError:
        place = (place + 2) % ({cells} * 2)

def handle(payload: dict, kind: str, device: str):
    cells[place] += 1
    if cells[place] == 1:
        cells[place + 1] = time.monotonic_ns()
"""


class Served(NamedTuple):
    """A broker that runs."""

    name: str
    port: int
    pid: int


class Case(NamedTuple):
    way: str
    qos: int
    messages: int
    v5: bool = True


class Result(NamedTuple):
    """Messages/s; share of the messages that came; per cent of a core that each took, and all else."""

    rate: float
    came: float
    broker: float
    busiest: float
    subscribers: float
    publisher: float
    program: float
    others: float

    @property
    def limit(self) -> str:
        if self.broker >= 90:
            return "broker"
        if self.busiest >= 90:
            return "subscriber"
        used = self.broker + self.subscribers + self.publisher + self.program + self.others
        if used >= 92 * (os.cpu_count() or 1):
            return "cores"
        return "publisher" if self.publisher >= 90 else "nobody"


class Meter:
    """CPU of some processes between two moments."""

    def __init__(self, **pids: list[int]) -> None:
        self._processes = {name: [psutil.Process(pid) for pid in each] for name, each in pids.items()}
        self._began = time.monotonic()
        self._before = self._look()
        self._all_before = self._everything()

    def _look(self) -> dict[str, list[float]]:
        return {
            name: [sum(process.cpu_times()[:2]) for process in each] for name, each in self._processes.items()
        }

    @staticmethod
    def _everything() -> float:
        times = psutil.cpu_times()
        return float(times.user + times.nice + times.system + times.irq + times.softirq)

    def read(self, rate: float, came: float) -> Result:
        seconds = time.monotonic() - self._began
        now = self._look()
        per_cent = {
            name: [(after - before) / seconds * 100 for after, before in zip(now[name], then, strict=True)]
            for name, then in self._before.items()
        }
        whole = (self._everything() - self._all_before) / seconds * 100
        sums = {name: sum(each) for name, each in per_cent.items()}
        return Result(
            rate,
            came,
            sums["broker"],
            max(per_cent["subscribers"]),
            sums["subscribers"],
            sums["publisher"],
            sums["program"],
            max(0.0, whole - sum(sums.values())),
        )


# -- load ------------------------------------------------------------------------------------------------


def fill(port: int, case: Case) -> None:
    """Have the messages wait in the sessions there are."""
    link = Link(port, "bench-publisher")
    link.publish(ring_of(case.qos), case.qos, case.messages)
    link.close()


@contextmanager
def publishing(port: int, case: Case) -> Iterator[list[int]]:
    """Pid of the publisher, if it is to publish now."""
    if case.way == "drain":
        yield []
        return
    command = [sys.executable, str(Path(__file__).with_name("load.py")), str(port), str(case.qos)]
    with subprocess.Popen([*command, "--messages", str(case.messages)]) as process:
        try:
            yield [process.pid]
        finally:
            process.kill()


def wait_for_all(counts: Counts, case: Case) -> tuple[int, float]:
    """How many were handled in the end, and when the last one was. At QoS 0 some may never come."""
    handled, at = counts.handled(), time.monotonic()
    while handled < case.messages:
        time.sleep(0.002)
        now = counts.handled()
        if now > handled:
            handled, at = now, time.monotonic()
        elif time.monotonic() - at > STILL:
            if case.qos:
                raise SystemExit(f"{case.messages - handled} of {case.messages} messages did not come")
            break
    return handled, at


# -- ours ------------------------------------------------------------------------------------------------


class Counts:
    """What the handlers of all workers have counted."""

    def __init__(self, file: IO[bytes]) -> None:
        self._cells = memoryview(mmap.mmap(file.fileno(), CELLS * 16)).cast("Q")

    def handled(self) -> int:
        return sum(self._cells[::2])

    def first(self) -> float:
        return min(each for each in self._cells[1::2] if each) / 1e9


def project(folder: Path, broker: Served, workers: int, case: Case) -> None:
    counts = folder / "counts"
    counts.write_bytes(bytes(CELLS * 16))
    code = HANDLERS.format(counts=str(counts), size=CELLS * 16, cells=CELLS)
    (folder / "handlers.py").write_text(code)
    (folder / "routemq.toml").write_text(
        f'[app]\ngroup = "bench"\n[broker]\nurl = "mqtt://127.0.0.1:{broker.port}"\nport = {free_port()}\n'
        f'[routes.load]\ntopic = "{TEMPLATE}"\nhandler = "handlers:handle"\nqos = {case.qos}\n'
        f"workers = {workers}\nprefetch = {WINDOW}\n"
    )


def client_id(number: int) -> str:
    return f"bench-local-load-{number}"


def measure_ours(broker: Served, workers: int, case: Case) -> Result:
    folder = Path(tempfile.mkdtemp(prefix="throughput-"))
    project(folder, broker, workers, case)
    if case.way == "drain":
        for number in range(1, workers + 1):
            queueing_session(broker.port, client_id(number), f"$share/bench/{FILTER}", case.qos, case.v5)
        fill(broker.port, case)
    instance = Instance(folder)
    try:
        with (folder / "counts").open("r+b") as file:
            counts = Counts(file)
            instance.start()
            if case.way == "live":
                wait_for(lambda: len(running(instance)) == workers, 20, "all workers run")
            with publishing(broker.port, case) as publisher:
                wait_for(lambda: counts.handled() > 0 and len(running(instance)) == workers, 20, "a message")
                pids = running(instance)
                meter = Meter(
                    broker=[broker.pid], subscribers=pids, publisher=publisher, program=[instance.pid]
                )
                handled, at = wait_for_all(counts, case)
                return meter.read(handled / (at - counts.first()), handled / case.messages)
    finally:
        instance.kill()
        shutil.rmtree(folder, ignore_errors=True)


def running(instance: Instance) -> list[int]:
    """Pids of the workers that do."""
    workers = instance.snapshot()["routes"][0]["workers"]
    return [each["pid"] for each in workers if each["state"] == "running"]


# -- other clients ---------------------------------------------------------------------------------------


def measure_peer(broker: Served, name: str, case: Case) -> Result | None:
    """None when it did not get all messages in time, as may be at QoS 0."""
    session = f"bench-{name}"
    queueing_session(broker.port, session, FILTER, case.qos, case.v5)
    if case.way == "drain":
        fill(broker.port, case)
    numbers = (broker.port, 5 if case.v5 else 4, case.qos, 1, case.messages - 1, WINDOW)
    command = [sys.executable, str(Path(__file__).with_name("subscribers.py")), name, *map(str, numbers)]
    with subprocess.Popen([*command, session], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = process.stdout
        alarm = threading.Timer(LIMIT, process.kill)
        alarm.start()
        try:
            if case.way == "live":
                wait_for(lambda: connected(process.pid), 20, f"{name} connects")
                time.sleep(SUBSCRIBING)
            with publishing(broker.port, case) as publisher:
                lines.readline()
                meter = Meter(broker=[broker.pid], subscribers=[process.pid], publisher=publisher, program=[])
                took = lines.readline().split()
                if not took:
                    return None
                return meter.read((case.messages - 1) / float(took[2]), 1.0)
        finally:
            alarm.cancel()
            process.kill()


def connected(pid: int) -> bool:
    return any(each.status == psutil.CONN_ESTABLISHED for each in psutil.Process(pid).net_connections())


# -- all of it -------------------------------------------------------------------------------------------


@contextmanager
def serving(name: str, program: str | None) -> Iterator[Served]:
    if name == "mosquitto":
        assert program is not None
        with mosquitto(program, "") as (port, pid, version):
            yield Served(version, port, pid)
    else:
        own = EmbeddedBroker.start(0, limits={"queue_messages": 1_000_000})
        try:
            yield Served(own.version, own.port, own.pid)
        finally:
            own.stop()


def measure(broker_name: str, program: str | None, subject: str | int, case: Case) -> Result | None:
    """On a broker of its own."""
    if broker_name == "embedded" and case.qos:
        case = case._replace(messages=min(case.messages, Limits().queue_messages))  # it keeps no more
    if isinstance(subject, str):
        case = case._replace(messages=int(case.messages * SUBSCRIBERS[subject].share))
    with serving(broker_name, program) as broker:
        if isinstance(subject, int):
            return measure_ours(broker, subject, case)
        return measure_peer(broker, subject, case)


def median(runs: list[Result]) -> Result | None:
    if not runs:
        return None
    return Result(*(statistics.median(each) for each in zip(*runs, strict=True)))


def tell(broker: str, case: Case, subject: str | int, result: Result | None) -> None:
    if isinstance(subject, int):
        title = f"{OURS}, {subject} worker{'s' if subject > 1 else ''}"
    else:
        title = SUBSCRIBERS[subject].title
    begin = f"{broker:<11}{case.way:<7}{case.qos:<4}{title:<26}"
    if result is None:
        print(f"{begin}{'-':>10}  not all messages came within {LIMIT:.0f} s", flush=True)
        return
    came = "" if result.came == 1 else f"  {1 - result.came:.1%} did not come"
    columns = (result.broker, result.subscribers, result.publisher, result.program, result.others)
    costs = result.broker / result.rate * 1e4, result.subscribers / result.rate * 1e4
    print(
        f"{begin}{result.rate:>10,.0f}"
        + "".join(f"{each:>9.0f}" for each in columns)
        + "".join(f"{each:>9.1f}" for each in costs)
        + f"   {result.limit}{came}",
        flush=True,
    )


def subjects(arguments: argparse.Namespace) -> list[str | int]:
    names = [name for name in arguments.only.split(",") if name]
    for name in [name for name in names if SUBSCRIBERS[name].missing]:
        print(f"left out: {name} ({SUBSCRIBERS[name].missing} not installed)")
        names.remove(name)
    return [*map(int, arguments.workers.split(",")), *names]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--messages", type=int, default=200_000, help="a run, fewer for slow clients")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, of which the median counts")
    parser.add_argument("--brokers", default="mosquitto,embedded")
    parser.add_argument("--workers", default="1,2,4", help=f"of ours, at most {CELLS}")
    parser.add_argument("--only", default=BESIDE, help="some of paho,gmqtt, or nothing")
    arguments = parser.parse_args()
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    brokers = arguments.brokers.split(",")
    if program is None and "mosquitto" in brokers:
        print("left out: mosquitto (not installed)")
        brokers.remove("mosquitto")
    chosen = subjects(arguments)
    packages = {
        "msgspec",
        *(p for name in chosen if isinstance(name, str) for p in SUBSCRIBERS[name].distributions),
    }
    print(f"{machine()}, Python {sys.version.split()[0]}, MQTT 5, {len(PAYLOAD)} bytes of JSON")
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in sorted(packages)))
    for name in brokers:
        with serving(name, program) as broker:
            print(f"{name}: {broker.name}")
    print(f"\n{'':<48}{'':>10}{'per cent of a core':>45}{'us a message':>18}")
    titles = ("broker", "subscr.", "publ.", "program", "others", "broker", "subscr.")
    print(
        f"{'broker':<11}{'way':<7}{'QoS':<4}{'':<26}{'msgs/s':>10}"
        + "".join(f"{each:>9}" for each in titles)
        + "   limit"
    )
    for name in brokers:
        for case in (
            Case("drain", 1, arguments.messages),
            *(Case("live", q, arguments.messages) for q in (0, 1)),
        ):
            for subject in chosen:
                runs = [measure(name, program, subject, case) for _ in range(arguments.rounds)]
                tell(name, case, subject, median([run for run in runs if run is not None]))
    print(machine())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
