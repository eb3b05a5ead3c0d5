"""All routes: commands become wishes, one reconcile step makes them so, a stop ends everything in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from routemq_tui.config.model import Config, RouteConfig
from routemq_tui.engine import commands
from routemq_tui.engine.crew import Crew
from routemq_tui.engine.refusals import count_refusal
from routemq_tui.engine.sessions import SessionEntry
from routemq_tui.engine.slot import Slot
from routemq_tui.engine.states import Event, Intent, WorkerState
from routemq_tui.engine.surroundings import Surroundings
from routemq_tui.worker import cells
from routemq_tui.worker.spec import BrokerAddress, ConnectNow, TurnTap

STARTS_PER_STEP = 8
"""A start takes about 5 ms; between steps commands and reports get their turn."""

EMPTYING_AT_END = 2.0
"""Seconds a worker that empties a session goes on at the engine's end; the next engine takes it up again."""


class Supervisor:
    def __init__(self, config: Config, around: Surroundings) -> None:
        self._left_behind: dict[str, str] = {}
        self._broker_up = True
        self.crews = {route.name: Crew(config, route, around, self._left_behind) for route in config.routes}
        self.more_to_start = False
        self.stopping = False
        self._config = config
        self._around = around
        self._journal = around.journal
        self._sessions = around.sessions
        self._told = around.told
        self._stop_deadline: float | None = None
        self._stop_timeout = 0.0
        self._broker: BrokerAddress | None = None
        self._started = 0

    def __iter__(self) -> Iterator[Slot]:
        return iter([slot for crew in self.crews.values() for slot in crew])

    @property
    def all_gone(self) -> bool:
        return all(slot.process is None for slot in self)

    @property
    def tapped(self) -> bool:
        """Whether messages of any route are told one by one."""
        return any(crew.tapped for crew in self.crews.values())

    def broker_is(self, up: bool) -> None:
        """Who waits for a broker that is back waits no longer."""
        back = up and not self._broker_up
        self._broker_up = up
        if back:
            for slot in self:
                if slot.process is not None and not slot.connected:
                    slot.process.send(ConnectNow())

    @property
    def desired(self) -> dict[str, int]:
        """Workers wanted, by route, without those that are to go. Any thread."""
        kept = ((name, crew.to_keep) for name, crew in list(self.crews.items()))
        return {name: count for name, count in kept if count is not None}

    @property
    def any_failed(self) -> bool:
        return any(slot.state is WorkerState.FAILED for slot in self)

    def next_deadline(self) -> float | None:
        if self.stopping:  # nothing starts any more, and all drains have this deadline
            return self._stop_deadline
        times = [at for crew in self.crews.values() if (at := crew.next_deadline()) is not None]
        return min(times, default=None)

    def adopt(self) -> None:
        """Take over the sessions that an engine before us left; says which it cannot."""
        left: dict[str, list[SessionEntry]] = {}
        elsewhere: list[SessionEntry] = []
        for entry in self._sessions.load():
            if entry.broker != self._sessions.home:
                if entry.met:  # the others never got through: there is nothing to fetch
                    elsewhere.append(entry)
            else:
                left.setdefault(entry.route, []).append(entry)
        for name, entries in left.items():
            crew = self.crews.get(name)
            for entry in crew.adopt(entries) if crew is not None else entries:
                self._left_behind[entry.client_id] = entry.subscription
                self._journal.notice("warning", orphan_words(entry, crew is None))
        if elsewhere:
            brokers = ", ".join(sorted({each.broker for each in elsewhere}))
            text = f"{len(elsewhere)} sessions of our workers still collect messages at {brokers}"
            self._journal.notice("warning", f"{text}: start once with broker.url set to it")

    # -- another configuration ---------------------------------------------------------------------------

    def reconfigure(self, config: Config) -> None:
        """What is not of one route; workers that are started from now on have it."""
        self._config = config
        for crew in self.crews.values():
            crew.config = config

    def add(self, route: RouteConfig) -> None:
        """From now on, or as soon as one of the same name that is being drained has gone."""
        leaving = self.crews.get(route.name)
        if leaving is None:
            self.crews[route.name] = Crew(self._config, route, self._around, self._left_behind)
        else:
            leaving.successor = route

    def remove(self, name: str, instead: RouteConfig | None = None) -> None:
        """Drain all workers of a route, end their sessions; then it is gone, or another takes its place."""
        crew = self.crews[name]
        crew.leave()
        crew.successor = instead

    def _let_go_of(self, crew: Crew) -> None:
        del self.crews[crew.route.name]
        words = "the old route is gone, the new one begins" if crew.successor else "the route is gone"
        self._journal.notice("information", f"{crew.route.name}: {words}")
        if crew.successor is not None:
            self.add(crew.successor)
            new = self.crews[crew.route.name]
            new.paused, new.tapped = crew.paused, crew.tapped  # only who has paused it knows why

    # -- the one step ------------------------------------------------------------------------------------

    def reconcile(self, now: float, broker: BrokerAddress | None) -> None:
        """Make the workers what is wanted; those that have no broker yet are started when there is one."""
        for crew in self.crews.values():
            crew.kill_overdue(now)
        if self.stopping:
            self._enforce_stop(now)
            return
        self._broker = broker
        self._started = 0
        self.more_to_start = False
        for crew in list(self.crews.values()):
            crew.reconcile(now, partial(self._start, crew, now))
            if crew.leaving and not crew.slots:
                self._let_go_of(crew)

    def _start(self, crew: Crew, now: float, slot: Slot) -> None:
        if self._broker is None:
            return
        if self._started >= STARTS_PER_STEP:
            self.more_to_start = True
            return
        self._started += 1
        try:
            worker = crew.spec_of(slot, self._broker)
            self._sessions.started(crew.entry_of(slot, worker, self._sessions.home or ""))
            slot.start(worker, now)
        except (OSError, EOFError) as error:  # EOFError: the fork server could not fork and died of it
            slot.could_not_start(error, now)

    # -- the end -----------------------------------------------------------------------------------------

    def stop(self, now: float, force: bool, timeout: float | None = None) -> None:
        """Drain all workers in parallel, under one deadline; asked a second time, or with force: kill."""
        if force or self.stopping:
            self._kill_all(now, "killed at the end")
        else:
            timeout = self._config.app.shutdown_timeout if timeout is None else timeout
            self._stop_deadline, self._stop_timeout = now + timeout, timeout
            for slot in self:
                if slot.is_member and (slot.alive or slot.state is WorkerState.BACKOFF):
                    slot.drain(now, Intent.STOP, timeout * 0.9)
                elif slot.alive:
                    slot.hurry(now, min(timeout * 0.9, EMPTYING_AT_END) if slot.emptying else timeout * 0.9)
                slot.drain_deadline = None  # one deadline for all
        self.stopping, self.more_to_start = True, False

    def _enforce_stop(self, now: float) -> None:
        if self._stop_deadline is not None and now >= self._stop_deadline:
            self._kill_all(now, f"not drained within {self._stop_timeout:g} s, killed")

    def _kill_all(self, now: float, reason: str) -> None:
        self._stop_deadline = None
        late = [slot for slot in self if slot.process is not None]
        if left := sum(slot.words[cells.IN_FLIGHT] for slot in late):
            names = ", ".join(slot.name for slot in late)
            self._journal.notice("warning", f"{reason} with {left} messages unfinished: {names}")
        for slot in late:
            slot.intent = Intent.STOP
            slot.kill(now, reason)

    def kill_now(self) -> None:
        """The last resort, when the engine itself fails: no state, no notice, just no process left."""
        for slot in self:
            if slot.process is not None:
                slot.process.kill()
            slot.end_errands()

    # -- commands ----------------------------------------------------------------------------------------

    def execute(self, command: commands.RouteCommand | commands.Stop, now: float) -> None:
        if isinstance(command, commands.Stop):
            self.stop(now, command.force, command.timeout)
            return
        crew = self.crews.get(command.route)
        if crew is None:
            self._journal.notice("error", f"there is no route {command.route!r}")
        elif self.stopping:
            self._journal.notice("warning", "the engine is stopping")
        elif crew.leaving and not isinstance(command, _WHILE_LEAVING):
            state = "is being replaced" if crew.successor else "is no route any more"
            self._journal.notice("warning", f"{command.route} {state}: its workers are being drained")
        else:
            _EXECUTE[type(command)](self, crew, command, now)

    def _scale(self, crew: Crew, wanted: int) -> bool:
        """Set the desired count within the route's bounds; says why when it cannot be what was wanted."""
        route = crew.route
        most = route.max_workers if route.shared else 1
        allowed = min(max(wanted, route.min_workers, 0), most)
        if allowed != wanted:
            self._journal.notice("warning", count_refusal(route, wanted))
        difference = allowed - crew.desired
        if difference:
            crew.desired = allowed
            label = f"{difference:+d} worker{'s' if abs(difference) > 1 else ''}"
            crew.mark(label)
            self._journal.event("engine", f"{route.name}: {label}, {allowed} wanted")
        return difference != 0

    def _scale_by_hand(self, crew: Crew, wanted: int) -> bool:
        """As `_scale`; whoever scales by hand knows better than autoscale, which lets it be."""
        changed = self._scale(crew, wanted)
        if crew.scaler is not None and (changed or wanted == crew.desired):
            why = f"you set {crew.desired}"
            if crew.scaler.pause(why):
                text = f"{crew.route.name}: autoscale paused: {why}; A resumes it"
                self._journal.notice("information", text)
        return changed

    def _autoscale(self, crew: Crew, command: commands.SetAutoscale, now: float) -> None:
        scaler, name = crew.scaler, crew.route.name
        if scaler is None:
            text = f"{name} is not shared: it has exactly one worker, so there is nothing to scale"
            self._journal.notice("warning", text)
        elif command.on and scaler.low >= scaler.high:
            text = f"{name}: nothing to scale: min_workers and max_workers are both {scaler.high}"
            self._journal.notice("warning", text)
        else:
            scaler.turn(command.on, now)
            said = f"on, {scaler.low} to {scaler.high} workers" if command.on else "off"
            self._journal.notice("information", f"{name}: autoscale {said}")

    def _add(self, crew: Crew, command: commands.AddWorker, now: float) -> None:
        self._scale_by_hand(crew, crew.desired + 1)

    def _set(self, crew: Crew, command: commands.SetWorkers, now: float) -> None:
        self._scale_by_hand(crew, command.count)

    def _drain(self, crew: Crew, command: commands.DrainWorker, now: float) -> None:
        if command.slot is not None:
            slot = self._slot(crew, command.slot)
            if slot is None:
                return
            if not slot.is_member:
                self._journal.notice("information", f"{slot.name} is being drained already")
                return
        if self._scale_by_hand(crew, crew.desired - 1) and command.slot is not None:
            crew.choose(command.slot)

    def _revive(self, crew: Crew, command: commands.StartWorker, now: float) -> None:
        slot = self._slot(crew, command.slot)
        if slot is None:
            return
        if slot.alive:
            self._journal.notice("information", f"{slot.name} is {slot.state} already")
        else:
            crew.deaths.clear()
            if slot.emptying:  # it goes all the same: only the wait is over
                slot.become(Event.ENDED, now)
            else:
                slot.revive(now)

    def _kill(self, crew: Crew, command: commands.KillWorker, now: float) -> None:
        slot = self._slot(crew, command.slot)
        if slot is None:
            return
        if slot.process is None:
            self._journal.notice("information", f"{slot.name} has no process to kill ({slot.state})")
            return
        crew.mark("killed", slot)
        self._journal.event(slot.name, f"SIGKILL to pid {slot.process.pid}, by hand")
        slot.kill(now, "killed by hand")

    def _restart(self, crew: Crew, command: commands.RestartWorker, now: float) -> None:
        slot = self._slot(crew, command.slot)
        if slot is not None and slot.is_member:
            crew.deaths.clear()  # the handler may be mended: every message gets a new chance
            crew.restart(slot, now)

    def _roll(self, crew: Crew, command: commands.RollingRestart, now: float) -> None:
        if crew.is_rolling:
            self._journal.notice("information", f"{crew.route.name}: a rolling restart is under way already")
            return
        crew.deaths.clear()
        crew.roll()
        self._journal.event("engine", f"{crew.route.name}: rolling restart")

    def _pause(self, crew: Crew, command: commands.PauseRoute | commands.ResumeRoute, now: float) -> None:
        crew.paused = isinstance(command, commands.PauseRoute)
        label = "paused" if crew.paused else "resumed"
        crew.mark(label)
        self._journal.event("engine", f"{crew.route.name}: {label}")
        for slot in crew.members:
            slot.set_paused(crew.paused, now)

    def _tap(self, crew: Crew, command: commands.SetTap, now: float) -> None:
        if crew.tapped == command.on:
            return
        crew.tapped = command.on
        self._told.tap_turned(crew.route.name)
        self._journal.event("engine", f"{crew.route.name}: tap {'on' if command.on else 'off'}")
        for slot in crew:
            slot.tapped = command.on
            if slot.process is not None:
                slot.process.send(TurnTap(command.on))

    def _slot(self, crew: Crew, number: int) -> Slot | None:
        slot = crew.slots.get(number)
        if slot is None:
            self._journal.notice("warning", f"there is no worker {crew.route.name}/{number}")
        return slot


def orphan_words(entry: SessionEntry, route_is_gone: bool) -> str:
    """A session nobody of the present configuration can drain, and how to be rid of it."""
    why = "is gone" if route_is_gone else "has another topic and another handler now"
    host, _, port = entry.broker.rpartition(":")
    where = f"-h {host} -p {port} " if port.isdigit() else ""
    return (
        f"route {entry.route!r} {why}, and its session {entry.client_id} at {entry.broker} goes on "
        f"collecting messages of {entry.subscription}. To have them handled, put the route back as it was "
        f"and start once; to throw them away: mosquitto_sub {where}-i {entry.client_id} -t nothing -E"
    )


_WHILE_LEAVING = (commands.KillWorker, commands.StartWorker, commands.SetTap)
_EXECUTE: dict[type, Callable[[Supervisor, Crew, Any, float], None]] = {
    commands.AddWorker: Supervisor._add,
    commands.SetWorkers: Supervisor._set,
    commands.DrainWorker: Supervisor._drain,
    commands.StartWorker: Supervisor._revive,
    commands.KillWorker: Supervisor._kill,
    commands.RestartWorker: Supervisor._restart,
    commands.RollingRestart: Supervisor._roll,
    commands.PauseRoute: Supervisor._pause,
    commands.ResumeRoute: Supervisor._pause,
    commands.SetTap: Supervisor._tap,
    commands.SetAutoscale: Supervisor._autoscale,
}
