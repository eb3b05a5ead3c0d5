"""The rows of shown lines, one a line or several where they are wrapped; what of them is selected. Pure."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from routemq_tui.engine.port import LogLine
from routemq_tui.tui.log_text import breaks, safe

ALL = 1 << 62
"""Beyond the end of every line."""


class LogRow(NamedTuple):
    line: int
    """Its place among the shown lines."""
    start: int
    end: int
    """Which characters of the line; a line that is not wrapped has one row with all of them."""


class LogRows:
    """Where each row begins. Lines that are not wrapped have a row each, of which nothing is kept."""

    def __init__(self) -> None:
        self.width = 0
        """Cells of text a row when lines are wrapped; 0 when they are not."""
        self._lines = self._starts = self._ends = array("q")
        self._count = 0

    def __len__(self) -> int:
        return len(self._lines) if self.width else self._count

    def __getitem__(self, index: int) -> LogRow:
        if not self.width:
            return LogRow(index, 0, ALL)
        return LogRow(self._lines[index], self._starts[index], self._ends[index])

    def lay_out(self, shown: Sequence[LogLine], width: int) -> None:
        self.width = width
        self._lines, self._starts, self._ends = array("q"), array("q"), array("q")
        self.append(shown, len(shown))

    def append(self, shown: Sequence[LogLine], count: int) -> None:
        """Rows for the last `count` lines shown."""
        self._count = len(shown)
        if not self.width:
            return
        for line in range(len(shown) - count, len(shown)):
            text = safe(shown[line].text)
            starts = breaks(text, self.width)
            self._lines.extend([line] * len(starts))
            self._starts.extend(starts)
            self._ends.extend([*starts[1:], len(text)])

    def first_of(self, line: int) -> int:
        """The row in which a line begins."""
        return bisect_left(self._lines, line) if self.width else line

    def last_of(self, line: int) -> int:
        return bisect_right(self._lines, line) - 1 if self.width else line

    def line_at(self, row: int) -> int:
        """The line of a row, or of the row nearest to it."""
        row = max(0, min(row, len(self) - 1))
        return self[row].line if len(self) else 0


class Place(NamedTuple):
    line: int
    offset: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Text between two places, or whole lines."""

    anchor: Place
    head: Place
    lines: bool = False

    def span(self, line: int, length: int) -> tuple[int, int] | None:
        """Which characters of a line are selected; None when the line is not touched."""
        first, last = sorted((self.anchor, self.head))
        if not first.line <= line <= last.line:
            return None
        if self.lines:
            return 0, length
        start = first.offset if line == first.line else 0
        end = last.offset if line == last.line else length
        return min(start, length), min(end, length)

    def text(self, shown: Sequence[LogLine]) -> str:
        """What is selected, as it is seen: a line each, however it was wrapped or cut."""
        first, last = sorted((self.anchor.line, self.head.line))
        pieces = []
        for line in range(first, min(last + 1, len(shown))):
            whole = safe(shown[line].text)
            start, end = self.span(line, len(whole)) or (0, 0)
            pieces.append(whole[start:end])
        return "\n".join(pieces)
