"""What a screen over the main one needs of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from routemq_tui.engine.port import EnginePort
from routemq_tui.tui.rows import key_named


@dataclass(slots=True)
class Seen:
    """What somebody has looked at already."""

    errors_until: float = 0.0
    """Unix time; 0: never."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    engine: EnginePort
    fill: Callable[[str], str]
    """Writes the keys of «ids» into a text."""
    select: Callable[[str], bool]
    """Select a worker or route by its name; says so when it is gone."""
    show_logs: Callable[[str, float], None]
    """Show what a worker logged at a Unix time."""
    read_only: bool = False
    seen: Seen = field(default_factory=Seen)

    def is_there(self, name: str) -> bool:
        """Whether there is still such a worker or route."""
        return key_named(self.engine.snapshot(), name) is not None
