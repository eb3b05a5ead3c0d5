"""Columns of a list of records: the heading and the rows are made from the same widths. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from routemq_tui.tui.fitting import place
from routemq_tui.tui.tones import Fragment, Tone
from routemq_tui.tui.widgets.lines import Line

T = TypeVar("T")
NARROW = 100
"""Below so many cells the narrow widths hold."""


@dataclass(frozen=True, slots=True)
class RecordColumn(Generic[T]):
    label: str
    width: int
    """0: the rest of the line."""
    cell: Callable[[T], Fragment]
    narrow: int | None = None
    """Its width where there is little room, or 0 to leave it out; None: the same."""
    align: Literal["left", "right"] = "left"


def heading_line(columns: Sequence[RecordColumn[T]], width: int) -> Line:
    return _line([(column, Fragment(column.label, Tone.MUTED)) for column in columns], width)


def record_line(columns: Sequence[RecordColumn[T]], record: T, width: int) -> Line:
    return _line([(column, column.cell(record)) for column in columns], width)


def _line(cells: Sequence[tuple[RecordColumn[T], Fragment]], width: int) -> Line:
    line = [Fragment(" ")]
    left = width - 1
    for column, (text, tone) in cells:
        wide = column.width if width >= NARROW or column.narrow is None else column.narrow
        if not wide and column.width:
            continue
        wide = wide or max(0, left - 1)
        line += (Fragment(place(text, wide, column.align), tone), Fragment(" "))
        left -= wide + 1
    return line
