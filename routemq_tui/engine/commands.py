"""What a front end may ask of the engine: typed values, sent with `Engine.send`, answered by notices.

A command never blocks and never fails at the caller: one that cannot be done (a second worker for a route
that is not shared) becomes a notice that says why.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from routemq_tui.config.model import Config


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
class SetTap:
    """Have the messages of a route told one by one (`EnginePort.messages`), or no longer."""

    route: str
    on: bool


@dataclass(frozen=True, slots=True)
class SetAutoscale:
    """Let the engine scale the route's workers by what they do, or no longer. Scaling by hand pauses it."""

    route: str
    on: bool


@dataclass(frozen=True, slots=True)
class ReplayLetters:
    """Publish dead letters again, each to its topic; acknowledged ones leave the store."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PurgeLetters:
    """Remove dead letters for good."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SaveCounts:
    """Keep the routes' desired counts for the next start, in `routemq.local.toml`."""


@dataclass(frozen=True, slots=True)
class Reload:
    """Read the configuration anew, and apply what has changed in it."""


@dataclass(frozen=True, slots=True)
class Apply:
    """What `Reload` has read."""

    config: Config


@dataclass(frozen=True, slots=True)
class Publish:
    topic: str
    payload: bytes = field(repr=False)
    qos: int = 1
    retain: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """End the engine: drain all workers in parallel under one deadline; `force` kills them at once."""

    force: bool = False
    timeout: float | None = None
    """Seconds until the deadline; None is `app.shutdown_timeout`."""


RouteCommand = (
    AddWorker
    | DrainWorker
    | SetWorkers
    | StartWorker
    | KillWorker
    | RestartWorker
    | RollingRestart
    | PauseRoute
    | ResumeRoute
    | SetTap
    | SetAutoscale
)
"""For a route and its workers."""
ErrandCommand = ReplayLetters | PurgeLetters | Publish | SaveCounts | Reload
"""What takes its time and is done beside the workers."""
Command = RouteCommand | ErrandCommand | Apply | Stop
