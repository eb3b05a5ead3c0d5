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
from textual.timer import Timer
from textual.widgets import Input, Static

from routemq_tui.tui.bindings import bindings
from routemq_tui.tui.dialog_keys import Place
from routemq_tui.tui.net import Guarded, guarded
from routemq_tui.tui.screens.prompt_history import PromptHistory, Walk

BOUND = {
    key: binding.action
    for binding in Input.BINDINGS
    if isinstance(binding, Binding)
    for key in binding.key.split(",")
}
"""Keys that edit, and what they do."""
RECALLS = {"up": -1, "down": 1}
"""Keys that bring back what was entered before."""


class PromptInput(Guarded, Input):
    """Remembers the last keys it was given: one that it was not given was typed ahead of it.

    Keys that are bound here are taken at once, not when they are looked up: the next one may be here by then.
    What comes after Enter is meant for the screen below.
    """

    def __init__(self, text: str, entered: Callable[[str], None], walk: Walk) -> None:
        super().__init__(text, compact=True, id="prompt-input")
        self._walk = walk
        self._had: deque[events.Key] = deque(maxlen=64)
        self._entered = entered
        self.over = False

    async def _on_key(self, event: events.Key) -> None:
        self._had.append(event)
        bound = event.key in BOUND or event.key in RECALLS
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
        elif event.key in RECALLS:
            text = self._walk.step(RECALLS[event.key], self.value)
            if text is not None:
                self.value, self.cursor_position = text, len(text)
        elif event.key in BOUND:
            await self.run_action(BOUND[event.key])
        elif event.is_printable and event.character is not None:
            self.replace(event.character, *sorted(self.selection))


class Prompt(Guarded, ModalScreen[str | None]):
    """Ends with the text that was typed, or None."""

    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.PROMPT, priority=True)

    def __init__(
        self,
        title: str,
        hint: str,
        problem: Callable[[str], str],
        text: str = "",
        *,
        live: Callable[[str], None] | None = None,
        delay: float = 0.0,
        patient: bool = False,
        history: PromptHistory | None = None,
    ) -> None:
        """`problem` says what is wrong with a text; empty when nothing is. One that is `patient` takes it as
        not finished yet until Enter is pressed.

        `live` hears every text without a problem while it is typed, `delay` seconds after the last key.
        """
        super().__init__()
        self._title, self._hint, self._problem, self._text = title, hint, problem, text
        self._live, self._delay, self._patient = live, delay, patient
        self._history = history or PromptHistory()
        self._waiting: Timer | None = None
        self.set_class(live is not None, "-live")
        self._ahead: list[events.Key] = []

    def compose(self) -> ComposeResult:
        with Vertical(classes="prompt"):
            yield Static(self._title, classes="prompt-title", markup=False)
            yield PromptInput(self._text, self._enter, self._history.walk())
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
        self._try_out(event.value)

    def _try_out(self, text: str) -> None:
        if self._live is None:
            return
        if self._waiting is not None:
            self._waiting.stop()
        if self._problem(text):
            return
        if self._delay:
            self._waiting = self.set_timer(self._delay, lambda: self._tell_live(text))
        else:
            self._tell_live(text)

    @guarded
    def _tell_live(self, text: str) -> None:
        if self._live is not None and not self.query_one(PromptInput).over:
            self._live(text)

    def _show_problem(self, text: str, entered: bool = False) -> None:
        problem = self._problem(text) if text else ""
        loud = bool(problem) and (entered or not self._patient)
        hint = self.query_one("#prompt-hint", Static)
        hint.set_class(loud, "-problem")
        hint.update(f"! {problem}" if loud else f"… {problem}" if problem else self._hint)

    def _enter(self, text: str) -> None:
        if self._problem(text):
            self._show_problem(text, entered=True)
        else:
            self._history.add(text)
            self._end(text)

    def _end(self, text: str | None) -> None:
        self.query_one(PromptInput).over = True
        self.dismiss(text)

    def on_click(self, event: events.Click) -> None:
        if event.widget is self:  # above the prompt
            self.action_cancel()

    def action_cancel(self) -> None:
        self._end(None)
