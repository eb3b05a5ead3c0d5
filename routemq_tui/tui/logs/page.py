"""The rows of a log view that are in sight: from a place on, or up to the end. Pure.

Lines in sight are kept until others take their place, also when the store lets them go meanwhile.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice
from operator import attrgetter
from typing import NamedTuple

from routemq_tui.engine.port import LogLine
from routemq_tui.tui.logs.index import LogIndex
from routemq_tui.tui.logs.text import breaks, safe

ALL = 1 << 62
"""Beyond the end of every line, and of all lines."""
KEPT = 256
"""Long lines of which it is remembered where they are wrapped."""


class LogRow(NamedTuple):
    line: LogLine
    start: int
    end: int
    """Which characters of the line; one that is not wrapped has one row with all of them."""
    number: int
    """Which of the line's rows."""
    last: bool
    """It is the line's last one."""


class LogPage:
    def __init__(self, index: LogIndex) -> None:
        self._index = index
        self.rows: list[LogRow] = []
        self.at_end = True
        self.width = 0
        """Cells of text a row when lines are wrapped; 0 when they are not."""
        self.height = 1
        self._kept: list[LogLine] = []
        self._wrapped: dict[int, list[int]] = {}

    def fit(self, width: int, height: int) -> None:
        """The room there is; rows are the old ones until they are shown anew."""
        if width != self.width:
            self._wrapped.clear()
        self.width, self.height = width, max(1, height)

    def empty(self) -> None:
        """Nothing that was in sight belongs to the view any more."""
        self.rows, self._kept, self.at_end = [], [], True

    def forget_hidden(self) -> None:
        """Of the lines in sight, those that the view has but does not show any more are not kept."""
        self._kept = [line for line in self._kept if self._index.place(line.seq) is None]

    # Lines

    @property
    def let_go(self) -> int:
        """Lines in sight that the store does not hold any more."""
        return len(self._kept) - sum(map(self._index.holds, self._kept))

    @property
    def at_top(self) -> bool:
        """The first row is the oldest line's first one."""
        if not self.rows:
            return True
        top = self.rows[0]
        return not top.number and next(self.before(top.line.seq), None) is None

    def after(self, seq: int) -> Iterator[LogLine]:
        """Shown lines from a `seq` on, those too that are in sight and let go."""
        gone = [line for line in self._kept if line.seq >= seq and not self._index.holds(line)]
        for place in self._index.forward(seq):
            while gone and gone[0].seq < place.seq:
                yield gone.pop(0)
            yield place.line
        yield from gone

    def before(self, seq: int) -> Iterator[LogLine]:
        """Shown lines before a `seq`, the nearest first."""
        gone = [line for line in self._kept if line.seq < seq and not self._index.holds(line)]
        for place in self._index.backward(seq):
            while gone and gone[-1].seq > place.seq:
                yield gone.pop()
            yield place.line
        yield from reversed(gone)

    def nearest(self, seq: int) -> LogLine | None:
        """The line with this `seq`, or the next one, or the last."""
        return next(self.after(seq), None) or next(self.before(seq), None)

    def row_of(self, seq: int) -> int | None:
        """Where a line is in sight: its first row there."""
        return next((at for at, row in enumerate(self.rows) if row.line.seq == seq), None)

    # Rows

    def rows_of(self, line: LogLine) -> list[LogRow]:
        if not self.width:
            return [LogRow(line, 0, ALL, 0, True)]
        starts = self._wrapped.get(line.seq)
        text = safe(line.text)
        if starts is None:
            starts = breaks(text, self.width)
            if len(starts) > 1:
                if len(self._wrapped) >= KEPT:
                    self._wrapped.clear()
                self._wrapped[line.seq] = starts
        ends = [*starts[1:], len(text)]
        last = len(starts) - 1
        return [
            LogRow(line, start, end, number, number == last)
            for number, (start, end) in enumerate(zip(starts, ends, strict=True))
        ]

    def row_at(self, line: LogLine, offset: int) -> int:
        """Which row of a line holds a character."""
        starts = [row.start for row in self.rows_of(line)]
        return max(0, bisect_right(starts, offset) - 1)

    def show_end(self) -> None:
        """The last rows."""
        self._take(self._behind(ALL, 0, self.height))

    def show(self, seq: int, number: int = 0, move: int = 0) -> int:
        """From a row of a line on, or `move` rows further down; full whenever there are lines for it.

        Returns by how many rows it was moved indeed.
        """
        ahead = self._ahead(seq, number, self.height + max(move, 0))
        moved = min(move, len(ahead) - self.height)
        if moved >= 0:
            self._take(ahead[moved:])
            return moved
        behind = self._behind(seq, number, -moved)
        self._take([*behind, *ahead][: self.height])
        return -len(behind)

    def scroll(self, move: int) -> int:
        """Move by some rows."""
        if not self.rows:
            return 0
        return self.show(self.rows[0].line.seq, self.rows[0].number, move)

    def _ahead(self, seq: int, number: int, count: int) -> list[LogRow]:
        """So many rows from one on."""
        found: list[LogRow] = []
        for line in self.after(seq):
            found += self.rows_of(line)[number if line.seq == seq else 0 :]
            if len(found) >= count:
                break
        return found[:count]

    def _behind(self, seq: int, number: int, count: int) -> list[LogRow]:
        """So many rows before one, in order."""
        found: list[LogRow] = []
        if number:
            found = [row for line in islice(self.after(seq), 1) for row in self.rows_of(line)[:number]]
        for line in self.before(seq):
            if len(found) >= count:
                break
            found = self.rows_of(line) + found
        return found[max(0, len(found) - count) :]

    def _take(self, rows: list[LogRow]) -> None:
        lines = {row.line.seq: row.line for row in rows}
        self.rows, self._kept = rows, sorted(lines.values(), key=_seq)
        last = rows[-1] if rows else None
        self.at_end = last is None or (last.last and next(self.after(last.line.seq + 1), None) is None)

    def time_above(self, at: int) -> float | None:
        """The time of the line above that of a row."""
        seq = self.rows[at].line.seq
        for row in self.rows[at::-1]:
            if row.line.seq < seq:
                return row.line.time
        above = next(self.before(seq), None)
        return None if above is None else above.time


_seq = attrgetter("seq")
