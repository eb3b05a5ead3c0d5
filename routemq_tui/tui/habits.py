"""How somebody wants the screen: what the configuration, the command line and the last time say. A value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from routemq_tui.config.model import UiConfig
from routemq_tui.tui.keymap import KeyNames
from routemq_tui.tui.keys import Key
from routemq_tui.tui.layout_memory import LayoutMemory

LEAVES_ONLY = "Leave this screen; the engine goes on"


@dataclass(frozen=True, slots=True)
class Habits:
    ui: UiConfig = field(default_factory=UiConfig)
    memory: LayoutMemory = field(default_factory=LayoutMemory)
    owns_engine: bool = True
    """Quitting ends the engine too; a screen in a browser has somebody else's."""
    key_names: Callable[[], KeyNames] = KeyNames
    """How the keys are written now."""

    def help_of(self, key: Key) -> str:
        """What the key does, in a sentence."""
        if key.id in ("quit", "quit-now") and not self.owns_engine:
            return LEAVES_ONLY
        return self.key_names().help_of(key)
