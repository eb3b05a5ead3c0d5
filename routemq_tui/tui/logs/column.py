"""What a log view shows of one source: places in its blocks, in order. Pure."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple
from weakref import ref

from routemq_tui.engine.log_block import LogBlock
from routemq_tui.engine.port import LogLine
from routemq_tui.tui.logs.shown import Shown


class LogPlace(NamedTuple):
    seq: int
    block: LogBlock
    place: int

    @property
    def line(self) -> LogLine:
        return self.block.line(self.place)


class Part:
    """What is shown of a block."""

    __slots__ = ("block", "column", "hits", "scanned", "start", "stop")

    def __init__(self, block: LogBlock, start: int, stop: int, filtered: bool) -> None:
        self.block = block
        self.start, self.stop, self.scanned = start, stop, start
        """Lines before `start` were cleared away; those from `stop` on are not looked at yet."""
        self.hits: array[int] | None = array("H") if filtered else None
        self.column: ref[Column] | None = None
        """Weak: a cycle would keep blocks alive that the store has let go."""

    def __len__(self) -> int:
        return self.stop - self.start if self.hits is None else len(self.hits)

    @property
    def waiting(self) -> int:
        """Lines that are not filtered yet."""
        return 0 if self.hits is None else self.stop - self.scanned

    def place(self, index: int) -> LogPlace:
        place = self.start + index if self.hits is None else self.hits[index]
        return LogPlace(self.block.seqs[place], self.block, place)

    def lines(self) -> Iterator[LogLine]:
        """All shown lines."""
        if self.hits is None:
            yield from self.block.lines(self.start, self.stop)
        elif self.hits:
            first = self.hits[0]
            found = list(self.block.lines(first, self.hits[-1] + 1))
            yield from (found[place - first] for place in self.hits)

    def before(self, seq: int) -> int:
        """How many shown lines have a lower `seq`."""
        place = bisect_left(self.block.seqs, seq, self.start, self.stop)
        return place - self.start if self.hits is None else bisect_left(self.hits, place)

    def waiting_after(self, seq: int) -> int:
        """Lines with a higher `seq` that are not filtered yet."""
        if self.hits is None:
            return 0
        return self.stop - bisect_right(self.block.seqs, seq, self.scanned, self.stop)

    def begins(self, place: int) -> bool:
        """Whether a line is the first one that is there of its traceback, or belongs to none."""
        if not self.block.continues(place):
            return True
        column = None if self.column is None else self.column()
        return column is not None and place == self.start and column.parts[0] is self

    def narrow(self) -> None:
        """From now on not all of its lines are shown."""
        self.hits, self.scanned = array("H"), self.start

    def scan(self, chosen: Shown) -> None:
        """Filter what came."""
        waiting = self.waiting
        if self.hits is None or not waiting:
            return
        before = len(self.hits)
        head = self._head(self.scanned) if chosen.folds else 0
        self.hits.extend(chosen.places(self.block, self.scanned, self.stop, head))
        self.scanned = self.stop
        self._tell(waiting, len(self.hits) - before)

    def skip(self) -> int:
        """Let what came unfiltered; how many lines that are."""
        waiting, self.scanned = self.waiting, self.stop
        self._tell(waiting, 0)
        return waiting

    def _head(self, place: int) -> int:
        column = None if self.column is None else self.column()
        if column is None or not self.block.continues(place):
            return self.block.seqs[place]
        return column.head(column.number(self), place).seq

    def _tell(self, waited: int, shown: int) -> None:
        column = None if self.column is None else self.column()
        if column is not None:
            column.scanned(waited, shown)

    def copy(self) -> Part:
        """The same, whatever comes later."""
        copy = Part(self.block, self.start, self.stop, self.hits is not None)
        copy.scanned = self.scanned
        copy.hits = None if self.hits is None else array("H", self.hits)
        return copy


class Column:
    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.seen = 0
        """Lines that the source had had at the last look, those let go too."""
        self.shown = self.held = self.waiting = 0
        """Lines that are shown, that are there, and that are not filtered yet."""
        self._lasts: list[int] = []
        self._counts: list[int] | None = None

    @property
    def newest(self) -> int:
        """The highest `seq`; 0 when there is none."""
        return self._lasts[-1] if self._lasts else 0

    def changed(self) -> None:
        """Parts came, grew or went."""
        parts = self.parts
        self._lasts = [part.block.seqs[part.stop - 1] for part in parts]
        self.shown = sum(map(len, parts))
        self.held = sum(part.stop - part.start for part in parts)
        self.waiting = sum(part.waiting for part in parts if part.hits is not None)
        self._counts = None

    def scanned(self, waited: int, shown: int) -> None:
        self.waiting -= waited
        self.shown += shown
        self._counts = None

    def add(self, part: Part) -> None:
        part.column = ref(self)
        self.parts.append(part)

    def drop(self, count: int) -> list[Part]:
        """Let the oldest go; one that is still being searched does not count here any more."""
        gone = self.parts[:count]
        for part in gone:
            part.column = None
        del self.parts[:count]
        return gone

    def before(self, seq: int) -> int:
        """How many shown lines have a lower `seq`."""
        index = bisect_left(self._lasts, seq)
        if index == len(self.parts):
            return self.shown
        if self._counts is None:
            self._counts = list(accumulate(map(len, self.parts), initial=0))
        return self._counts[index] + self.parts[index].before(seq)

    def find(self, seq: int) -> tuple[int, int] | None:
        """Which part holds a line, shown or not, and its place there; None: it was let go."""
        number = bisect_left(self._lasts, seq)
        if number == len(self.parts):
            return None
        part = self.parts[number]
        place = bisect_left(part.block.seqs, seq, part.start, part.stop)
        return (number, place) if part.block.seqs[place] == seq else None

    # Tracebacks, their lines shown or not

    def number(self, part: Part) -> int:
        """Which part it is."""
        return bisect_left(self.parts, part.block.first, key=_first)

    def head(self, number: int, place: int) -> LogPlace:
        """The line that begins the traceback of a line: of those held the first, when that was let go."""
        part = self.parts[number]
        place = part.block.beginning(place, part.start)
        while place < part.start and number:
            number -= 1
            part = self.parts[number]
            place = part.block.beginning(part.stop - 1, part.start)
        place = max(place, part.start)
        return LogPlace(part.block.seqs[place], part.block, place)

    def below(self, seq: int) -> Iterator[tuple[Part, int, int]]:
        """Which places of which parts hold the traceback that a line begins, that line left out."""
        found = self.find(seq)
        if found is None:
            return
        number, place = found
        while True:
            part = self.parts[number]
            end = part.block.ending(place + 1, part.stop)
            if end > place + 1:
                yield part, place + 1, end
            number += 1
            if end < part.stop or number == len(self.parts):
                return
            place = self.parts[number].start - 1

    # Its lines

    def since(self, time: float) -> int | None:
        """The `seq` of the first line, shown or not, from a time on; None when all are older."""
        for part in self.parts:
            block = part.block
            if block.time(part.stop - 1) >= time:
                return block.seqs[block.since(time, part.start, part.stop)]
        return None

    def lines(self) -> Iterator[LogLine]:
        """All shown lines; a block is read at once."""
        return (line for part in self.parts for line in part.lines())

    def forward(self, seq: int) -> Iterator[LogPlace]:
        """Shown lines from this `seq` on."""
        first = bisect_left(self._lasts, seq)
        for part in self.parts[first:]:
            for index in range(part.before(seq), len(part)):
                yield part.place(index)

    def backward(self, seq: int) -> Iterator[LogPlace]:
        """Shown lines before this `seq`, the nearest first."""
        first = min(bisect_left(self._lasts, seq), len(self.parts) - 1)
        for number in range(first, -1, -1):
            part = self.parts[number]
            for index in range(part.before(seq) - 1, -1, -1):
                yield part.place(index)


def _first(part: Part) -> int:
    return part.block.first
