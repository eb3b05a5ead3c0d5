"""One line of input at the bottom of the screen, checked as it is typed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from routemq_tui.tui.bindings import bindings
from routemq_tui.tui.dialog_keys import Place
from routemq_tui.tui.net import Guarded, guarded

BOUND = {
    key: binding.action
    for binding in Input.BINDINGS
    if isinstance(binding, Binding)
    for key in binding.key.split(",")
}
"""Keys that edit, and what they do."""


class PromptInput(Guarded, Input):
    """Remembers the last keys it was given: one that it was not given was typed ahead of it.

    Keys that are bound here are taken at once, not when they are looked up: the next one may be here by then.
    What comes after Enter is meant for the screen below.
    """

    def __init__(self, text: str, entered: Callable[[str], None]) -> None:
        super().__init__(text, compact=True, id="prompt-input")
        self._had: deque[events.Key] = deque(maxlen=64)
        self._entered = entered
        self.over = False

    async def _on_key(self, event: events.Key) -> None:
        self._had.append(event)
        bound = event.key in BOUND
        if self.over:
            self.app.post_message(events.Key(event.key, event.character))
        elif bound:
            await self.enter_key(event)
        else:
            await super()._on_key(event)
        if self.over or bound:
            event.stop()
            event.prevent_default()

    def has_had(self, event: events.Key) -> bool:
        return any(each is event for each in self._had)

    async def enter_key(self, event: events.Key) -> None:
        """Do what the key does here, at once."""
        if event.key == "enter":
            self._entered(self.value)
        elif event.key in BOUND:
            await self.run_action(BOUND[event.key])
        elif event.is_printable and event.character is not None:
            self.replace(event.character, *sorted(self.selection))


class Prompt(Guarded, ModalScreen[str | None]):
    """Ends with the text that was typed, or None."""

    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.PROMPT, priority=True)

    def __init__(self, title: str, hint: str, problem: Callable[[str], str], text: str = "") -> None:
        """`problem` says what is wrong with a text; empty when nothing is."""
        super().__init__()
        self._title, self._hint, self._problem, self._text = title, hint, problem, text
        self._ahead: list[events.Key] = []

    def compose(self) -> ComposeResult:
        with Vertical(classes="prompt"):
            yield Static(self._title, classes="prompt-title", markup=False)
            yield PromptInput(self._text, self._enter)
            yield Static(self._hint, id="prompt-hint", markup=False)

    def on_mount(self) -> None:
        self.query_one(Input).cursor_blink = False
        self._show_problem(self._text)
        # Behind the keys that wait already, so that none overtakes them.
        self.call_later(self._take_focus)

    async def _take_focus(self) -> None:
        field = self.query_one(PromptInput)
        self.set_focus(field)
        for event in self._ahead:
            await field.enter_key(event)
        self._ahead.clear()

    async def take_typed_ahead(self, event: events.Key) -> bool:
        """Take a key that was pressed before the input was there; False for one that it has had."""
        if self.focused is None:
            self._ahead.append(event)
            return True
        field = self.query_one(PromptInput)
        if field.has_had(event):
            return False
        await field.enter_key(event)
        return True

    @guarded
    def on_input_changed(self, event: Input.Changed) -> None:
        self._show_problem(event.value)

    def _show_problem(self, text: str) -> None:
        problem = self._problem(text) if text else ""
        hint = self.query_one("#prompt-hint", Static)
        hint.set_class(bool(problem), "-problem")
        hint.update(f"! {problem}" if problem else self._hint)

    def _enter(self, text: str) -> None:
        if not self._problem(text):
            self._end(text)

    def _end(self, text: str | None) -> None:
        self.query_one(PromptInput).over = True
        self.dismiss(text)

    def on_click(self, event: events.Click) -> None:
        if event.widget is self:  # above the prompt
            self.action_cancel()

    def action_cancel(self) -> None:
        self._end(None)
