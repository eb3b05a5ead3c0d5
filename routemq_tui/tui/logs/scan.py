"""Work over all lines of a view, in slices of a few milliseconds: its filter, and a search. Pure.

What is nearest to the reader comes first. Between two slices keys are answered and the screen is drawn.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

from routemq_tui.engine.log_filter import LogFilter
from routemq_tui.tui.logs.column import Part
from routemq_tui.tui.logs.index import LogIndex

FEW = 32
"""So few lines of a block are looked at one by one."""

Answer = Callable[["LogSearch"], None]


class LogSearch:
    """The next shown line that is wanted, from a `seq` on in one direction, then round the end."""

    def __init__(
        self, index: LogIndex, wanted: LogFilter, start: int, step: int, beginnings: bool = False
    ) -> None:
        """`beginnings`: no line within a traceback; else those of folded ones are looked at, too."""
        self._index, self._wanted, self._start, self._step = index, wanted, start, step
        self._beginnings = beginnings
        self.found: int | None = None
        self.round_the_end = False
        self._parts = self._to_search()
        self._lines = self._left = sum(part.stop - part.start for part in index.parts())

    @property
    def progress(self) -> float:
        return 1 - self._left / max(1, self._lines)

    def slice(self, until: float) -> bool:
        """Go on until a moment of the clock; True when it has ended."""
        while True:
            if not self._parts or self._nothing_nearer():
                if self.found is not None or self.round_the_end:
                    return True
                self.round_the_end = True
                self._parts = self._to_search()
                continue
            part = self._parts.pop()
            low, high = self._bounds(part)
            self._left = max(0, self._left - (high - low))
            self._search(part, low, high)
            if time.perf_counter() >= until:
                return False

    def _to_search(self) -> list[Part]:
        """The parts that have lines on this side of the start, the nearest last."""
        parts = [part for part in self._index.parts() if _filled(self._bounds(part))]
        if self._step > 0:
            return sorted(parts, key=lambda part: -part.block.seqs[self._bounds(part)[0]])
        return sorted(parts, key=lambda part: part.block.seqs[self._bounds(part)[1] - 1])

    def _bounds(self, part: Part) -> tuple[int, int]:
        """The places of a part's lines on this side of the start, or on the other one."""
        seqs = part.block.seqs
        if (self._step > 0) is not self.round_the_end:
            low = self._start if self._step > 0 else self._start + 1
            return bisect_left(seqs, low, part.start, part.stop), part.stop
        high = self._start if self._step < 0 else self._start - 1
        return part.start, bisect_right(seqs, high, part.start, part.stop)

    def _nothing_nearer(self) -> bool:
        """What was found is before all that is left."""
        if self.found is None:
            return False
        part = self._parts[-1]
        low, high = self._bounds(part)
        if self._step > 0:
            return part.block.seqs[low] > self.found
        return part.block.seqs[high - 1] < self.found

    def _search(self, part: Part, low: int, high: int) -> None:
        self._index.scan(part)
        place = self._nearest(part, self._hits(part, low, high))
        if place is not None:
            seq = part.block.seqs[place]
            if self.found is None or (seq < self.found) is (self._step > 0):
                self.found = seq

    def _hits(self, part: Part, low: int, high: int) -> Sequence[int]:
        """The places to be looked at."""
        hits: Sequence[int] = range(low, high)
        if self._index.shown.folds and part.block.goes_on:
            hits = self._index.filter.places(part.block, low, high)
        elif part.hits is not None:
            hits = part.hits[bisect_left(part.hits, low) : bisect_left(part.hits, high)]
        if self._beginnings and part.block.goes_on:
            hits = [place for place in hits if part.begins(place)]
        return hits

    def _nearest(self, part: Part, hits: Sequence[int]) -> int | None:
        if not hits:
            return None
        if len(hits) <= FEW:
            nearest = hits if self._step > 0 else reversed(hits)
            return next((place for place in nearest if self._wanted.passes(part.block.line(place))), None)
        found = self._wanted.places(part.block, hits[0], hits[-1] + 1)
        if len(hits) <= hits[-1] - hits[0]:
            shown = set(hits)
            found = [place for place in found if place in shown]
        if not found:
            return None
        return found[0] if self._step > 0 else found[-1]


class LogWork:
    """The work that a view has under way."""

    def __init__(self, index: LogIndex) -> None:
        self._index = index
        self._search: LogSearch | None = None
        self._answer: Answer = _nobody
        self._parts: list[Part] = []

    def search(self, search: LogSearch, answer: Answer) -> None:
        """Look for a line; another search is over then. `answer` hears of the end of this one."""
        self._search, self._answer = search, answer

    def came(self, near: int) -> None:
        """There are lines to be filtered; those nearest to a `seq` come first."""
        self._parts = self._index.to_scan(near)

    def cancel(self) -> bool:
        """Leave it at what was found so far; False when nothing was under way."""
        had = self.under_way
        self._search = None
        self._parts = []
        self._index.skip_waiting()
        return had

    def forget_search(self) -> bool:
        """False when there was none."""
        had, self._search = self._search is not None, None
        return had

    @property
    def under_way(self) -> bool:
        return self._search is not None or bool(self._parts)

    @property
    def told(self) -> str:
        """What is under way, and how far it is."""
        if self._search is not None:
            return f"searching {int(self._search.progress * 100)} %"
        if self._parts:
            share = 1 - self._index.waiting / max(1, self._index.held)
            return f"filtering {int(share * 100)} %"
        return ""

    def slice(self, seconds: float) -> bool:
        """Work for so long; True when there is more to do.

        Raises TooSlowError: the search, or when there is none the filter, is to be given up.
        """
        until = time.perf_counter() + seconds
        if self._search is not None:
            search = self._search
            if not search.slice(until):
                return True
            self._search = None
            self._answer(search)
        while self._parts:
            self._index.scan(self._parts.pop())
            if time.perf_counter() >= until:
                break
        return self.under_way


def _nobody(search: LogSearch) -> None:
    """Nobody waits for an answer."""


def _filled(bounds: tuple[int, int]) -> bool:
    return bounds[0] < bounds[1]
