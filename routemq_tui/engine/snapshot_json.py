"""The snapshot as JSON values for scripts: `ctl snapshot --json`. Documented here, versioned by VERSION.

Top level: `version, pid, time, state, group, node, health, health_percent, concerns[text], running, desired,
broker{kind, address, state, version, reason, dropped}, totals{metrics}, dead_letters, routes[],
notices[{number, time, severity, text}], ledgers[{worker, pid, time, reason, in_flight, settled, qos,
handled_before, lost, counts{by outcome}, not_run, entries[{fingerprint, topic, outcome, slot, after,
unrun}]}], errors[{fingerprint, kind, text, where, count, first_seen, last_seen, routes, workers, trend,
example, traceback}]`.

A ledger tells of one death; `in_flight` 0: nothing was in hand. An entry's outcome is "awaited",
"redelivered" (its handling has not ended), "handled", "handled twice", "dead-lettered" (stored), "published",
"dropped", "stopped" (its worker stops, the broker keeps it) or "unknowable" (QoS 0). `unrun` says why one
that failed was not run: "poison", "timeout" or "payload"; `not_run` counts those. `handled_before`: so many
had been handled at the death, not known which. `lost`: at least so many, at QoS 0; what the worker had not
read yet nobody knows.

A route: `name, topic, filter, subscription, handler, qos, shared, desired, running, min_workers, max_workers,
state ("running", "paused", "degraded" or "down"), reason, tapped, sampled, scaling, metrics, workers[]`; its
scaling, null when it is not shared: `switch ("on", "off" or "paused"), policy, low, high, target, why, found,
decision, decided, next_look`. A worker: `name, slot, pid, state, reason, client_id, connected, window, share,
restarts, crashes, uptime, retry_in, last_exit, last_error, current_topic, current_for, metrics`.

The metrics stand beside the other keys of a route or worker: `received, ok, failed, retried, dead_lettered,
dropped, duplicates, in_flight, log_dropped` (counts), `rate` (messages a second), `error_rate, utilisation`
(0 to 1), `p50, p95, p99` (seconds), `cpu_percent` (100 is a core), `rss_bytes`. What is not known is null.

VERSION rises when a key goes away or changes its meaning; new keys may come at any time.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

from routemq_tui.engine.concerns import concern_words
from routemq_tui.engine.snapshot import Ledger, Metrics, Outcome, RouteSnapshot, Snapshot, WorkerSnapshot

VERSION = 1


def snapshot_values(snapshot: Snapshot) -> dict[str, Any]:
    """Plain values that `json.dumps` takes."""
    return {
        "version": VERSION,
        "pid": os.getpid(),
        "time": snapshot.time,
        "state": snapshot.state.value,
        "group": snapshot.group,
        "node": snapshot.node,
        "health": snapshot.health.value,
        "health_percent": snapshot.health_percent,
        "concerns": concern_words(snapshot),
        "running": snapshot.running,
        "desired": snapshot.desired,
        "broker": {**asdict(snapshot.broker), "state": snapshot.broker.state.value},
        "totals": _metrics(snapshot.metrics),
        "dead_letters": snapshot.dead_letters,
        "routes": [_route(each) for each in snapshot.routes],
        "notices": [asdict(each) for each in snapshot.notices],
        "ledgers": [_ledger(each) for each in snapshot.ledgers],
        "errors": [asdict(each) for each in snapshot.errors],
    }


def _route(route: RouteSnapshot) -> dict[str, Any]:
    return {
        "name": route.name,
        "topic": route.topic,
        "filter": route.filter,
        "subscription": route.subscription,
        "handler": route.handler,
        "qos": route.qos,
        "shared": route.shared,
        "desired": route.desired,
        "running": route.running,
        "min_workers": route.min_workers,
        "max_workers": route.max_workers,
        "state": _state_of(route),
        "reason": route.reason,
        "tapped": route.tapped,
        "sampled": route.sampled,
        "scaling": asdict(route.scaling) if route.scaling else None,
        **_metrics(route.metrics),
        "workers": [_worker(each) for each in route.workers],
    }


def _ledger(ledger: Ledger) -> dict[str, Any]:
    entries = [{**asdict(each), "outcome": each.outcome.value} for each in ledger.entries]
    counts = ledger.counts
    return {
        **asdict(ledger),
        "entries": entries,
        "lost": ledger.lost,
        "counts": {outcome.value: counts[outcome] for outcome in Outcome},
        "not_run": sum(bool(each.unrun) for each in ledger.entries),
    }


def _state_of(route: RouteSnapshot) -> str:
    if route.paused:
        return "paused"
    if route.running >= route.desired:
        return "running"
    return "degraded" if route.running else "down"


_WORKER_KEYS = (
    "name",
    "slot",
    "pid",
    "reason",
    "client_id",
    "connected",
    "window",
    "share",
    "restarts",
    "crashes",
    "uptime",
    "retry_in",
    "last_exit",
    "last_error",
    "current_topic",
    "current_for",
)


def _worker(worker: WorkerSnapshot) -> dict[str, Any]:
    values = {key: getattr(worker, key) for key in _WORKER_KEYS}
    return {**values, "state": worker.state.value, **_metrics(worker.metrics)}


def _metrics(metrics: Metrics) -> dict[str, Any]:
    return asdict(metrics)
