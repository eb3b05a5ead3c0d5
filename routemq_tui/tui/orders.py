"""What a key asks of the engine for the selected row: commands, a question first, or a refusal. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from routemq_tui.engine.commands import (
    AddWorker,
    Command,
    DrainWorker,
    KillWorker,
    PauseRoute,
    RestartWorker,
    ResumeRoute,
    RollingRestart,
    SetAutoscale,
    SetWorkers,
    StartWorker,
)
from routemq_tui.engine.snapshot import EngineState, RouteSnapshot, Snapshot, WorkerSnapshot
from routemq_tui.engine.states import WorkerState
from routemq_tui.tui.rows import Row, RowKey

LONGEST_NUMBER = 9
"""Digits; what is longer is more than any route has, and `int` refuses some thousands of them."""
ALIVE = frozenset({WorkerState.STARTING, WorkerState.RUNNING, WorkerState.PAUSED, WorkerState.DRAINING})
STARTABLE = frozenset({WorkerState.STOPPED, WorkerState.FAILED, WorkerState.BACKOFF})


@dataclass(frozen=True, slots=True)
class Refused:
    reason: str


@dataclass(frozen=True, slots=True)
class Order:
    commands: tuple[Command, ...]
    question: str = ""
    """Asked before it is sent, where something is lost."""
    loss: str = ""
    """What is lost, in words."""


def plan(action: str, row: Row | None) -> Order | Refused:
    """The order of an action for the selected row."""
    if row is None:
        return Refused("There is no route yet: put one in routemq.toml")
    if row.snapshot.state in (EngineState.STOPPING, EngineState.STOPPED):
        return Refused("The engine is stopping")
    if row.route is None:
        return Refused("Select a route or a worker first")
    return _PLANS[action](row.route, row.worker)


def plan_exact(snapshot: Snapshot, name: str, text: str) -> Order | Refused:
    """The order that sets the number of workers of a route, as it is now, to what somebody typed."""
    route = next((each for each in snapshot.routes if each.name == name), None)
    if route is None:
        return Refused(f"{name} is gone")
    checked = plan("exact", Row(RowKey(name), snapshot, route))
    if isinstance(checked, Refused):
        return checked
    if problem := count_problem(route, text):
        return Refused(problem)
    count = int(text)
    order = (SetWorkers(name, count),)
    if count == 0 and route.desired > 0:
        return Order(order, f"Take all workers of {name} away?", _nothing_consumes(route))
    return Order(order)


def count_problem(route: RouteSnapshot, text: str) -> str:
    """What is wrong with a number of workers that somebody typed; empty when nothing is."""
    if not (text.isascii() and text.isdigit()):
        return f"Type a number from 0 to {route.max_workers}"
    if len(text) > LONGEST_NUMBER or int(text) > route.max_workers:
        return f"At most {route.max_workers} (max_workers of {route.name})"
    return ""


def unanswered_loss(snapshot: Snapshot) -> str:
    """What killing every worker now loses; empty when nothing is lost."""
    lost = sum(route.metrics.in_flight for route in snapshot.routes if route.qos == 0)
    return f"{_messages(lost)} in flight at QoS 0 would be lost." if lost else ""


def _add(route: RouteSnapshot, worker: WorkerSnapshot | None) -> Order | Refused:
    if not route.shared and route.desired >= 1:
        return Refused(f"{route.name} is not shared: it has exactly one worker, so that order is kept")
    if route.desired >= route.max_workers:
        return Refused(f"{route.name} has max_workers = {route.max_workers} already")
    return Order((AddWorker(route.name),))


def _drain_one(route: RouteSnapshot, worker: WorkerSnapshot | None) -> Order | Refused:
    if route.desired == 0:
        return Refused(f"{route.name} has no worker to drain")
    return _guard_last(route, Order((DrainWorker(route.name),)), f"Drain the last worker of {route.name}?")


def _drain(route: RouteSnapshot, worker: WorkerSnapshot | None) -> Order | Refused:
    worker = worker or _only_worker(route)
    if worker is None:
        return _choose(route, "«drain» drains it")
    if worker.state is WorkerState.DRAINING:
        return Refused(f"{worker.name} drains already")
    order = Order((DrainWorker(route.name, worker.slot),))
    return _guard_last(route, order, f"Drain {worker.name}, the last worker of {route.name}?")


def _start(route: RouteSnapshot, worker: WorkerSnapshot | None) -> Order | Refused:
    if worker is not None:
        if worker.state not in STARTABLE:
            return Refused(f"{worker.name} is {worker.state} and needs no start")
        return Order((StartWorker(route.name, worker.slot),))
    down = [each for each in route.workers if each.state in STARTABLE]
    if not down:
        hint = (
            f"press «add» to add one to {route.name}" if route.desired == 0 else "all of its workers are up"
        )
        return Refused(f"Nothing to start: {hint}")
    return Order(tuple(StartWorker(route.name, each.slot) for each in down))


def _kill(route: RouteSnapshot, worker: WorkerSnapshot | None) -> Order | Refused:
    worker = worker or _only_worker(route)
    if worker is None:
        return _choose(route, "«kill» kills it")
    if worker.state not in ALIVE:
        return Refused(f"{worker.name} has no process to kill: it is {worker.state}")
    order = (KillWorker(route.name, worker.slot),)
    if route.qos == 0 and worker.metrics.in_flight:
        held = _messages(worker.metrics.in_flight)
        return Order(order, f"Kill {worker.name}?", f"{held} in flight at QoS 0 would be lost.")
    return Order(order)


def _restart(route: RouteSnapshot, worker: WorkerSnapshot | None) -> Order | Refused:
    worker = worker or _only_worker(route)
    if worker is None:
        return _choose(route, "«restart» restarts it; «rolling» restarts all")
    if worker.state in STARTABLE:
        return Refused(f"{worker.name} is {worker.state}: «start» starts it")
    if worker.state is WorkerState.DRAINING:
        return Refused(f"{worker.name} drains already")
    return Order((RestartWorker(route.name, worker.slot),))


def _rolling(route: RouteSnapshot, worker: WorkerSnapshot | None) -> Order | Refused:
    if route.running == 0:
        return Refused(f"No worker of {route.name} runs: «start» starts them")
    return Order((RollingRestart(route.name),))


def _pause(route: RouteSnapshot, worker: WorkerSnapshot | None) -> Order | Refused:
    return Order((ResumeRoute(route.name) if route.paused else PauseRoute(route.name),))


def _autoscale(route: RouteSnapshot, worker: WorkerSnapshot | None) -> Order | Refused:
    scaling = route.scaling
    if scaling is None:
        return Refused(f"{route.name} is not shared: it has exactly one worker, so that order is kept")
    if scaling.switch != "on" and scaling.low >= scaling.high:
        return Refused(f"{route.name} has nothing to scale: at least and at most {scaling.high} workers")
    return Order((SetAutoscale(route.name, scaling.switch != "on"),))


def _exact(route: RouteSnapshot, worker: WorkerSnapshot | None) -> Order | Refused:
    if not route.shared:
        return Refused(f"{route.name} is not shared: it has exactly one worker, so that order is kept")
    return Order(())


_PLANS: dict[str, Callable[[RouteSnapshot, WorkerSnapshot | None], Order | Refused]] = {
    "add": _add,
    "drain_one": _drain_one,
    "drain": _drain,
    "start": _start,
    "kill": _kill,
    "restart": _restart,
    "rolling": _rolling,
    "pause": _pause,
    "exact": _exact,
    "autoscale": _autoscale,
}


def _only_worker(route: RouteSnapshot) -> WorkerSnapshot | None:
    """A route's one worker: the key on the route can only mean that one."""
    return route.workers[0] if len(route.workers) == 1 else None


def _choose(route: RouteSnapshot, then: str) -> Refused:
    """Why a key for one worker does nothing on a route, and what to do first."""
    if not route.workers:
        return Refused(f"{route.name} has no worker: «add» adds one")
    return Refused(f"{route.name} has {len(route.workers)} workers: go to one of them, then {then}")


def _guard_last(route: RouteSnapshot, order: Order, question: str) -> Order:
    if route.desired > 1:
        return order
    return Order(order.commands, question, _nothing_consumes(route))


def _nothing_consumes(route: RouteSnapshot) -> str:
    kept = "the broker keeps none for it" if route.qos == 0 else "the broker may keep none for it"
    return f"Nothing consumes {route.topic} then, and {kept}."


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"
