"""Follows a running engine with plain lines until it has stopped."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TextIO

from routemq_tui import __version__
from routemq_tui.engine.commands import Reload, Stop
from routemq_tui.engine.port import EnginePort
from routemq_tui.engine.snapshot import BrokerState, EngineState, Snapshot
from routemq_tui.engine.states import WorkerState
from routemq_tui.errors import ExitCode
from routemq_tui.headless.lines import PlainLines, Wording
from routemq_tui.headless.notify import SystemdNotifier
from routemq_tui.headless.output import Output, OutputLostError
from routemq_tui.headless.summary import Summary

_TICK = 0.1
_STATUS_EVERY = 5.0
_STATUS_AT_MOST_EVERY = 1.0
"""Seconds between two status lines when something changes all the time."""
_BATCH = 2000
_BATCHES = 5
"""Log batches printed a tick; whoever logs more than that loses the oldest lines, and is told how many."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_RELOADING = "SIGHUP"
_LAST_LINES = 3.0
"""Seconds that whoever reads us has for the rest, in the end."""
_ENDED = (EngineState.STOPPING, EngineState.STOPPED)


def run(
    engine: EnginePort,
    *,
    duration: float | None,
    out: TextIO,
    why: str = "no terminal",
    wording: Wording | None = None,
    complain: Callable[[str], object] = lambda text: None,
) -> int:
    """Print what happens until the engine has stopped; returns the exit code.

    SIGINT and SIGTERM drain, a second one forces; SIGHUP reads the configuration anew. After `duration`
    seconds it stops by itself and prints a summary; BROKER_UNAVAILABLE then, when the broker was never there.
    WORKERS_FAILED when any worker was given up; with none left but such, it stops by itself. When `out` is
    closed or fails, the workers are drained and BrokenPipeError or OutputLostError is raised. `complain` is
    told what cannot be said there, and why.
    """
    return _Session(engine, duration, out, why, wording or PlainLines(), complain).run()


class _Session:
    def __init__(
        self,
        engine: EnginePort,
        duration: float | None,
        out: TextIO,
        why: str,
        wording: Wording,
        complain: Callable[[str], object],
    ) -> None:
        self._engine = engine
        self._duration = duration
        self._output = Output(out, self._dropped)
        self._output_lost = False
        self._complain = complain
        self._why = why
        self._wording = wording
        self._pids: dict[str, int] = {}
        self._summary = Summary()
        self._signals: list[str] = []
        self._stops = 0
        self._deadline = time.monotonic() + duration if duration is not None else None
        self._next_seq = 0
        self._status_time = time.monotonic()
        self._status_of: object = None
        self._given_up = False
        self._broker_was_up = False
        self._systemd = SystemdNotifier()

    def run(self) -> int:
        with self._hearing_signals():
            self._say(self._greeting())
            while True:
                snapshot = self._engine.snapshot()
                self._follow(snapshot)
                self._systemd.look(snapshot)
                if snapshot.state is EngineState.STOPPED:
                    break
                time.sleep(_TICK)
            if self._duration is not None:
                self._print(*self._wording.summary(self._summary, time.time()))
            self._finish()
        return self._exit_code()

    def _finish(self) -> None:
        """See to what is not written yet; a signal says not to wait for that."""
        self._signals.clear()
        left = self._output.close(_LAST_LINES, hurry=lambda: bool(self._signals))
        self._systemd.close()
        if left:
            self._complain(f"up to {left} lines were not written: nobody read them")
        if self._output.error is not None:
            self._look_at_output()
            if isinstance(self._output.error, BrokenPipeError):
                raise self._output.error
            raise OutputLostError from self._output.error

    def _exit_code(self) -> ExitCode:
        if self._given_up:
            return ExitCode.WORKERS_FAILED
        if self._duration is not None and not self._broker_was_up:
            return ExitCode.BROKER_UNAVAILABLE
        return ExitCode.OK

    def _greeting(self) -> str:
        end = f"for {self._duration:g} s" if self._duration is not None else "until SIGINT or SIGTERM"
        return f"{__version__}: plain lines instead of the screen ({self._why}), {end}"

    def _follow(self, snapshot: Snapshot) -> None:
        self._summary.add(snapshot)
        for route in snapshot.routes:
            self._pids |= {worker.name: worker.pid for worker in route.workers if worker.pid is not None}
        self._print_logs()
        self._print_status(snapshot)
        self._look_at_output()
        self._stop_when_asked(snapshot)

    # -- what is printed ----------------------------------------------------------------------------------

    def _print(self, *lines: str) -> None:
        self._output.put(lines)

    def _say(self, text: str, level: str = "INFO") -> None:
        self._print(self._wording.said(time.time(), level, text))

    def _dropped(self, count: int) -> str:
        text = f"{count} lines were dropped here: nobody read them in time"
        return self._wording.said(time.time(), "WARNING", text)

    def _look_at_output(self) -> None:
        error = self._output.error
        if error is None or self._output_lost:
            return
        self._output_lost = True
        if not isinstance(error, BrokenPipeError):  # whoever closes a pipe knows
            self._complain(
                f"standard output cannot be written: {error.strerror or error}; draining the workers"
            )
        if not self._stops:
            self._stop("nobody is told any more")

    def _print_logs(self) -> None:
        logs = self._engine.logs
        for turn in range(_BATCHES):
            last = turn == _BATCHES - 1
            batch = logs.read(after=self._next_seq, limit=_BATCH, newest=last)
            # A merged view has every number once, so what is lacking was skipped or already let go.
            newest = batch.lines[-1].seq if batch.lines else self._next_seq
            missed = newest - self._next_seq - len(batch.lines) if batch.lines else batch.missed
            if missed > 0:
                self._say(f"{missed} log lines not shown: they came faster than they are printed", "WARNING")
            self._print(*(self._wording.log(line, self._pids) for line in batch.lines))
            self._next_seq = newest if batch.lines else max(newest, batch.next_seq)
            if not batch.more:
                return

    def _print_status(self, snapshot: Snapshot) -> None:
        now = time.monotonic()
        broker = snapshot.broker.state
        of = (snapshot.state, snapshot.health, broker, snapshot.running, snapshot.desired)
        wait = _STATUS_EVERY if of == self._status_of else _STATUS_AT_MOST_EVERY
        if now - self._status_time >= wait:
            self._status_of, self._status_time = of, now
            self._print(self._wording.status(snapshot, time.time()))

    # -- when to stop -------------------------------------------------------------------------------------

    def _stop_when_asked(self, snapshot: Snapshot) -> None:
        if snapshot.state is EngineState.RUNNING:
            states = [worker.state for route in snapshot.routes for worker in route.workers]
            self._given_up = WorkerState.FAILED in states
            self._broker_was_up |= snapshot.broker.state is BrokerState.UP
            if states and all(state is WorkerState.FAILED for state in states) and not self._stops:
                self._stop("every worker was given up")
        while self._signals:
            name = self._signals.pop(0)
            if name != _RELOADING:
                self._stop(name)
            elif self._stops or snapshot.state in _ENDED:
                self._say(f"{_RELOADING}: ignored, since the workers are being drained")
            else:
                self._reload()
        if self._deadline is not None and time.monotonic() >= self._deadline and not self._stops:
            self._stop("the time is up")

    def _reload(self) -> None:
        self._say(f"{_RELOADING}: reading the configuration anew")
        self._systemd.reloading()
        self._engine.send(Reload())

    def _stop(self, why: str) -> None:
        self._stops += 1
        forced = self._stops > 1
        how = "stopping at once" if forced else "draining the workers"
        self._say(f"{why}: {how}")
        self._engine.send(Stop(force=forced))

    @contextmanager
    def _hearing_signals(self) -> Iterator[None]:
        def note(number: int, _frame: FrameType | None) -> None:
            self._signals.append(signal.Signals(number).name)

        before = {number: signal.signal(number, note) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
