"""Which lines of those a view has are shown: what passes its filter, and of tracebacks the open ones."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from routemq_tui.engine.log_block import LogBlock
from routemq_tui.engine.log_filter import LogFilter


class Shown:
    def __init__(self, chosen: LogFilter, folds: bool = True, before: Shown | None = None) -> None:
        """`before`: whose opened tracebacks stay open."""
        self.filter = chosen
        self.folds = folds and chosen.expression is None
        """Tracebacks are folded. Not among lines that match an expression: there each line counts."""
        self.opened: set[int] = set() if before is None else before.opened
        """The `seq` of the first line of each traceback that somebody opened."""

    def turn(self, head: int) -> None:
        """Open a traceback, or fold it again."""
        self.opened ^= {head}

    def all_of(self, block: LogBlock) -> bool:
        """Whether every line of a block is shown, whatever it holds."""
        return self.filter.empty and not (self.folds and block.goes_on)

    def places(self, block: LogBlock, start: int, stop: int, head: int) -> Sequence[int]:
        """The places of the shown lines, of those from `start` to `stop`, in order.

        `head`: the `seq` of the line that begins the traceback that goes on at `start`; it may be that one.
        """
        found = self.filter.places(block, start, stop)
        if not (self.folds and block.goes_on):
            return found
        kept = self._unfolded(block, start, stop, head)
        return [place for place in found if not block.continues(place) or place in kept]

    def _unfolded(self, block: LogBlock, start: int, stop: int, head: int) -> set[int]:
        """The places of lines that go on with a traceback and are shown."""
        kept: set[int] = set()
        if head in self.opened:
            kept.update(range(start, block.ending(start, stop)))
        elif block.seqs[start] == head:
            kept.add(start)
        for seq in self.opened:
            place = bisect_left(block.seqs, seq, start, stop)
            if place < stop and block.seqs[place] == seq:
                kept.update(range(place + 1, block.ending(place + 1, stop)))
        return kept
