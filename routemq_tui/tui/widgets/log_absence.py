"""Why a log shows no line, and which key changes that; and whether a filter was meant as a level. Pure."""

from __future__ import annotations

from routemq_tui.engine.log_filter import LogFilter
from routemq_tui.tui.logs.status import LogStatus
from routemq_tui.tui.logs.text import level_of

LEVEL_NAMES = frozenset(("debug", "info", "warn", "warning", "error", "crit", "critical"))


def absence(wanted: LogFilter, held: int, cleared: bool) -> str:
    """`held`: lines there are, but for the filter. Keys by their «ids»."""
    if not held:
        return "cleared: only what comes from now on is shown" if cleared else "no lines yet"
    at = f" at {level_of(wanted.level)[0].lower()} or above" if wanted.level else ""
    if not wanted.text:
        return f"no lines{at} · «level» shows more"
    keys = "«filter» changes it" + (", «level» the level" if at else "")
    return f"no line{at} matches /{wanted.text} · {keys}"


def meant_level(status: LogStatus) -> bool:
    """Whether a filter on the text names a level, and so finds nothing, or everything."""
    named = status.filter.removeprefix("!").strip().lower() in LEVEL_NAMES
    return named and not status.busy and status.shown in (0, status.held) and status.held > 0
