"""What a front end may ask of the engine: typed values, sent with `Engine.send`, answered by notices.

A command never blocks and never fails at the caller: one that cannot be done (a second worker for a route
that is not shared) becomes a notice that says why.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AddWorker:
    route: str


@dataclass(frozen=True, slots=True)
class DrainWorker:
    """Take one worker of the route away, gently. Without a slot, the highest one that runs."""

    route: str
    slot: int | None = None


@dataclass(frozen=True, slots=True)
class SetWorkers:
    route: str
    count: int


@dataclass(frozen=True, slots=True)
class StartWorker:
    """Start a stopped, failed or backing-off slot now."""

    route: str
    slot: int


@dataclass(frozen=True, slots=True)
class KillWorker:
    """SIGKILL; the slot comes back at once under its client id."""

    route: str
    slot: int


@dataclass(frozen=True, slots=True)
class RestartWorker:
    """Drain with the session kept, then start again."""

    route: str
    slot: int


@dataclass(frozen=True, slots=True)
class RollingRestart:
    """Restart the workers of a route one after the other, each when the one before runs again."""

    route: str


@dataclass(frozen=True, slots=True)
class PauseRoute:
    route: str


@dataclass(frozen=True, slots=True)
class ResumeRoute:
    route: str


@dataclass(frozen=True, slots=True)
class Stop:
    """End the engine: drain all workers in parallel under one deadline; `force` kills them at once."""

    force: bool = False


Command = (
    AddWorker
    | DrainWorker
    | SetWorkers
    | StartWorker
    | KillWorker
    | RestartWorker
    | RollingRestart
    | PauseRoute
    | ResumeRoute
    | Stop
)
