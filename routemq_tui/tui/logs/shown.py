"""Which lines of those a view has are shown: what passes its filter, and of tracebacks the open ones."""

from __future__ import annotations

from collections.abc import Sequence

from routemq_tui.engine.log_block import LogBlock
from routemq_tui.engine.log_filter import LogFilter


class Shown:
    def __init__(self, chosen: LogFilter, folds: bool = True, before: Shown | None = None) -> None:
        """`before`: whose opened tracebacks stay open."""
        self.filter = chosen
        self.folds = folds and chosen.expression is None
        """Tracebacks are folded. Not among lines that match an expression: there each line counts."""
        self.opened: dict[int, frozenset[int]] = {} if before is None else before.opened
        """The first line of a traceback -> the others, of those that somebody opened."""
        self._open: set[int] = set().union(*self.opened.values())

    def turn(self, head: int, others: frozenset[int]) -> bool:
        """Open a traceback, or fold it again; True when it is open now."""
        if self.opened.pop(head, None) is None:
            self.opened[head] = others
        self._open = set().union(*self.opened.values())
        return head in self.opened

    def all_of(self, block: LogBlock) -> bool:
        """Whether every line of a block is shown, whatever it holds."""
        return self.filter.empty and not (self.folds and block.goes_on)

    def places(self, block: LogBlock, start: int, stop: int) -> Sequence[int]:
        """The places of the shown lines, of those from `start` to `stop`, in order."""
        found = self.filter.places(block, start, stop)
        if not (self.folds and block.goes_on):
            return found
        seqs, is_open = block.seqs, self._open
        return [place for place in found if not block.continues(place) or seqs[place] in is_open]
