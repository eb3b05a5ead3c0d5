"""Contrast of the two themes, computed as WCAG 2 does; colours only in theme.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from textual.color import Color
from textual.theme import Theme

import routemq_tui.tui
from routemq_tui.tui.theme import DARK, LIGHT

INKS = (
    "ink",
    "ink-strong",
    "ink-muted",
    "ink-accent",
    "ink-title",
    "ink-ok",
    "ink-warn",
    "ink-bad",
    "footer-key-foreground",
)
GROUNDS = (
    "background",
    "surface",
    "panel",
    "ground-heading",
    "ground-focus",
    "ground-selected",
    "ground-selected-blurred",
    "ground-hover",
    "footer-background",
    "block-cursor-background",
)
ROOM = Path(routemq_tui.tui.__file__).parent


def luminance(colour: Color) -> float:
    parts = [part / 255 for part in colour.rgb]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lights = sorted((luminance(Color.parse(one)), luminance(Color.parse(other))), reverse=True)
    return (lights[0] + 0.05) / (lights[1] + 0.05)


def test_contrast_is_computed_as_it_should_be() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=["dark", "light"])
def test_text_can_be_read_on_every_ground(theme: Theme) -> None:
    colours = {**theme.to_color_system().generate(), **theme.variables}
    weak = {
        (ink, ground): round(contrast(colours[ink], colours[ground]), 2)
        for ink in INKS
        for ground in GROUNDS
        if contrast(colours[ink], colours[ground]) < 4.5
    }
    assert weak == {}
    assert contrast(colours["match-ink"], colours["match-ground"]) >= 4.5


def test_colours_are_written_in_one_place() -> None:
    literal = re.compile(r"#[0-9a-fA-F]{6}\b|\brgba?\(")
    found = [
        path.name
        for path in ROOM.rglob("*")
        if path.suffix in (".py", ".tcss") and path.name != "theme.py" and literal.search(path.read_text())
    ]
    assert found == []
