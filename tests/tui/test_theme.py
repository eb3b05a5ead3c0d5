"""Contrast of the themes, computed as WCAG 2 does; none but the terminal's in ansi; all are in theme.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from textual.color import Color
from textual.theme import Theme

import routemq_tui.tui
from routemq_tui.config.model import THEME_NAMES
from routemq_tui.tui.theme import ANSI, CONTRAST, DARK, LIGHT, THEME_WORDS, THEMES

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


@pytest.mark.parametrize(
    ("theme", "least"),
    [(DARK, 4.5), (LIGHT, 4.5), (CONTRAST, 7.0)],
    ids=["dark", "light", "contrast"],
)
def test_text_can_be_read_on_every_ground(theme: Theme, least: float) -> None:
    colours = {**theme.to_color_system().generate(), **theme.variables}
    weak = {
        (ink, ground): round(contrast(colours[ink], colours[ground]), 2)
        for ink in INKS
        for ground in GROUNDS
        if contrast(colours[ink], colours[ground]) < least
    }
    assert weak == {}
    assert contrast(colours["match-ink"], colours["match-ground"]) >= least
    # Lines that were picked: the ground as ink, on the accent (app.tcss).
    assert contrast(colours["background"], colours["ink-accent"]) >= least


def test_ansi_has_no_colour_but_the_terminals_own() -> None:
    own = {**ANSI.variables, **{name: getattr(ANSI, name) for name in ("primary", "background", "surface")}}
    assert [name for name, colour in own.items() if not colour.startswith("ansi_")] == []


def test_every_theme_has_the_same_variables_and_a_name_in_the_configuration() -> None:
    for theme in THEMES:
        assert set(DARK.variables) <= set(theme.variables)
    assert tuple(words.name for words in THEME_WORDS) == THEME_NAMES[1:]


def test_colours_are_written_in_one_place() -> None:
    literal = re.compile(r"#[0-9a-fA-F]{6}\b|\brgba?\(")
    found = [
        path.name
        for path in ROOM.rglob("*")
        if path.suffix in (".py", ".tcss") and path.name != "theme.py" and literal.search(path.read_text())
    ]
    assert found == []
