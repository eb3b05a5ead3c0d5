"""The ways out of the screen: draining the engine, killing it, or leaving it to whoever owns it."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import App

from routemq_tui.engine.commands import Stop
from routemq_tui.engine.port import EnginePort
from routemq_tui.engine.snapshot import EngineState, Snapshot
from routemq_tui.errors import ExitCode
from routemq_tui.tui.habits import Habits
from routemq_tui.tui.orders import unanswered_loss
from routemq_tui.tui.screens.confirm import Confirm
from routemq_tui.tui.screens.stopping import Stopping

READ_ONLY_END = "This screen is read-only, but the engine is its own: all workers are drained and end."


class Leaving:
    def __init__(self, app: App[int], engine: EnginePort, habits: Habits) -> None:
        self._app, self._engine, self._habits = app, engine, habits
        self._snapshot: Snapshot | None = None
        self._stopping: Stopping | None = None

    def show_snapshot(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        if snapshot.state is EngineState.STOPPED:
            self._app.exit(ExitCode.OK)
        elif snapshot.state is EngineState.STOPPING:
            self._show_stopping(snapshot)
        if self._stopping is not None:
            self._stopping.show_snapshot(snapshot)

    def quit(self) -> None:
        """Drain and leave. A read-only screen with an engine of its own asks first: it would end it."""
        if not self._habits.owns_engine:
            self._app.exit(ExitCode.OK)
        elif self._habits.ui.read_only:
            self._ask("Stop the engine and leave?", READ_ONLY_END, "Yes, stop it", self._stop)
        else:
            self._stop()

    def quit_now(self) -> None:
        """Kill and leave; asked first where messages would be lost."""
        if not self._habits.owns_engine:
            self._app.exit(ExitCode.OK)
            return
        loss = unanswered_loss(self._snapshot) if self._snapshot is not None else ""
        if self._habits.ui.read_only:
            loss = f"{READ_ONLY_END} {loss}".rstrip()
        if loss:
            self._ask("Kill all workers and leave?", loss, "Yes, leave now", self._stop_now)
        else:
            self._stop_now()

    def _ask(self, question: str, loss: str, yes: str, then: Callable[[], None]) -> None:
        self._app.push_screen(Confirm(question, loss, yes), lambda answer: then() if answer else None)

    def _stop(self) -> None:
        self._engine.send(Stop())
        self._show_stopping(self._snapshot)

    def _stop_now(self) -> None:
        self._show_stopping(self._snapshot)
        if self._stopping is not None:
            self._stopping.action_force()

    def _show_stopping(self, snapshot: Snapshot | None) -> None:
        if self._stopping is None and snapshot is not None:
            force = self._habits.key_names().fill("«stopping.force»")
            self._stopping = Stopping(snapshot, lambda: self._engine.send(Stop(force=True)), force)
            self._app.push_screen(self._stopping)
