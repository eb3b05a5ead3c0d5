"""One line of input at the bottom of the screen, checked as it is typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static


class Prompt(ModalScreen[str | None]):
    """Ends with the text that was typed, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,ctrl+c", "cancel", "Cancel", id="prompt.cancel", priority=True),
    ]

    def __init__(self, title: str, hint: str, problem: Callable[[str], str], text: str = "") -> None:
        """`problem` says what is wrong with a text; empty when nothing is."""
        super().__init__()
        self._title, self._hint, self._problem, self._text = title, hint, problem, text

    def compose(self) -> ComposeResult:
        with Vertical(classes="prompt"):
            yield Static(self._title, classes="prompt-title", markup=False)
            yield Input(self._text, compact=True, id="prompt-input")
            yield Static(self._hint, id="prompt-hint", markup=False)

    def on_mount(self) -> None:
        self.query_one(Input).cursor_blink = False

    def on_input_changed(self, event: Input.Changed) -> None:
        problem = self._problem(event.value) if event.value else ""
        hint = self.query_one("#prompt-hint", Static)
        hint.set_class(bool(problem), "-problem")
        hint.update(f"! {problem}" if problem else self._hint)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if not self._problem(event.value):
            self.dismiss(event.value)

    def action_cancel(self) -> None:
        self.dismiss(None)
