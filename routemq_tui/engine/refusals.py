"""Why a command cannot be done, told to whoever asks before it is sent. Pure: it knows a snapshot only.

The engine keeps the same bounds and says so in a notice; a script needs the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from routemq_tui.engine.commands import (
    AddWorker,
    Command,
    DrainWorker,
    KillWorker,
    Reload,
    RouteCommand,
    SetAutoscale,
    SetWorkers,
)
from routemq_tui.engine.snapshot import EngineState, RouteSnapshot, Snapshot
from routemq_tui.engine.states import WorkerState

STOPPING = "the engine is stopping"
RESTART_TO_APPLY = "restart to apply"
_NO_FAULT_OF_THE_FILE = (STOPPING, RESTART_TO_APPLY, "this instance was not started from a file")


class Bounds(Protocol):
    """Of a route, as it is configured or as a snapshot has it."""

    @property
    def name(self) -> str: ...
    @property
    def shared(self) -> bool: ...
    @property
    def min_workers(self) -> int: ...
    @property
    def max_workers(self) -> int: ...


def refusal(command: Command, snapshot: Snapshot) -> str:
    """What stands against a command, in words; empty when nothing does."""
    if not isinstance(command, RouteCommand | Reload):
        return ""
    if snapshot.state in (EngineState.STOPPING, EngineState.STOPPED):
        return STOPPING
    if isinstance(command, Reload):
        return ""
    route = next((each for each in snapshot.routes if each.name == command.route), None)
    if route is None:
        return f"there is no route {command.route!r}"
    rule = _RULES.get(type(command))
    return rule(route, command) if rule is not None else ""


def is_broken_configuration(told: str) -> bool:
    """Whether the notice of a reload that was not done tells of a mistake in the configuration."""
    what, _, why = told.partition(": ")
    return what == "not reloaded" and not why.startswith(_NO_FAULT_OF_THE_FILE)


def count_refusal(route: Bounds, wanted: int) -> str:
    """What stands against a route having so many workers."""
    if wanted > 1 and not route.shared:
        return (
            f"{route.name} is not shared: its one worker keeps the messages in order; "
            "with shared = true several share them"
        )
    if wanted > route.max_workers:
        return f"{route.name} has at most {route.max_workers} (max_workers)"
    if wanted < route.min_workers and route.min_workers > 0:
        return f"{route.name} keeps at least {route.min_workers} (min_workers)"
    return f"{route.name} has no worker left to take away" if wanted < 0 else ""


def _drain(route: RouteSnapshot, command: DrainWorker) -> str:
    for worker in route.workers:
        if worker.slot == command.slot and worker.state is WorkerState.DRAINING:
            return ""  # what is asked for is under way
    return count_refusal(route, route.desired - 1)


def _kill(route: RouteSnapshot, command: KillWorker) -> str:
    for worker in route.workers:
        if worker.slot == command.slot and worker.pid is None:
            return f"{worker.name} has no process to kill: it is {worker.state}"
    return ""


def _autoscale(route: RouteSnapshot, command: SetAutoscale) -> str:
    scaling = route.scaling
    if scaling is None:
        return f"{route.name} is not shared: it has exactly one worker, so there is nothing to scale"
    if command.on and scaling.low >= scaling.high:
        return f"{route.name}: nothing to scale: min_workers and max_workers are both {scaling.high}"
    return ""


_RULES: dict[type, Callable[[RouteSnapshot, Any], str]] = {
    AddWorker: lambda route, _command: count_refusal(route, route.desired + 1),
    SetWorkers: lambda route, command: count_refusal(route, command.count),
    DrainWorker: _drain,
    KillWorker: _kill,
    SetAutoscale: _autoscale,
}
