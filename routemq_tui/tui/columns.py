"""The columns of the tree-table as data: width, alignment, what goes first when there is no room. Pure.

Widths are fixed, so that no number moves a column; the name takes what is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len, set_cell_size

from routemq_tui.engine.snapshot import EngineState
from routemq_tui.engine.states import WorkerState
from routemq_tui.tui.rows import Row
from routemq_tui.tui.tones import OFFLINE, WORKER_FACES, Fragment, Tone, error_tone
from routemq_tui.units import format_bytes, format_count, format_percent, format_rate, format_seconds

NAME_MINIMUM = 16
SILENT = frozenset({WorkerState.STOPPED, WorkerState.BACKOFF, WorkerState.FAILED})
"""States in which a worker has no figures of now: its row says why instead."""

HELD_UP = frozenset({WorkerState.PAUSED, WorkerState.KILLED, WorkerState.STARTING, WorkerState.RUNNING})
"""States in which a reason, when there is one, says more than figures: a message held, no heartbeat."""


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


def clip(text: str, width: int) -> str:
    """The text in at most `width` cells, with an ellipsis where it was cut."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1) + "…" if width > 1 else "…"[:width]


def place(text: str, width: int, align: Literal["left", "right"]) -> str:
    """The text in exactly `width` cells."""
    text = clip(text, width)
    gap = " " * (width - cell_len(text))
    return gap + text if align == "right" else text + gap


def name_cell(row: Row, width: int) -> Fragment:
    """The name, indented by depth; a worker's slot is never cut off."""
    if row.route is None:
        return Fragment(clip("all routes", width), Tone.TITLE)
    if row.worker is None:
        return Fragment(clip(f"{'▸' if row.folded else '▾'} {row.route.name}", width), Tone.STRONG)
    slot = f"/{row.worker.slot}"
    return Fragment("  " + clip(row.route.name, width - 2 - len(slot)) + slot, Tone.TEXT)


def state_cell(row: Row) -> Fragment:
    if row.worker is not None:
        face = WORKER_FACES[row.worker.state]
        if row.worker.state is WorkerState.RUNNING and not row.worker.connected:
            face = OFFLINE
        return Fragment(face.text, face.tone)
    if row.route is not None and row.route.paused:
        return Fragment(WORKER_FACES[WorkerState.PAUSED].text, Tone.WARN)
    level = row.route or row.snapshot
    count = f"{level.running}/{level.desired} up"
    if row.route is not None and row.route.reason:
        return Fragment(f"! {count}", Tone.BAD)
    if level.desired == 0:
        return Fragment(f"○ {count}", Tone.MUTED)
    if level.running == 0:
        return Fragment(f"✗ {count}", Tone.BAD)
    if level.running < level.desired:
        return Fragment(f"◐ {count}", Tone.WARN)
    return Fragment(f"● {count}", Tone.OK)


def _count(value: float, tone: Tone = Tone.TEXT) -> Fragment:
    return Fragment(format_count(value), tone if value else Tone.MUTED)


def _rate_cell(row: Row) -> Fragment:
    return Fragment(format_rate(row.metrics.rate), Tone.STRONG if row.metrics.rate else Tone.MUTED)


def _share_cell(row: Row) -> Fragment:
    if row.worker is not None:
        return Fragment(format_percent(row.worker.share))
    total = row.snapshot.metrics.rate
    if row.route is None or not total:
        return Fragment("", Tone.MUTED)
    return Fragment(format_percent(row.metrics.rate / total), Tone.MUTED)


def _error_cell(row: Row) -> Fragment:
    return Fragment(format_percent(row.metrics.error_rate), error_tone(row.metrics.error_rate))


def _p95_cell(row: Row) -> Fragment:
    return Fragment(format_seconds(row.metrics.p95), Tone.MUTED if row.metrics.p95 is None else Tone.TEXT)


def _cpu_cell(row: Row) -> Fragment:
    percent = row.metrics.cpu_percent
    if percent is None:
        return Fragment("-", Tone.MUTED)
    return Fragment(f"{percent:.0f}%", Tone.WARN if row.worker is not None and percent >= 90 else Tone.TEXT)


def _memory_cell(row: Row) -> Fragment:
    return Fragment(
        format_bytes(row.metrics.rss_bytes), Tone.MUTED if row.metrics.rss_bytes is None else Tone.TEXT
    )


def _flight_cell(row: Row) -> Fragment:
    held, window = row.metrics.in_flight, row.window
    if not window:
        return _count(held)
    return Fragment(f"{held}/{window}", Tone.WARN if held >= window else Tone.TEXT if held else Tone.MUTED)


def _restart_cell(row: Row) -> Fragment:
    return _count(row.restarts, Tone.WARN)


COLUMNS: tuple[Column, ...] = (
    Column("name", "route / worker", 0, lambda row: Fragment(row.key.label), "left"),
    Column("state", "state", 10, state_cell, "left"),
    Column("rate", "msg/s", 5, _rate_cell, priority=1),
    Column("share", "share", 5, _share_cell, priority=6),
    Column("errors", "err", 5, _error_cell, priority=2),
    Column("p95", "p95", 6, _p95_cell, priority=3),
    Column("cpu", "cpu", 5, _cpu_cell, priority=4),
    Column("memory", "mem", 5, _memory_cell, priority=5),
    Column("restarts", "rst", 4, _restart_cell, priority=7),
    Column("flight", "flight", 7, _flight_cell, priority=8),
    Column("dead", "dead", 5, lambda row: _count(row.metrics.dead_lettered, Tone.BAD), priority=9),
    Column("retried", "retry", 5, lambda row: _count(row.metrics.retried, Tone.WARN), priority=10),
    Column("ok", "ok", 6, lambda row: _count(row.metrics.ok), priority=11),
    Column("failed", "failed", 6, lambda row: _count(row.metrics.failed, Tone.WARN), priority=12),
    Column("total", "total", 6, lambda row: _count(row.metrics.received), priority=13),
)


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns that fit a width, each with its own width."""

    columns: tuple[tuple[Column, int], ...]
    gap: int
    width: int

    @classmethod
    def of(cls, width: int, columns: tuple[Column, ...] = COLUMNS) -> Layout:
        """Drop columns until the name has its minimum; the rest of the width is the name's."""
        gap = 2 if width >= 100 else 1
        kept = list(columns)
        while len(kept) > 2 and _name_width(kept, gap, width) < NAME_MINIMUM:
            kept.remove(max(kept, key=lambda column: column.priority))
        name = max(1, _name_width(kept, gap, width))
        return cls(tuple((column, column.width or name) for column in kept), gap, width)

    def heading(self) -> str:
        cells = (place(column.label, width, column.align) for column, width in self.columns)
        return " " + (" " * self.gap).join(cells)

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


def reason_of(row: Row) -> Fragment | None:
    """Why a row does nothing and which key changes that; None for one whose figures say more."""
    worker = row.worker
    if worker is None:
        held = row.route is not None and row.folded and row.route.reason
        return Fragment(held, Tone.BAD) if held else None
    if worker.state not in SILENT:
        held_up = worker.state in HELD_UP and worker.reason
        return Fragment(worker.reason, Tone.BAD) if held_up else None
    reason = worker.reason or worker.last_error or worker.last_exit or ""
    if worker.state is WorkerState.BACKOFF:
        wait = "" if worker.retry_in is None else f"retry in {worker.retry_in:.0f}s"
        return Fragment(" · ".join(part for part in (wait, reason) if part), Tone.WARN)
    tone = Tone.BAD if worker.state is WorkerState.FAILED else Tone.MUTED
    hint = "[s] starts it" if row.snapshot.state is EngineState.RUNNING else ""
    return Fragment(" · ".join(part for part in (hint, reason) if part), tone)


def _name_width(columns: list[Column], gap: int, width: int) -> int:
    return width - 2 - sum(column.width for column in columns) - gap * (len(columns) - 1)
