"""A question before something is lost. No is the answer of every key but `y`."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from routemq_tui.tui.bindings import bindings
from routemq_tui.tui.dialog_keys import Place
from routemq_tui.tui.net import Guarded


class Confirm(Guarded, ModalScreen[bool]):
    AUTO_FOCUS = "#no"
    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.CONFIRM)

    def __init__(self, question: str, loss: str, yes: str) -> None:
        super().__init__()
        self._question, self._loss, self._yes = question, loss, yes

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self._question, classes="dialog-title", markup=False)
            yield Static(f"! {self._loss}", classes="dialog-loss", markup=False)
            with Horizontal(classes="dialog-buttons"):
                yield Button(f"y  {self._yes}", id="yes", compact=True)
                yield Button("n  No, leave it", id="no", compact=True)

    def on_click(self, event: events.Click) -> None:
        if event.widget is self:  # beside the dialog
            self.dismiss(False)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)
