"""The panes of the main screen: which is shown, which has the focus, which has the screen alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.widget import Widget

from routemq_tui.tui.widgets.detail import Detail
from routemq_tui.tui.widgets.log_panes import LogPanes

if TYPE_CHECKING:
    from routemq_tui.tui.screens.main import MainScreen

PANES = ("routes", "detail", "logs")
WIDE = 110
"""Columns from which on the detail has a place beside the table."""


class Panes:
    def __init__(self, screen: MainScreen, changed: Callable[[], None]) -> None:
        """`changed` hears when another one is zoomed or has the focus."""
        self._screen, self._changed = screen, changed
        self.zoomed = ""

    @property
    def focused(self) -> str:
        focused = self._screen.focused
        return focused.id.partition("-")[0] if focused is not None and focused.id else "routes"

    def is_shown(self, name: str) -> bool:
        if self.zoomed:
            return name == self.zoomed
        return name != "detail" or not self._screen.has_class("-narrow")

    def focus(self, name: str) -> None:
        # At once, not after the next drawing: the next key may have been pressed already.
        self._screen.set_focus(self._target(name))

    def next(self, step: int) -> None:
        """The next one that is shown; each pane of logs is one."""
        targets: list[Widget] = []
        for name in PANES:
            if self.is_shown(name):
                targets += self._logs.shown_views if name == "logs" else [self._target(name)]
        focused = self._screen.focused
        place = targets.index(focused) if focused in targets else 0
        self._screen.set_focus(targets[(place + step) % len(targets)])

    def go(self, name: str) -> None:
        """To a pane; one that has no place on a narrow screen takes all of it."""
        if self.zoomed and self.zoomed != name:
            self.zoom("")
        if not self.is_shown(name):
            self.zoom(name)
        self.focus(name)

    def toggle_zoom(self) -> None:
        """The focused one alone, or all of them again."""
        if self.zoomed:
            self.leave_zoom()
            return
        name = self.focused
        if name == "routes" and self._screen.has_class("-narrow"):
            name = "detail"
        self.zoom(name)
        self.focus(name)

    def leave_zoom(self) -> bool:
        """All of them again; False when none is alone."""
        was = self.zoomed
        if was:
            self.zoom("")
            self.focus(was if self.is_shown(was) else "routes")
        return bool(was)

    def zoom(self, name: str) -> None:
        self.zoomed = name
        for pane in PANES:
            self._screen.set_class(pane == name, f"-zoom-{pane}")
        self._changed()

    def restore(self, pane: str) -> None:
        """The focus as it was left the last time, where there is room for it now. Not a zoom: without the
        table a start looks broken."""
        # By the size: the classes that say how wide the screen is come with its first event.
        fits = pane != "detail" or self._screen.app.size.width >= WIDE
        if pane in PANES and fits and self.is_shown(pane):
            self.focus(pane)

    @property
    def _logs(self) -> LogPanes:
        return self._screen.query_one(LogPanes)

    def _target(self, name: str) -> Widget:
        if name == "logs":
            return self._logs.active.view
        return self._screen.table if name == "routes" else self._screen.query_one(Detail)
