"""The logs of the selection and, beside them, up to three panes that keep the logs of a row."""

from __future__ import annotations

from collections.abc import Callable

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from routemq_tui.engine.port import LogReader
from routemq_tui.tui.net import Guarded, guarded
from routemq_tui.tui.row_order import RowOrder
from routemq_tui.tui.rows import Row, RowKey
from routemq_tui.tui.widgets.log_strip import LogStrip
from routemq_tui.tui.widgets.log_view import LogView

MOST = 4
Fill = Callable[[str], str]
"""Writes the keys of «ids» into a text."""
NARROWEST = 38
"""Columns that a pane needs."""


class LogPane(Guarded, Vertical):
    """A view and the line above it. One with a `kept` key stays with that row whatever is selected."""

    def __init__(self, reader: LogReader, fill: Fill, number: int, kept: RowKey | None = None) -> None:
        super().__init__(classes="pane" if number == 1 else "pane -beside")
        self.kept = kept
        self.row: Row | None = None
        end = "" if number == 1 else f"-{number}"
        self._strip = LogStrip(fill, id=f"logs-strip{end}", classes="heading")
        self.view = LogView(reader, fill, id=f"logs-view{end}")

    def compose(self) -> ComposeResult:
        yield self._strip
        yield self.view

    def show_row(self, row: Row | None) -> None:
        self.row = row
        self.view.show_row(row)
        self.show_strip()

    @on(LogView.Changed)
    @guarded
    def _on_changed(self) -> None:
        self.show_strip()

    def show_strip(self) -> None:
        self._strip.show_status(self.view.status, self.row, self.kept is not None)


class LogPanes(Guarded, Horizontal):
    def __init__(self, reader: LogReader, fill: Fill, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._reader, self._fill = reader, fill
        self._panes = [LogPane(reader, fill, 1)]
        self._last_used = self._panes[0]

    def compose(self) -> ComposeResult:
        yield self._panes[0]

    @property
    def active(self) -> LogPane:
        """The one that keys work on: the focused one, or that which was it last."""
        used = self._last_used
        return used if used in self._panes and used.display else self._panes[0]

    @property
    def shown_views(self) -> list[LogView]:
        return [pane.view for pane in self._panes if pane.display]

    @property
    def kept(self) -> list[RowKey]:
        return [pane.kept for pane in self._panes if pane.kept is not None]

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        self._last_used = next((each for each in self._panes if each.view is event.widget), self._last_used)

    def show_row(self, row: Row | None) -> None:
        """The selected row, and with it the newest snapshot for all others."""
        self._panes[0].show_row(row)
        kept = self._panes[1:]
        if row is None or not kept:
            return
        rows = {each.key: each for each in RowOrder().rows(row.snapshot)}
        for pane in kept:
            if pane.kept is not None:
                pane.show_row(rows.get(pane.kept, pane.row))

    def pull(self) -> None:
        for pane in self._panes:
            pane.view.pull()

    def focus_first(self) -> None:
        """That of the selection."""
        self.screen.set_focus(self._panes[0].view)
        self._last_used = self._panes[0]

    def split(self, row: Row) -> str:
        """Keep the logs of a row in a pane of their own; what is against it, or nothing."""
        if row.key in self.kept:
            return f"The logs of {row.key.label} have a pane already"
        if len(self._panes) == MOST:
            return f"There are {MOST} panes of logs already: «unsplit» closes one"
        if len(self._panes) >= self._room():
            return f"There is no room: each pane of logs takes {NARROWEST} columns"
        self.keep(row)
        return ""

    def keep(self, row: Row) -> None:
        taken = {pane.view.id for pane in self._panes}
        number = next(number for number in range(2, MOST + 1) if f"logs-view-{number}" not in taken)
        pane = LogPane(self._reader, self._fill, number, row.key)
        self._panes.append(pane)
        self.mount(pane)
        pane.show_row(row)

    def unsplit(self) -> bool:
        """Close the active pane that keeps a row, or else the last such; False when there is none."""
        if len(self._panes) == 1:
            return False
        pane = self.active if self.active.kept is not None else self._panes[-1]
        had_focus = self.screen.focused is pane.view
        self._panes.remove(pane)
        if had_focus:
            self.screen.set_focus(self.active.view)
        pane.remove()
        return True

    def _room(self) -> int:
        return max(1, self.size.width // NARROWEST)

    def on_resize(self, event: events.Resize) -> None:
        """Those that have no room are hidden until there is; one that is hidden costs nothing."""
        room = max(1, event.size.width // NARROWEST)
        if self.screen.focused in [pane.view for pane in self._panes[room:]]:
            self.focus_first()
        for number, pane in enumerate(self._panes):
            pane.display = number < room
