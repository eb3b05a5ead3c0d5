"""Takes the measure of slots and routes, and makes the immutable snapshot of it all.

Sampling happens twice a second and does the arithmetic; a snapshot only copies what is known, so that it is
cheap at ten a second with 64 workers.
"""

from __future__ import annotations

import time
from dataclasses import replace

from routemq_tui.config.model import Config
from routemq_tui.engine.crew import Crew
from routemq_tui.engine.histories import HistoryKeeper, joined
from routemq_tui.engine.journal import Journal
from routemq_tui.engine.metrics import Totals, Window, add_windows, metrics_of, take_sample
from routemq_tui.engine.port import Span
from routemq_tui.engine.sanitise import harmless
from routemq_tui.engine.scaling import scaling_snapshot
from routemq_tui.engine.slot import Slot
from routemq_tui.engine.snapshot import (
    BrokerSnapshot,
    EngineState,
    Health,
    History,
    Metrics,
    Notice,
    RouteSnapshot,
    Snapshot,
    WorkerSnapshot,
)
from routemq_tui.engine.states import Intent, WorkerState
from routemq_tui.engine.supervisor import Supervisor
from routemq_tui.engine.told import ToldMessages
from routemq_tui.engine.watchdog import look_after
from routemq_tui.worker import black_box, cells

HEALTHY = 90
DEGRADED = 70
_SAMPLES_PER_POINT = 2


def health_of(running: int, desired: int) -> tuple[Health, int]:
    """The health and the percentage it follows from; nothing wanted is healthy."""
    percent = 100 if desired <= 0 else min(running * 100 // desired, 100)
    if percent >= HEALTHY:
        return Health.HEALTHY, percent
    return (Health.DEGRADED if percent >= DEGRADED else Health.UNHEALTHY), percent


class Observer:
    def __init__(
        self, config: Config, supervisor: Supervisor, journal: Journal, told: ToldMessages | None = None
    ) -> None:
        self._told = told or ToldMessages()
        self._config = config
        self._supervisor = supervisor
        self._journal = journal
        self._keeper = HistoryKeeper()
        self._rate = 0.0
        self._window = Window()
        self._samples = 0
        self._sequence = 0
        self._health = health_of(0, 0)

    # -- twice a second ----------------------------------------------------------------------------------

    def sample(self, now: float, now_ns: int) -> None:
        for slot in self._supervisor:
            slot.track.add(take_sample(slot.words, now, now_ns))
            look_after(slot, self._journal, now, now_ns)
        crews = list(self._supervisor.crews.values())
        for crew in crews:
            crew.rate, crew.window = add_windows(slot.track.window for slot in crew)
            crew.deaths.expire(now)
        self._rate, self._window = add_windows(crew.window for crew in crews)
        self._rate = sum(crew.rate for crew in crews)
        self._samples += 1
        if self._samples % _SAMPLES_PER_POINT == 0:
            self._add_points(crews, now)

    def _add_points(self, crews: list[Crew], now: float) -> None:
        at = time.time()
        seconds = []
        for crew in crews:
            for slot in crew:
                if slot.usage is not None:
                    slot.usage.sample(now)
                slot.keeper.add(slot.track.second.rate, slot.track.second, _cpu([slot]), at)
            rate, second = add_windows(slot.track.second for slot in crew)
            crew.keeper.add(rate, second, _cpu(list(crew)), at)
            seconds.append((rate, second))
        _, second = add_windows(second for _, second in seconds)
        self._keeper.add(sum(rate for rate, _ in seconds), second, _cpu(list(self._supervisor)), at)

    # -- a snapshot --------------------------------------------------------------------------------------

    def snapshot(
        self, state: EngineState, broker: BrokerSnapshot, notices: tuple[Notice, ...], now: float
    ) -> Snapshot:
        now_ns = time.monotonic_ns()
        everything = Totals()
        routes = []
        for crew in self._supervisor.crews.values():
            share = self._told.share(crew.route.name, now) if crew.tapped else None
            route, totals = _route_snapshot(crew, share, now, now_ns)
            everything.add_totals(totals)
            routes.append(route)
        running = sum(route.running for route in routes)
        desired = sum(route.desired for route in routes)
        if state not in (EngineState.STOPPING, EngineState.STOPPED):  # an end as asked is no ill health
            self._health = health_of(running, desired)
        health, percent = self._health
        slots = list(self._supervisor)
        self._sequence += 1
        return Snapshot(
            sequence=self._sequence,
            time=time.time(),
            state=state,
            group=self._config.app.group,
            node=self._config.app.node,
            broker=broker,
            routes=tuple(routes),
            metrics=_joined(everything, self._rate, self._window, slots),
            history=self._keeper.history,
            health=health,
            health_percent=percent,
            running=running,
            desired=desired,
            notices=notices,
            errors=self._told.errors.values(time.time()),
        )

    # -- from any thread ---------------------------------------------------------------------------------

    def history(self, name: str | None, span: Span) -> History:
        crews = self._supervisor.crews
        if name is None:
            whole = self._keeper.of(span)
            marks = joined((each, crew.keeper.of(span).marks) for each, crew in crews.items())
            return replace(whole, marks=marks)
        route, _, number = name.rpartition("/")
        crew = crews.get(route or name)
        if crew is None:
            return History()
        if not route:
            return crew.keeper.of(span)
        slot = crew.slots.get(int(number)) if number.isdecimal() else None
        return History() if slot is None else slot.keeper.of(span)


def _route_snapshot(crew: Crew, share: float | None, now: float, now_ns: int) -> tuple[RouteSnapshot, Totals]:
    totals = Totals()
    totals.add_totals(crew.retired)
    slots = list(crew)
    workers = []
    for slot in slots:
        worker, counters = _worker_snapshot(slot, crew.rate, now, now_ns)
        totals.add(counters)
        workers.append(worker)
    route = crew.route
    snapshot = RouteSnapshot(
        name=route.name,
        topic=route.topic,
        filter=crew.filter,
        subscription=crew.subscription,
        handler=route.handler,
        qos=route.qos,
        shared=route.shared,
        desired=crew.desired,
        running=crew.running,
        paused=crew.paused,
        max_workers=route.max_workers if route.shared else 1,
        metrics=_joined(totals, crew.rate, crew.window, slots),
        history=crew.keeper.history,
        workers=tuple(workers),
        reason=harmless("; ".join(f"{slot.name} {slot.holding}" for slot in slots if slot.holding)),
        tapped=crew.tapped,
        sampled=share,
        scaling=scaling_snapshot(crew, now, time.time()),
        min_workers=route.min_workers,
    )
    return snapshot, totals


NAMED_FROM = 0.02
"""Seconds a message must be in a handler to be shown: quicker ones only flicker."""


def _worker_snapshot(
    slot: Slot, route_rate: float, now: float, now_ns: int
) -> tuple[WorkerSnapshot, cells.Counters]:
    counters = cells.read_counters(slot.words)
    totals = Totals()
    totals.add(counters)
    window, usage, status, process = slot.track.window, slot.usage, slot.status, slot.process
    metrics = metrics_of(
        totals,
        window.rate,
        window,
        window.utilisation,
        usage.cpu_percent if usage else None,
        usage.rss_bytes if usage else None,
    )
    since = counters.current_since_ns
    worth_naming = process is not None and since and (now_ns - since) / 1e9 > NAMED_FROM
    current = black_box.read_current(slot.words) if worth_naming else None
    worker = WorkerSnapshot(
        route=slot.route.name,
        slot=slot.number,
        state=status.state,
        client_id=slot.client_id,
        at_rest=status.state is WorkerState.STOPPED and slot.intent is Intent.REST,
        reason=harmless(slot.note or status.reason),
        pid=process.pid if process else None,
        connected=bool(counters.connected),
        metrics=metrics,
        share=min(window.rate / route_rate, 1.0) if route_rate > 0 else None,
        window=slot.route.prefetch,
        restarts=slot.restarts,
        crashes=slot.crashes.recent(now),
        uptime=now - slot.started_at if process else None,
        retry_in=_retry_in(slot, now),
        last_exit=slot.exits[-1].words if slot.exits else None,
        exits=tuple(slot.exits),
        memory_limit=slot.route.limits.memory,
        last_error=harmless(slot.last_error) if slot.last_error else None,
        current_topic=harmless(current[0]) if current else None,
        current_for=max(now_ns - current[1], 0) / 1e9 if current else None,
        history=slot.keeper.history,
    )
    return worker, counters


def _retry_in(slot: Slot, now: float) -> float | None:
    if slot.state is not WorkerState.BACKOFF or slot.status.retry_at is None:
        return None
    return max(slot.status.retry_at - now, 0.0)


def _joined(totals: Totals, rate: float, window: Window, slots: list[Slot]) -> Metrics:
    running = [slot for slot in slots if slot.process is not None]
    busy = sum(slot.track.window.utilisation for slot in running)
    return metrics_of(
        totals, rate, window, busy / len(running) if running else 0.0, _cpu(running), _memory(running)
    )


def _cpu(slots: list[Slot]) -> float | None:
    known = [slot.usage.cpu_percent for slot in slots if slot.usage and slot.usage.cpu_percent is not None]
    return sum(known) if known else None


def _memory(slots: list[Slot]) -> int | None:
    known = [slot.usage.rss_bytes for slot in slots if slot.usage and slot.usage.rss_bytes is not None]
    return sum(known) if known else None
