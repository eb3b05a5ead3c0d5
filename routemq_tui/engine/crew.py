"""The slots of one route, and the one step that makes them what is wanted of them.

Scaling changes `desired` and nothing else (and may name the slot that is to go); only `reconcile` starts and
drains. Slots are numbered from 1; a slot that has been drained away is gone, its counts stay with the route.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count, islice

from routemq_tui.config.model import Config, RouteConfig
from routemq_tui.engine.autoscale.scaler import Scaler
from routemq_tui.engine.deaths import DeathTable
from routemq_tui.engine.handler_kind import is_sync
from routemq_tui.engine.histories import HistoryKeeper
from routemq_tui.engine.latencies import Latencies
from routemq_tui.engine.lock import STATE_FOLDER
from routemq_tui.engine.metrics import Totals, Window
from routemq_tui.engine.sessions import SessionEntry
from routemq_tui.engine.slot import Slot
from routemq_tui.engine.states import SERVING, Intent, WorkerState
from routemq_tui.engine.surroundings import Surroundings
from routemq_tui.routing.template import Template
from routemq_tui.routing.topics import subscription
from routemq_tui.worker import cells
from routemq_tui.worker.spec import BrokerAddress, WorkerSpec

DRAIN_TIMEOUT = 30.0
"""Seconds a worker drained or restarted by hand may take for what it has in hand."""


class Crew:
    def __init__(
        self, config: Config, route: RouteConfig, around: Surroundings, left_behind: dict[str, str]
    ) -> None:
        """`left_behind`: of all crews, the subscriptions of sessions that have no slot now, by client id."""
        self.config = config
        self.route = route
        self.filter = Template.parse(route.topic).filter
        self.subscription = subscription(self.filter, route.group if route.shared else None)
        self.desired = route.workers
        self.paused = self.tapped = False
        self.slots: dict[int, Slot] = {}
        self.retired = Totals()
        """Counts of slots that have gone."""
        self._retired_latencies = Latencies()
        self._counting = threading.Lock()
        """Held while a slot's counts become those of slots that have gone."""
        self.keeper = HistoryKeeper()
        self.rate = 0.0
        self.window = Window()
        self.deaths = DeathTable(route.max_deliveries)
        self.leaving = False
        """The route is no more: all slots go, and then it does."""
        self.successor: RouteConfig | None = None
        """Of a route that leaves: what comes in its place when all is drained."""
        self.scaler = self._new_scaler()
        """Of a route whose workers can be scaled."""
        self._around = around
        self._left_behind = left_behind
        self._chosen: set[int] = set()
        self._rolling: deque[int] = deque()
        self._awaited: tuple[int, int] | None = None
        """The slot whose restart the roll waits for, and its number of starts before it."""

    def __iter__(self) -> Iterator[Slot]:
        """By number."""
        return iter([self.slots[number] for number in sorted(self.slots)])

    @property
    def members(self) -> list[Slot]:
        return [slot for slot in self if slot.is_member]

    @property
    def running(self) -> int:
        """Workers that take messages, or were paused on request."""
        return sum(1 for slot in self if slot.state in SERVING and slot.connected)

    def reconfigure(self, route: RouteConfig, rescale: bool) -> None:
        """Other settings of the same route: workers have them from their next start on."""
        before, self.route = self.route, route
        self.deaths.most = route.max_deliveries
        for slot in self.slots.values():
            slot.route = route
        if rescale:
            old, self.scaler = self.scaler, self._new_scaler()
            if old is not None and self.scaler is not None and before.autoscale == route.autoscale:
                self.scaler.switch, self.scaler.why = old.switch, old.why  # a hand may have set it

    def leave(self) -> None:
        self.leaving, self.desired, self.scaler = True, 0, None
        self._rolling.clear()
        self._awaited = None

    @property
    def to_keep(self) -> int | None:
        """Workers for the next start; None when there is to be no such route."""
        if self.leaving:
            return self.successor.workers if self.successor else None
        return self.desired

    def _new_scaler(self) -> Scaler | None:
        route = self.route
        if not route.shared:
            return None
        return Scaler(route.scaling, route.min_workers, route.max_workers, route.autoscale, time.monotonic())

    def latencies(self) -> Latencies:
        """Of all its slots since the beginning. Any thread."""
        with self._counting:
            found = self._retired_latencies.copy()
            for slot in list(self.slots.values()):
                found.add(slot.words)
        return found

    def choose(self, number: int) -> None:
        """Let this slot be the one that goes when `desired` sinks."""
        self._chosen.add(number)

    def mark(self, label: str, slot: Slot | None = None) -> None:
        now = time.time()
        self.keeper.mark(label, now)
        if slot is not None:
            slot.keeper.mark(label, now)

    # -- the one step ------------------------------------------------------------------------------------

    def reconcile(self, now: float, start: Callable[[Slot], None]) -> None:
        """Make the slots what is wanted. `start` is called for each that is to get a process now."""
        self._let_go()
        members = self.members
        for slot in self._leavers(members):
            slot.drain(now, Intent.LEAVE, DRAIN_TIMEOUT)
        for _ in range(self.desired - len(members)):
            self._add_slot()
        self._let_go()
        for slot in self:
            if slot.wants_start(now):
                start(slot)
        self._roll(now)

    def kill_overdue(self, now: float) -> None:
        for slot in self:
            if slot.drain_deadline is not None and slot.drain_deadline <= now and slot.alive:
                slot.drain_deadline = None
                reason = f"{slot.fault}; not drained in time" if slot.fault else "not drained in time, killed"
                slot.kill(now, reason, blamed=bool(slot.fault))

    def next_deadline(self) -> float | None:
        times = [slot.drain_deadline for slot in self.slots.values() if slot.drain_deadline is not None]
        times += [slot.status.retry_at for slot in self.slots.values() if slot.status.retry_at is not None]
        return min(times, default=None)

    def _let_go(self) -> None:
        for slot in self:
            if slot.has_left:
                with self._counting:
                    self.retired.add(cells.read_counters(slot.words))
                    self._retired_latencies.add(slot.words)
                    del self.slots[slot.number]
                if self._around.sessions.exists(slot.client_id):  # nobody could empty it
                    orphan = slot.orphan
                    self._left_behind[slot.client_id] = orphan.subscription if orphan else self.subscription
                self.deaths.leave(slot.words)
                self._around.ledgers.leave(self.route.name, slot.words)
                self._around.told.forget(slot.name)

    def _leavers(self, members: list[Slot]) -> list[Slot]:
        """Those that are too many: the chosen ones, then the highest that run, then the highest."""
        chosen, self._chosen = self._chosen, set()
        surplus = len(members) - self.desired
        if surplus <= 0:
            return []
        order = sorted(members, key=lambda slot: (slot.number in chosen, slot.alive, slot.number))
        return order[-surplus:]

    def _add_slot(self) -> None:
        number = next(n for n in count(1) if n not in self.slots and self._is_ours(self.client_id_of(n)))
        slot = self._new_slot(number, self.client_id_of(number))
        slot.paused, slot.tapped = self.paused, self.tapped

    def _is_ours(self, client_id: str) -> bool:
        """A session of another subscription would give this one messages of a topic that is not its own."""
        return self._left_behind.get(client_id, self.subscription) == self.subscription

    def _new_slot(self, number: int, client_id: str) -> Slot:
        self._left_behind.pop(client_id, None)
        slot = self.slots[number] = Slot(self.route, number, client_id, self.deaths, self._around)
        self.deaths.join(slot.words)
        self._around.ledgers.join(self.route.name, slot.words)
        return slot

    def client_id_of(self, number: int) -> str:
        return f"{self.route.group}-{self.config.app.node}-{self.route.name}-{number}"

    # -- sessions left behind ----------------------------------------------------------------------------

    def adopt(self, left: list[SessionEntry]) -> list[SessionEntry]:
        """Take over the sessions an engine before us left for this route, before any slot is made.

        Those the plan starts anyway are left to it. The others are drained and ended, each by a slot of its
        own. Returns those that cannot be: another handler was to have their messages.
        """
        ours = {self.client_id_of(each.slot): each.slot for each in left}
        changed = {each.client_id for each in left if each.subscription != self.subscription}
        blocked = {number for client_id, number in ours.items() if client_id in changed}
        free = (number for number in count(1) if number not in blocked)
        planned = {self.client_id_of(number) for number in islice(free, self.desired)}
        beyond = count(max([self.desired + len(blocked), *(each.slot for each in left)]) + 1)
        refused = []
        adopted = []
        for entry in left:
            if entry.client_id in planned:
                continue
            if entry.client_id in changed and entry.handler != self.route.handler:
                refused.append(entry)
                continue
            number = ours.get(entry.client_id) or next(beyond)
            slot = self._new_slot(number, entry.client_id)
            slot.take_over(entry, differs=entry.client_id in changed)
            adopted.append(slot.name)
        if adopted:
            text = f"sessions left at the broker are drained and ended: {', '.join(adopted)}"
            self._around.journal.notice("information", f"{self.route.name}: {text}")
        return refused

    def entry_of(self, slot: Slot, worker: WorkerSpec, home: str) -> SessionEntry:
        return SessionEntry(
            route=self.route.name,
            slot=slot.number,
            client_id=slot.client_id,
            subscription=worker.subscription,
            template=worker.template,
            handler=worker.handler,
            qos=worker.qos,
            broker=home,
            protocol=worker.broker.protocol,
        )

    # -- rolling restart ---------------------------------------------------------------------------------

    @property
    def is_rolling(self) -> bool:
        return bool(self._rolling) or self._awaited is not None

    def roll(self) -> None:
        """All of them; one that a roll under way has just restarted comes back first."""
        self._rolling = deque(slot.number for slot in self.members)

    def _roll(self, now: float) -> None:
        if self._awaited is not None and not self._awaited_is_back():
            return
        while self._rolling:
            slot = self.slots.get(self._rolling.popleft())
            if slot is None or not slot.is_member:
                continue
            self._awaited = (slot.number, slot.starts)
            self.restart(slot, now)
            return
        if self._awaited is not None:
            self._awaited = None
            self._around.journal.notice("information", f"{self.route.name}: all workers restarted")

    def _awaited_is_back(self) -> bool:
        assert self._awaited is not None
        number, starts = self._awaited
        slot = self.slots.get(number)
        if slot is None or not slot.is_member:
            return True
        if slot.state is WorkerState.FAILED:
            text = f"{self.route.name}: rolling restart stopped, {slot.name} failed: {slot.status.reason}"
            self._around.journal.notice("error", text)
            self._rolling.clear()
            self._awaited = None
            return False
        return slot.starts > starts and slot.state in SERVING

    def restart(self, slot: Slot, now: float) -> None:
        """Drain with the session kept, then start again; a slot without a process just starts."""
        self.mark("restarted", slot)
        if slot.alive:
            slot.drain(now, Intent.RESTART, DRAIN_TIMEOUT)
        else:
            slot.revive(now)

    def spec_of(self, slot: Slot, broker: BrokerAddress) -> WorkerSpec:
        route = self.route
        orphan = slot.orphan
        if route.timeout is not None:
            slot.is_sync = is_sync(route.handler, self.config.root)
        return WorkerSpec(
            route=route.name,
            slot=slot.number,
            client_id=slot.client_id,
            template=orphan.template if orphan else route.topic,
            subscription=orphan.subscription if orphan else self.subscription,
            qos=route.qos,
            handler=route.handler,
            root=str(self.config.root),
            broker=broker,
            prefetch=route.prefetch,
            concurrency=route.concurrency,
            timeout=route.timeout,
            retries=route.retries,
            retry_delay=route.retry_delay,
            on_error=route.on_error.value,
            max_deliveries=route.max_deliveries,
            dead_letter_topic=route.dead_letter_topic,
            state_folder=str(self.config.root / STATE_FOLDER),
            cpu_time=route.limits.cpu_time,
            open_files=route.limits.open_files,
            log_level=self.config.app.log_level,
            drain_timeout=self.config.app.shutdown_timeout,
            paused=slot.paused,
            tapped=slot.tapped,
            fast_path=route.fast_path,
            middleware=(*self.config.app.middleware, *route.middleware),
            on_start=route.on_start,
            on_stop=route.on_stop,
        )
