"""All that the line above the logs says about them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogStatus:
    following: bool = True
    new: int = 0
    """Lines that came since the view was paused."""
    missed: int = 0
    """Lines below those in sight that the store let go since then."""
    shown: int = 0
    held: int = 0
    filter: str = ""
    level: int = 0
    wrap: bool = False
    shift: int = 0
    """Cells that are scrolled out at the left."""
    search: str = ""
    busy: str = ""
    """What is under way over all lines, and how far it is."""
    skipped: int = 0
    """Lines that a cancelled filter has left out."""
    let_go: int = 0
    """Lines in sight that the store does not hold any more."""
