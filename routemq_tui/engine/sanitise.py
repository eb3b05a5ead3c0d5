"""Log text is hostile: this makes lines of it that are harmless to draw. Pure text, done once, at the store.

Control characters become visible (`␛`, `\\x9b`, `\\u202e`), SGR colours are kept apart, tabs are expanded,
bytes that are no UTF-8 become U+FFFD, and a line is at most LINE_LIMIT characters long and says how much more
there was.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from routemq_tui.engine.traceback_lines import traceback_places
from routemq_tui.worker.log_queue import LINE_LIMIT, LogBatch

TAB = 8

_SGR = re.compile(r"\x1b\[[0-9;:]{0,64}m")
_SGR_LIKE_END = re.compile(r"\x1b\[[0-9;:]{0,64}$")
_RESET = "\x1b[0m"
_LINE_END = re.compile(r"\r?\n")


class CleanLine(NamedTuple):
    text: str
    ansi: str | None


class CleanRun(NamedTuple):
    """Lines with the time of each; most runs have no colours at all."""

    texts: Sequence[str]
    times: Sequence[float]
    ansi: Mapping[int, str]
    """Place in `texts` -> the same with its colours, for those that have any."""
    continued: Collection[int] = ()
    """Places of lines that belong to the traceback of the line before them."""


def _visible() -> dict[int, str]:
    """What cannot be shown as it is, and what is shown instead."""
    table = {code: chr(0x2400 + code) for code in range(0x20) if code != 0x09}
    table[0x7F] = "␡"
    table.update({code: f"\\x{code:02x}" for code in range(0x80, 0xA0)})
    invisible = [
        0x00AD,  # soft hyphen
        0x061C,  # the bidirectional controls reorder what follows them
        *range(0x200E, 0x2010),
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
        0x180E,
        0x200B,  # zero width
        0xFEFF,
        *range(0x2060, 0x2066),
        0x2028,  # ends a line for some readers
        0x2029,
        *range(0xFFF9, 0xFFFC),
    ]
    table.update({code: f"\\u{code:04x}" for code in invisible})
    table.update({code: f"\\U{code:08x}" for code in range(0xE0000, 0xE0080)})  # tags: text nobody sees
    table.update(dict.fromkeys(range(0xD800, 0xE000), "\ufffd"))
    return table


_VISIBLE = _visible()


def clean_batch(batch: LogBatch) -> tuple[CleanRun, bytes]:
    """The lines of many records, and of each the place of its kind."""
    texts = batch.texts
    if not batch.cuts and "".join(texts).isprintable() and max(map(len, texts), default=0) <= LINE_LIMIT:
        return CleanRun(texts, batch.times, {}), batch.numbers  # nearly always: no newline, no control
    cleaned: list[str] = []
    times: list[float] = []
    numbers = bytearray()
    ansi: dict[int, str] = {}
    continued: list[int] = []
    for place, (text, time, number) in enumerate(zip(texts, batch.times, batch.numbers, strict=True)):
        lines = clean_lines(text, batch.cuts.get(place, 0))
        if len(lines) > 1:
            first = len(cleaned)
            continued += [first + at for at in traceback_places([line.text for line in lines])]
        for line in lines:
            if line.ansi is not None:
                ansi[len(cleaned)] = line.ansi
            cleaned.append(line.text)
            times.append(time)
            numbers.append(number)
    return CleanRun(cleaned, times, ansi, continued), bytes(numbers)


def clean_lines(text: str, cut: int = 0) -> list[CleanLine]:
    """The lines of a record; a final newline makes no empty line. `cut` characters are missing at its end."""
    if not cut and len(text) <= LINE_LIMIT and text.isprintable():
        return [CleanLine(text, None)]
    lines = _LINE_END.split(text)
    if len(lines) > 1 and not lines[-1]:
        lines.pop()
    return [*map(clean_line, lines[:-1]), clean_line(lines[-1], cut)]


def clean_line(line: str, cut: int = 0, unit: str = "characters") -> CleanLine:
    """One line without its newline. `cut` is how much of it the caller has already left out."""
    if not cut and len(line) <= LINE_LIMIT and line.isprintable():
        return CleanLine(line, None)
    if cut or len(line) > LINE_LIMIT:
        kept = _SGR_LIKE_END.sub("", line[:LINE_LIMIT])
        cut += len(line) - len(kept)
        line = kept
    text, ansi = _clean(line)
    if cut:
        mark = f" … {cut:,} {unit} more were cut"
        return CleanLine(text + mark, None if ansi is None else ansi + mark)
    return CleanLine(text, ansi)


def harmless(text: str) -> str:
    """Somebody else's words in one line without colours: an error, a topic, a reason."""
    return clean_line(text).text


def clean_bytes(line: bytes, cut: int = 0) -> CleanLine:
    """One line as it came from a file descriptor; `cut` counts bytes."""
    return clean_line(line.decode("utf-8", "replace"), cut, "bytes")


def _clean(line: str) -> tuple[str, str | None]:
    if "\x1b[" not in line:
        return _visible_text(line, 0), None
    plain: list[str] = []
    coloured: list[str] = []
    column = position = 0
    last = ""
    for match in _SGR.finditer(line):
        piece = _visible_text(line[position : match.start()], column)
        column += len(piece)
        last = match[0]
        plain.append(piece)
        coloured += (piece, last)
        position = match.end()
    tail = _visible_text(line[position:], column)
    text = "".join(plain) + tail
    if not last:
        return text, None
    end = "" if last in (_RESET, "\x1b[m") and not tail else _RESET
    return text, "".join(coloured) + tail + end


def _visible_text(text: str, column: int) -> str:
    if text.isprintable():
        return text
    text = text.translate(_VISIBLE)
    if "\t" not in text:
        return text
    offset = column % TAB  # expandtabs counts from the start of its text, which lies at this column
    return (" " * offset + text).expandtabs(TAB)[offset:]


class LineAssembler:
    """Lines out of the bytes of one file descriptor, in bounded memory whatever is written."""

    def __init__(self) -> None:
        self._partial = bytearray()
        self._cut = 0

    @property
    def pending(self) -> bool:
        """Whether the beginning of a line waits for its end."""
        return bool(self._partial)

    def feed(self, data: bytes) -> list[CleanLine]:
        """The lines that are complete now."""
        *complete, rest = data.split(b"\n")
        lines = []
        for piece in complete:
            self._take(piece)
            lines.append(self._end())
        self._take(rest)
        return lines

    def flush(self) -> list[CleanLine]:
        """The line begun, as if it had ended."""
        return [self._end()] if self._partial else []

    def _take(self, piece: bytes) -> None:
        room = LINE_LIMIT - len(self._partial)
        self._partial += piece[:room]
        self._cut += max(0, len(piece) - room)

    def _end(self) -> CleanLine:
        if self._partial.endswith(b"\r") and not self._cut:
            del self._partial[-1]
        line = clean_bytes(bytes(self._partial), self._cut)
        self._partial.clear()
        self._cut = 0
        return line
