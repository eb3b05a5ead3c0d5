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

    def narrow(self) -> None:
        """From now on not all of its lines are shown."""
        self.hits, self.scanned = array("H"), self.start

    def scan(self, chosen: Shown) -> None:
        """Filter what came."""
        waiting = self.waiting
        if self.hits is None or not waiting:
            return
        before = len(self.hits)
        self.hits.extend(chosen.places(self.block, self.scanned, self.stop))
        self.scanned = self.stop
        self._tell(waiting, len(self.hits) - before)

    def skip(self) -> int:
        """Let what came unfiltered; how many lines that are."""
        waiting, self.scanned = self.waiting, self.stop
        self._tell(waiting, 0)
        return waiting

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

    def traceback(self, seq: int, most: int) -> list[LogPlace]:
        """A line and the traceback that it begins, shown or not; empty when it begins none or was let go.

        Of a line within a traceback, that traceback and the line it belongs to.
        """
        found = self.find(seq)
        if found is None:
            return []
        number, place = found
        while self.parts[number].block.continues(place):
            if place > self.parts[number].start:
                place -= 1
            elif number:
                number -= 1
                place = self.parts[number].stop - 1
            else:
                break  # Its first line was let go.
        head = self.parts[number].block
        lines = [LogPlace(head.seqs[place], head, place)]
        for part in self.parts[number:]:
            for at in range(place + 1 if part.block is head else part.start, part.stop):
                if len(lines) > most or not part.block.continues(at):
                    return lines if len(lines) > 1 else []
                lines.append(LogPlace(part.block.seqs[at], part.block, at))
        return lines if len(lines) > 1 else []

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
