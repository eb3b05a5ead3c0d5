"""What is not well, route by route: health counts workers, and many well ones hide a route that is down.

Pure.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from routemq_tui.engine.snapshot import EngineState, RouteSnapshot, Snapshot, WorkerSnapshot
from routemq_tui.engine.states import WorkerState

FAILS_FROM = 0.5
"""Share of a route's messages that fail."""
CRASHES_FROM = 3
"""Crashes of a worker within a minute."""
_BEGINS = {"on_start (": "on_start fails", "what the handler depends on ": "a dependency fails"}
"""How the last end of a worker begins that never came to its messages, and what that is called."""
_COUNTED = ("stopped", "failed", "crashed")


class Concern(NamedTuple):
    route: str
    text: str
    """"orders fails 100%"."""
    more: str = ""
    """What is left out where room is short: ", next try in 12 s"."""

    @property
    def whole(self) -> str:
        return self.text + self.more


def concerns(snapshot: Snapshot) -> tuple[Concern, ...]:
    """The worst first: "jobs is down: stopped", "orders fails 100%", "mail: 1 of 3 stopped"."""
    ending = snapshot.state in (EngineState.STOPPING, EngineState.STOPPED)
    missing = {route.name: () if ending else _missing(route) for route in snapshot.routes}
    down: list[Concern] = []
    short: list[Concern] = []
    for route in snapshot.routes:
        if at_rest := missing[route.name]:
            is_down = not route.running and len(at_rest) >= route.desired
            (down if is_down else short).append(_told(route, at_rest, is_down))
    rates = sorted(((_failing(route), route.name) for route in snapshot.routes), reverse=True)
    failing = [Concern(name, f"{name} fails {rate:.0%}") for rate, name in rates if rate]
    crashing = [
        Concern(route.name, f"{worker.name} crashed {worker.crashes} times", " in the last minute")
        for route in snapshot.routes
        for worker in route.workers
        if worker.crashes >= CRASHES_FROM and worker not in missing[route.name]
    ]
    paused = [
        Concern(route.name, f"{route.name} is paused")
        for route in snapshot.routes
        if route.paused and route.desired
    ]
    return (*down, *failing, *short, *crashing, *paused)


def concern_words(snapshot: Snapshot) -> tuple[str, ...]:
    return tuple(each.whole for each in concerns(snapshot))


def _missing(route: RouteSnapshot) -> tuple[WorkerSnapshot, ...]:
    """Those that do not run, and will not in a moment. One scaled away has a higher number: not missed."""
    lacking = max(route.desired - route.running, 0)
    return tuple([each for each in route.workers if _cause(each)][:lacking])


def _cause(worker: WorkerSnapshot) -> str:
    """Why it does not run; empty for one that does, that first comes up or is replaced at once."""
    if worker.at_rest:
        return "stopped"
    if worker.state is WorkerState.FAILED:
        return "failed"
    begin = next((said for start, said in _BEGINS.items() if (worker.last_exit or "").startswith(start)), "")
    if worker.state is WorkerState.BACKOFF:
        return begin or ("crashed" if worker.retry_in else "")
    # It is started again and again: between two tries it is as down as before.
    return begin if worker.state is WorkerState.STARTING else ""


def _told(route: RouteSnapshot, missing: tuple[WorkerSnapshot, ...], is_down: bool) -> Concern:
    causes = Counter(map(_cause, missing))
    share = f"{len(missing)} of {route.desired}"
    if is_down:
        text = f"{route.name} is down: {', '.join(causes)}"
    elif len(causes) == 1 and (cause := next(iter(causes))) in _COUNTED:
        text = f"{route.name}: {share} {cause}"
    else:
        text = f"{route.name}: {share} down: {', '.join(causes)}"
    tries = [each.retry_in for each in missing if each.retry_in]
    # Whole seconds as the row of the worker has them: two figures would contradict each other.
    return Concern(route.name, text, f", next try in {max(int(min(tries)), 1)} s" if tries else "")


def _failing(route: RouteSnapshot) -> float:
    rate = route.metrics.error_rate
    return rate if rate is not None and rate >= FAILS_FROM and route.metrics.rate > 0 else 0.0
