"""Values over time as block characters, and the marks of events under them. Pure text."""

from __future__ import annotations

from collections.abc import Sequence

from routemq_tui.engine.snapshot import Mark

BLOCKS = " ▁▂▃▄▅▆▇█"


def fit(values: Sequence[float], width: int) -> list[float]:
    """The last values, one a cell; several in one cell (their greatest) when there are more than cells."""
    if not values or width <= 0:
        return []
    per_cell = -(-len(values) // width)
    first = len(values) % per_cell
    groups = [values[:first]] if first else []
    groups += [values[start : start + per_cell] for start in range(first, len(values), per_cell)]
    return [max(group) for group in groups]


def sparkline(values: Sequence[float], width: int, height: int = 1, top: float | None = None) -> list[str]:
    """`height` lines of `width` cells, the newest value at the right end; zero is an empty cell.

    `top` is the value of a full column; the greatest one by default.
    """
    cells = fit(values, width)
    greatest = max(cells, default=0.0) if top is None else top
    # One step less than the cells have: lines below each other do not touch.
    steps = height * 8 - 1
    levels = [
        0 if value <= 0 or greatest <= 0 else max(1, round(min(1.0, value / greatest) * steps))
        for value in cells
    ]
    lines = []
    for line in range(height):
        floor = (height - 1 - line) * 8
        lines.append("".join(BLOCKS[max(0, min(8, level - floor))] for level in levels).rjust(width))
    return lines


def mark_line(marks: Sequence[Mark], now: float, points: int, width: int, step: float = 1.0) -> str:
    """A line with a triangle under the cell of each mark of the last `points` steps of so many seconds."""
    if points <= 0 or width <= 0:
        return ""
    per_cell = -(-points // width)
    cells = [" "] * width
    for mark in marks:
        age = (now - mark.time) / step
        place = width - 1 - int(max(0.0, age)) // per_cell
        if 0 <= place < width and age < points:
            cells[place] = "▲"
    return "".join(cells)
