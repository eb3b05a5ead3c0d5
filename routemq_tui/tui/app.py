"""The program on the screen: wiring of engine, main screen, themes and signals.

Knows only the engine's port.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import ClassVar

from textual import events, on
from textual.app import App
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.filter import LineFilter
from textual.message import Message
from textual.screen import Screen

from routemq_tui.config.model import UiConfig
from routemq_tui.engine.commands import Command, Reload, SaveCounts, Stop
from routemq_tui.engine.port import EnginePort
from routemq_tui.engine.snapshot import EngineState
from routemq_tui.errors import ExitCode
from routemq_tui.tui.clipboard import Clipboard
from routemq_tui.tui.habits import Habits
from routemq_tui.tui.keymap import KeyNames, keymap_of
from routemq_tui.tui.layout_memory import LayoutMemory
from routemq_tui.tui.net import Guarded, Net, guarded
from routemq_tui.tui.no_colour import NoColour, wants_no_colour
from routemq_tui.tui.notices import SECONDS, Sayings, Severity, Toast
from routemq_tui.tui.palette import KeyCommands
from routemq_tui.tui.read_only import REASON as READ_ONLY
from routemq_tui.tui.read_only import ReadOnlyEngine
from routemq_tui.tui.screens.main import MainScreen
from routemq_tui.tui.screens.panes import WIDE
from routemq_tui.tui.screens.prompt import Prompt
from routemq_tui.tui.theme import DARK, THEMES, first_theme, remember_theme
from routemq_tui.tui.widgets.key_bar import KeyBar

TICK = 0.25
"""Seconds between two looks at the engine."""
STOP_TIME = 30.0
"""Seconds that a drain may take when the screen is gone already; then it is forced."""
FORCE_TIME = 5.0
GRACE = 1.0
"""Seconds from the end of the engine to the end of a program that has lost its terminal."""
COLLECT_AFTER = (5_000, 10, 5_000)
"""New objects until the youngest are looked through; so many times until the next older ones are."""
BREAKPOINTS = [(0, "-tiny"), (60, "-narrow"), (WIDE, "-wide"), (120, "-wider"), (150, "-huge")]
SIGNALS = (signal.SIGTERM, signal.SIGINT)
NO_COLOUR = (NoColour(),)
"""The same each time: what was drawn is remembered by it."""


class RouteMQApp(Guarded, App[int], inherit_bindings=False):
    TITLE = "routemq"
    CSS_PATH = "app.tcss"
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {KeyCommands}
    # Bound here too, or Textual would bind it with priority over the dialogs.
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+p", "command_palette", show=False, id="palette")]
    HORIZONTAL_BREAKPOINTS = BREAKPOINTS
    VERTICAL_BREAKPOINTS = [(0, "-short"), (15, "-tall")]  # noqa: RUF012

    class Told(Message):
        """Something to tell, from any thread."""

        def __init__(self, toast: Toast) -> None:
            super().__init__()
            self.toast = toast

    def __init__(
        self,
        engine: EnginePort,
        *,
        tick: float | None = TICK,
        theme: str = DARK.name,
        ui: UiConfig | None = None,
        memory: LayoutMemory | None = None,
        owns_engine: bool = True,
    ) -> None:
        """`tick` None: nothing moves by itself; tests call `MainScreen.tick`. Theme "": what `ui`, memory and
        terminal ask for. A screen that does not own its engine leaves it running."""
        super().__init__()
        self.habits = habits = Habits(
            ui or UiConfig(), memory or LayoutMemory(), owns_engine, lambda: self.key_names
        )
        self._engine: EnginePort = ReadOnlyEngine(engine) if habits.ui.read_only else engine
        self._tick = tick
        self._signalled = False
        self.sayings = Sayings()
        self.net = Net(self._tell_fault, partial(note_in, engine))
        self.key_names = KeyNames()
        self._outside = Clipboard(os.environ)
        self.no_color = wants_no_colour(os.environ, self.console.color_system)
        for each in THEMES:
            self.register_theme(each)
        self.theme = theme or first_theme(habits.ui, habits.memory, self.console.color_system)
        self.stylesheet.set_variables(self.get_css_variables())
        self._styled_as: str | None = self.theme
        if habits.ui.keys:
            self.set_keymap(keymap_of(habits.ui))

    def refresh_css(self, animate: bool = True) -> None:
        """Textual asks for it once at the start, for the theme that all was styled with just before."""
        styled_as, self._styled_as = self._styled_as, None
        if styled_as != self.theme:
            super().refresh_css(animate)

    def on_mount(self) -> None:
        # Not in a thread (a test's runner), where signals cannot be handled.
        if threading.current_thread() is threading.main_thread():
            loop = asyncio.get_running_loop()
            for number in SIGNALS:
                loop.add_signal_handler(number, self._on_signal)
            # Not through the loop: that waits for ever to draw, once Textual's writing thread has failed.
            if self.habits.owns_engine:
                signal.signal(signal.SIGHUP, lambda *_: leave_without_terminal(self._engine))

    def get_line_filters(self) -> Sequence[LineFilter]:
        return NO_COLOUR if self.no_color else super().get_line_filters()

    def set_keymap(self, keymap: Mapping[str, str]) -> None:
        self.key_names = KeyNames(keymap)
        super().set_keymap(dict(keymap))

    def choose_theme(self, name: str) -> None:
        """Take a theme and remember it."""
        self.theme = name
        remember_theme(self.habits.ui, self.habits.memory, name)

    def save_counts(self) -> None:
        """Have the engine keep them; it says itself what it did."""
        self._send(SaveCounts())

    def reload(self) -> None:
        """Have the engine read its configuration anew; it says itself what it did."""
        self._send(Reload())

    def _send(self, command: Command) -> None:
        if self.habits.ui.read_only:
            self.notify(READ_ONLY, severity="warning")
        else:
            self._engine.send(command)

    # What is told, in the bottom line instead of Textual's toasts, which would lie over the log

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: Severity = "information",
        timeout: float | None = None,
        markup: bool = True,
    ) -> None:
        text = f"{title}: {message}" if title else message
        self.post_message(self.Told(Toast(text, severity, timeout or SECONDS[severity])))

    def copy_to_clipboard(self, text: str) -> None:
        """Copy it by every way there is, and say where it went."""
        super().copy_to_clipboard(text)
        # The programs here are not those of a browser.
        clipboard = Clipboard({}) if self.is_web else self._outside
        if clipboard.ways:
            self.run_worker(self._copy_out(clipboard, text), group="copy", exit_on_error=False)
        else:
            self._tell_copied(*clipboard.copy(text))

    async def _copy_out(self, clipboard: Clipboard, text: str) -> None:
        self._tell_copied(*await asyncio.to_thread(clipboard.copy, text))

    def _tell_copied(self, words: str, severity: Severity) -> None:
        self.notify(self.key_names.fill(words), severity=severity)

    @on(Told)
    def _on_told(self, event: Told) -> None:
        self.sayings.add(event.toast, time.monotonic())
        self._show_told()
        self.set_timer(event.toast.seconds + 0.05, self._show_told)

    @on(KeyBar.Dismissed)
    def clear_notifications(self) -> None:
        self.sayings.clear()
        self._show_told()

    def _tell_fault(self, text: str) -> None:
        self.notify(text, severity="error")

    @guarded
    def _show_told(self) -> None:
        told = self.sayings.current(time.monotonic())
        for screen in self.screen_stack:
            for bar in screen.query(KeyBar):
                bar.show_told(told)

    def _on_signal(self) -> None:
        """A polite signal is the key `q`; the second one forces."""
        if not self.habits.owns_engine:
            self.exit(ExitCode.OK)
            return
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
        return MainScreen(self._engine, self._tick, self.habits)


def run(
    engine: EnginePort,
    ui: UiConfig | None = None,
    memory: LayoutMemory | None = None,
    owns_engine: bool = True,
) -> int:
    """Show the screen until the user quits and the engine has stopped; the exit code of the program.

    One that does not own its engine ends without it.
    """
    app = RouteMQApp(engine, theme="", ui=ui, memory=memory, owns_engine=owns_engine)
    collect_rarely()
    try:
        app.run(mouse=app.habits.ui.mouse)
    finally:
        if owns_engine:
            stop_engine(engine)
        for trace in app.net.faults:
            print(f"routemq-tui: the screen made an error, please report it:\n{trace}", file=sys.stderr)
    return app.return_code or ExitCode.OK


def note_in(engine: EnginePort, text: str) -> None:
    """An error of the screen in the log of an engine that has one; that of another process keeps its own."""
    note = getattr(engine, "note", None)
    if note is not None:
        note(text, logging.ERROR)


def leave_without_terminal(engine: EnginePort) -> None:
    """The terminal is gone: see the engine to its end, and then end, whatever the screen waits for."""

    def leave() -> None:
        stop_engine(engine)
        time.sleep(GRACE)  # the usual way out is the better one
        os._exit(ExitCode.OK)

    threading.Thread(target=leave, name="hangup", daemon=True).start()


def collect_rarely() -> None:
    """Spare the screen the pauses in which Python looks through all that lives for reference cycles.

    They take 10 to 30 ms, and so would one here, before the first frame. Young objects are looked through as
    before; what lives long, such as log blocks and snapshots, is in no cycle and needs none of it.
    """
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
