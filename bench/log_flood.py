"""A flood of log lines from 8 workers that also handle messages, on the real screen; mprocs beside it.

Ours is the whole program in a terminal of 120x36 (tmux): engine, screen, embedded broker, workers. Each
message makes a handler work for a part of a millisecond and then log and print so many lines; three phases
with the same messages: no lines, lines to a `NullHandler` and /dev/null, lines to the screen. Told are the
times of the *work* in each, by the clock and by the CPU time of its thread: the calls that log are not in it,
since every logging call costs its caller something; what they cost is told beside it. Where the work takes
longer by the clock and not in CPU time, the cores were wanted by others. mprocs shows 8 processes that print
the same lines in the same bursts.

Keys move the selection, twice a second; both programs are looked at in the same way (`terminal.py`). Lines
written by the workers must be lines that the store took (still there or let go) and lines counted as dropped,
and the memory must not grow by more than `log_memory`: exit code 1 when that is not so.

    npm install mprocs@0.9.6     (anywhere; --mprocs names its binary)
    .venv/bin/python bench/log_flood.py [--seconds 60] [--lines 12500] [--mprocs PATH]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from flood_handlers import MESSAGES, NOTE, PHASES
from instance import Instance, wait_for
from machine import machine, percentile
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from terminal import GIVE_UP, HEIGHT, WIDTH, Terminal, cpu_seconds, resident_bytes

WORKERS = 8
BURSTS = 50
"""Messages a second and worker; with fewer lines than these, one line each."""
LOG_MEMORY = 64 * 1024 * 1024
SETTLE = 3.0
TITLE_ROW = 2
CONFIG = f"""
[app]
group = "flood"
log_memory = "{LOG_MEMORY // 1024**2}MB"
[broker]
url = "embedded"
[routes.flood]
topic = "bench/flood"
handler = "flood_handlers:handle"
qos = 1
workers = {WORKERS}
"""
SCRIPT = """
import sys, time
sys.path.insert(0, {bench!r})
from flood_handlers import TEXT, notes
out = open(1, "w", buffering=1 << 16, closefd=False)
begun, bursts = time.monotonic(), 0
while True:
    for number in range({lines}):
        print(TEXT % (number, 21.5), file=out)
    out.flush()
    bursts += 1
    notes()[0] += {lines}
    time.sleep(max(0, begun + bursts / {rate} - time.monotonic()))
"""


class Watched(NamedTuple):
    """What a program that shows logs cost while it was looked at."""

    cpu: float
    begin: int
    end: int
    keys: list[float]
    seconds: float


def watch(terminal: Terminal, look: Callable[[list[str]], str], seconds: float) -> Watched:
    begin, used, begun = resident_bytes(terminal.pid), cpu_seconds(terminal.pid), time.monotonic()
    keys: list[float] = []
    while time.monotonic() - begun < seconds:
        keys.append(terminal.until_changed(look, "jk"[len(keys) % 2]))
        time.sleep(0.5)
    taken = time.monotonic() - begun
    if len(keys) % 2:
        terminal.keys("k")  # back to where it began, so that the next key has somewhere to go
    share = 100 * (cpu_seconds(terminal.pid) - used) / taken
    return Watched(share, begin, resident_bytes(terminal.pid), keys, taken)


# Ours


def program(folder: Path) -> int:
    """The program in the terminal, which also answers how many lines its store has taken."""
    from routemq_tui import cli
    from routemq_tui.engine.log_store import LogStore

    stores: list[LogStore] = []
    begin = LogStore.__init__

    def remember(store: LogStore, *given: Any, **named: Any) -> None:
        begin(store, *given, **named)
        stores.append(store)

    LogStore.__init__ = remember  # type: ignore[method-assign,assignment]

    def answer() -> None:
        while True:
            with (folder / "ask").open() as asked:
                asked.read()
            (store,) = stores
            counts = {}
            for slot in range(1, WORKERS + 1):
                name = f"flood/{slot}"
                held = len(store.read(frozenset({name}), limit=10**9).lines)
                counts[name] = [held, store.evicted(name)]
            (folder / "told.new").write_text(json.dumps({"counts": counts, "bytes": store.bytes}))
            (folder / "told.new").rename(folder / "told")

    threading.Thread(target=answer, daemon=True).start()
    return cli.main(["run"])


class Ours:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        bench = Path(__file__).parent
        (folder / "routemq.toml").write_text(CONFIG)
        shutil.copy(bench / "flood_handlers.py", folder)
        os.mkfifo(folder / "ask")
        path = {"PYTHONPATH": f"{bench.parent}:{folder}"}
        self.terminal = Terminal(
            folder, f"exec {sys.executable} {Path(__file__).resolve()} --child {folder}", path
        )
        self._instance = Instance(folder)
        wait_for(self._is_up, 30, "8 workers are up")
        self._publisher = Client(CallbackAPIVersion.VERSION2)
        self._publisher.max_inflight_messages_set(1000)
        self._publisher.connect("127.0.0.1", self._instance.broker_port())
        self._publisher.loop_start()

    def _is_up(self) -> bool:
        try:
            workers = [each for route in self._instance.snapshot()["routes"] for each in route["workers"]]
        except (OSError, json.JSONDecodeError):
            return False
        return [each["state"] for each in workers] == ["running"] * WORKERS

    def publish(self, phase: int, lines: int, rate: int, ended: threading.Event) -> int:
        """So many messages a second for each worker, until told; returns how many it were."""
        payload = json.dumps({"phase": phase, "lines": lines})
        begun, sent = time.monotonic(), 0
        while not ended.wait(0.0025):
            while sent < (time.monotonic() - begun) * rate * WORKERS:
                self._publisher.publish("bench/flood", payload, qos=1)
                sent += 1
        return sent

    def phase(self, phase: int, lines: int, rate: int, seconds: float) -> Watched:
        ended = threading.Event()
        sent: list[int] = []
        before = self.written()[1]
        thread = threading.Thread(target=lambda: sent.append(self.publish(phase, lines, rate, ended)))
        thread.start()
        time.sleep(SETTLE)
        watched = watch(self.terminal, _our_selection, seconds)
        ended.set()
        thread.join()
        wait_for(lambda: self.written()[1] >= before + sent[0], 60, "all messages are handled")
        return watched

    def written(self) -> tuple[int, int]:
        """Lines and messages so far, by the workers' own notes."""
        heads = [_words(path)[:2] for path in self._folder.glob("notes-*")]
        return sum(head[0] for head in heads), sum(head[1] for head in heads)

    def times(self, phase: int) -> list[tuple[float, ...]]:
        """Milliseconds of the work, of its CPU time and of the lines, of each message of the phase."""
        found = []
        for path in self._folder.glob("notes-*"):
            words = _words(path)
            for place in range(NOTE, NOTE * (words[1] + 1), NOTE):
                if words[place] == phase:
                    found.append(tuple(word / 1e6 for word in words[place + 1 : place + NOTE]))
        return found

    def stored(self) -> tuple[int, int, int]:
        """Lines of workers that the store has now and has let go, and those counted as dropped."""
        told = self._folder / "told"
        told.unlink(missing_ok=True)
        (self._folder / "ask").write_text("?")
        wait_for(told.exists, 30, "the program says what its store holds")
        counts = json.loads(told.read_text())["counts"].values()
        workers = [each for route in self._instance.snapshot()["routes"] for each in route["workers"]]
        dropped = sum(each["log_dropped"] for each in workers)
        return sum(held for held, _ in counts), sum(gone for _, gone in counts), dropped

    def stored_at_last(self) -> tuple[int, int, int]:
        """The same once nothing is under way any more."""
        before, now = (0, 0, 0), self.stored()
        while now != before:
            time.sleep(1.0)
            before, now = now, self.stored()
        return now

    def close(self) -> None:
        self._publisher.loop_stop()
        self.terminal.keys("q")
        deadline = time.monotonic() + 15
        while Path(f"/proc/{self.terminal.pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        self.terminal.close()


def _our_selection(screen: list[str]) -> str:
    return screen[TITLE_ROW] if len(screen) > TITLE_ROW else ""


def _words(path: Path) -> memoryview:
    return memoryview(path.read_bytes()).cast("q")


def ours(lines: int, rate: int, seconds: float) -> bool:
    with tempfile.TemporaryDirectory() as name:
        program_ = Ours(Path(name))
        try:
            quiet = min(seconds, 20.0)
            for phase in (0, 1):
                program_.phase(phase, lines, rate, quiet)
            before = sum(program_.stored_at_last())
            watched = program_.phase(2, lines, rate, seconds)
            held, gone, dropped = program_.stored_at_last()
            written = program_.written()[0]
            tell("routemq-tui", watched, written / (watched.seconds + SETTLE))
            _tell_times([program_.times(phase) for phase in range(len(PHASES))])
            accounted = held + gone + dropped - before
            print(
                f"  written {written:,}; stored {held:,} + let go {gone:,} + dropped {dropped:,}"
                f" - before {before:,} = {accounted:,}{'' if accounted == written else '   WRONG'}"
            )
            bounded = watched.end - watched.begin <= LOG_MEMORY
            if not bounded:
                print(f"  WRONG: it grew by more than the {LOG_MEMORY / 1e6:.0f} MB of log_memory")
            return accounted == written and bounded
        finally:
            program_.close()


def _tell_times(phases: list[list[tuple[float, ...]]]) -> None:
    print("  handler, ms     work p50    p99   CPU p50    p99   its lines p50    p99   messages")
    for what, times in zip(PHASES, phases, strict=True):
        work, used, said = (
            [percentile(column, 50), percentile(column, 99)] for column in zip(*times, strict=True)
        )
        print(
            f"  {what:14}  {work[0]:8.3f} {work[1]:6.3f}  {used[0]:8.3f} {used[1]:6.3f}"
            f"  {said[0]:14.2f} {said[1]:6.2f}   {len(times):8,}"
        )


# mprocs


def mprocs(binary: str, lines: int, rate: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script = folder / "flood.py"
        script.write_text(SCRIPT.format(bench=str(Path(__file__).parent), lines=lines, rate=rate))
        names = ",".join(f"flood-{number}" for number in range(1, WORKERS + 1))
        commands = " ".join([f"'{sys.executable} {script}'"] * WORKERS)
        terminal = Terminal(folder, f"exec {binary} --names {names} {commands}")
        try:
            terminal.wait_for("flood-8", 20)
            time.sleep(SETTLE)
            before = _lines_of(folder)
            watched = watch(terminal, _their_selection, seconds)
            tell("mprocs", watched, (_lines_of(folder) - before) / watched.seconds)
        finally:
            terminal.close()
            for path in folder.glob("notes-*"):  # its processes outlive it when it is killed
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(path.name.partition("-")[2]), signal.SIGKILL)


def _lines_of(folder: Path) -> int:
    return sum(_words(path)[0] for path in folder.glob("notes-*"))


def _their_selection(screen: list[str]) -> str:
    return next((line[:12] for line in screen if "•" in line[:3]), "")


def tell(what: str, watched: Watched, rate: float) -> None:
    keys = [each * 1000 for each in watched.keys]
    unanswered = sum(each >= GIVE_UP for each in watched.keys)
    print(
        f"{what}: {rate:,.0f} lines/s written; screen and engine {watched.cpu:.0f} % of a core; "
        f"RSS {watched.begin / 1e6:.0f} -> {watched.end / 1e6:.0f} MB; "
        f"key p50 {percentile(keys, 50):.0f}, p95 {percentile(keys, 95):.0f}, max {max(keys):.0f} ms"
        f" ({len(keys)} keys)" + (f"; {unanswered} not answered within {GIVE_UP:g} s" if unanswered else ""),
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--lines", type=int, default=12_500, help="a second, of each of the 8 workers")
    parser.add_argument("--mprocs", default=shutil.which("mprocs"), help="its binary; left out without one")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        return program(given.child)
    rate = min(BURSTS, given.lines)
    lines = given.lines // rate
    if rate * (given.seconds + 60) > MESSAGES:
        parser.error(f"at most {MESSAGES // rate - 60} seconds")
    print(f"{machine()}; Python {platform.python_version()}; {WIDTH}x{HEIGHT}")
    print(f"{WORKERS} x {rate * lines:,} lines/s, {lines} a message, {given.seconds:g} s")
    exact = ours(lines, rate, given.seconds)
    if given.mprocs:
        mprocs(given.mprocs, lines, rate, given.seconds)
    print(f"load {os.getloadavg()[0]:.1f} at the end")
    return 0 if exact else 1


if __name__ == "__main__":
    raise SystemExit(main())
