"""One line of log as text that is safe to draw, cut or wrapped to a width. Pure.

The store has made the text harmless; what is done here keeps a line on its own line whatever it holds.
"""

from __future__ import annotations

import re
import time

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text

from routemq_tui.engine.port import LogLine
from routemq_tui.tui.tones import Fragment, Tone

LONGEST_COLOURED = 20_000
"""Beyond so many characters a line is drawn without its colours: reading them would cost too much."""

LEVELS = ((50, "CRIT", Tone.BAD), (40, "ERROR", Tone.BAD), (30, "WARN", Tone.WARN), (20, "INFO", Tone.MUTED))
DEBUG = ("DEBUG", Tone.MUTED)

_SGR = re.compile(r"\x1b\[[0-9;:]*m")
_UNSAFE = {code: 0x2400 + code for code in range(32)}
_UNSAFE |= dict.fromkeys(range(0x7F, 0xA0), 0xFFFD)
_UNSAFE |= dict.fromkeys([*range(0x200E, 0x2010), *range(0x2028, 0x202F), *range(0x2066, 0x206A)], 0xFFFD)
_UNSAFE |= dict.fromkeys(range(0xD800, 0xE000), 0xFFFD)
_JOINERS = dict.fromkeys((0x200B, 0x200C, 0x200D, 0xFE0E, 0xFE0F, 0xFEFF))
_SAFE: dict[int, int | None] = {**_UNSAFE, **_JOINERS, 9: 0x20}


def safe(text: str) -> str:
    """No control character, no direction override, nothing whose width terminals disagree on."""
    return text if text.isascii() and text.isprintable() else text.translate(_SAFE)


def body_of(line: LogLine) -> Text:
    """The text with the colours the line came with, and no other effect."""
    if line.ansi is None or len(line.ansi) > LONGEST_COLOURED:
        return Text(safe(line.text))
    body = Text()
    style = ""
    for part in re.split(r"(\x1b\[[0-9;:]*m)", line.ansi):
        if _SGR.fullmatch(part):
            style = "" if part in ("\x1b[m", "\x1b[0m") else style + part
        elif part:
            body.append(safe(part), _colour(style))
    return body


def _colour(sequences: str) -> Style:
    """The style that SGR sequences leave; blinking, hiding and reversing are let go."""
    if not sequences:
        return Style()
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


def prefix_of(line: LogLine, source_width: int, roomy: bool) -> list[Fragment]:
    """Time, level and, where lines of several sources are merged, the source."""
    clock = time.strftime("%H:%M:%S", time.localtime(line.time))
    word, tone = level_of(line.level)
    if roomy:
        clock += f".{int(line.time % 1 * 1000):03d}"
    fragments = [
        Fragment(f" {clock} ", Tone.MUTED),
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
    starts, used = [0], 0
    for index, character in enumerate(text):
        cells = cell_len(character)
        if used + cells > width:
            starts.append(index)
            used = 0
        used += cells
    return starts
