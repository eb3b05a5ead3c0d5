"""Draws one row of the log view. What it finds out about a line it keeps, so that a long one is read once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from routemq_tui.engine.port import LogLine
from routemq_tui.engine.time_limit import TooSlowError, within
from routemq_tui.tui.logs.index import Fold
from routemq_tui.tui.logs.text import (
    Body,
    Run,
    TimeMode,
    body_of,
    offset_at,
    prefix_of,
    prefix_width,
    safe,
    time_text,
)
from routemq_tui.tui.tones import Fragment, Tone
from routemq_tui.tui.widgets.lines import Inks, paint

KEPT = 512
"""Lines of which the text and the matches are kept."""
MATCHES = 1_000
"""So many matches of one line are highlighted."""
PATIENCE = 0.1
"""Seconds for finding them."""


@dataclass(frozen=True, slots=True)
class Look:
    """What decides how every row is drawn."""

    width: int
    source_width: int
    roomy: bool
    mode: TimeMode
    now: float
    wrap: bool
    shift: int
    patterns: tuple[re.Pattern[str], ...]

    @property
    def text_width(self) -> int:
        return max(8, self.width - prefix_width(self.source_width, self.roomy) - 1)


class Piece(NamedTuple):
    """What belongs on a row, and how it stands out."""

    start: int
    end: int
    before: float | None
    """The time of the line above."""
    current: bool
    marked: bool
    selected: tuple[int, int] | None
    fold: Fold | None = None
    """The traceback that the line begins."""

    @property
    def margin(self) -> str:
        if self.marked:
            return "◆"
        return " " if self.fold is None else "▾" if self.fold.is_open else "▸"


class _Known(NamedTuple):
    body: Body
    matches: list[tuple[int, int]]


class LogPainter:
    def __init__(self, inks: Inks) -> None:
        self._inks = inks
        self._known: dict[int, _Known] = {}
        self._patterns: tuple[re.Pattern[str], ...] = ()
        self._usable: tuple[re.Pattern[str], ...] = ()
        """None, once they took too long on a line."""

    def row(self, line: LogLine, piece: Piece, look: Look) -> Strip:
        ground = "row--current" if piece.current else ""
        room_before = prefix_width(look.source_width, look.roomy)
        if piece.start and look.wrap:
            prefix = [Fragment(" " * room_before)]
        else:
            when = time_text(look.mode, line.time, piece.before, look.now, look.roomy)
            prefix = prefix_of(line, when, look.source_width, look.roomy, piece.margin)
        body = self._body(line, piece, look, look.width - room_before, ground)
        return Strip.join([paint(self._inks, prefix, room_before, ground), body])

    def _body(self, line: LogLine, piece: Piece, look: Look, room: int, ground: str) -> Strip:
        """The part of the text that belongs on this row, in exactly `room` cells."""
        known = self._read(line, look.patterns)
        plain = known.body.plain
        start, end = piece.start, piece.end
        if not look.wrap:
            start, end = look.shift, offset_at(plain, look.shift, room)
        tone = Tone.MUTED if line.stream == "event" and line.level < 30 else Tone.TEXT
        base = self._inks.ink(tone, ground)
        strip = Strip(segments(plain, start, end, self._layers(known, piece.selected), base))
        if end >= len(plain) and piece.fold is not None and not piece.fold.is_open:
            strip = self._with_fold(strip, plain, piece.fold, room, ground)
        if look.wrap or end == len(plain):
            return strip.adjust_cell_length(room, base)
        return Strip.join([strip.adjust_cell_length(room - 1, base), Strip([Segment("…", base)], 1)])

    def _with_fold(self, strip: Strip, plain: str, fold: Fold, room: int, ground: str) -> Strip:
        """What is folded, behind the text, as far as there is room."""
        told = f"  +{fold.lines} {'line' if fold.lines == 1 else 'lines'}"
        if fold.last not in plain:
            told += f": {safe(fold.last)}"
        width = room - strip.cell_length
        if width < len(told.split(" lines")[0]):
            return strip  # The margin says that there is something.
        return Strip.join([strip, paint(self._inks, [Fragment(told, Tone.MUTED)], width, ground)])

    def _layers(self, known: _Known, selected: tuple[int, int] | None) -> list[Run]:
        """What is drawn over the text: its colours, over them the matches, over these the selection."""
        if not known.matches and selected is None:
            return known.body.runs
        match = self._inks.part("tone--match")
        layers = [*known.body.runs, *((begin, stop, match) for begin, stop in known.matches)]
        if selected is not None:
            layers.append((*selected, self._inks.part("row--picked")))
        return layers

    def _read(self, line: LogLine, patterns: tuple[re.Pattern[str], ...]) -> _Known:
        if patterns != self._patterns or len(self._known) > KEPT:
            self._known.clear()
            self._patterns = self._usable = patterns
        known = self._known.get(line.seq)
        if known is None:
            body = body_of(line)
            known = self._known[line.seq] = _Known(body, self._matches(body.plain))
        return known

    def _matches(self, text: str) -> list[tuple[int, int]]:
        try:
            return within(PATIENCE, lambda: matches_of(text, self._usable))
        except TooSlowError:
            self._usable = ()
            return []


def segments(text: str, start: int, end: int, layers: Sequence[Run], base: Style) -> list[Segment]:
    """The characters from `start` to `end`, cut where a layer begins or ends; later ones lie over others."""
    start = min(start, end)
    touching = [layer for layer in layers if layer[1] > start and layer[0] < end]
    cuts = {start, end}
    for begin, stop, _ in touching:
        cuts.add(max(start, begin))
        cuts.add(min(end, stop))
    edges = sorted(cuts)
    pieces = []
    for begin, stop in pairwise(edges):
        style = base
        for first, last, over in touching:
            if first <= begin and stop <= last:
                style += over
        pieces.append(Segment(text[begin:stop], style))
    return pieces


def matches_of(text: str, patterns: Sequence[re.Pattern[str]]) -> list[tuple[int, int]]:
    """Where the expressions match, to be highlighted."""
    found: list[tuple[int, int]] = []
    for pattern in patterns:
        for match in pattern.finditer(text):
            if match.end() > match.start():
                found.append(match.span())
            if len(found) >= MATCHES:
                break
    return found
