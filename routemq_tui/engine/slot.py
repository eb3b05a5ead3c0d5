"""One slot of a route: the life of its processes, one after the other, under one client id.

The slot carries out (start, drain, kill) and takes note (reports, ends); what is wanted of it is decided by
the supervisor. Everything here runs on the engine's thread.
"""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from routemq_tui.config.model import RouteConfig
from routemq_tui.engine import fork_server
from routemq_tui.engine.journal import Journal
from routemq_tui.engine.metrics import HistoryKeeper, Track, take_sample
from routemq_tui.engine.policy import NEVER_AGAIN, RestartPolicy, crash_loop_reason, hopeless_reason
from routemq_tui.engine.process import ControlError, OutputPipes, Target, WorkerProcess, exit_words
from routemq_tui.engine.states import ALIVE, Event, Status, WorkerState, transition
from routemq_tui.engine.usage import Usage
from routemq_tui.errors import ExitCode
from routemq_tui.units import format_seconds
from routemq_tui.worker import cells, spec
from routemq_tui.worker.main import run

STUCK_AFTER = 10.0
"""Seconds without a heartbeat."""
DRAIN_GRACE = 2.0
"""Seconds beyond a drain's own limit until the worker is killed."""


class Intent(Enum):
    """What is to become of the slot when its process has ended as asked."""

    SERVE = auto()
    RESTART = auto()
    LEAVE = auto()
    """Scaled away: the slot goes when its process has gone."""
    REST = auto()
    """It stopped by its own policy and waits for a person."""
    STOP = auto()
    """The engine ends."""


@dataclass(frozen=True)
class Surroundings:
    """What a slot needs of the engine."""

    journal: Journal
    watch_outputs: Callable[[str, OutputPipes], None]
    policy: RestartPolicy = field(default_factory=RestartPolicy)
    target: Target = run
    chance: Callable[[], float] = random.random


class Slot:
    def __init__(self, route: RouteConfig, number: int, client_id: str, around: Surroundings) -> None:
        self.route = route
        self.number = number
        self.name = f"{route.name}/{number}"
        self.client_id = client_id
        self.memory = cells.allocate(fork_server.CONTEXT)
        self.words = cells.words_of(self.memory)
        self.status = Status(since=time.monotonic())
        self.intent = Intent.SERVE
        self.paused = False
        self.process: WorkerProcess | None = None
        self.starts = 0
        self.started_at = 0.0
        self.drain_deadline: float | None = None
        self.stuck = False
        self.note = ""
        """What is amiss without being a state: no connection, no heartbeat."""
        self.last_exit: str | None = None
        self.last_error: str | None = None
        self.usage: Usage | None = None
        self.track = Track(take_sample(self.words, time.monotonic(), time.monotonic_ns()))
        self.keeper = HistoryKeeper()
        self._around = around
        self._journal = around.journal
        self._deaths: deque[float] = deque(maxlen=around.policy.limit * 2)
        self._hopeless = ""
        self._drained: spec.Drained | None = None

    @property
    def state(self) -> WorkerState:
        return self.status.state

    @property
    def alive(self) -> bool:
        return self.status.state in ALIVE

    @property
    def connected(self) -> bool:
        """Whether a live process says that it is connected and subscribed."""
        return self.process is not None and bool(self.words[cells.CONNECTED])

    @property
    def restarts(self) -> int:
        return max(self.starts - 1, 0)

    @property
    def is_member(self) -> bool:
        """Whether it counts towards the desired number."""
        return self.intent is not Intent.LEAVE

    def wants_start(self, now: float) -> bool:
        if self.intent is not Intent.SERVE:
            return False
        if self.state is WorkerState.BACKOFF:
            return self.status.retry_at is not None and self.status.retry_at <= now
        return self.state is WorkerState.STOPPED

    # -- what is done to it ------------------------------------------------------------------------------

    def start(self, worker: spec.WorkerSpec, now: float) -> None:
        """A new process on the slot's memory. Raises OSError when the machine has none to give."""
        for cell in (cells.CURRENT_SINCE_NS, cells.IN_FLIGHT, cells.CONNECTED, cells.PID, cells.HEARTBEAT_NS):
            self.words[cell] = 0  # the last process is dead: nobody else writes now
        self.process = WorkerProcess(worker, self.memory, self._around.target)
        self._around.watch_outputs(self.name, self.process.outputs)
        self.starts += 1
        self.started_at = now
        self.stuck = False
        self.note = self._hopeless = ""
        self._drained = None
        self.drain_deadline = None
        self.usage = Usage(self.process.pid)
        self._become(Event.START, now, self.last_exit if self.starts > 1 else None)
        self._say(f"started, pid {self.process.pid}" + (f" (start {self.starts})" if self.starts > 1 else ""))

    def could_not_start(self, error: OSError | EOFError, now: float) -> None:
        """The machine has no process or file descriptor to give; tried again as after a crash."""
        self._become(Event.START, now)
        self._died(f"could not be started: {error}", now)

    def revive(self, now: float) -> None:
        """Forget its crashes and let it start now."""
        self._deaths.clear()
        self.intent = Intent.SERVE
        if not self.alive:
            self._become(Event.ENDED, now)

    def drain(self, now: float, intent: Intent, timeout: float) -> None:
        """Let the process finish what it has in hand and go, within `timeout` seconds."""
        if intent is Intent.LEAVE and self.process is None:
            kept = (
                ", what its session at the broker holds is not drained" if self.words[cells.CONNECTS] else ""
            )
            self._journal.notice(
                "information", f"{self.name} taken away (it was {self.state}){kept}", self.name
            )
        self.intent = intent
        self._become(Event.DRAIN, now)
        if self.process is None or self.state is WorkerState.KILLED:
            return
        self.drain_deadline = now + timeout + DRAIN_GRACE
        self.process.send(spec.Drain(keep_session=intent is not Intent.LEAVE, timeout=timeout))

    def kill(self, now: float, reason: str) -> None:
        """SIGKILL, now; `reason` in words: "killed by hand"."""
        if self.process is None or not self.alive:
            return
        self.process.kill()
        self._become(Event.KILL, now, reason)

    def set_paused(self, paused: bool, now: float) -> None:
        self.paused = paused
        if self.process is not None:
            self.process.send(spec.Pause() if paused else spec.Resume())
        if self.state in (WorkerState.RUNNING, WorkerState.PAUSED):
            self._become(Event.PAUSE if paused else Event.RESUME, now)

    # -- what it tells -----------------------------------------------------------------------------------

    def take_reports(self, now: float) -> None:
        if self.process is None:
            return
        try:
            reports = self.process.reports()
        except ControlError as error:
            self._say(f"wrote rubbish to its control pipe ({error}): killed", logging.ERROR)
            self.process.kill()
            return
        for report in reports:
            _TAKE[type(report)](self, report, now)

    def check_heartbeat(self, now: float, now_ns: int) -> None:
        """Report a process that gives no sign of life: stopped, or busy in native code."""
        if self.process is None or not self.alive:
            return
        beat = self.words[cells.HEARTBEAT_NS]
        silent = (now_ns - beat) / 1e9 if beat else now - self.started_at
        if silent < STUCK_AFTER:
            if self.stuck:
                self.stuck, self.note = False, ""
                self._journal.notice("information", f"{self.name} is alive again", self.name)
            return
        topic = self._current_topic()
        doing = f" in {topic}" if topic else ""
        self.note = f"no heartbeat for {silent:.0f} s{doing}: stopped, or busy in native code; X kills it"
        if not self.stuck:
            self.stuck = True
            self._journal.notice("warning", f"{self.name}: {self.note}", self.name)

    def take_end(self, now: float) -> None:
        """The process has ended: decide by how it did, and by what was wanted of it."""
        process = self.process
        if process is None:
            return
        self.take_reports(now)  # what it said last
        code = process.exit_code
        on_request = self.state is WorkerState.KILLED
        by_us = "killed for what it wrote to its control pipe" if process.killed else ""
        words = exit_words(code, self._current_topic(), self.status.reason if on_request else by_us)
        unfinished = self.words[cells.IN_FLIGHT]
        process.close()
        self.process = self.usage = self.drain_deadline = None
        self.words[cells.CONNECTED] = self.words[cells.IN_FLIGHT] = self.words[cells.CURRENT_SINCE_NS] = 0
        self.stuck, self.note = False, ""
        self.last_exit = self._hopeless or words
        drained = self._drained
        if drained is not None and code == ExitCode.OK:
            self._ended(f"drained: {drained.finished} finished, {drained.left} left", drained.left, now)
        elif self.intent in (Intent.LEAVE, Intent.STOP):
            self._ended(f"{words}, {unfinished} unfinished", unfinished, now)
        elif on_request:
            self.intent = Intent.SERVE
            self._say(f"{words}, {unfinished} unfinished", logging.WARNING)
            self._become(Event.ENDED, now, words)
        elif code in NEVER_AGAIN or self._hopeless:
            self._give_up(hopeless_reason(self._hopeless or words), now)
        else:
            self._died(words, now)

    # -- the ends ----------------------------------------------------------------------------------------

    def _ended(self, words: str, left: int, now: float) -> None:
        severity = "warning" if left else "information"
        if self.intent is Intent.RESTART:
            self.intent = Intent.SERVE
        elif self.intent is Intent.SERVE:
            self.intent = Intent.REST
            words, severity = f"stopped by its own policy ({words}); press s to start it again", "warning"
        # At the end of all, whoever kills the late ones says so once for all of them.
        told = self.state is WorkerState.KILLED and self.intent is Intent.STOP
        if self.intent in (Intent.LEAVE, Intent.REST) or (left and not told):
            self._journal.notice(severity, f"{self.name} {words}", self.name)
        else:
            self._say(words)
        self._become(Event.ENDED, now, words)

    def _died(self, words: str, now: float) -> None:
        self.intent = Intent.SERVE
        self._deaths.append(now)
        policy = self._around.policy
        self.keeper.mark("crashed", time.time())
        if policy.is_crash_loop(self._deaths, now):
            self._give_up(crash_loop_reason(policy, words), now)
            return
        delay = policy.delay(self._deaths, now, self._around.chance)
        again = f"restart in {format_seconds(delay)}" if delay else "restarted at once"
        self._journal.notice("error", f"{self.name} {words}; {again}", self.name)
        self._become(Event.DIED, now, words, now + delay)

    def _give_up(self, reason: str, now: float) -> None:
        self.intent = Intent.SERVE
        self._journal.notice("error", f"{self.name} failed: {reason}", self.name)
        self._become(Event.GAVE_UP, now, reason)

    # -- small things ------------------------------------------------------------------------------------

    def _become(
        self, event: Event, now: float, reason: str | None = None, retry_at: float | None = None
    ) -> None:
        self.status = transition(self.status, event, now, reason, retry_at)

    def _say(self, text: str, level: int = logging.INFO) -> None:
        self._journal.event(self.name, text, level)

    def _current_topic(self) -> str | None:
        current = cells.read_current(self.words)
        return current[0] if current else None

    def _take_connected(self, report: spec.Connected, now: float) -> None:
        self.note = ""
        self._say("connected, " + ("session taken up again" if report.session_present else "new session"))
        if report.expiry_cap is not None:
            self._say(
                f"the broker keeps the session for {report.expiry_cap} s only: "
                "messages for this worker are lost when it is away longer",
                logging.WARNING,
            )

    def _take_subscribed(self, report: spec.Subscribed, now: float) -> None:
        level = logging.INFO if report.granted_qos >= self.route.qos else logging.WARNING
        self._say(f"subscribed, QoS {report.granted_qos} granted (asked for {self.route.qos})", level)
        self._become(Event.SUBSCRIBED, now)
        if self.paused and self.state is WorkerState.RUNNING:
            self._become(Event.PAUSE, now)

    def _take_disconnected(self, report: spec.Disconnected, now: float) -> None:
        self.note = f"no connection: {report.reason}"
        self._say(f"{self.note}; next try in {format_seconds(report.retry_in)}", logging.WARNING)

    def _take_hopeless(self, report: spec.ImportFailed | spec.Refused | spec.TakenOver, now: float) -> None:
        reason = "another client uses it" if isinstance(report, spec.TakenOver) else report.reason
        self._hopeless = f"{_HOPELESS[type(report)]}: {reason}"

    def _take_draining(self, report: spec.Draining, now: float) -> None:
        self._say(f"draining, {report.in_hand} in hand")

    def _take_drained(self, report: spec.Drained, now: float) -> None:
        self._drained = report

    def _take_handler_failed(self, report: spec.HandlerFailed, now: float) -> None:
        self.last_error = f"{report.error} ({report.topic})"


_HOPELESS: dict[type, str] = {
    spec.ImportFailed: "the handler cannot be used",
    spec.Refused: "the broker refused it",
    spec.TakenOver: "its client id was taken over",
}
_TAKE: dict[type, Callable[..., None]] = {
    spec.Connected: Slot._take_connected,
    spec.Subscribed: Slot._take_subscribed,
    spec.Disconnected: Slot._take_disconnected,
    spec.ImportFailed: Slot._take_hopeless,
    spec.Refused: Slot._take_hopeless,
    spec.TakenOver: Slot._take_hopeless,
    spec.Draining: Slot._take_draining,
    spec.Drained: Slot._take_drained,
    spec.HandlerFailed: Slot._take_handler_failed,
}
