"""The line above the logs: whose they are and every state that decides what is seen. It hides none."""

from __future__ import annotations

from collections.abc import Callable

from routemq_tui.tui.logs.status import LogStatus
from routemq_tui.tui.logs.text import level_of
from routemq_tui.tui.rows import Row
from routemq_tui.tui.tones import Fragment, Tone
from routemq_tui.tui.widgets.lines import Line, Lines, joined, length, spread
from routemq_tui.tui.widgets.log_absence import meant_level
from routemq_tui.units import format_count


class LogStrip(Lines):
    def __init__(
        self, fill: Callable[[str], str], *, id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._level_key = fill("«level»")

    def show_status(self, status: LogStatus, row: Row | None, kept: bool = False) -> None:
        """`kept`: they stay those of this row."""
        dropped = row.metrics.log_dropped if row is not None else 0
        self.show(lambda width: [strip_line(title_of(row), status, dropped, width, kept, self._level_key)])


def title_of(row: Row | None) -> str:
    if row is None or row.route is None:
        return "everything, engine and broker too"
    if row.worker is not None:
        return row.worker.name
    count = len(row.route.workers)
    return f"{row.route.name} ({'1 worker' if count == 1 else f'{count} workers'})"


def strip_line(
    title: str, status: LogStatus, dropped: int, width: int, kept: bool = False, level_key: str = "L"
) -> Line:
    """States in the order of their weight; a narrow strip has shorter words, not fewer states."""
    left = [Fragment(" Kept " if kept else " Logs ", Tone.MUTED), Fragment(title, Tone.TITLE)]
    states = state_parts(status, dropped, False, level_key)
    if length(joined(states)) + length(left) + 2 > width:
        states = state_parts(status, dropped, True, level_key)
    right = joined(states)
    if length(right) + len("Logs") + 2 > width:
        right = joined(states, " ")
    end = [Fragment(" ")] if length(right) + 2 <= width else []
    return spread(left, [*right, *end], width)


def state_parts(status: LogStatus, dropped: int, brief: bool, level_key: str = "L") -> list[Line]:
    parts: list[Line] = []
    if dropped:
        words = f"{format_count(dropped)} dropped"
        parts.append([Fragment(f"! {words}" if not brief else f"!{words}", Tone.WARN)])
    if status.let_go or status.missed:
        parts.append([Fragment(_gone(status, brief), Tone.WARN)])
    if status.busy:
        parts.append([Fragment(status.busy if brief else f"{status.busy}, Esc ends it", Tone.ACCENT)])
    elif status.skipped:
        words = f"!{format_count(status.skipped)} unfiltered"
        parts.append([Fragment(words if brief else f"! {words[1:]} left out", Tone.WARN)])
    if status.filter:
        text = status.filter if len(status.filter) <= (12 if brief else 30) else status.filter[:11] + "…"
        parts.append([Fragment(f"/{text}", Tone.ACCENT)])
        if not brief:
            parts.append([Fragment(f"{status.shown} of {status.held}", Tone.MUTED)])
    if status.search and not brief:
        text = status.search if len(status.search) <= 20 else status.search[:19] + "…"
        parts.append([Fragment(f"?{text}", Tone.ACCENT)])
    if meant_level(status):
        parts.append([Fragment(f"level is {level_key}", Tone.WARN)])
    level = "all" if not status.level else f"≥{level_of(status.level)[0].lower()}"
    label = "" if brief and status.level else "level "
    parts.append([Fragment(label, Tone.MUTED), Fragment(level, Tone.ACCENT if status.level else Tone.MUTED)])
    if status.wrap:
        parts.append([Fragment("wrap", Tone.MUTED)])
    if status.shift:
        parts.append([Fragment(f"→{status.shift}", Tone.ACCENT)])
    if status.following:
        parts.append([Fragment("● follow", Tone.OK)])
    else:
        new = f" +{status.new}{'' if brief else ' new'}" if status.new else ""
        parts.append([Fragment(f"‖ paused{new}", Tone.WARN)])
    return parts


def _gone(status: LogStatus, brief: bool) -> str:
    """What the store has let go of a paused view: what is in sight (`!!`), or comes below it."""
    if brief:
        return f"!{'!' if status.let_go else ''}{status.missed or ''} gone"
    these = "these" if status.let_go else ""
    more = f"{status.missed} more" if status.let_go else str(status.missed)
    return f"! {' and '.join(filter(None, (these, more if status.missed else '')))} gone from the store"
