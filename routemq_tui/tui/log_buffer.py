"""The lines a log view holds: a bounded ring, a filter, and which of them are shown. Pure."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from routemq_tui.engine.port import LogLine


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which lines are shown: from a level on, and by an expression that `!` inverts."""

    text: str = ""
    level: int = 0
    expression: re.Pattern[str] | None = field(default=None, compare=False)
    inverted: bool = False

    @classmethod
    def parse(cls, text: str, level: int = 0) -> LogFilter:
        """A filter from what somebody typed; lower case matches any case.

        Raises ValueError, in words, when it is not a regular expression.
        """
        pattern = text.removeprefix("!")
        if not pattern:
            return cls("", level)
        flags = re.IGNORECASE if pattern == pattern.lower() else re.NOFLAG
        try:
            expression = re.compile(pattern, flags)
        except re.error as error:
            raise ValueError(f"Not a regular expression: {error}") from error
        return cls(text, level, expression, text.startswith("!"))

    def with_level(self, level: int) -> LogFilter:
        return LogFilter(self.text, level, self.expression, self.inverted)

    def passes(self, line: LogLine) -> bool:
        if line.level < self.level:
            return False
        if self.expression is None:
            return True
        return (self.expression.search(line.text) is None) is self.inverted

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where the expression matches, to be highlighted."""
        if self.expression is None or self.inverted:
            return []
        return [match.span() for match in self.expression.finditer(text) if match.end() > match.start()]


class Change(NamedTuple):
    """What `extend` did to the shown lines."""

    added: tuple[LogLine, ...]
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
        added = tuple(line for line in new if self.filter.passes(line))
        if paused and len(self.lines) + len(new) > 2 * self.capacity:
            return Change(added, 0, kept=False)
        self.lines.extend(new)
        self.shown.extend(added)
        return Change(added, 0 if paused else self._turn(), kept=True)

    def set_filter(self, log_filter: LogFilter) -> None:
        self.filter = log_filter
        self.shown = [line for line in self.lines if log_filter.passes(line)]

    def clear(self) -> None:
        self.lines, self.shown = [], []

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
