"""What is not well though every worker runs: health counts workers, and these have failing messages. Pure."""

from __future__ import annotations

from routemq_tui.engine.snapshot import RouteSnapshot, Snapshot

FAILS_FROM = 0.5
"""Share of a route's messages that fail."""
CRASHES_FROM = 3
"""Crashes of a worker within a minute."""


def concerns(snapshot: Snapshot) -> tuple[str, ...]:
    """The worst first: "orders fails 100%", "jobs/2 crashed 4 times", "mail is paused"."""
    rates = sorted(((_failing(route), route.name) for route in snapshot.routes), reverse=True)
    failing = [f"{name} fails {rate:.0%}" for rate, name in rates if rate]
    crashing = [
        f"{worker.name} crashed {worker.crashes} times"
        for route in snapshot.routes
        for worker in route.workers
        if worker.crashes >= CRASHES_FROM
    ]
    paused = [f"{route.name} is paused" for route in snapshot.routes if route.paused and route.desired]
    return (*failing, *crashing, *paused)


def _failing(route: RouteSnapshot) -> float:
    rate = route.metrics.error_rate
    return rate if rate is not None and rate >= FAILS_FROM and route.metrics.rate > 0 else 0.0
