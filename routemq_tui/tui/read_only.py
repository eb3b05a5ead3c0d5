"""An engine as `--read-only` lets a screen have it: all can be seen, only the end can be ordered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from routemq_tui.engine.commands import Command, Stop
from routemq_tui.engine.port import EnginePort

REASON = "Read-only: nothing can be changed from here"


class ReadOnlyEngine:
    """The last guard, behind keys that are dim: whatever a screen sends, only `Stop` gets through."""

    def __init__(self, engine: EnginePort) -> None:
        self._engine = engine

    def send(self, command: Command) -> None:
        if isinstance(command, Stop):
            self._engine.send(command)

    if TYPE_CHECKING:  # All else is the engine's own, below.
        logs: Any
        snapshot: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)
