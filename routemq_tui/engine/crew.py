"""The slots of one route, and the one step that makes them what is wanted of them.

Scaling changes `desired` and nothing else (and may name the slot that is to go); only `reconcile` starts and
drains. Slots are numbered from 1; a slot that has been drained away is gone, its counts stay with the route.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator

from routemq_tui.config.model import Config, RouteConfig
from routemq_tui.engine.lock import STATE_FOLDER
from routemq_tui.engine.metrics import HistoryKeeper, Totals, Window
from routemq_tui.engine.slot import Intent, Slot, Surroundings
from routemq_tui.engine.states import SERVING, WorkerState
from routemq_tui.routing.template import Template
from routemq_tui.routing.topics import subscription
from routemq_tui.worker import cells
from routemq_tui.worker.spec import BrokerAddress, WorkerSpec

DRAIN_TIMEOUT = 30.0
"""Seconds a worker drained or restarted by hand may take for what it has in hand."""


class Crew:
    def __init__(self, config: Config, route: RouteConfig, around: Surroundings) -> None:
        self.config = config
        self.route = route
        self.filter = Template.parse(route.topic).filter
        self.subscription = subscription(self.filter, route.group if route.shared else None)
        self.desired = route.workers
        self.paused = False
        self.slots: dict[int, Slot] = {}
        self.retired = Totals()
        """Counts of slots that have gone."""
        self.keeper = HistoryKeeper()
        self.rate = 0.0
        self.window = Window()
        self._around = around
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
                slot.kill(now, "not drained in time, killed")

    def next_deadline(self) -> float | None:
        times = [slot.drain_deadline for slot in self.slots.values() if slot.drain_deadline is not None]
        times += [slot.status.retry_at for slot in self.slots.values() if slot.status.retry_at is not None]
        return min(times, default=None)

    def _let_go(self) -> None:
        for slot in self:
            if slot.intent is Intent.LEAVE and slot.process is None:
                self.retired.add(cells.read_counters(slot.words))
                del self.slots[slot.number]

    def _leavers(self, members: list[Slot]) -> list[Slot]:
        """Those that are too many: the chosen ones, then the highest that run, then the highest."""
        chosen, self._chosen = self._chosen, set()
        surplus = len(members) - self.desired
        if surplus <= 0:
            return []
        order = sorted(members, key=lambda slot: (slot.number in chosen, slot.alive, slot.number))
        return order[-surplus:]

    def _add_slot(self) -> None:
        number = next(n for n in range(1, len(self.slots) + 2) if n not in self.slots)
        client_id = f"{self.route.group}-{self.config.app.node}-{self.route.name}-{number}"
        slot = self.slots[number] = Slot(self.route, number, client_id, self._around)
        slot.paused = self.paused

    # -- rolling restart ---------------------------------------------------------------------------------

    @property
    def is_rolling(self) -> bool:
        return bool(self._rolling) or self._awaited is not None

    def roll(self) -> None:
        self._rolling = deque(slot.number for slot in self.members)
        self._awaited = None

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
        return WorkerSpec(
            route=route.name,
            slot=slot.number,
            client_id=slot.client_id,
            template=route.topic,
            subscription=self.subscription,
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
        )
