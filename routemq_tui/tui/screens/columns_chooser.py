"""Which columns the table shows: a list to tick."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from routemq_tui.tui.bindings import bindings
from routemq_tui.tui.columns import ALWAYS, COLUMNS
from routemq_tui.tui.dialog_keys import Place
from routemq_tui.tui.net import Guarded
from routemq_tui.tui.tones import Fragment, Tone
from routemq_tui.tui.widgets.lines import Line, Lines, clipped

HINT = (
    "«columns.tick» shows or hides · «columns.all» all · «columns.close» closes · "
    "those without room are left out from the right"
)
CHOICES = tuple(column for column in COLUMNS if column.id not in ALWAYS)


class Choices(Lines, can_focus=True):
    """Ticks of the columns; the table behind follows at once."""

    def __init__(self, hidden: frozenset[str], changed: Callable[[frozenset[str]], None]) -> None:
        super().__init__(id="choices")
        self.hidden = hidden
        self._changed = changed
        self._at = 0
        self.styles.height = len(CHOICES)

    def on_mount(self) -> None:
        self.show(self._lines_of)

    def _lines_of(self, width: int) -> list[Line]:
        lines: list[Line] = []
        for index, column in enumerate(CHOICES):
            here = index == self._at
            tick = "○" if column.id in self.hidden else "●"
            line = [
                Fragment("▸ " if here else "  ", Tone.ACCENT),
                Fragment(f"{tick} ", Tone.MUTED if column.id in self.hidden else Tone.OK),
                Fragment(f"{column.label:<8}", Tone.STRONG if here else Tone.TEXT),
                Fragment(column.meaning, Tone.MUTED),
            ]
            lines.append(clipped(line, width))
        return lines

    def move(self, step: int) -> None:
        self._at = (self._at + step) % len(CHOICES)
        self.show(self._lines_of)

    def tick(self, index: int | None = None) -> None:
        self._at = self._at if index is None else index
        self.hidden ^= {CHOICES[self._at].id}
        self._changed(self.hidden)
        self.show(self._lines_of)

    def show_all(self) -> None:
        self.hidden = frozenset()
        self._changed(self.hidden)
        self.show(self._lines_of)

    def on_click(self, event: events.Click) -> None:
        if 0 <= event.y < len(CHOICES):
            self.tick(event.y)


class ColumnsChooser(Guarded, ModalScreen[None]):
    AUTO_FOCUS = "#choices"
    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.COLUMNS)

    def __init__(
        self,
        hidden: frozenset[str],
        changed: Callable[[frozenset[str]], None],
        fill: Callable[[str], str],
    ) -> None:
        """`fill` writes the keys of «ids» into a text."""
        super().__init__()
        self._choices = Choices(hidden, changed)
        self._fill = fill

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("Columns of the table", classes="dialog-title")
            yield self._choices
            yield Static(self._fill(HINT), classes="dialog-hint -folded", markup=False)

    def on_click(self, event: events.Click) -> None:
        if event.widget is self:  # beside the dialog
            self.dismiss(None)

    def action_move(self, step: int) -> None:
        self._choices.move(step)

    def action_tick(self) -> None:
        self._choices.tick()

    def action_all(self) -> None:
        self._choices.show_all()
