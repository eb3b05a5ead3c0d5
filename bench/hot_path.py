"""CPU a message costs its subscriber: this program's worker process, and the Python clients there are.

`python bench/hot_path.py [--messages N] [--rounds N] [--only NAME,…] [--distinct] [--async] [--tap] …`.
`peer.py` feeds one subscriber at a time, in a process of its own. Every subscriber decodes the JSON of each
payload; ours also matches and converts the topic, calls a handler, counts, times it and acknowledges after
it, in the real worker process of a fork server. Measured is the subscriber's whole process, user and system
time by getrusage, after a warm-up.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import multiprocessing
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from peer import DEVICES, FILTER, KINDS, PAYLOAD, TEMPLATE, Ring
from subscribers import SUBSCRIBERS, Job

from routemq_tui.worker import cells
from routemq_tui.worker import main as worker
from routemq_tui.worker.log_queue import LogReceiver
from routemq_tui.worker.publish_stream import PublishStream
from routemq_tui.worker.spec import BrokerAddress, WorkerSpec

LIMIT = 120.0
OURS = "routemq-tui worker"
CASES = [(version, qos) for version in (4, 5) for qos in (0, 1)]
Row = dict[tuple[int, int], float]

HANDLERS = """
import os, resource
left, measured, before = {total}, {messages}, 0.0

def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime

def one():
    global left, before
    left -= 1
    if left == measured:
        before = cpu_seconds()
    elif not left:
        with open({result!r} + ".new", "w") as file:
            file.write(repr(cpu_seconds() - before))
        os.rename({result!r} + ".new", {result!r})

def handle(payload: dict, kind: str, device: str):
    one()

async def handle_async(payload: dict, kind: str, device: str):
    one()

def through(message, call_next):
    return call_next(message)

async def through_async(message, call_next):
    return await call_next(message)

class Through:
    async def handle(self, context, next_handler):
        return await next_handler(context)
"""


@contextmanager
def pumping(messages: int, window: int, distinct: bool) -> Iterator[int]:
    """A load peer; its port."""
    command = [sys.executable, str(Path(__file__).with_name("peer.py"))]
    command += ["--messages", str(messages), "--window", str(window)] + ["--distinct"] * distinct
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def measure_peer(name: str, job: Job) -> float:
    """CPU microseconds a message."""
    numbers = (job.port, 5 if job.v5 else 4, job.qos, job.warm_up, job.messages, job.window)
    command = [sys.executable, str(Path(__file__).with_name("subscribers.py")), name, *map(str, numbers)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=LIMIT, check=True)
    return float(done.stdout.split()[1]) / job.messages * 1e6


def measure_ours(handler: str, job: Job, tapped: bool = False, middleware: tuple[str, ...] = ()) -> float:
    """The same of a worker process as the engine starts it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["routemq_tui.worker.main"])
    with tempfile.TemporaryDirectory() as root:
        result = Path(root) / "result"
        code = HANDLERS.format(total=job.warm_up + job.messages, messages=job.messages, result=str(result))
        (Path(root) / "handlers.py").write_text(code)
        qos: Literal[0, 1] = 1 if job.qos else 0
        spec = WorkerSpec(
            route="bench",
            slot=1,
            client_id="bench-1",
            template=TEMPLATE,
            subscription=FILTER,
            qos=qos,
            handler=f"handlers:{handler}",
            root=root,
            broker=BrokerAddress("127.0.0.1", job.port, protocol="5" if job.v5 else "3.1.1"),
            prefetch=job.window,
            tapped=tapped,
            middleware=middleware,
        )
        control, child_control = context.Pipe()
        pipes = [context.Pipe(duplex=False) for _ in range(3)]
        ends = [child_control, *(write for _, write in pipes)]
        process = context.Process(target=worker.run, args=(spec, cells.allocate(context), *ends))
        process.start()
        for end in ends:
            end.close()
        threading.Thread(target=_read_all, args=(control,), daemon=True).start()
        try:
            return _await_result(process, result) / job.messages * 1e6
        except RuntimeError as error:
            said = "\n".join(record.text for record in LogReceiver(pipes[0][0]).get_batch())
            raise RuntimeError(f"{error}; its log:\n{said}") from None
        finally:
            process.kill()
            process.join()
            control.close()


def _read_all(control: Connection[Any, Any]) -> None:
    """As the engine does: a worker does not write what nobody reads."""
    with suppress(EOFError, OSError):
        while control.recv_bytes():
            pass


def _await_result(process: multiprocessing.process.BaseProcess, result: Path) -> float:
    deadline = time.monotonic() + LIMIT
    while not result.exists():
        if process.exitcode is not None:
            raise RuntimeError(f"the worker ended with {process.exitcode}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"the worker did not take all messages within {LIMIT:.0f} s")
        time.sleep(0.02)
    return float(result.read_text())


def measure(name: str, arguments: argparse.Namespace, version: int, qos: int) -> float:
    share = SUBSCRIBERS[name].share if name in SUBSCRIBERS else 1.0
    messages = int(arguments.messages * share)
    warm_up = max(1000, messages // 10)
    figures = []
    for _ in range(arguments.rounds):
        total = warm_up + messages
        with pumping(total, arguments.window, arguments.distinct) as port:
            job = Job(port, version == 5, qos, warm_up, messages, arguments.window)
            if name in SUBSCRIBERS:
                figures.append(measure_peer(name, job))
            else:
                handler = "handle_async" if name == "ours-async" else "handle"
                figures.append(measure_ours(handler, job, tapped=name == "ours-tapped"))
    return statistics.median(figures)


def measure_stream(messages: int, distinct: bool) -> None:
    """What taking the packets out of the bytes costs alone, without reading them, in 64 KiB chunks."""
    print("\ntaking packets out of the bytes alone (PublishStream), CPU us a message")
    for version, qos in CASES:
        ring = Ring(version == 5, qos, messages, distinct)
        data = bytes(ring.slice(0, messages)[0])
        chunks = [data[at : at + 65536] for at in range(0, len(data), 65536)]
        figures = []
        for _ in range(7):
            stream = PublishStream(version == 5, str)
            began = time.process_time()
            taken = sum(len(stream.feed(chunk)) for chunk in chunks)
            figures.append((time.process_time() - began) / taken * 1e6)
        print(f"  {title(version, qos):<14}{statistics.median(figures):6.2f}")


def title(version: int, qos: int) -> str:
    return f"{'5' if version == 5 else '3.1.1'} QoS {qos}"


def print_row(name: str, row: Row, ours: Row | None) -> None:
    figures = "".join(f"{row[case]:>12.1f}" for case in CASES)
    ratios = "" if ours is None else "".join(f"{row[case] / ours[case]:>11.1f}x" for case in CASES)
    print(f"{name:<32}{figures}{ratios}", flush=True)


def machine() -> str:
    model = platform.processor() or platform.machine()
    cpu = Path("/proc/cpuinfo")
    if cpu.exists():
        names = [line.split(":")[1].strip() for line in cpu.read_text().splitlines() if "model name" in line]
        model = f"{len(names)} x {names[0]}" if names else model
    return f"{platform.platform()}, {model}, Python {platform.python_version()}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000, help="a run, fewer for the slowest clients")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each, of which the median counts")
    parser.add_argument("--window", type=int, default=1000, help="QoS 1 messages under way (mosquitto: 20)")
    parser.add_argument(
        "--only", default="", help=f"some of {','.join(SUBSCRIBERS)}; ours is always measured"
    )
    parser.add_argument("--distinct", action="store_true", help="every message has a topic of its own")
    parser.add_argument(
        "--async", action="store_true", dest="asynchronous", help="an async handler of ours too"
    )
    parser.add_argument("--tap", action="store_true", help="ours with its messages told to the engine too")
    parser.add_argument("--stream", action="store_true", help="also what the packet stream alone costs")
    arguments = parser.parse_args()
    chosen = [name for name in arguments.only.split(",") if name] or list(SUBSCRIBERS)
    if unknown := [name for name in chosen if name not in SUBSCRIBERS]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(SUBSCRIBERS)}")
    missing = {name: SUBSCRIBERS[name].missing for name in chosen if SUBSCRIBERS[name].missing}
    present = [name for name in chosen if name not in missing]

    names = {"msgspec", *(each for name in present for each in SUBSCRIBERS[name].distributions)}
    topics = "all distinct" if arguments.distinct else f"{KINDS} x {DEVICES}"
    print(machine())
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in sorted(names)))
    print(f"{len(PAYLOAD)} bytes of JSON, {topics} topics, at most {arguments.window} under way at QoS 1")
    print("CPU us a message, then how many times ours")
    for name, packages in missing.items():
        print(f"left out: {name} ({packages} not installed)")
    print(f"{'':<32}" + "".join(f"{title(*case):>12}" for case in CASES) * 2)

    ours = {case: measure("ours", arguments, *case) for case in CASES}
    print_row(OURS, ours, None)
    if arguments.asynchronous:
        print_row(
            f"{OURS}, async handler", {case: measure("ours-async", arguments, *case) for case in CASES}, ours
        )
    if arguments.tap:
        print_row(f"{OURS}, tap on", {case: measure("ours-tapped", arguments, *case) for case in CASES}, ours)
    for name in present:
        print_row(SUBSCRIBERS[name].title, {case: measure(name, arguments, *case) for case in CASES}, ours)
    if arguments.stream:
        measure_stream(arguments.messages, arguments.distinct)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
