"""What is still going on while the engine drains, until it says that it has stopped."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from routemq_tui.engine.snapshot import Snapshot
from routemq_tui.engine.states import WorkerState
from routemq_tui.tui.bindings import bindings
from routemq_tui.tui.dialog_keys import Place
from routemq_tui.tui.net import Guarded
from routemq_tui.tui.orders import unanswered_loss

GONE = frozenset({WorkerState.STOPPED, WorkerState.FAILED, WorkerState.BACKOFF, WorkerState.KILLED})


class Stopping(Guarded, ModalScreen[None]):
    AUTO_FOCUS = ""  # Enter, pressed once too often, kills nothing.
    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.STOPPING)

    def __init__(self, snapshot: Snapshot, force: Callable[[], None], key: str) -> None:
        super().__init__()
        self._snapshot, self._force, self._forced, self._key = snapshot, force, False, key

    def compose(self) -> ComposeResult:
        title, text = stopping_words(self._snapshot, self._forced)
        with Vertical(classes="dialog"):
            yield Static(title, id="stopping-title", classes="dialog-title", markup=False)
            yield Static(text, id="stopping-text", markup=False)
            with Horizontal(classes="dialog-buttons"):
                yield Button(f"{self._key}  Kill them now", id="force", compact=True)

    def show_snapshot(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        if not self.query(Button):  # the last to be there: it is still being built, with what was given
            return
        title, text = stopping_words(snapshot, self._forced)
        self.query_one("#stopping-title", Static).update(title)
        self.query_one("#stopping-text", Static).update(text)
        self.query_one(Button).display = not self._forced

    def on_button_pressed(self) -> None:
        self.action_force()

    def action_force(self) -> None:
        self._forced = True
        self._force()
        self.show_snapshot(self._snapshot)


def stopping_words(snapshot: Snapshot, forced: bool) -> tuple[str, str]:
    workers = [worker for route in snapshot.routes for worker in route.workers]
    left = [worker for worker in workers if worker.state not in GONE]
    held = sum(worker.metrics.in_flight for worker in left)
    if forced:
        return (
            "Killing all workers",
            "Messages that were not acknowledged stay with the broker (QoS 1 and 2).",
        )
    title = f"Stopping: draining {len(left)} of {len(workers)} workers"
    loss = unanswered_loss(snapshot)
    return title, f"{held} messages left to finish.\n{loss}".rstrip()
