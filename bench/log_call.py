"""What a handler pays for a line: a logging call, or a print, with a worker's real log channel.

Each row is measured twice in fresh processes, at the same pace: once into a handler that does nothing
(`print`: into /dev/null), once into the worker's own handler, queue and writing thread. Told is the CPU time
of the whole process per call, and how long the calls took by the clock. The reader is the engine's log pump
and store in a process of its own; it reads, or is stopped (SIGSTOP), or is dead (SIGKILL).

    .venv/bin/python bench/log_call.py [--seconds 3] [--rounds 3]
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import platform
import signal
import statistics
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from machine import machine, percentile

from routemq_tui.engine.log_pump import LogPump
from routemq_tui.engine.log_store import LogStore
from routemq_tui.engine.process import OutputPipes
from routemq_tui.worker import log_handler
from routemq_tui.worker.capture import capture_streams
from routemq_tui.worker.log_queue import LogQueue

SPAWN = multiprocessing.get_context("spawn")
TEXT = "device %s reads %.1f degrees, which is what it read before, and nobody is surprised"


class Row(NamedTuple):
    what: str
    burst: int
    """Calls at once; then a pause until the rate is kept."""
    rate: int
    """Calls a second; 0 is as fast as it goes."""
    engine: str = "reads"
    printing: bool = False


ROWS = (
    Row("logging, flat out", 1000, 0),
    Row("logging, 12,500/s in 250s", 250, 12_500),
    Row("logging, 1,000/s in 20s", 20, 1_000),
    Row("logging, 100/s, one by one", 1, 100),
    Row("logging, engine stopped", 1000, 0, "is stopped"),
    Row("logging, engine dead", 1000, 0, "is dead"),
    Row("print, flat out", 1000, 0, printing=True),
    Row("print, 12,500/s in 250s", 250, 12_500, printing=True),
    Row("print, engine stopped", 1000, 0, "is stopped", printing=True),
)
HEAD = (
    f"{'':28} {'CPU null':>9} {'ours':>6} {'added':>6}   "
    f"{'clock p50':>9} {'p99':>7} {'longest':>8} {'(null)':>7} {'dropped':>9}"
)


class Cost(NamedTuple):
    cpu: float
    """Microseconds a call, all threads."""
    median: float
    late: float
    longest: float
    dropped: float
    """Percent."""
    calls: int


# The process that is measured


def caller(row: Row, seconds: float, logs: Connection | None, answer: Connection) -> None:
    queue = None
    say = _say_by_print if row.printing else _say_by_logging
    if logs is None:
        logging.getLogger().addHandler(logging.NullHandler())
        logging.getLogger().setLevel(logging.INFO)
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - until the process ends
    else:
        queue = LogQueue(logs)
        capture_streams(queue)
        log_handler.install(queue, logging.INFO)
    warm = _call(say, row, 0.5)
    cost = _call(say, row, seconds)
    share = 100 * queue.dropped / (warm.calls + cost.calls) if queue else 0.0
    answer.send(cost._replace(dropped=share))
    os._exit(0)


def _say_by_logging(log: logging.Logger, number: int) -> None:
    log.info(TEXT, number, 21.5)


def _say_by_print(_: logging.Logger, number: int) -> None:
    print(TEXT % (number, 21.5))


def _call(say: Callable[[logging.Logger, int], None], row: Row, seconds: float) -> Cost:
    log = logging.getLogger("app.handlers")
    clock = time.perf_counter_ns
    taken: list[int] = []
    begun, used = time.monotonic(), time.process_time()
    while time.monotonic() - begun < seconds:
        for number in range(row.burst):
            before = clock()
            say(log, number)
            taken.append(clock() - before)
        if row.rate:
            time.sleep(max(0.0, begun + len(taken) / row.rate - time.monotonic()))
    used = time.process_time() - used
    micro = sorted(each / 1000 for each in taken)
    return Cost(
        used * 1e6 / len(micro), percentile(micro, 50), percentile(micro, 99), micro[-1], 0, len(micro)
    )


# The engine beside it


def engine(logs: Connection, ready: Connection) -> None:
    store = LogStore(64 * 1024 * 1024)
    pump = LogPump(store)
    pump.start()
    silent = [SPAWN.Pipe(duplex=False)[0] for _ in range(2)]
    pump.watch_worker("bench/1", OutputPipes(logs, *silent))
    ready.send(True)
    signal.pause()


def measure(row: Row, seconds: float, ours: bool) -> Cost:
    reading, writing = SPAWN.Pipe(duplex=False)
    answer, answering = SPAWN.Pipe(duplex=False)
    beside = SPAWN.Process(target=engine, args=(reading, answering)) if ours else None
    if beside is not None:
        beside.start()
        answer.recv()
        reading.close()
        _treat(beside, row.engine)
    subject = SPAWN.Process(target=caller, args=(row, seconds, writing if ours else None, answering))
    subject.start()
    cost: Cost = answer.recv()
    subject.join()
    if beside is not None:
        beside.kill()
        beside.join()
    return cost


def _treat(process: Any, engine: str) -> None:
    if engine == "is stopped":
        os.kill(process.pid, signal.SIGSTOP)
    elif engine == "is dead":
        process.kill()
        process.join()


def _middle(costs: list[Cost]) -> Cost:
    return Cost(*(statistics.median(column) for column in zip(*costs, strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="a measurement")
    parser.add_argument("--rounds", type=int, default=3, help="of which the middle is told")
    parser.add_argument("--only", default="", help="rows that hold this text")
    given = parser.parse_args()
    print(f"{machine()}; Python {platform.python_version()}; us a call")
    print(HEAD)
    for row in ROWS:
        if given.only not in row.what:
            continue
        pairs = [
            (measure(row, given.seconds, False), measure(row, given.seconds, True))
            for _ in range(given.rounds)
        ]
        null, ours = (_middle(list(column)) for column in zip(*pairs, strict=True))
        print(
            f"{row.what:28} {null.cpu:9.2f} {ours.cpu:6.2f} {ours.cpu - null.cpu:6.2f}   "
            f"{ours.median:9.1f} {ours.late:7.1f} {ours.longest:8.0f} {null.longest:7.0f} "
            f"{ours.dropped:8.1f}%",
            flush=True,
        )


if __name__ == "__main__":
    main()
