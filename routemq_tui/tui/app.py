"""The program on the screen: wiring of engine, main screen, themes and signals.

Knows only the engine's port.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.app import App
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.screen import Screen

from routemq_tui.engine.commands import Stop
from routemq_tui.engine.port import EnginePort
from routemq_tui.engine.snapshot import EngineState
from routemq_tui.errors import ExitCode
from routemq_tui.tui.palette import KeyCommands
from routemq_tui.tui.screens.main import MainScreen
from routemq_tui.tui.screens.prompt import Prompt
from routemq_tui.tui.theme import DARK, THEMES

TICK = 0.25
"""Seconds between two looks at the engine."""
STOP_TIME = 30.0
"""Seconds that a drain may take when the screen is gone already; then it is forced."""
FORCE_TIME = 5.0
GRACE = 1.0
"""Seconds from the end of the engine to the end of a program that has lost its terminal."""
COLLECT_AFTER = (5_000, 10, 5_000)
"""New objects until the youngest are looked through; so many times until the next older ones are."""
BREAKPOINTS = [(0, "-tiny"), (60, "-narrow"), (110, "-wide"), (120, "-wider"), (150, "-huge")]
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class RouteMQApp(App[int], inherit_bindings=False):
    TITLE = "routemq"
    CSS_PATH = "app.tcss"
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {KeyCommands}
    # Bound here too, or Textual would bind it with priority over the dialogs.
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+p", "command_palette", show=False)]
    HORIZONTAL_BREAKPOINTS = BREAKPOINTS
    VERTICAL_BREAKPOINTS = [(0, "-short"), (15, "-tall")]  # noqa: RUF012

    def __init__(self, engine: EnginePort, *, tick: float | None = TICK, theme: str = DARK.name) -> None:
        """`tick` None: nothing moves by itself; tests call `MainScreen.tick`."""
        super().__init__()
        self._engine, self._tick = engine, tick
        self._signalled = False
        for each in THEMES:
            self.register_theme(each)
        self.theme = theme

    def on_mount(self) -> None:
        # Not in a thread (a test's runner), where signals cannot be handled.
        if threading.current_thread() is threading.main_thread():
            loop = asyncio.get_running_loop()
            for number in SIGNALS:
                loop.add_signal_handler(number, self._on_signal)
            # Not through the loop: that waits for ever to draw, once Textual's writing thread has failed.
            signal.signal(signal.SIGHUP, lambda *_: leave_without_terminal(self._engine))

    def _on_signal(self) -> None:
        """A polite signal is the key `q`; the second one forces."""
        self._engine.send(Stop(force=self._signalled))
        self._signalled = True

    def on_resize(self) -> None:
        """Draw everything anew, also for the size there was.

        A terminal that was made small and large again has moved its lines; of two changes in quick succession
        only the last size may be seen here, and Textual does nothing when that is the size it knows.
        """
        if self.screen_stack:
            self.screen.refresh()

    async def on_key(self, event: events.Key) -> None:
        """Keys in the order in which they were pressed, before they are looked up as bindings.

        One typed faster than a prompt opens has gone to the screen below it: it is the prompt's.
        """
        screen = self.screen
        taken = isinstance(screen, Prompt) and await screen.take_typed_ahead(event)
        if taken or (isinstance(screen, MainScreen) and screen.refuse_key(event.key)):
            event.stop()
            event.prevent_default()

    def get_default_screen(self) -> Screen[None]:
        return MainScreen(self._engine, self._tick)


def run(engine: EnginePort) -> int:
    """Show the screen until the user quits and the engine has stopped; the exit code of the program."""
    app = RouteMQApp(engine)
    collect_rarely()
    try:
        app.run()
    finally:
        stop_engine(engine)
    return app.return_code or ExitCode.OK


def leave_without_terminal(engine: EnginePort) -> None:
    """The terminal is gone: see the engine to its end, and then end, whatever the screen waits for."""

    def leave() -> None:
        stop_engine(engine)
        time.sleep(GRACE)  # the usual way out is the better one
        os._exit(ExitCode.OK)

    threading.Thread(target=leave, name="hangup", daemon=True).start()


def collect_rarely() -> None:
    """Spare the screen the pauses in which Python looks through all that lives for reference cycles.

    With 200,000 log lines in the store such a pause takes 120 to 240 ms, and a flood brings one each second.
    Young objects are looked through as before; log lines and snapshots are in no cycle and need none of it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def stop_engine(engine: EnginePort) -> None:
    """See the engine to its end when the screen is gone before it, by an error or a second Ctrl-C."""
    if engine.snapshot().state is EngineState.STOPPED:
        return
    for force, seconds in ((False, STOP_TIME), (True, FORCE_TIME)):
        engine.send(Stop(force))
        deadline = time.monotonic() + seconds
        try:
            while time.monotonic() < deadline:
                if engine.snapshot().state is EngineState.STOPPED:
                    return
                time.sleep(0.05)
        except KeyboardInterrupt:
            continue
