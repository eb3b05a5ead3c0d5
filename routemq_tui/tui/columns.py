"""The columns of the tree-table as data: width, alignment, what goes first when there is no room. Pure.

Widths are fixed, so that no number moves a column; the name takes what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from routemq_tui.tui.fitting import clip, place
from routemq_tui.tui.row_cells import (
    TREND_SECONDS,
    TREND_WIDTH,
    count,
    cpu_cell,
    error_cell,
    flight_cell,
    memory_cell,
    name_cell,
    or_least,
    p95_cell,
    rate_cell,
    reason_of,
    restart_cell,
    severity,
    share,
    share_cell,
    state_cell,
    trend_cell,
)
from routemq_tui.tui.rows import Row
from routemq_tui.tui.tones import Fragment, Tone

NAME_MINIMUM = 16


@dataclass(frozen=True, slots=True)
class Column:
    id: str
    label: str
    width: int
    """0: takes what is left."""
    cell: Callable[[Row], Fragment]
    align: Literal["left", "right"] = "right"
    priority: int = 0
    """The greatest go first when there is no room."""
    value: Callable[[Row], float | str] = lambda row: row.key.label
    """What rows are sorted by; of one kind for all rows."""
    meaning: str = ""
    """A few words, for whoever chooses columns."""


def _counted(
    id: str, label: str, width: int, priority: int, of: Callable[[Row], int], tone: Tone, meaning: str
) -> Column:
    return Column(
        id,
        label,
        width,
        lambda row: count(of(row), tone),
        priority=priority,
        value=lambda row: float(of(row)),
        meaning=meaning,
    )


COLUMNS: tuple[Column, ...] = (
    Column("name", "route / worker", 0, lambda row: Fragment(row.key.label), "left"),
    Column(
        "state",
        "state",
        10,
        state_cell,
        "left",
        value=severity,
        meaning="what it does now; ⇅ autoscale",
    ),
    Column(
        "rate",
        "msg/s",
        5,
        rate_cell,
        priority=1,
        value=lambda row: row.metrics.rate,
        meaning="messages finished a second",
    ),
    Column(
        "trend",
        "trend",
        TREND_WIDTH,
        trend_cell,
        "left",
        priority=9,
        value=lambda row: row.metrics.rate,
        meaning=f"msg/s of the last {TREND_SECONDS} s",
    ),
    Column(
        "share",
        "share",
        5,
        share_cell,
        priority=6,
        value=share,
        meaning="part of the route; ▲ ▼ far from a fair part",
    ),
    Column(
        "errors",
        "err",
        5,
        error_cell,
        priority=2,
        value=lambda row: or_least(row.metrics.error_rate),
        meaning="failed of finished",
    ),
    Column(
        "p95",
        "p95",
        6,
        p95_cell,
        priority=3,
        value=lambda row: or_least(row.metrics.p95),
        meaning="95 of 100 handler calls are quicker",
    ),
    Column(
        "cpu",
        "cpu",
        5,
        cpu_cell,
        priority=4,
        value=lambda row: or_least(row.metrics.cpu_percent),
        meaning="100 % is one core",
    ),
    Column(
        "memory",
        "mem",
        5,
        memory_cell,
        priority=5,
        value=lambda row: or_least(row.metrics.rss_bytes),
        meaning="resident memory",
    ),
    Column(
        "restarts",
        "rst",
        4,
        restart_cell,
        priority=7,
        value=lambda row: float(row.restarts),
        meaning="times started again",
    ),
    Column(
        "flight",
        "flight",
        7,
        flight_cell,
        priority=8,
        value=lambda row: float(row.metrics.in_flight),
        meaning="received, not acknowledged; of the window",
    ),
    _counted("dead", "dead", 5, 10, lambda row: row.metrics.dead_lettered, Tone.BAD, "dead letters"),
    _counted("retried", "retry", 5, 11, lambda row: row.metrics.retried, Tone.WARN, "further attempts"),
    _counted("ok", "ok", 6, 12, lambda row: row.metrics.ok, Tone.TEXT, "messages handled"),
    _counted("failed", "failed", 6, 13, lambda row: row.metrics.failed, Tone.WARN, "messages given up"),
    _counted("total", "total", 6, 14, lambda row: row.metrics.received, Tone.TEXT, "messages received"),
)
COLUMN_BY_ID = {column.id: column for column in COLUMNS}
ALWAYS = ("name", "state")
"""Columns that cannot be left out."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns that fit a width, each with its own width."""

    columns: tuple[tuple[Column, int], ...]
    gap: int
    width: int

    @classmethod
    def of(cls, width: int, hidden: Collection[str] = ()) -> Layout:
        """All columns but the hidden ones; drop some until the name has its minimum, which gets the rest."""
        return _layout(width, frozenset(hidden))

    def heading(self, sorted_by: str = "", arrow: str = "", wanted: str = "") -> list[Fragment]:
        """The names of the columns; that of the one sorted by has an arrow, the first tells a filter."""
        fragments = [Fragment(" ")]
        for index, (column, width) in enumerate(self.columns):
            label, tone = column.label, Tone.MUTED
            if column.id == "name" and wanted:
                label, tone = f"only: {wanted}", Tone.ACCENT
            gap = self.gap if index else 0
            if column.id == sorted_by:
                tone = Tone.ACCENT
                if column.align == "left":
                    label += arrow
                else:  # the arrow stands in the gap, where there is always room for it
                    label, gap, width = arrow + label, gap - 1, width + 1
            fragments += (Fragment(" " * gap), Fragment(place(label, width, column.align), tone))
        return fragments

    def column_at(self, x: int) -> Column | None:
        """The column whose heading is at a cell."""
        left = 1
        for column, width in self.columns:
            if left <= x < left + width + self.gap:
                return column
            left += width + self.gap
        return None

    def cells(self, row: Row) -> list[Fragment]:
        """The fragments of a row, one cell of margin before them."""
        fragments = [Fragment(" ")]
        reason = reason_of(row)
        used = 1
        for index, (column, width) in enumerate(self.columns):
            if index:
                fragments.append(Fragment(" " * self.gap))
                used += self.gap
            if index == 2 and reason is not None:
                fragments.append(Fragment(clip(reason.text, self.width - used - 1), reason.tone))
                break
            cell = name_cell(row, width) if column.id == "name" else column.cell(row)
            fragments.append(Fragment(place(cell.text, width, column.align), cell.tone))
            used += width
        return fragments


@lru_cache(maxsize=64)
def _layout(width: int, hidden: frozenset[str]) -> Layout:
    gap = 2 if width >= 100 else 1
    kept = [column for column in COLUMNS if column.id not in hidden or column.id in ALWAYS]
    while len(kept) > 2 and _name_width(kept, gap, width) < NAME_MINIMUM:
        kept.remove(max(kept, key=lambda column: column.priority))
    name = max(1, _name_width(kept, gap, width))
    return Layout(tuple((column, column.width or name) for column in kept), gap, width)


def _name_width(columns: list[Column], gap: int, width: int) -> int:
    return width - 2 - sum(column.width for column in columns) - gap * (len(columns) - 1)
