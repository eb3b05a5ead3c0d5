"""Which lines of the store a view shows: places in the store's blocks, in the merged order of its sources.

It holds no line and no text, and nothing at all of a block whose lines are all shown; of a filtered one, two
bytes a line that passes. Blocks are filtered one by one (`scan`), those nearest to the reader first. Pure.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import islice
from operator import attrgetter
from typing import NamedTuple

from routemq_tui.engine.log_block import LogBlock
from routemq_tui.engine.log_filter import LogFilter
from routemq_tui.engine.port import LogHolding, LogLine
from routemq_tui.tui.logs.column import Column, LogPlace, Part
from routemq_tui.tui.logs.shown import Shown


class Fold(NamedTuple):
    """A traceback, seen from the line that it begins with."""

    lines: int
    """Those below it."""
    is_open: bool
    last: str
    """What the last of them says: the exception."""


class LogIndex:
    def __init__(self, folds: bool = True) -> None:
        self.folds = folds
        """Tracebacks are folded to their first line, but those that were opened."""
        self.shown = Shown(LogFilter())
        self.cleared = 0
        """Lines up to this `seq` are not shown."""
        self.mark = self.watch = 0
        """Since when lines are new, and after which one it matters that lines are let go."""
        self.missed = 0
        """Lines after `watch` that the store let go: counted before, or never seen."""
        self._columns: dict[str, Column] = {}
        self.skipped = 0
        """Lines that were not filtered, since somebody had no patience."""
        self._new_gone = 0

    @property
    def filter(self) -> LogFilter:
        return self.shown.filter

    # What the store holds

    def reset(self) -> None:
        """Forget what is known; the next look takes all of it as it is then."""
        for column in self._columns.values():
            column.drop(len(column.parts))
        self._columns = {}
        self.skipped = 0
        self.mark_here(0)

    def mark_here(self, seq: int) -> None:
        """From now on what comes after this line is new, and nothing is missed yet."""
        self.mark = self.watch = seq
        self.missed = self._new_gone = 0

    def set_filter(self, chosen: LogFilter) -> None:
        self.shown = Shown(chosen, self.folds, self.shown)
        self.skipped = self._new_gone = 0
        for column in self._columns.values():
            for part in column.drop(len(column.parts)):
                column.add(self._part(part.block, part.stop))
            column.changed()

    def look(self, holdings: list[LogHolding]) -> None:
        """Take up what came, let go of what the store let go."""
        for name in self._columns.keys() - {holding.source for holding in holdings}:
            self._let_go(self._columns[name], len(self._columns[name].parts))
        for holding in holdings:
            column = self._columns.get(holding.source)
            if column is None:
                column = self._columns[holding.source] = Column()
                column.seen = 0 if self.mark else holding.evicted
            self._look_at(column, holding)

    def _look_at(self, column: Column, holding: LogHolding) -> None:
        blocks, first = holding.blocks, holding.blocks[0].first
        gone = sum(1 for part in column.parts if part.block.first < first)
        if gone:
            self._let_go(column, gone)
        self.missed += max(0, first - column.seen)
        # The last part may have grown; it is looked at again.
        last = column.parts[-1].block.first if column.parts else -1
        if column.parts:
            known = bisect_left(blocks, last, key=lambda block: block.first)
        else:
            known = (
                bisect_right(blocks, self.cleared, key=lambda block: block.seqs[-1]) if self.cleared else 0
            )
        for block in blocks[known:]:
            stop = holding.in_last if block is blocks[-1] else len(block)
            if block.first == last:
                part = column.parts[-1]
                part.stop = stop
                if part.hits is None and not self.shown.all_of(block):
                    part.narrow()
            elif block.seqs[stop - 1] > self.cleared:
                column.add(self._part(block, stop))
        column.seen = blocks[-1].first + holding.in_last
        column.changed()

    def _part(self, block: LogBlock, stop: int, start: int = 0) -> Part:
        start = bisect_right(block.seqs, self.cleared, start, stop) if self.cleared else start
        return Part(block, start, stop, not self.shown.all_of(block))

    def _let_go(self, column: Column, count: int) -> None:
        self._hand_over(column, count)
        for part in column.drop(count):
            self._new_gone += len(part) - part.before(self.mark + 1)
            self.missed += len(part) - part.before(self.watch + 1) + part.waiting_after(self.watch)
        first = column.parts[0] if column.parts else None
        if first is not None and self.shown.folds and first.block.continues(first.start):
            # It goes on with a traceback whose beginning went, and stands for that now.
            first.narrow()
            first.scan(self.shown)
        column.changed()

    def _hand_over(self, column: Column, count: int) -> None:
        """What is left of a traceback whose beginning is let go stays open, if it was."""
        opened = self.shown.opened
        gone = {seq for seq in opened if (found := column.find(seq)) is not None and found[0] < count}
        if gone and count < len(column.parts):
            first = column.parts[count]
            if column.head(count, first.start).seq in gone:
                opened.add(first.block.seqs[first.start])
        opened -= gone

    # The filter

    @property
    def waiting(self) -> int:
        """Lines that are not filtered yet."""
        return sum(column.waiting for column in self._columns.values())

    def to_scan(self, near: int) -> list[Part]:
        """Parts that are not filtered yet, the nearest to a `seq` last."""
        waiting = [column for column in self._columns.values() if column.waiting]
        found = [part for column in waiting for part in column.parts if part.waiting]
        return sorted(found, key=lambda part: -_distance(part, near))

    def scan(self, part: Part) -> None:
        """Filter what came to a part."""
        part.scan(self.shown)

    def skip_waiting(self) -> None:
        """Filter nothing of what waits now; what comes later is filtered as before."""
        for part in self.to_scan(0):
            if self.filter.expression is None:
                part.scan(self.shown)  # That is done in no time, and a line left out would be missing.
            else:
                self.skipped += part.skip()

    # Tracebacks

    def traceback(self, line: LogLine) -> list[LogPlace]:
        """A line and the traceback that it begins or is a line of, shown or not; empty: there is none."""
        column, head = self._head(line)
        if column is None or head is None:
            return []
        below = [
            LogPlace(part.block.seqs[place], part.block, place)
            for part, start, stop in column.below(head.seq)
            for place in range(start, stop)
        ]
        return [head, *below] if below else []

    def _head(self, line: LogLine) -> tuple[Column | None, LogPlace | None]:
        column = self._columns.get(line.source)
        found = None if column is None else column.find(line.seq)
        return column, None if column is None or found is None else column.head(*found)

    def fold(self, line: LogLine) -> Fold | None:
        """What there is to be said of the traceback that a line begins; None when it begins none."""
        column, head = self._head(line) if self.shown.folds else (None, None)
        if column is None or head is None or head.seq != line.seq:
            return None
        below = list(column.below(line.seq))
        if not below:
            return None
        part, _, end = below[-1]
        lines = sum(stop - start for _, start, stop in below)
        return Fold(lines, line.seq in self.shown.opened, part.block.line(end - 1).text)

    def turn_fold(self, line: LogLine) -> LogLine | None:
        """Open the traceback of a line, or fold it; returns its first line, None when there is none."""
        column, head = self._head(line) if self.shown.folds else (None, None)
        below = [] if column is None or head is None else list(column.below(head.seq))
        if column is None or head is None or not below:
            return None
        self.shown.turn(head.seq)
        for part, _, _ in below:
            part.narrow()
            part.scan(self.shown)
        column.changed()
        return head.line

    # Places

    def __len__(self) -> int:
        return sum(column.shown for column in self._columns.values())

    @property
    def held(self) -> int:
        """Lines of the view's sources, those too that the filter hides."""
        return sum(column.held for column in self._columns.values())

    @property
    def newest(self) -> int:
        """The highest `seq` at the last look, of lines that the filter hides too."""
        return max((column.newest for column in self._columns.values()), default=self.cleared)

    @property
    def new(self) -> int:
        """Shown lines that came after `mark`, those let go since too."""
        return len(self) - self.before(self.mark + 1) + self._new_gone

    def before(self, seq: int) -> int:
        """How many shown lines have a lower `seq`."""
        return sum(column.before(seq) for column in self._columns.values())

    def forward(self, seq: int, count: int | None = None) -> Iterator[LogPlace]:
        """Shown lines from this `seq` on."""
        columns = [column.forward(seq) for column in self._columns.values() if column.shown]
        return islice(columns[0] if len(columns) == 1 else heapq.merge(*columns, key=_seq), count)

    def backward(self, seq: int, count: int | None = None) -> Iterator[LogPlace]:
        """Shown lines before this `seq`, the nearest first."""
        columns = [column.backward(seq) for column in self._columns.values() if column.shown]
        merged = columns[0] if len(columns) == 1 else heapq.merge(*columns, key=_seq, reverse=True)
        return islice(merged, count)

    def holds(self, line: LogLine) -> bool:
        column = self._columns.get(line.source)
        return column is not None and column.before(line.seq + 1) > column.before(line.seq)

    def at(self, rank: int) -> int:
        """The `seq` of the shown line that has so many before it."""
        parts = [part for column in self._columns.values() for part in column.parts]
        if not parts:
            return 0
        low = min(part.block.seqs[part.start] for part in parts)
        high = max(part.block.seqs[part.stop - 1] for part in parts)
        while low < high:
            middle = (low + high) // 2
            if self.before(middle + 1) > rank:
                high = middle
            else:
                low = middle + 1
        return low

    def since(self, time: float) -> int | None:
        """The `seq` of the first line, shown or not, of a time or later; None: all are older."""
        found = [seq for column in self._columns.values() if (seq := column.since(time)) is not None]
        return min(found, default=None)

    def parts(self) -> list[Part]:
        return [part for column in self._columns.values() for part in column.parts]

    def lines(self) -> Iterator[LogLine]:
        """All shown lines, in order; those first filtered that still wait for it."""
        for part in self.to_scan(0):
            self.scan(part)
        columns = [column.lines() for column in self._columns.values()]
        return columns[0] if len(columns) == 1 else heapq.merge(*columns, key=_seq)

    def place(self, seq: int) -> LogPlace | None:
        """A line that is held, shown or not."""
        for column in self._columns.values():
            if (found := column.find(seq)) is not None:
                block = column.parts[found[0]].block
                return LogPlace(seq, block, found[1])
        return None

    def snapshot(self) -> LogIndex:
        """The same lines, whatever comes or goes from now on, and what is folded among them."""
        copy = LogIndex(folds=False)
        copy.shown = Shown(self.filter, folds=False)
        as_shown = self.filter.expression is not None  # Nothing is folded then, and scanning may take long.
        for name, column in self._columns.items():
            kept = copy._columns[name] = Column()
            for part in column.parts:
                kept.add(part.copy() if as_shown else copy._part(part.block, part.stop, part.start))
            kept.changed()
        return copy


_seq = attrgetter("seq")


def _distance(part: Part, near: int) -> int:
    first, last = part.block.seqs[part.start], part.block.seqs[part.stop - 1]
    return max(first - near, near - last, 0)
