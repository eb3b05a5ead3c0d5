"""Which log lines are wanted: from a level on, and by an expression. Pure.

A million lines are looked through in a fraction of a second where text can be found in whole blocks, before
any line is looked at: that of a plain text, and that which every match of an expression must hold. The
expression then decides, line by line, so that the answer is always its own.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from routemq_tui.engine.log_block import LogBlock
from routemq_tui.engine.port import LogLine
from routemq_tui.engine.time_limit import within

PATIENCE = 0.5
"""Seconds for the lines of a block; a sound expression takes about that for all of a store."""

_SPECIAL = frozenset("\\.^$*+?{}[]|()")
_ODD = tuple((character.encode()[:1], character.encode()) for character in "İıſ\u212a")
"""The first byte and all bytes of letters beyond ASCII that match one of it when case is ignored;
a single byte is found much faster."""
_SHORTEST = 2
_DENSE = 4
"""Where every so manieth line holds the text, looking at each line is the faster way."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts of which a line must hold one to match."""

    anyof: tuple[bytes, ...]
    fold: bool
    """In any case; they are lower case then."""
    enough: bool
    """To hold one is to match."""

    def places(self, data: bytes, count: int) -> Sequence[int] | None:
        """The lines of `data` that hold one; None: only the expression can tell."""
        if self.fold:
            if not data.isascii() and any(byte in data and odd in data for byte, odd in _ODD):
                return None
            data = data.lower()
        if len(self.anyof) == 1:
            return _holding(data, self.anyof[0], count)
        found = {place for text in self.anyof for place in _holding(data, text, count)}
        return sorted(found)


def _holding(data: bytes, text: bytes, count: int) -> Sequence[int]:
    times = data.count(text)
    if not times:
        return ()
    if times * _DENSE > count:
        return [place for place, line in enumerate(data.split(b"\n")) if text in line]
    found = []
    starts = list(accumulate((len(line) + 1 for line in data.split(b"\n")), initial=0))
    at = data.find(text)
    while at >= 0:
        place = bisect_right(starts, at) - 1
        found.append(place)
        at = data.find(text, starts[place + 1])
    return found


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Lines from a level on, that match an expression, or with `!` before it those that do not.

    Asked for lines, it raises TooSlowError when the expression takes too long on them.
    """

    text: str = ""
    level: int = 0
    expression: re.Pattern[str] | None = field(default=None, compare=False)
    inverted: bool = False
    texts: Texts | None = field(default=None, compare=False)

    @classmethod
    def parse(cls, text: str, level: int = 0) -> LogFilter:
        """A filter from what somebody typed; raises ValueError as `expression_of` does."""
        pattern = text.removeprefix("!")
        if not pattern:
            return cls("", level)
        expression = expression_of(pattern)
        return cls(text, level, expression, text.startswith("!"), needed_texts(expression))

    @classmethod
    def matching(cls, expression: re.Pattern[str]) -> LogFilter:
        """The lines that an expression matches, whatever it begins with."""
        return cls(expression.pattern, 0, expression, False, needed_texts(expression))

    def with_level(self, level: int) -> LogFilter:
        return LogFilter(self.text, level, self.expression, self.inverted, self.texts)

    @property
    def empty(self) -> bool:
        return self.expression is None and self.level <= 0

    def passes(self, line: LogLine) -> bool:
        if line.level < self.level:
            return False
        if self.expression is None:
            return True
        search = self.expression.search
        return within(PATIENCE, lambda: search(line.text) is None) is self.inverted

    def places(self, block: LogBlock, start: int, stop: int) -> Sequence[int]:
        """The places of the block's lines that pass, of those from `start` to `stop`, in order."""
        if self.expression is None:
            return block.from_level(self.level, start, stop)
        return within(PATIENCE, lambda: self._places(block, start, stop))

    def _places(self, block: LogBlock, start: int, stop: int) -> Sequence[int]:
        high = block.from_level(self.level, start, stop)
        if not high:
            return high
        if len(high) * _DENSE < stop - start:
            return [place for place in high if self._matches(block, place) is not self.inverted]
        matching = self._matching(block, start, stop)
        if not self.inverted and len(high) == stop - start:
            return matching
        chosen = set(matching)
        return [place for place in high if (place in chosen) is not self.inverted]

    def _matches(self, block: LogBlock, place: int) -> bool:
        return (
            self.expression is not None
            and self.expression.search(block.texts(place, place + 1)[0]) is not None
        )

    def _matching(self, block: LogBlock, start: int, stop: int) -> Sequence[int]:
        """The places of the lines that the expression matches."""
        if self.expression is None:
            return range(start, stop)
        search = self.expression.search
        candidates = None
        if self.texts is not None:
            data = block.data(start, stop)
            candidates = self.texts.places(data, stop - start)
            if candidates is not None and (not candidates or self.texts.enough):
                return [place + start for place in candidates] if start else candidates
        lines = block.texts(start, stop)
        if candidates is None:
            return [place for place, found in enumerate(map(search, lines), start) if found]
        return [place + start for place in candidates if search(lines[place])]


def expression_of(text: str) -> re.Pattern[str]:
    """The expression somebody typed; lower case matches any case.

    Raises ValueError, in words, when it is not a regular expression.
    """
    try:
        return re.compile(text, re.IGNORECASE if text == text.lower() and has_case(text) else re.NOFLAG)
    except re.error as error:
        raise ValueError(f"Not a regular expression: {error}") from error


def has_case(text: str) -> bool:
    """Whether it matters to an expression that case is ignored, which makes it slow."""
    bare = re.sub(r"\\.", "", text)
    return bare.lower() != bare.upper()


def needed_texts(expression: re.Pattern[str]) -> Texts | None:
    """What a line must hold for the expression to match it; None where no such text is seen."""
    pattern, fold = expression.pattern, bool(expression.flags & re.IGNORECASE)
    if expression.flags & re.VERBOSE or "(?" in pattern:
        return None
    runs: list[str] = []
    for alternative in _alternatives(pattern):
        run = max(_runs(alternative), key=len, default="")
        if len(run) < _SHORTEST or (fold and not run.isascii()):
            return None
        runs.append(run.lower() if fold else run)
    enough = not _SPECIAL.intersection(pattern.replace("|", ""))
    return Texts(tuple(run.encode("utf-8", "surrogatepass") for run in runs), fold, enough)


def _alternatives(pattern: str) -> list[list[str]]:
    """The pattern's items (a character, an escape, a set, a group, a repetition), cut at its outer `|`."""
    found: list[list[str]] = [[]]
    items = re.finditer(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[*+?]|\{\d*,?\d*\}|[()|]|.", pattern, re.DOTALL)
    depth = 0
    for item in items:
        text = item[0]
        if text == "|" and not depth:
            found.append([])
            continue
        depth += {"(": 1, ")": -1}.get(text, 0)
        # Whatever stands in a group counts for nothing: it may be left out, or one of several.
        found[-1].append(")" if depth or text in "()" else text)
    return found


def _runs(items: Sequence[str]) -> list[str]:
    """Characters that follow each other in every match."""
    runs = [""]
    for item in items:
        if len(item) == 1 and item not in _SPECIAL:
            runs[-1] += item
        elif len(item) == 2 and item[0] == "\\" and not item[1].isalnum():
            runs[-1] += item[1]
        else:
            if item[0] in "*?{":  # the character before it may be missing
                runs[-1] = runs[-1][:-1]
            runs.append("")
    return runs
