"""One slot of a route: the life of its processes, one after the other, under one client id.

The slot carries out (start, drain, kill) and takes note (reports, ends); what is wanted of it is decided by
the supervisor. Everything here runs on the engine's thread.
"""

from __future__ import annotations

import logging
import time
from collections import deque

from routemq_tui.config.model import RouteConfig
from routemq_tui.engine import fork_server, reports
from routemq_tui.engine.crashes import NEVER_BEGAN, Crashes
from routemq_tui.engine.deaths import DeathTable
from routemq_tui.engine.endings import End, death_of, describe_end, drained_words, foretell
from routemq_tui.engine.histories import HistoryKeeper
from routemq_tui.engine.metrics import Track, take_sample
from routemq_tui.engine.policy import crash_loop_reason, hopeless_reason
from routemq_tui.engine.process import ControlError, WorkerProcess
from routemq_tui.engine.sessions import SessionEntry
from routemq_tui.engine.snapshot import Exit
from routemq_tui.engine.states import ALIVE, Event, Intent, Status, WorkerState, transition
from routemq_tui.engine.stepping_aside import SteppingAside
from routemq_tui.engine.surroundings import Surroundings
from routemq_tui.engine.usage import Usage
from routemq_tui.units import format_seconds
from routemq_tui.worker import black_box, cells, spec

DRAIN_GRACE = 2.0
"""Seconds beyond a drain's own limit until the worker is killed."""
EXITS_KEPT = 8


class Slot:
    def __init__(
        self, route: RouteConfig, number: int, client_id: str, deaths: DeathTable, around: Surroundings
    ) -> None:
        self.route = route
        self.number = number
        self.name = f"{route.name}/{number}"
        self.client_id = client_id
        self.memory = cells.allocate(fork_server.CONTEXT)
        self.words = cells.words_of(self.memory)
        self.status = Status(since=time.monotonic())
        self.intent = Intent.SERVE
        self.emptying = False
        """Its processes only drain and end the session, which nobody else can do; then the slot goes."""
        self.orphan: SessionEntry | None = None
        """The session that it has taken over, where that differs from what the route has now."""
        self.paused = False
        self.holding = ""
        """Why the worker holds a message it can do nothing with."""
        self.process: WorkerProcess | None = None
        self.starts = 0
        self.started_at = 0.0
        self.received_before = self.ended_before = 0
        """Messages received and handled when the process started."""
        self.tapped = False
        self.drain_deadline: float | None = None
        self.is_sync = False
        """Whether the handler is known to be a plain function."""
        self.stuck = False
        self.note = ""
        """What is amiss without being a state: no connection, no heartbeat."""
        self.fault = ""
        """Why it is drained, when that was not asked for by anybody."""
        self.blamed = self.kill_counts = self.timed_out = False
        self.foretold = 0
        """Fingerprint of the message that stands in the table of deaths already, for a kill under way."""
        self.exits: deque[Exit] = deque(maxlen=EXITS_KEPT)
        self.last_error: str | None = None
        self.given_up = reports.GivenUpLines()
        self.hopeless = self.stopped = self.start_fault = ""
        self.unwelcome = False
        """The broker refuses us, or another client has our id: connecting again would only do harm."""
        self._served: spec.WorkerSpec | None = None
        self._aside = SteppingAside(around.journal, self.name)
        self.drained: spec.Drained | None = None
        self.usage: Usage | None = None
        self.track = Track(take_sample(self.words, time.monotonic(), time.monotonic_ns()))
        self.keeper = HistoryKeeper()
        self.around = around
        self.deaths = deaths
        self.crashes = Crashes(around.policy, deaths)
        self._drain_ends_session = False
        self._drain_time_up = float("inf")

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

    @property
    def is_stopping(self) -> bool:
        """Whether the engine ends."""
        return self.intent is Intent.STOP

    @property
    def has_left(self) -> bool:
        return self.intent is Intent.LEAVE and self.process is None and not self.emptying

    def wants_start(self, now: float) -> bool:
        if self.intent is not Intent.SERVE and not (self.intent is Intent.LEAVE and self.emptying):
            return False
        if self.state is WorkerState.BACKOFF:
            return self.status.retry_at is not None and self.status.retry_at <= now
        return self.state is WorkerState.STOPPED

    def current_topic(self) -> str | None:
        current = black_box.read_current(self.words)
        return current[0] if current else None

    # -- what is done to it ------------------------------------------------------------------------------

    def start(self, worker: spec.WorkerSpec, now: float) -> None:
        """A new process on the slot's memory. Raises OSError when the machine has none to give."""
        self._aside.end()
        self._served = worker
        self.unwelcome = False
        words = self.words
        for cell in cells.OF_A_PROCESS:
            words[cell] = 0  # the last process is dead: nobody else writes now
        words[cells.ACKNOWLEDGED] = self.received_before = words[cells.RECEIVED]
        self.ended_before = words[cells.OK] + words[cells.FAILED]
        self.process = WorkerProcess(worker, self.memory, self.around.target)
        self.around.watch_outputs(self.name, self.process.outputs)
        self.starts += 1
        self.started_at = now
        self.stuck = self.blamed = self.kill_counts = self.timed_out = False
        self.note = self.hopeless = self.holding = self.stopped = self.fault = self.start_fault = ""
        self.foretold = 0
        self.drained = self.drain_deadline = None
        self._drain_ends_session, self._drain_time_up = False, float("inf")
        self.usage = Usage(self.process.pid)
        self.become(Event.START, now, self.exits[-1].words if self.exits else None)
        self.say(f"started, pid {self.process.pid}" + (f" (start {self.starts})" if self.starts > 1 else ""))
        if self.emptying:
            self._drain_process(now, ends_session=True, timeout=None)
            self.become(Event.DRAIN, now, "handles what its session at the broker holds, and ends it")

    def could_not_start(self, error: OSError | EOFError, now: float) -> None:
        """The machine has no process or file descriptor to give; tried again as after a crash."""
        self.become(Event.START, now)
        self._died(f"could not be started: {error}", 0, now)

    def revive(self, now: float) -> None:
        """Forget its crashes and let it start now."""
        self.crashes.clear()
        self.intent = Intent.SERVE
        if not self.alive:
            self.become(Event.ENDED, now)

    def take_over(self, entry: SessionEntry, differs: bool) -> None:
        """Drain and end a session that an engine before us left under our client id."""
        self.intent, self.emptying = Intent.LEAVE, True
        self.orphan = entry if differs else None

    def drain(self, now: float, intent: Intent, timeout: float) -> None:
        """Let the process finish what it has in hand and go, within `timeout` seconds."""
        if intent is Intent.LEAVE and self.process is None:
            self.emptying = self._session_is_left()
            then = "; what its session at the broker holds is handled" if self.emptying else ""
            self.around.journal.notice(
                "information", f"{self.name} taken away (it was {self.state}){then}", self.name
            )
        self.intent = intent
        self.become(Event.DRAIN, now, self.fault or None)
        if self.process is not None and self.state is not WorkerState.KILLED:
            self.drain_deadline = now + timeout + DRAIN_GRACE
            leaves = intent is Intent.LEAVE or (intent is Intent.STOP and self.around.ephemeral)
            self._drain_process(now, ends_session=leaves, timeout=timeout)

    def _drain_process(self, now: float, ends_session: bool, timeout: float | None) -> None:
        assert self.process is not None
        self._drain_ends_session = ends_session
        if timeout is not None:  # a second one can only shorten the time
            self._drain_time_up = min(self._drain_time_up, now + timeout)
        self.process.send(spec.Drain(keep_session=not ends_session, timeout=timeout))

    def hurry(self, now: float, timeout: float) -> None:
        """The engine ends: a drain under way has so long; what is left stays in the session."""
        self.intent = Intent.STOP
        if self.process is not None:
            self._drain_process(now, self._drain_ends_session, timeout)

    def kill(self, now: float, reason: str, *, blamed: bool = False, counts: bool = False) -> None:
        """SIGKILL, now; `reason` in words: "killed by hand".

        `blamed`: it was not asked for, so the message being handled is suspected. `counts`: it counts as a
        crash for the restart policy, since it would happen again at once.
        """
        if self.process is None or not self.alive:
            return
        self.blamed, self.kill_counts = blamed, counts
        if blamed:
            foretell(self, now)
        if not self.is_stopping:
            self.around.ledgers.expect(death_of(self, self.process, reason), now)
        self.process.kill()
        self.become(Event.KILL, now, reason)

    def set_paused(self, paused: bool, now: float) -> None:
        self.paused = paused
        if self.process is not None:
            self.process.send(spec.Pause() if paused else spec.Resume())
        self.settle_pause(now)

    def settle_pause(self, now: float) -> None:
        """Paused on request, or because the worker holds a message."""
        if self.state in (WorkerState.RUNNING, WorkerState.PAUSED):
            self.become(Event.PAUSE if self.paused or self.holding else Event.RESUME, now, self.holding or "")

    # -- what it tells -----------------------------------------------------------------------------------

    def take_reports(self, now: float) -> None:
        if self.process is None:
            return
        try:
            found = self.process.reports()
        except ControlError as error:
            self.say(f"wrote rubbish to its control pipe ({error}): killed", logging.ERROR)
            self.process.kill()
            return
        for report in found:
            reports.take(self, report, now)

    def take_end(self, now: float) -> None:
        """The process has ended: decide by how it did, and by what was wanted of it."""
        process = self.process
        if process is None:
            return
        self.take_reports(now)  # what it said last
        self.around.told.ended(self.name, self.words[cells.FAILED])
        end = describe_end(self, process, now)
        one_queue = process.spec.broker.one_queue_per_group
        process.close()
        self.process = self.usage = self.drain_deadline = None
        for cell in cells.OF_A_PROCESS:
            self.words[cell] = 0
        self.stuck, self.note, self.holding = False, "", ""
        self.exits.append(Exit(time.time(), self.hopeless or end.words, now - self.started_at))
        if self._drain_ends_session and end.drained and (one_queue or self._was_emptied(end.drained, now)):
            self.around.sessions.ended(self.client_id)
            self.emptying = False
        self._decide(end, one_queue, now)

    def _was_emptied(self, drained: spec.Drained, now: float) -> bool:
        """A drain that gave up early leaves the session as it is, and says so only by the time it took."""
        return drained.left == 0 and now < self._drain_time_up

    def _session_is_left(self, one_queue: bool = False) -> bool:
        """Whether the broker holds a session for this slot whose messages nobody else gets."""
        return self.around.sessions.exists(self.client_id) and not (one_queue and self.route.shared)

    # -- the ends ----------------------------------------------------------------------------------------

    def _decide(self, end: End, one_queue: bool, now: float) -> None:
        if self.intent is Intent.LEAVE:
            self._left(end, one_queue, now)
        elif self.intent is Intent.STOP:
            self._rest(end.account, end.unfinished, now)
        elif self.fault:
            self._died(self.fault if end.drained else end.words, end.suspect, now)
        elif self.stopped:
            self.intent = Intent.REST
            words = f"{self.stopped}; press s to start it again when it is mended"
            self.around.journal.notice("error", f"{self.name} {words}", self.name)
            self.become(Event.ENDED, now, words)
        elif end.drained:
            if self.intent is Intent.SERVE:
                words = f"stopped by its own policy ({drained_words(end.drained)}); press s to start it again"
                self.intent = Intent.REST
            else:
                words, self.intent = drained_words(end.drained), Intent.SERVE
            self._rest(words, end.unfinished, now)
        elif end.killed and self.kill_counts:
            self._died(end.words, end.suspect, now)
        elif end.killed:
            self.intent = Intent.SERVE
            if self.blamed:
                self.around.journal.notice("error", f"{self.name} {end.words}; replaced at once", self.name)
                self.keeper.mark("replaced", time.time())
            else:
                self.say(f"{end.words}, {end.unfinished} unfinished", logging.WARNING)
            self.become(Event.ENDED, now, end.words)
        elif self.hopeless:  # said by a report: a handler may end its process with any exit code
            self._give_up(hopeless_reason(self.hopeless), now)
        else:
            self._died(end.words, end.suspect, now)

    def _rest(self, words: str, left: int, now: float) -> None:
        severity = "warning" if left or self.intent is Intent.REST else "information"
        # At the end of all, whoever kills the late ones says so once for all of them.
        told = self.state is WorkerState.KILLED and self.intent is Intent.STOP
        if self.intent is Intent.REST or (left and not told):
            self.around.journal.notice(severity, f"{self.name} {words}", self.name)
        else:
            self.say(words)
        self.become(Event.ENDED, now, words)

    def _left(self, end: End, one_queue: bool, now: float) -> None:
        """It was to go. A session that it could not end is emptied by another process, until that is done."""
        words = end.account + (end.left_words if one_queue and self.route.shared else "")
        if not self._session_is_left(one_queue):
            self.emptying = False
        elif hopeless := self.hopeless or self.stopped:
            self._abandon(hopeless, now)
            return
        elif not (end.drained or end.killed):
            self.emptying = True
            self._died(words, end.suspect, now)
            return
        else:
            self.emptying = True
            words += "; what its session at the broker holds is handled"
        severity = "warning" if end.unfinished else "information"
        self.around.journal.notice(severity, f"{self.name} {words}", self.name)
        self.become(Event.ENDED, now, words)

    def _abandon(self, reason: str, now: float) -> None:
        """The session cannot be emptied now. It stays in the list, and is taken up again from there."""
        self.emptying = False
        # One with another subscription is taken up by the next program only.
        then = "add a worker or start again" if self.orphan is None else "start the program again"
        text = (
            f"{self.name} {reason}; its session {self.client_id} stays at the broker with what it holds: "
            f"mend that, then {then}"
        )
        self.around.journal.notice("error", text, self.name)
        self.become(Event.GAVE_UP, now, reason)

    def _died(self, words: str, suspect: int, now: float) -> None:
        if self.intent is not Intent.LEAVE:
            self.intent = Intent.SERVE
        self.crashes.add(now, NEVER_BEGAN if self.start_fault else suspect)
        self.keeper.mark("crashed", time.time())
        delay = self.crashes.next_start(now, self.around.chance)
        if delay is None:
            self._give_up(crash_loop_reason(self.around.policy, words), now)
            return
        again = f"restart in {format_seconds(delay)}" if delay else "restarted at once"
        self.around.journal.notice("error", f"{self.name} {words}; {again}", self.name)
        self.become(Event.DIED, now, words, now + delay)

    def _give_up(self, reason: str, now: float) -> None:
        if self.intent is Intent.LEAVE:
            self._abandon(reason, now)
            return
        self.intent = Intent.SERVE
        self.around.journal.notice("error", f"{self.name} failed: {reason}", self.name)
        self.become(Event.GAVE_UP, now, reason)
        served = self._served
        if served is None or not self.route.shared or self.unwelcome:
            return
        if self._session_is_left(served.broker.one_queue_per_group):
            self._aside.begin(served)

    def end_errands(self) -> None:
        """Of the processes that are not the slot's worker none is left."""
        self._aside.end()

    # -- small things ------------------------------------------------------------------------------------

    def become(
        self, event: Event, now: float, reason: str | None = None, retry_at: float | None = None
    ) -> None:
        self.status = transition(self.status, event, now, reason, retry_at)

    def say(self, text: str, level: int = logging.INFO) -> None:
        self.around.journal.event(self.name, text, level)
