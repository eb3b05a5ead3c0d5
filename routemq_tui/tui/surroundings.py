"""What a screen over the main one needs of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from routemq_tui.engine.port import EnginePort


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
    select: Callable[[str], None]
    """Select a worker or route by its name."""
    show_logs: Callable[[str, float], None]
    """Show what a worker logged at a Unix time."""
    read_only: bool = False
    seen: Seen = field(default_factory=Seen)
