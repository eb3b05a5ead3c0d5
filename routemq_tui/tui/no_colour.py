"""`NO_COLOR` (no-color.org): no colour at all. Bold, dim and reverse stay; states have symbols and words."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter


def wants_no_colour(environment: Mapping[str, str], color_system: str | None) -> bool:
    """Whether the variable is set and not empty, or the terminal has no colours (`TERM=dumb`)."""
    return bool(environment.get("NO_COLOR")) or color_system is None


class NoColour(LineFilter):
    """Takes the colours out of what is drawn; Textual's own filters would make them grey."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [Segment(text, style and _without_colour(style), control) for text, style, control in segments]


@lru_cache(4096)
def _without_colour(style: Style) -> Style:
    return style.without_color
