"""Some hundreds of log lines of one source, in columns: while they are written, and sealed into a few bytes.

A million lines are a few thousand objects this way, none of which the garbage collector has to look into. One
thread appends, under the store's lock; others read without it, up to a number of lines that they were told.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from routemq_tui.engine.port import LogLine
from routemq_tui.engine.sanitise import CleanRun

MOST_LINES = 1024
MOST_BYTES = 64 * 1024
BLOCK_OVERHEAD = 700
"""Bytes of a block beside its columns (measured: the object, its arrays' heads, the list's entry)."""
_LINE_OVERHEAD = 26
"""Bytes of an open block's line beside its text: seq, time, kind, and the entry in the list."""
_KIND_OVERHEAD = 100
"""Bytes of a kind beside its names: the tuple, its level, the entry in the list."""
_NUMBER_OVERHEAD = 100
"""The same of its entry among the numbers of an open block."""
LONGEST_NAME = 200
"""Characters of a logger's name that are kept."""

_GOES_ON = 0x8000
"""Beside the number of its kind: the line belongs to the traceback of the line before it."""

Kind = tuple[int, str, str]
"""Level, stream and logger: few lines in a row differ in them."""


class LogBlock:
    __slots__ = (
        "_ansi",
        "_before",
        "_data",
        "_kind_at",
        "_kinds_size",
        "_numbers",
        "_starts",
        "_texts",
        "_throughout",
        "_times",
        "first",
        "goes_on",
        "kinds",
        "seqs",
        "size",
        "source",
    )

    def __init__(self, source: str, first: int, before: Kind | None = None) -> None:
        """`before`: the kind of the line before these, where that is held."""
        self.source = source
        self.first = first
        """How many lines the source had before these."""
        self.seqs = array("q")
        self.kinds: list[Kind] = []
        """The kinds that its lines have."""
        self.goes_on = False
        """Some of its lines belong to the traceback of a line before them."""
        self.size = BLOCK_OVERHEAD
        """Bytes that it takes."""
        self._times = array("d")
        self._kind_at = array("H")
        """Of each line, which of the kinds it has, and _GOES_ON; empty in a sealed block where all say 0."""
        self._numbers: dict[Kind, int] = {}
        self._kinds_size = 0
        self._before = before
        self._throughout = False
        self._ansi: dict[int, str] | _Coloured = {}
        self._texts: list[str] | None = []
        self._data = b""
        self._starts: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.seqs)

    @property
    def last(self) -> int:
        """How many lines the source had with these."""
        return self.first + len(self.seqs)

    @property
    def last_kind(self) -> Kind:
        """The kind of its last line."""
        return self.kinds[self._kind_at[-1] & ~_GOES_ON if self._kind_at else 0]

    # Writing

    def append(self, seq: int, kind: Kind, run: CleanRun, start: int, stop: int) -> None:
        """Lines of a run, from one place to another; the first of them has this `seq`."""
        self.append_mixed(seq, (kind,), bytes(len(run.texts)), run, start, stop)

    def append_mixed(
        self, seq: int, kinds: Sequence[Kind], numbers: Sequence[int], run: CleanRun, start: int, stop: int
    ) -> None:
        """The same of lines of several kinds; `numbers` holds for each line the place of its kind."""
        texts = self._texts
        if texts is None or isinstance(self._ansi, _Coloured):
            raise ValueError("a sealed block takes no more lines")
        count = stop - start
        if count == 1:
            self._append_one(seq, self._number_of(kinds[numbers[start]]), run, start, texts)
            return
        held = numbers if count == len(run.texts) else numbers[start:stop]
        own = {number: self._number_of(kinds[number]) for number in set(held)}
        some = run.texts if count == len(run.texts) else run.texts[start:stop]
        if run.ansi:
            self._take_colours(run, start, stop, len(texts))
        texts.extend(some)
        self.size += sum(map(sys.getsizeof, some)) + count * _LINE_OVERHEAD
        self._times.extend(run.times if count == len(run.texts) else run.times[start:stop])
        self._kind_at.extend(map(own.__getitem__, held))
        if run.continued:
            self._take_continued(run, start, stop, len(texts))
        # Last: a reader without the lock knows by the number of these how many lines there are.
        self.seqs.extend(range(seq, seq + count))

    def _number_of(self, kind: Kind) -> int:
        if len(kind[2]) > LONGEST_NAME:
            kind = (*kind[:2], kind[2][: LONGEST_NAME - 1] + "…")
        number = self._numbers.get(kind)
        if number is None:
            number = self._numbers[kind] = len(self.kinds)
            self.kinds.append(kind)
            size = _KIND_OVERHEAD + sys.getsizeof(kind[1]) + sys.getsizeof(kind[2])
            self._kinds_size += size
            self.size += size + _NUMBER_OVERHEAD
        return number

    def _append_one(self, seq: int, number: int, run: CleanRun, place: int, texts: list[str]) -> None:
        text = run.texts[place]
        if run.ansi:
            self._take_colours(run, place, place + 1, len(texts))
        texts.append(text)
        self.size += sys.getsizeof(text) + _LINE_OVERHEAD
        self._times.append(run.times[place])
        self._kind_at.append(number)
        if run.continued:
            self._take_continued(run, place, place + 1, len(texts))
        self.seqs.append(seq)

    def _take_colours(self, run: CleanRun, start: int, stop: int, first: int) -> None:
        for place, ansi in run.ansi.items():
            if start <= place < stop and isinstance(self._ansi, dict):
                self._ansi[first + place - start] = ansi
                self.size += sys.getsizeof(ansi) + 100

    def _take_continued(self, run: CleanRun, start: int, stop: int, end: int) -> None:
        for place in run.continued:
            at = end - stop + place
            # After a line of another stream it cannot be folded: that one does not begin its traceback.
            if start <= place < stop and self._before_is_alike(at):
                self._kind_at[at] |= _GOES_ON
                self.goes_on = True

    def _before_is_alike(self, place: int) -> bool:
        numbers = self._kind_at
        if place:
            return numbers[place - 1] & ~_GOES_ON == numbers[place] & ~_GOES_ON
        return self._before is None or self._before == self.kinds[numbers[0] & ~_GOES_ON]

    def seal(self) -> None:
        """Pack it; it takes no more lines."""
        texts = self._texts
        if texts is None or isinstance(self._ansi, _Coloured):
            return
        self._data, self._starts = packed(texts)
        self._ansi = _Coloured(self._ansi)
        self.seqs, self._times = array("q", self.seqs), array("d", self._times)
        told = len(self.kinds) > 1 or self.goes_on
        self._kind_at = array("H", self._kind_at) if told else array("H")
        # A traceback of very many blocks is gone through block by block.
        self._throughout = self.goes_on and min(self._kind_at) >= _GOES_ON
        self._numbers, self._before = {}, None
        # After the rest: who reads without the lock finds the texts or what they became.
        self._texts = None
        self.size = BLOCK_OVERHEAD + len(self._data) + self._ansi.size + 12 * len(self._starts)
        self.size += 8 * len(self.seqs) + 2 * len(self._kind_at) + self._kinds_size

    # Reading

    def line(self, place: int) -> LogLine:
        return next(self.lines(place, place + 1))

    def lines(self, start: int, stop: int) -> Iterator[LogLine]:
        """The lines from one place to another, in order."""
        places = range(start, stop)
        texts = self.texts(start, stop)
        kinds, ansi = self.kinds, self._ansi
        numbers = self._kind_numbers(start, stop)
        for place, text, number, seq, at in zip(
            places, texts, numbers, self.seqs[start:stop], self._times[start:stop], strict=True
        ):
            goes_on = number >= _GOES_ON
            kind = kinds[number - _GOES_ON if goes_on else number]
            yield LogLine(seq, at, self.source, *kind, text, ansi.get(place), goes_on)

    def continues(self, place: int) -> bool:
        """Whether a line belongs to the traceback of the line before it."""
        return self.goes_on and self._kind_at[place] >= _GOES_ON

    def beginning(self, place: int, start: int) -> int:
        """The last place from `start` to `place` that does not continue; `start - 1` when all do."""
        if self._throughout:
            return start - 1
        numbers = self._kind_at
        while self.goes_on and place >= start and numbers[place] >= _GOES_ON:
            place -= 1
        return place

    def ending(self, place: int, stop: int) -> int:
        """The first place from `place` on that does not continue; `stop` when all do."""
        if self._throughout:
            return stop
        numbers = self._kind_at
        while self.goes_on and place < stop and numbers[place] >= _GOES_ON:
            place += 1
        return place

    def time(self, place: int) -> float:
        return self._times[place]

    def since(self, time: float, start: int, stop: int) -> int:
        """The place of the first line that was written at this time or later; `stop` when none was."""
        return bisect_left(self._times, time, start, stop)

    def texts(self, start: int, stop: int) -> list[str]:
        texts = self._texts
        if texts is not None:
            return texts[start:stop]
        if start >= stop:
            return []
        return unpacked(self._data[self._starts[start] : self._starts[stop] - 1])

    def data(self, start: int, stop: int) -> bytes:
        """The texts as UTF-8, a newline between each two."""
        texts = self._texts
        if texts is not None:
            return packed(texts[start:stop])[0]
        if start == 0 and stop == len(self._starts) - 1:
            return self._data
        return self._data[self._starts[start] : self._starts[stop] - 1] if start < stop else b""

    def from_level(self, level: int, start: int, stop: int) -> Sequence[int]:
        """The places of the lines that have at least this level."""
        if level <= 0:
            return range(start, stop)
        high = {number for number, kind in enumerate(self.kinds) if kind[0] >= level}
        if len(high) == len(self.kinds):
            return range(start, stop)
        if not high:
            return ()
        if self.goes_on:
            high |= {number | _GOES_ON for number in high}
        numbers = self._kind_numbers(start, stop)
        return [place for place, number in enumerate(numbers, start) if number in high]

    def _kind_numbers(self, start: int, stop: int) -> Sequence[int]:
        return self._kind_at[start:stop] or array("H", bytes(2 * (stop - start)))


class _Coloured:
    """The lines of a sealed block that have colours."""

    __slots__ = ("_data", "_places", "_starts", "size")

    def __init__(self, ansi: dict[int, str]) -> None:
        self._places = array("H", ansi)
        self._data, self._starts = packed(list(ansi.values()))
        self.size = len(self._data) + 14 * len(ansi)

    def get(self, place: int) -> str | None:
        if not self._places:
            return None
        try:
            index = self._places.index(place)
        except ValueError:
            return None
        return unpacked(self._data[self._starts[index] : self._starts[index + 1] - 1])[0]


def packed(texts: Sequence[str]) -> tuple[bytes, Sequence[int]]:
    """Texts in one piece, and where each begins (and where one more would)."""
    data = _encoded("\n".join(texts))
    if texts and data.count(b"\n") != len(texts) - 1:
        # None comes from the engine's own rooms (`sanitise`); one would shift all lines after it.
        data = _encoded("\n".join(text.replace("\n", "␊") for text in texts))
    pieces: Iterable[bytes] = data.split(b"\n") if texts else ()
    return data, array("I", accumulate((len(piece) + 1 for piece in pieces), initial=0))


def unpacked(data: bytes) -> list[str]:
    return data.decode("utf-8", "surrogatepass").split("\n")


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
