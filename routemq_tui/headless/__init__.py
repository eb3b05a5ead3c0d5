"""The engine without a screen: plain text lines, signals, a summary. Knows only the engine's port."""

from routemq_tui.headless.output import OutputLostError
from routemq_tui.headless.session import run

__all__ = ["OutputLostError", "run"]
