"""A payload and what came with it, as lines: JSON laid out, harmless text, or bytes in hexadecimal. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from routemq_tui.engine.sanitise import clean_lines
from routemq_tui.tui.tones import Fragment, Tone
from routemq_tui.tui.widgets.lines import Line

HEX_MOST = 8 * 1024
"""Bytes shown in hexadecimal; the rest is counted."""
LINES_MOST = 2000


class View(StrEnum):
    """How a payload is shown."""

    BEST = "auto"
    TEXT = "text"
    HEX = "hex"

    @property
    def next(self) -> View:
        order = list(View)
        return order[(order.index(self) + 1) % len(order)]


def payload_lines(payload: bytes, size: int, view: View = View.BEST) -> list[Line]:
    """The payload; `size` is that of the whole one, of which this may be the beginning."""
    kind, lines = _laid_out(payload, view)
    cut = f", the first {len(payload):,}" if size > len(payload) else ""
    heading: Line = [
        Fragment(" payload  ", Tone.MUTED),
        Fragment(f"{size_words(size)}{cut}, {kind}", Tone.MUTED),
    ]
    if not payload:
        return [[Fragment(" payload  ", Tone.MUTED), Fragment("empty", Tone.MUTED)]]
    shown = [[Fragment(f"   {line}", Tone.TEXT)] for line in lines[:LINES_MOST]]
    if len(lines) > LINES_MOST:
        shown.append([Fragment(f"   … {len(lines) - LINES_MOST:,} lines more", Tone.MUTED)])
    return [heading, *shown]


def size_words(size: int) -> str:
    return "1 byte" if size == 1 else f"{size:,} bytes"


def plain(text: str) -> str:
    """One line of text from outside, made harmless."""
    return " ".join(_harmless(text))


def _laid_out(payload: bytes, view: View) -> tuple[str, list[str]]:
    if view is not View.HEX:
        try:
            text = payload.decode()
        except UnicodeDecodeError:
            if view is View.TEXT:
                return "not UTF-8", _harmless(payload.decode("utf-8", "backslashreplace"))
            return "binary", hex_lines(payload)
        if view is View.BEST:
            try:
                return "JSON", _harmless(msgspec.json.format(text, indent=2))
            except msgspec.DecodeError:
                pass
        return "text", _harmless(text)
    return "hexadecimal", hex_lines(payload)


def _harmless(text: str) -> list[str]:
    return [line for line, _ in clean_lines(text)]


def hex_lines(payload: bytes) -> list[str]:
    """Offset, sixteen bytes, and what of them can be printed."""
    lines = []
    for at in range(0, min(len(payload), HEX_MOST), 16):
        part = payload[at : at + 16]
        left, right = part[:8].hex(" "), part[8:].hex(" ")
        printed = "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in part)
        lines.append(f"{at:06x}  {left:<23}  {right:<23}  {printed}")
    if len(payload) > HEX_MOST:
        lines.append(f"… {size_words(len(payload) - HEX_MOST)} more")
    return lines


def property_lines(properties: Mapping[str, Any]) -> Iterator[Line]:
    """MQTT 5's properties, one a line; user properties each on its own."""
    for name, value in properties.items():
        pairs = value if name == "user_property" else [None]
        for pair in pairs:
            text = f"{pair[0]} = {pair[1]}" if pair is not None else str(value)
            yield [Fragment(f" {name.replace('_', ' '):<20} ", Tone.MUTED), Fragment(plain(text))]


def traceback_lines(traceback: str) -> list[Line]:
    return [
        [Fragment(f" {line}", Tone.BAD if not line.startswith((" ", "Traceback")) else Tone.TEXT)]
        for line in _harmless(traceback.rstrip())
    ]
