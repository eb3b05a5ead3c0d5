"""All keys, from the table of keys, in as many columns as fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from routemq_tui.tui.bindings import bindings
from routemq_tui.tui.columns import COLUMNS
from routemq_tui.tui.dialog_keys import Place, PlacedKey
from routemq_tui.tui.fitting import clip
from routemq_tui.tui.keys import KEYS, Group, Key
from routemq_tui.tui.net import Guarded
from routemq_tui.tui.tones import Fragment, Tone
from routemq_tui.tui.widgets.lines import Line, ScrolledLines, beside

KEY_WIDTH = 8
COLUMN = 57
PLACE_HINT = "Esc closes · «move.down» «move.up» scroll"
HINT = "Esc closes · «move.down» «move.up» scroll · dim keys cannot be used now"


class Wording(NamedTuple):
    """What is said of a key."""

    refusal: Callable[[Key], str]
    display: Callable[[Key], str]
    explain: Callable[[Key], str]
    fill: Callable[[str], str]
    """For texts that name keys by «id»."""


class Help(Guarded, ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.HELP)

    def __init__(self, draw: Callable[[int], list[Line]], hint: str) -> None:
        """`draw` gives the lines for a width."""
        super().__init__()
        self._draw, self._hint = draw, hint

    def compose(self) -> ComposeResult:
        with Vertical(id="help"):
            yield Static("Keys", classes="dialog-title")
            yield ScrolledLines(id="help-lines")
            yield Static(self._hint, classes="dialog-hint", markup=False)

    def on_mount(self) -> None:
        self.query_one(ScrolledLines).show(self._draw)

    def on_click(self, event: events.Click) -> None:
        if event.widget is self:  # beside the dialog
            self.dismiss(None)

    def action_move(self, motion: str) -> None:
        self.query_one(ScrolledLines).move(motion)


def help_of_all(wording: Wording) -> Help:
    return Help(lambda width: help_lines(width, wording), wording.fill(HINT))


def help_of_place(title: str, keys: Sequence[PlacedKey], fill: Callable[[str], str]) -> Help:
    """Of a screen over the main one: its keys, each with its label."""
    block: list[Line] = [[Fragment(f" {title}", Tone.TITLE)]]
    block += [
        [Fragment(f"  {fill(f'«{key.id}»'):<{KEY_WIDTH - 1}} ", Tone.KEY), Fragment(key.label)]
        for key in keys
    ]
    return Help(lambda width: _cut(block, width), fill(PLACE_HINT))


def help_lines(width: int, wording: Wording) -> list[Line]:
    """Groups below each other, in two columns where there is room."""
    blocks = [_block(group, wording) for group in Group] + [_legend()]
    if width < 2 * COLUMN:
        return [line for block in blocks for line in [*_cut(block, width), []]]
    half = width // 2
    sides: tuple[list[Line], list[Line]] = ([], [])
    for block in blocks:
        min(sides, key=len).extend([*_cut(block, half), []])
    rows = max(len(side) for side in sides)
    return [beside(sides[0][row : row + 1], sides[1][row : row + 1], half, width) for row in range(rows)]


def _block(group: Group, wording: Wording) -> list[Line]:
    lines: list[Line] = [[Fragment(f" {group}", Tone.TITLE)]]
    for key in KEYS:
        if key.group is group:
            possible = not wording.refusal(key)
            lines.append(
                [
                    Fragment(
                        f"  {wording.display(key):<{KEY_WIDTH - 1}} ", Tone.KEY if possible else Tone.MUTED
                    ),
                    Fragment(wording.explain(key), Tone.TEXT if possible else Tone.MUTED),
                ]
            )
    return lines


def _legend() -> list[Line]:
    heading: Line = [Fragment(" Columns", Tone.TITLE)]
    return [
        heading,
        *(
            [Fragment(f"  {column.label:<{KEY_WIDTH}}", Tone.ACCENT), Fragment(column.meaning)]
            for column in COLUMNS
            if column.meaning
        ),
    ]


def _cut(block: list[Line], width: int) -> list[Line]:
    return [
        [
            *line[:-1],
            Fragment(
                clip(line[-1].text, width - 1 - sum(len(part.text) for part in line[:-1])), line[-1].tone
            ),
        ]
        for line in block
    ]
