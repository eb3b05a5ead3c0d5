"""The themes: dark, light, high contrast, and ansi, which has the terminal's own 16 colours.

The only place with literal colours; everything else names their variables.
"""

from __future__ import annotations

from typing import NamedTuple

from textual.theme import Theme

from routemq_tui.config.model import UiConfig
from routemq_tui.tui.layout_memory import LayoutMemory

DARK = Theme(
    name="routemq-dark",
    dark=True,
    primary="#7aa2f7",
    secondary="#9aa5ce",
    accent="#7dcfff",
    success="#7fce8b",
    warning="#e5b567",
    error="#ff7a85",
    foreground="#d5d9e6",
    background="#15161a",
    surface="#1c1e23",
    panel="#272a31",
    boost="#343841",
    variables={
        "ink": "#d5d9e6",
        "ink-strong": "#f2f4fb",
        "ink-muted": "#a3abc4",
        "ink-accent": "#7dcfff",
        "ink-title": "#9db8f9",
        "ink-ok": "#7fce8b",
        "ink-warn": "#e5b567",
        "ink-bad": "#ff939b",
        "match-ink": "#15161a",
        "match-ground": "#e5b567",
        "ground-heading": "#272a31",
        "ground-focus": "#363b47",
        "ground-selected": "#363b47",
        "ground-selected-blurred": "#2b2e36",
        "ground-hover": "#22242a",
        "footer-background": "#1c1e23",
        "footer-key-foreground": "#7dcfff",
        "border": "#4a5160",
        "border-blurred": "#343841",
        "scrollbar": "#4a5160",
        "scrollbar-background": "#1c1e23",
        "scrollbar-hover": "#666e80",
        "scrollbar-active": "#7aa2f7",
        "block-cursor-background": "#363b47",
        "block-cursor-blurred-background": "#363b47",
        "block-cursor-blurred-foreground": "#f2f4fb",
        "block-cursor-foreground": "#f2f4fb",
        "input-selection-background": "#4a5160",
    },
)

LIGHT = Theme(
    name="routemq-light",
    dark=False,
    primary="#2a5bd7",
    secondary="#4a5578",
    accent="#00658f",
    success="#1b6e32",
    warning="#855300",
    error="#b3202f",
    foreground="#23283a",
    background="#fbfbfd",
    surface="#f2f3f8",
    panel="#e6e8f1",
    boost="#dcdfeb",
    variables={
        "ink": "#23283a",
        "ink-strong": "#0c0f1a",
        "ink-muted": "#545b75",
        "ink-accent": "#005a80",
        "ink-title": "#1f4ab5",
        "ink-ok": "#17602b",
        "ink-warn": "#774900",
        "ink-bad": "#a81c2b",
        "match-ink": "#0c0f1a",
        "match-ground": "#ffd479",
        "ground-heading": "#e6e8f1",
        "ground-focus": "#cfd6e6",
        "ground-selected": "#cfd6e6",
        "ground-selected-blurred": "#e2e5ec",
        "ground-hover": "#eef0f4",
        "footer-background": "#f2f3f8",
        "footer-key-foreground": "#005a80",
        "border": "#b5bcd4",
        "border-blurred": "#d5d9e6",
        "scrollbar": "#b5bcd4",
        "scrollbar-background": "#f2f3f8",
        "scrollbar-hover": "#8f99ba",
        "scrollbar-active": "#2a5bd7",
        "block-cursor-background": "#cfd6e6",
        "block-cursor-blurred-background": "#cfd6e6",
        "block-cursor-blurred-foreground": "#0c0f1a",
        "block-cursor-foreground": "#0c0f1a",
        "input-selection-background": "#cfd6e6",
    },
)

CONTRAST = Theme(
    name="routemq-contrast",
    dark=True,
    primary="#8fb7ff",
    secondary="#d6dcff",
    accent="#6fe3ff",
    success="#6dff8f",
    warning="#ffdc5c",
    error="#ffa3a3",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#161616",
    boost="#202020",
    variables={
        "ink": "#ffffff",
        "ink-strong": "#ffffff",
        "ink-muted": "#d4d4d4",
        "ink-accent": "#6fe3ff",
        "ink-title": "#b9ccff",
        "ink-ok": "#6dff8f",
        "ink-warn": "#ffdc5c",
        "ink-bad": "#ffabab",
        "match-ink": "#000000",
        "match-ground": "#ffdc5c",
        "ground-heading": "#1c1c1c",
        "ground-focus": "#00305f",
        "ground-selected": "#00305f",
        "ground-selected-blurred": "#2a2a2a",
        "ground-hover": "#1c1c1c",
        "footer-background": "#000000",
        "footer-key-foreground": "#6fe3ff",
        "border": "#ffffff",
        "border-blurred": "#9a9a9a",
        "scrollbar": "#9a9a9a",
        "scrollbar-background": "#000000",
        "scrollbar-hover": "#d4d4d4",
        "scrollbar-active": "#ffffff",
        "block-cursor-background": "#00305f",
        "block-cursor-blurred-background": "#00305f",
        "block-cursor-blurred-foreground": "#ffffff",
        "block-cursor-foreground": "#ffffff",
        "input-selection-background": "#00305f",
    },
)

ANSI = Theme(
    name="routemq-ansi",
    dark=True,
    ansi=True,
    primary="ansi_blue",
    secondary="ansi_cyan",
    accent="ansi_cyan",
    success="ansi_green",
    warning="ansi_yellow",
    error="ansi_red",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    variables={
        # Grounds are the terminal's own: only its palette knows which others can be read on. What is
        # selected is shown in reverse instead (app.tcss).
        "ink": "ansi_default",
        "ink-strong": "ansi_default",
        "ink-muted": "ansi_default",
        "ink-accent": "ansi_cyan",
        "ink-title": "ansi_default",
        "ink-ok": "ansi_green",
        "ink-warn": "ansi_yellow",
        "ink-bad": "ansi_red",
        "match-ink": "ansi_black",
        "match-ground": "ansi_yellow",
        "ground-heading": "ansi_default",
        "ground-focus": "ansi_default",
        "ground-selected": "ansi_default",
        "ground-selected-blurred": "ansi_default",
        "ground-hover": "ansi_default",
        "footer-background": "ansi_default",
        "footer-key-foreground": "ansi_cyan",
        "border": "ansi_default",
        "border-blurred": "ansi_default",
        "scrollbar": "ansi_default",
        "scrollbar-background": "ansi_default",
        "scrollbar-hover": "ansi_default",
        "scrollbar-active": "ansi_default",
        "block-cursor-background": "ansi_default",
        "block-cursor-blurred-background": "ansi_default",
        "block-cursor-blurred-foreground": "ansi_default",
        "block-cursor-foreground": "ansi_default",
        "input-selection-background": "ansi_blue",
        "ansi-background": "ansi_default",
        "ansi-foreground": "ansi_default",
    },
)

THEMES = (DARK, LIGHT, CONTRAST, ANSI)


class ThemeWords(NamedTuple):
    name: str
    """As the configuration and the command line have it."""
    theme: Theme
    help: str


THEME_WORDS = (
    ThemeWords("dark", DARK, "Colours for a dark terminal"),
    ThemeWords("light", LIGHT, "Colours for a light terminal"),
    ThemeWords("contrast", CONTRAST, "High contrast: white and bright colours on black"),
    ThemeWords("ansi", ANSI, "The terminal's own 16 colours"),
)
_BY_WORD = {words.name: words.theme.name for words in THEME_WORDS}
_REMEMBERED, _INSTEAD_OF = "theme", "theme.instead_of"


def first_theme(ui: UiConfig, memory: LayoutMemory, color_system: str | None) -> str:
    """The name of the theme to start with: the command line's, else the one chosen the last time, unless the
    configuration has been changed since, else the configuration's."""
    wanted = ui.theme
    if not ui.theme_asked and memory.get(_INSTEAD_OF, "") == ui.theme:
        wanted = memory.get(_REMEMBERED, ui.theme)
    if wanted not in _BY_WORD:
        wanted = "dark" if color_system in ("256", "truecolor") else "ansi"
    return _BY_WORD[wanted]


def remember_theme(ui: UiConfig, memory: LayoutMemory, name: str) -> None:
    word = next(words.name for words in THEME_WORDS if words.theme.name == name)
    memory.update({_REMEMBERED: word, _INSTEAD_OF: ui.theme})
