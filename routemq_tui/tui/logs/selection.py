"""What of a log is selected: text from one place to another, or whole lines. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from routemq_tui.engine.port import LogLine
from routemq_tui.tui.logs.text import safe


class Place(NamedTuple):
    line: int
    """The line's `seq`."""
    offset: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Text between two places, or whole lines."""

    anchor: Place
    head: Place
    lines: bool = False

    @property
    def first(self) -> int:
        return min(self.anchor.line, self.head.line)

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

    def text(self, lines: Iterable[LogLine]) -> str:
        """What is selected of lines in order, as it is seen: a line each, however it was wrapped or cut."""
        pieces = []
        last = max(self.anchor.line, self.head.line)
        for line in lines:
            if line.seq > last:
                break
            whole = safe(line.text)
            span = self.span(line.seq, len(whole))
            if span is not None:
                pieces.append(whole[slice(*span)])
        return "\n".join(pieces)
