"""Which log lines are wanted: from a level on, and by an expression. Pure.

A million lines are looked through in a fraction of a second where text can be found in whole blocks, before
any line is looked at: that of a plain text, and that which every match of an expression must hold. The
expression then decides, line by line, so that the answer is always its own.
"""

from __future__ import annotations

import importlib
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple

from routemq_tui.engine.log_block import LogBlock
from routemq_tui.engine.port import LogLine
from routemq_tui.engine.time_limit import within

PATIENCE = 0.5
"""Seconds for the lines of a block; a sound expression takes about that for all of a store."""

_ODD = tuple((character.encode()[:1], character.encode()) for character in "İıſ\u212a")
"""The first byte and all bytes of letters beyond ASCII that match one of it when case is ignored;
a single byte is found much faster."""
_SHORTEST = 2
_MOST_TEXTS = 64
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
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"Not a regular expression: {error}") from error


def has_case(text: str) -> bool:
    """Whether it matters to an expression that case is ignored, which makes it slow."""
    bare = re.sub(r"\\.", "", text)
    return bare.lower() != bare.upper()


def needed_texts(expression: re.Pattern[str]) -> Texts | None:
    """What a line must hold for the expression to match it; None where no such text is seen."""
    fold = bool(expression.flags & re.IGNORECASE)
    try:
        # Python's own parser, so that nothing is read in another way than it is matched. It is private: where
        # it gives what is not known here, each line is looked at.
        parsed = importlib.import_module("re._parser").parse(expression.pattern, expression.flags)
        piece = _sequence(parsed, fold)
    except (
        ImportError,
        AttributeError,
        TypeError,
        LookupError,
        ValueError,
        RecursionError,
        Warning,
        re.error,
    ):
        return None
    if _worth(piece.needed) < _SHORTEST:
        return None
    texts = tuple(text.encode("utf-8", "surrogatepass") for text in piece.needed)
    return Texts(texts, fold, piece.enough)


class _Piece(NamedTuple):
    """What is known of the matches of a piece of an expression."""

    exact: tuple[str, ...] | None
    """Each match is one of these."""
    needed: tuple[str, ...]
    """Each match holds one of these; none where nothing is known."""
    enough: bool
    """Each of `exact` is a match, whatever is around it."""


_ANYTHING = _Piece(None, (), False)
_BETWEEN = _Piece(("",), (), False)
"""A condition on what is around: it takes no characters."""
_OTHER_CASE = re.IGNORECASE | re.ASCII | re.LOCALE | re.UNICODE


def _sequence(parsed: Any, fold: bool) -> _Piece:
    """Of pieces one after the other."""
    needed: tuple[str, ...] = ()
    ending: tuple[str, ...] = ("",)  # of what was read so far
    whole = enough = True
    for kind, value in parsed:
        for piece in _pieces(kind.name, value, fold):
            enough = enough and piece.enough
            if piece.exact is not None and len(ending) * len(piece.exact) <= _MOST_TEXTS:
                ending = _once(before + after for before in ending for after in piece.exact)
                continue
            needed = _better(_better(needed, ending), piece.needed)
            ending = piece.exact or ("",)
            whole = False
    return _Piece(ending if whole else None, _better(needed, ending), enough and whole)


def _pieces(kind: str, value: Any, fold: bool) -> Iterator[_Piece]:
    if kind == "LITERAL":
        yield _character(chr(value), fold)
    elif kind in ("AT", "ASSERT", "ASSERT_NOT"):
        yield _BETWEEN
    elif kind == "SUBPATTERN":
        _, flags, flags_off, inner = value
        yield _ANYTHING if (flags | flags_off) & _OTHER_CASE else _sequence(inner, fold)
    elif kind == "BRANCH":
        yield _one_of([_sequence(each, fold) for each in value[1]])
    elif kind == "ATOMIC_GROUP":  # may refuse what it would match if it tried again
        yield _sequence(value, fold)._replace(enough=False)
    elif kind in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        least, _, inner = value
        if least:
            yield _sequence(inner, fold)
        yield _ANYTHING
    elif kind in ("ANY", "IN", "NOT_LITERAL", "GROUPREF", "GROUPREF_EXISTS", "FAILURE"):
        yield _ANYTHING
    else:
        raise ValueError(f"an unknown piece of an expression: {kind}")


def _character(character: str, fold: bool) -> _Piece:
    # A newline is in no line, but between two of them where many are looked through at once.
    if character == "\n" or (fold and not character.isascii()):
        return _ANYTHING
    return _Piece((character.lower() if fold else character,), (), True)


def _one_of(pieces: Sequence[_Piece]) -> _Piece:
    exact = [piece.exact for piece in pieces if piece.exact is not None]
    known = all(piece.needed for piece in pieces)
    return _Piece(
        _once(text for texts in exact for text in texts) if len(exact) == len(pieces) else None,
        _once(text for piece in pieces for text in piece.needed) if known else (),
        all(piece.enough for piece in pieces),
    )


def _once(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def _better(texts: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    """Those of which the shortest is longer: the fewest lines hold one."""
    return others if (_worth(others), -len(others)) > (_worth(texts), -len(texts)) else texts


def _worth(texts: tuple[str, ...]) -> int:
    return min(map(len, texts), default=0)
