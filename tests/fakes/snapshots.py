"""Snapshots of a small program at work, and of its troubles."""

from __future__ import annotations

import math
from dataclasses import replace

from routemq_tui.engine.port import Span
from routemq_tui.engine.snapshot import (
    BrokerSnapshot,
    BrokerState,
    EngineState,
    Exit,
    Health,
    History,
    Ledger,
    LedgerEntry,
    Mark,
    Metrics,
    Outcome,
    RouteSnapshot,
    ScalingSnapshot,
    Snapshot,
    WorkerSnapshot,
)
from routemq_tui.engine.states import WorkerState

NOW = 1_700_000_000.0
BROKER = BrokerSnapshot("embedded", "127.0.0.1:1883", BrokerState.UP, "0.1.0")


def history(
    rate: float, p95: float, errors: float = 0.0, cpu: float = 10.0, marks: tuple[Mark, ...] = ()
) -> History:
    wave = [0.75 + 0.25 * math.sin(second / 5) for second in range(60)]
    return History(
        rate=tuple(rate * each for each in wave),
        p95=tuple(p95 * (2 - each) for each in wave),
        error_rate=tuple(errors * each if second % 7 == 0 else 0.0 for second, each in enumerate(wave)),
        cpu_percent=tuple(cpu * each for each in wave),
        marks=marks,
    )


def stretched(history: History, span: Span) -> History:
    """The same curves as those of a longer time, the marks as far back in it as they were."""
    step = {"60s": 1.0, "10m": 10.0, "1h": 60.0}[span]
    marks = tuple(replace(each, time=NOW - (NOW - each.time) * step) for each in history.marks)
    return replace(history, marks=marks, step=step, until=NOW)


def worker(
    route: str, slot: int, state: WorkerState = WorkerState.RUNNING, rate: float = 40.0, **other: object
) -> WorkerSnapshot:
    alive = state in (WorkerState.RUNNING, WorkerState.PAUSED, WorkerState.DRAINING, WorkerState.STARTING)
    ok = int(rate * 310)
    metrics = Metrics(
        received=ok + 3,
        ok=ok,
        failed=int(ok * 0.01),
        in_flight=slot,
        rate=rate,
        error_rate=0.01 if rate else None,
        p50=0.002 * slot,
        p95=0.011 * slot,
        p99=0.04 * slot,
        utilisation=0.3,
        cpu_percent=11.0 * slot,
        rss_bytes=(38 + slot) * 1024**2,
    )
    values: dict[str, object] = {
        "client_id": f"workers-pi-{route}-{slot}",
        "pid": 4000 + slot if alive else None,
        "connected": state is WorkerState.RUNNING,
        "metrics": metrics if alive else Metrics(received=120, ok=118, failed=2),
        "share": 1 / 3 if alive and rate else None,
        "window": 20,
        "uptime": 325.0 if alive else None,
        "history": history(rate, 0.011 * slot, 0.05, 11.0 * slot, (Mark(NOW - 22, "restarted"),)),
        **other,
    }
    return WorkerSnapshot(route, slot, state, **values)  # type: ignore[arg-type]


def route(name: str, workers: tuple[WorkerSnapshot, ...], **other: object) -> RouteSnapshot:
    running = sum(1 for each in workers if each.state is WorkerState.RUNNING)
    rate = sum(each.metrics.rate for each in workers)
    values: dict[str, object] = {
        "topic": f"sensors/{{device_id}}/{name}",
        "filter": f"sensors/+/{name}",
        "subscription": f"$share/workers/sensors/+/{name}",
        "handler": f"routes.sensors:{name}",
        "qos": 1,
        "shared": True,
        "desired": len(workers),
        "running": running,
        "paused": False,
        "max_workers": 8,
        "metrics": Metrics(
            received=int(rate * 320),
            ok=int(rate * 310),
            failed=int(rate * 3),
            rate=rate,
            in_flight=sum(each.metrics.in_flight for each in workers),
            error_rate=0.01 if rate else None,
            p50=0.004 if rate else None,
            p95=0.018 if rate else None,
            p99=0.05 if rate else None,
            utilisation=0.3,
            cpu_percent=34.0 if running else None,
            rss_bytes=120 * 1024**2 if running else None,
        ),
        "history": history(
            rate, 0.018, 0.05, 34.0, (Mark(NOW - 41, "+1 worker"), Mark(NOW - 12, "killed 2"))
        ),
        "workers": workers,
        **other,
    }
    return RouteSnapshot(name, **values)  # type: ignore[arg-type]


def snapshot(routes: tuple[RouteSnapshot, ...], **other: object) -> Snapshot:
    desired = sum(each.desired for each in routes)
    running = sum(each.running for each in routes)
    percent = 100 * running // desired if desired else 100
    health = Health.HEALTHY if percent >= 90 else Health.DEGRADED if percent >= 70 else Health.UNHEALTHY
    rate = sum(each.metrics.rate for each in routes)
    values: dict[str, object] = {
        "broker": BROKER,
        "routes": routes,
        "metrics": Metrics(
            received=int(rate * 320),
            ok=int(rate * 310),
            failed=int(rate * 3),
            rate=rate,
            in_flight=sum(each.metrics.in_flight for each in routes),
            error_rate=0.008 if rate else None,
            p50=0.004 if rate else None,
            p95=0.021 if rate else None,
            p99=0.06 if rate else None,
            cpu_percent=64.0 if running else None,
            rss_bytes=330 * 1024**2,
        ),
        "history": history(rate, 0.021, 0.05, 64.0),
        "health": health,
        "health_percent": percent,
        "running": running,
        "desired": desired,
        **other,
    }
    return Snapshot(1, NOW, EngineState.RUNNING, "workers", "pi", **values)  # type: ignore[arg-type]


def busy() -> Snapshot:
    """Four routes at work, with one worker waiting for its restart."""
    temperature = tuple(worker("temperature", slot, rate=41.0) for slot in (1, 2, 3))
    crashed = worker(
        "alerts",
        2,
        WorkerState.BACKOFF,
        0.0,
        reason="exited by SIGSEGV while handling alerts/7/fire",
        retry_in=3.2,
        restarts=2,
        last_exit="SIGSEGV, 4 s ago",
        last_error="ValueError: payload has no field 'level'",
    )
    return snapshot(
        (
            route("temperature", temperature),
            route("alerts", (worker("alerts", 1, rate=2.4), crashed), qos=0),
            route("orders", (worker("orders", 1, rate=1230.0),), shared=False, qos=2, max_workers=1),
            route("archive", (), desired=0),
        )
    )


def autoscaled() -> Snapshot:
    """Routes that scale by themselves, one that a hand has paused, one where it is off."""
    added = "3 -> 5: 96% busy of 70% target, 56/s x 51ms = 2.9 workers' work, windows full 80% of 5 s"
    on = ScalingSnapshot(
        "on", "utilisation", 1, 8, 0.7, "", "68% busy of 70% target", added, NOW - 12, next_look=3.2
    )
    held = replace(on, switch="paused", why="you set 2", found="", next_look=None)
    off = ScalingSnapshot("off", "utilisation", 1, 64, 0.7)
    scale = history(205.0, 0.018, marks=(Mark(NOW - 12, "autoscale 3 → 5"),))
    busy_ones = tuple(worker("temperature", slot, rate=41.0) for slot in range(1, 6))
    two = tuple(worker("alerts", slot, rate=2.4) for slot in (1, 2))
    return snapshot(
        (
            route("temperature", busy_ones, scaling=on, history=scale),
            route("alerts", two, scaling=held),
            route("archive", (worker("archive", 1),), scaling=off),
            route("orders", (worker("orders", 1),), shared=False, max_workers=1),
        )
    )


def entries(
    *outcomes: Outcome, topic: str = "sensors/{}/temperature", slot: int = 2
) -> tuple[LedgerEntry, ...]:
    """Messages that came to a slot one after the other; those awaited or unknowable came to none."""
    gone = (Outcome.AWAITED, Outcome.UNKNOWABLE)
    return tuple(
        LedgerEntry(0xA0 + number, None, outcome)
        if outcome in gone
        else LedgerEntry(0xA0 + number, topic.format(number), outcome, slot, 0.1 + number / 30)
        for number, outcome in enumerate(outcomes)
    )


def after_kills() -> Snapshot:
    """Workers killed by hand, by a poison message, at QoS 0; one that cannot store its dead letter."""
    handled, twice, awaited = Outcome.HANDLED, Outcome.HANDLED_TWICE, Outcome.AWAITED
    by_hand = entries(handled, twice, handled, Outcome.REDELIVERED, handled, handled, handled)
    poison = "exited by SIGSEGV while handling sensors/7/temperature"
    poisoned = entries(Outcome.DEAD_LETTERED, Outcome.DROPPED, awaited)
    given_up = replace(poisoned[0], unrun="poison")
    ledgers = (
        Ledger("temperature/3", 4003, NOW - 40, poison, 3, (given_up, *poisoned[1:]), settled=True),
        Ledger("alerts/1", 4001, NOW - 9, "killed by hand", 2, entries(*[Outcome.UNKNOWABLE] * 2), qos=0),
        Ledger("temperature/2", 4002, NOW - 4, "killed by hand", 7, by_hand),
        Ledger(
            "temperature/1", 4001, NOW - 1, "killed by hand", 4, entries(handled, handled, awaited, awaited)
        ),
    )
    held = "cannot store the dead letter of jobs/9: database or disk is full (.routemq/dead-letters.db)"
    jobs = (
        worker("jobs", 1, rate=30.0),
        worker("jobs", 2, WorkerState.PAUSED, 0.0, reason=held, connected=True),
    )
    first, alerts, orders, archive = busy().routes
    counted = replace(first.metrics, retried=21, dead_lettered=12)
    routes = (
        replace(first, metrics=counted),
        alerts,
        route("jobs", jobs, reason=f"jobs/2 holds a message: {held}"),
        orders,
        archive,
    )
    whole = snapshot(routes, ledgers=ledgers, broker=replace(BROKER, dropped=3))
    return replace(whole, metrics=replace(whole.metrics, dead_lettered=12, retried=21), dead_letters=12)


def no_routes() -> Snapshot:
    return snapshot(())


def broker_down() -> Snapshot:
    """The broker went away: all workers run and none is connected."""
    reason = "connection refused (is it running? next try in 4 s)"
    down = BrokerSnapshot("external", "mqtt://broker.example.net:1883", BrokerState.DOWN, reason=reason)
    offline = tuple(worker("temperature", slot, rate=0.0, connected=False) for slot in (1, 2, 3))
    return snapshot((route("temperature", offline),), broker=down, health=Health.UNHEALTHY, health_percent=0)


def all_failed() -> Snapshot:
    reason = "cannot import routes.sensors: No module named 'numpy' (routes/sensors.py:3)"
    failed = tuple(
        worker(
            "temperature",
            slot,
            WorkerState.FAILED,
            0.0,
            reason=reason,
            last_error=reason,
            last_exit="IMPORT_FAILED (3)",
            restarts=5,
        )
        for slot in (1, 2, 3)
    )
    gone = worker("alerts", 1, WorkerState.FAILED, 0.0, reason="crash loop: 5 exits in 60 s, last by SIGSEGV")
    return snapshot((route("temperature", failed), route("alerts", (gone,))))


def draining() -> Snapshot:
    """The engine stops: two of the workers still finish."""
    leaving = (
        worker("temperature", 1, WorkerState.DRAINING),
        worker("temperature", 2, WorkerState.DRAINING),
        worker("temperature", 3, WorkerState.STOPPED, 0.0),
    )
    return replace(snapshot((route("temperature", leaving),)), state=EngineState.STOPPING)


def with_exits(snapshot: Snapshot) -> Snapshot:
    """The first worker has ended a few times, and has nearly all the memory that it may have."""
    route, *others = snapshot.routes
    first, *rest = route.workers
    words = ("killed by hand", "exited by SIGSEGV while handling sensors/3/temperature", "exited with code 3")
    exits = tuple(Exit(NOW - 600 + 60 * at, text, 45.0 + at) for at, text in enumerate(words))
    first = replace(first, exits=exits, last_exit=words[-1], restarts=3, memory_limit=48_000_000)
    return replace(snapshot, routes=(replace(route, workers=(first, *rest)), *others))
