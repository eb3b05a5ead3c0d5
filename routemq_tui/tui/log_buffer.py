"""The lines a log view holds: a bounded ring, a filter, and which of them are shown. Pure."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from routemq_tui.engine.port import LogLine


def expression_of(text: str) -> re.Pattern[str]:
    """The expression somebody typed; lower case matches any case.

    Raises ValueError, in words, when it is not a regular expression.
    """
    try:
        return re.compile(text, re.IGNORECASE if text == text.lower() else re.NOFLAG)
    except re.error as error:
        raise ValueError(f"Not a regular expression: {error}") from error


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which lines are shown: from a level on, and by an expression that `!` inverts."""

    text: str = ""
    level: int = 0
    expression: re.Pattern[str] | None = field(default=None, compare=False)
    inverted: bool = False

    @classmethod
    def parse(cls, text: str, level: int = 0) -> LogFilter:
        """A filter from what somebody typed; raises ValueError as `expression_of` does."""
        pattern = text.removeprefix("!")
        if not pattern:
            return cls("", level)
        return cls(text, level, expression_of(pattern), text.startswith("!"))

    def with_level(self, level: int) -> LogFilter:
        return LogFilter(self.text, level, self.expression, self.inverted)

    def passing(self, lines: Sequence[LogLine]) -> Sequence[LogLine]:
        """Those that pass."""
        if self.expression is None and not self.level:
            return lines
        return [line for line in lines if self.passes(line)]

    def passes(self, line: LogLine) -> bool:
        if line.level < self.level:
            return False
        if self.expression is None:
            return True
        return (self.expression.search(line.text) is None) is self.inverted


class Change(NamedTuple):
    """What `extend` did to the shown lines."""

    added: Sequence[LogLine]
    evicted: int
    """So many left at the front."""
    kept: bool
    """False when added lines were only counted: there was no room and the ring was not to turn."""


class LogBuffer:
    """At most about `capacity` lines; while paused it takes as many again, then only counts."""

    def __init__(self, capacity: int = 10_000) -> None:
        self.capacity = capacity
        self.filter = LogFilter()
        self.lines: list[LogLine] = []
        self.shown: list[LogLine] = []

    def extend(self, lines: Iterable[LogLine], paused: bool = False) -> Change:
        new = list(lines)
        added = self.filter.passing(new)
        if paused and len(self.lines) + len(new) > 2 * self.capacity:
            return Change(added, 0, kept=False)
        self.lines.extend(new)
        self.shown.extend(added)
        return Change(added, 0 if paused else self._turn(), kept=True)

    def set_filter(self, log_filter: LogFilter) -> None:
        self.filter = log_filter
        self.shown = list(log_filter.passing(self.lines))

    def clear(self) -> None:
        self.lines, self.shown = [], []

    def find(self, wanted: Callable[[LogLine], bool], start: int, step: int) -> int | None:
        """The place of the first shown line that is wanted, from `start` on, round the end; None: no line."""
        count = len(self.shown)
        for offset in range(count):
            place = (start + offset * step) % count
            if wanted(self.shown[place]):
                return place
        return None

    def place_of(self, seq: int) -> int:
        """Index among the shown lines of the first one from `seq` on."""
        return bisect_left(self.shown, seq, key=lambda line: line.seq)

    def _turn(self) -> int:
        """Let the oldest go, an eighth of the ring at a time, so that most calls move nothing."""
        surplus = len(self.lines) - self.capacity
        if surplus <= self.capacity // 8:
            return 0
        last_gone = self.lines[surplus - 1].seq
        del self.lines[:surplus]
        evicted = bisect_right(self.shown, last_gone, key=lambda line: line.seq)
        del self.shown[:evicted]
        return evicted
