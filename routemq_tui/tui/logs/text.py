"""One line of log as text that is safe to draw, cut or wrapped to a width. Pure.

The store has made the text harmless; what is done here keeps a line on its own line whatever it holds.
"""

from __future__ import annotations

import re
import time
from bisect import bisect_right
from enum import StrEnum
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text

from routemq_tui.engine.port import LogLine
from routemq_tui.tui.tones import Fragment, Tone
from routemq_tui.units import format_age

LONGEST_COLOURED = 20_000
"""Beyond so many characters a line is drawn without its colours: reading them would cost too much."""

LEVELS = ((50, "CRIT", Tone.BAD), (40, "ERROR", Tone.BAD), (30, "WARN", Tone.WARN), (20, "INFO", Tone.MUTED))
DEBUG = ("DEBUG", Tone.MUTED)

Run = tuple[int, int, Style]
"""From one character to another, a style."""

_SGR = re.compile(r"\x1b\[[0-9;:]*m")
_UNSAFE = {code: 0x2400 + code for code in range(32)}
_UNSAFE |= dict.fromkeys(range(0x7F, 0xA0), 0xFFFD)
_UNSAFE |= dict.fromkeys([*range(0x200E, 0x2010), *range(0x2028, 0x202F), *range(0x2066, 0x206A)], 0xFFFD)
_UNSAFE |= dict.fromkeys(range(0xD800, 0xE000), 0xFFFD)
_JOINERS = dict.fromkeys((0x200B, 0x200C, 0x200D, 0xFE0E, 0xFE0F, 0xFEFF))
_SAFE: dict[int, int | None] = {**_UNSAFE, **_JOINERS, 9: 0x20}

_TO_CHANGE = re.compile("[" + "".join(f"\\U{code:08x}" for code in sorted(_SAFE)) + "]")


class _Cells(dict[str, int]):
    """The width of each character seen so far: a look into a dict is what a long line can afford."""

    def __missing__(self, character: str) -> int:
        cells = self[character] = cell_len(character)
        return cells


_cells = _Cells()


def safe(text: str) -> str:
    """No control character, no direction override, nothing whose width terminals disagree on."""
    return text.translate(_SAFE) if _TO_CHANGE.search(text) else text


class Body(NamedTuple):
    """A text and the colours of its parts."""

    plain: str
    runs: list[Run]


def body_of(line: LogLine) -> Body:
    """The text with the colours the line came with, and no other effect."""
    if line.ansi is None or len(line.ansi) > LONGEST_COLOURED:
        return Body(safe(line.text), [])
    pieces: list[str] = []
    runs: list[Run] = []
    sequences, length = "", 0
    for part in re.split(r"(\x1b\[[0-9;:]*m)", line.ansi):
        if _SGR.fullmatch(part):
            sequences = "" if part in ("\x1b[m", "\x1b[0m") else sequences + part
        elif part:
            piece = safe(part)
            if sequences:
                runs.append((length, length + len(piece), _colour(sequences)))
            pieces.append(piece)
            length += len(piece)
    return Body("".join(pieces), runs)


@lru_cache(maxsize=1024)
def _colour(sequences: str) -> Style:
    """The style that SGR sequences leave; blinking, hiding and reversing are let go."""
    decoded = Text.from_ansi(sequences + "x")
    style = decoded.spans[0].style if decoded.spans else Style()
    if not isinstance(style, Style):
        return Style()
    return Style(color=style.color, bold=style.bold, italic=style.italic, underline=style.underline)


def level_of(level: int) -> tuple[str, Tone]:
    """The word of a level and its tone."""
    for floor, word, tone in LEVELS:
        if level >= floor:
            return word, tone
    return DEBUG


class TimeMode(StrEnum):
    CLOCK = "clock"
    AGO = "ago"
    DELTA = "delta"
    """Since the line above."""

    @property
    def next(self) -> TimeMode:
        modes = list(TimeMode)
        return modes[(modes.index(self) + 1) % len(modes)]


def time_text(mode: TimeMode, at: float, before: float | None, now: float, roomy: bool) -> str:
    """The time of a line in 12 cells, or in 8 where there is little room. `before`: of the line above."""
    width = 12 if roomy else 8
    if mode is TimeMode.CLOCK:
        clock = time.strftime("%H:%M:%S", time.localtime(at))
        return f"{clock}.{int(at % 1 * 1000):03d}" if roomy else clock
    if mode is TimeMode.AGO:
        age = max(0.0, now - at)
        text = (f"{age:.1f}s" if age < 60 else format_age(age)) + (" ago" if roomy else "")
    elif before is None:
        text = ""
    else:
        gap = at - before
        text = f"{gap:+.3f}s" if abs(gap) < 99.9 else f"{'+' if gap > 0 else '-'}{format_age(abs(gap))}"
    return f"{text:>{width}}"


def prefix_width(source_width: int, roomy: bool) -> int:
    return (20 if roomy else 12) + (source_width + 1 if source_width else 0)


def prefix_of(line: LogLine, when: str, source_width: int, roomy: bool, margin: str = " ") -> list[Fragment]:
    """A margin of one cell, time, level and, where lines of several sources are merged, the source."""
    word, tone = level_of(line.level)
    fragments = [
        Fragment(margin, Tone.ACCENT),
        Fragment(f"{when} ", Tone.MUTED),
        Fragment(f"{word:<5} " if roomy else f"{word[0]} ", tone),
    ]
    if source_width:
        source = line.source if len(line.source) <= source_width else f"…{line.source[1 - source_width :]}"
        fragments.append(Fragment(f"{source:<{source_width}} ", Tone.ACCENT))
    return fragments


def breaks(text: str, width: int) -> list[int]:
    """Where the rows of a wrapped text begin; always at least one row."""
    if width < 2 or (text.isascii() and len(text) <= width):
        return [0]
    if text.isascii():
        return list(range(0, len(text), width))
    ends = list(accumulate(map(_cells.__getitem__, text)))
    starts = [0]
    while True:
        before = ends[starts[-1] - 1] if starts[-1] else 0
        start = bisect_right(ends, before + width, starts[-1])
        if start >= len(ends):
            return starts
        starts.append(start)


def offset_at(text: str, start: int, cells: int) -> int:
    """The place in the text of the character so many cells after `start`."""
    if text.isascii():
        return min(len(text), start + cells)
    used = 0
    for offset in range(start, len(text)):
        used += _cells[text[offset]]
        if used > cells:
            return offset
    return len(text)
