"""What a screen over the main one needs of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from routemq_tui.engine.port import EnginePort


@dataclass(frozen=True, slots=True)
class Surroundings:
    engine: EnginePort
    fill: Callable[[str], str]
    """Writes the keys of «ids» into a text."""
    select: Callable[[str], None]
    """Select a worker or route by its name."""
    read_only: bool = False
