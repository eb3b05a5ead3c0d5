"""All of one log line as lines to read: when and whose it is, its JSON laid out, its traceback. Pure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from datetime import datetime

import msgspec

from routemq_tui.engine.port import LogLine
from routemq_tui.tui.logs.text import level_of, safe
from routemq_tui.tui.tones import Fragment, Tone
from routemq_tui.tui.widgets.lines import Line

_BEGINNINGS = re.compile(r"[{\[]")
_PLACES_TRIED = 8


def laid_out(text: str) -> tuple[str, list[str]]:
    """What stands before the JSON that a text ends with, and the JSON, a value a line; [] where is none."""
    for number, found in enumerate(_BEGINNINGS.finditer(text)):
        if number == _PLACES_TRIED:
            break
        rest = text[found.start() :]
        try:
            value = msgspec.json.decode(rest)
        except (msgspec.DecodeError, RecursionError):
            continue
        if value:
            return text[: found.start()].rstrip(), msgspec.json.format(rest, indent=2).split("\n")
    return text, []


def whole_lines(line: LogLine, below: Sequence[LogLine], width: int) -> list[Line]:
    """`below`: the lines of its traceback."""
    word, tone = level_of(line.level)
    said_by = line.stream if not line.logger else line.logger
    lines: list[Line] = [
        [
            Fragment(f" {datetime.fromtimestamp(line.time):%Y-%m-%d %H:%M:%S.%f}"[:-3], Tone.MUTED),
            Fragment(f"  {word}", tone),
            Fragment(f"  {line.source}", Tone.ACCENT),
            Fragment(f"  {safe(said_by)}", Tone.MUTED),
        ],
        [],
    ]
    before, json = laid_out(safe(line.text))
    if before:
        lines += [[Fragment(f" {piece}")] for piece in _wrapped(before, width)]
    lines += [[Fragment(f"   {piece}", Tone.TEXT)] for piece in json]
    for each in below:
        bad = not each.text.startswith((" ", "Traceback"))
        lines += [
            [Fragment(f" {piece}", Tone.BAD if bad else Tone.TEXT)]
            for piece in _wrapped(safe(each.text), width)
        ]
    return lines


def whole_text(line: LogLine, below: Sequence[LogLine]) -> str:
    """The same to be copied: the line with its JSON laid out, and what is below it."""
    before, json = laid_out(safe(line.text))
    return "\n".join([*([before] if before else []), *json, *(safe(each.text) for each in below)])


def _wrapped(text: str, width: int) -> list[str]:
    room = max(8, width - 2)
    if len(text) <= room:
        return [text]
    return textwrap.wrap(text, room, drop_whitespace=False, replace_whitespace=False) or [""]
