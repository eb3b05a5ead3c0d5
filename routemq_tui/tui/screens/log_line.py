"""One log line, whole, over the main screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from routemq_tui.engine.port import LogLine
from routemq_tui.tui.bindings import bindings
from routemq_tui.tui.dialog_keys import Place
from routemq_tui.tui.logs.whole import whole_lines, whole_text
from routemq_tui.tui.net import Guarded
from routemq_tui.tui.widgets.lines import ScrolledLines, clipped

HINT = "Esc closes · «line.copy» copies it · «line.messages» its message · «line.errors» its error"


class LogLineScreen(Guarded, ModalScreen[str | None]):
    """Ends with what is to be opened next: `messages`, `errors`, or nothing."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.LINE)

    def __init__(self, line: LogLine, below: Sequence[LogLine], fill: Callable[[str], str]) -> None:
        super().__init__()
        self._line, self._below, self._fill = line, below, fill

    def compose(self) -> ComposeResult:
        with Vertical(id="line"):
            yield Static("Log line", classes="dialog-title")
            yield ScrolledLines(id="line-text")
            yield Static(self._fill(HINT), classes="dialog-hint", markup=False)

    def on_mount(self) -> None:
        self.query_one(ScrolledLines).show(
            lambda width: [clipped(line, width) for line in whole_lines(self._line, self._below, width)]
        )

    def on_click(self, event: events.Click) -> None:
        if event.widget is self:  # beside the dialog
            self.dismiss(None)

    def action_move(self, motion: str) -> None:
        self.query_one(ScrolledLines).move(motion)

    def action_copy(self) -> None:
        self.app.copy_to_clipboard(whole_text(self._line, self._below))

    def action_go(self, name: str) -> None:
        self.dismiss(name)

    def action_close(self) -> None:
        self.dismiss(None)
