"""The tree-table of routes and workers: a heading and a body that draws only the rows in sight.

The selection is a key, not a place, so that it stays on its worker whatever comes and goes around it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip

from routemq_tui.engine.snapshot import Snapshot
from routemq_tui.tui.columns import ALWAYS, COLUMN_BY_ID, Layout
from routemq_tui.tui.row_order import CONFIGURED, RowOrder, Sort
from routemq_tui.tui.rows import EVERYTHING, Row, RowKey, place_of
from routemq_tui.tui.tones import Fragment, Tone
from routemq_tui.tui.widgets.lines import TONE_CLASSES, Inks, Line, Lines, LineView, paint, visible_width

NONE_AT = 2
"""The line that says that no route is shown."""
EMPTY: tuple[Line, ...] = (
    (Fragment("  No routes yet.", Tone.STRONG),),
    (),
    (
        Fragment("  Put the first one in ", Tone.MUTED),
        Fragment("routemq.toml", Tone.ACCENT),
        Fragment(" and start again:", Tone.MUTED),
    ),
    (),
    (Fragment("    [routes.temperature]", Tone.TITLE),),
    (Fragment('    topic = "sensors/{device_id}/temperature"'),),
    (Fragment('    handler = "routes.sensors:temperature"'),),
    (Fragment("    workers = 2"),),
    (),
    (Fragment("  routemq-tui init", Tone.ACCENT), Fragment(" writes an example project.", Tone.MUTED)),
)

FIRST_RIGHT, FIRST_LEFT = "p95", "err"
"""Columns that a table is sorted by first, by the next one to the right or to the left."""


class TableHeading(Lines):
    """The names of the columns; lies above the body and shows which pane has the focus."""

    class Clicked(Message):
        """On the name of a column."""

        def __init__(self, column: str) -> None:
            super().__init__()
            self.column = column

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._hidden: frozenset[str] = frozenset()

    def on_mount(self) -> None:
        self.show_columns(self._hidden, Sort(), "")

    def show_columns(self, hidden: frozenset[str], sort: Sort, wanted: str) -> None:
        self._hidden = hidden
        self.show(lambda width: [self._layout(width).heading(sort.column, sort.arrow, wanted)])

    def on_click(self, event: events.Click) -> None:
        column = self._layout(self.size.width).column_at(event.x)
        if column is not None:
            self.post_message(self.Clicked(column.id))

    def _layout(self, width: int) -> Layout:
        # The body has one cell less: its scroll bar.
        return Layout.of(width - 1, self._hidden)


class RouteTable(LineView, inherit_bindings=False):
    COMPONENT_CLASSES: ClassVar[set[str]] = {"row--selected", "row--hover"} | TONE_CLASSES
    ALLOW_SELECT = False
    ALLOW_MAXIMIZE = False

    class Rearranged(Message):
        """Other columns, another order or other routes."""

    class Opened(Message):
        """A row was clicked twice."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, can_focus=True)
        self.inks = Inks(self)
        self.changed: Callable[[], None] = lambda: None
        """Called when another row is selected, or the selected one has changed: at once, not by a message, so
        that all panes show it in the same frame."""
        self.fill: Callable[[str], str] = str
        """Writes the keys of «ids» into a text."""
        self.rows: list[Row] = []
        self.selected = EVERYTHING
        self.folded: frozenset[str] = frozenset()
        self.order = RowOrder()
        self.hidden: frozenset[str] = frozenset()
        """Columns that were left out by choice."""
        self._snapshot: Snapshot | None = None
        self._drawn: dict[int, tuple[Line, int, str]] = {}
        """By line of the pane: what it was drawn from last."""
        self._cursor = 0
        self._hover = -1
        self._touched = False

    @property
    def row(self) -> Row | None:
        """The selected row; None when there are no routes."""
        return self.rows[self._cursor] if self.rows else None

    def show_snapshot(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        if not self._touched and snapshot.routes:
            # The first route, not the line of totals: `+` then means something at once.
            self._touched, self.selected = True, RowKey(snapshot.routes[0].name)
        self._rebuild()

    def select(self, key: RowKey) -> bool:
        """Select a row by its key, unfolding its route and dropping the filter when that is needed.

        False, and nothing is changed, when there is no such route or worker.
        """
        place = next((index for index, row in enumerate(self.rows) if row.key == key), None)
        if place is not None:
            self._go_to(place)
            return True
        routes = self._snapshot.routes if self._snapshot is not None else ()
        route = next((each for each in routes if each.name == key.route), None)
        if route is None or key.slot not in (None, *(worker.slot for worker in route.workers)):
            return False
        if key.slot is not None:
            self.folded -= {key.route}
        self.selected = key
        if self.order.shows(route):
            self._rebuild()
            self._keep_in_sight()
        else:
            self.show_only("")
        return True

    def _go_to(self, place: int) -> None:
        """Select a row that is there: the others need no drawing."""
        before, self._cursor = self._cursor, place
        self.selected = self.rows[place].key
        top = self.scroll_offset.y
        if all(top <= each < top + self.size.height for each in (before, place)):
            self.refresh_line(before)
            self.refresh_line(place)
        else:
            self.refresh()
        self._keep_in_sight()
        self.changed()

    def move(self, motion: str) -> None:
        if not self.rows:
            return
        if motion in ("left", "right"):
            self._fold_by_arrow(motion)
            return
        page = max(1, self.size.height - 1)
        last = len(self.rows) - 1
        steps = {"up": -1, "down": 1, "page_up": -page, "page_down": page, "top": -last, "bottom": last}
        self.select(self.rows[max(0, min(last, self._cursor + steps[motion]))].key)

    def toggle_fold(self) -> None:
        """Fold or unfold the route of the selected row; all routes on the line of everything."""
        if self._snapshot is None:
            return
        key = self.selected
        if key.route:
            self.folded ^= {key.route}
        else:
            names = frozenset(route.name for route in self._snapshot.routes)
            self.folded = frozenset() if names <= self.folded else names
        self.selected = RowKey(key.route)
        self._rebuild()
        self._keep_in_sight()

    def sort_by(self, column: str) -> None:
        """By a column, the other way round when it is that one already; by name: as configured."""
        now = self.order.sort
        if column == "name":
            column = CONFIGURED
        self.order.sort = Sort(column, column == now.column and not now.ascending)
        self._rearranged()

    def sort_by_next(self, step: int) -> None:
        """By the column to the right or left of the one it is by now; first by p95, or by errors, which
        somebody looks for most."""
        shown = [column.id for column, _ in Layout.of(visible_width(self), self.hidden).columns]
        now, first = self.order.sort.column, FIRST_RIGHT if step > 0 else FIRST_LEFT
        if now in shown:
            column = shown[(shown.index(now) + step) % len(shown)]
        else:
            column = first if first in shown else shown[step % len(shown)]
        self.order.sort = Sort(CONFIGURED if column == "name" else column)
        self._rearranged()

    def show_only(self, wanted: str) -> None:
        """Only routes with this text in their name, topic or handler."""
        self.order.wanted = wanted
        self._rearranged()

    def hide_columns(self, hidden: frozenset[str]) -> None:
        self.hidden = hidden & COLUMN_BY_ID.keys() - set(ALWAYS)
        self._rearranged()

    def _rearranged(self) -> None:
        self.post_message(self.Rearranged())
        self._rebuild()
        self._keep_in_sight()

    def _fold_by_arrow(self, motion: str) -> None:
        key = self.selected
        if motion == "left" and key.slot is not None:
            self.select(RowKey(key.route))
        elif key.route and (key.route in self.folded) is (motion == "right"):
            self.toggle_fold()

    def _rebuild(self) -> None:
        if self._snapshot is None:
            return
        self.rows = self.order.rows(self._snapshot, self.folded)
        moved = self._cursor
        self._cursor = place_of(self.rows, self.selected, self._cursor)
        self.selected = self.rows[self._cursor].key if self.rows else EVERYTHING
        height = len(self.rows) or len(EMPTY)
        if self.virtual_size.height != height:
            self.virtual_size = Size(self.size.width, height)
        if moved != self._cursor:
            self._keep_in_sight()
        self._refresh_changed()
        self.changed()

    def _refresh_changed(self) -> None:
        """Draw the lines anew that would look different now: on a quiet screen none of them does."""
        if not self.is_on_screen:
            return
        for y in range(self.size.height):
            if self._drawn.get(y) != self._picture(y):
                self.refresh_line(y + self.scroll_offset.y)

    def _keep_in_sight(self) -> None:
        if self.size.height:
            region = Region(0, self._cursor, 1, 1)
            self.scroll_to_region(region, animate=False, force=True, immediate=True)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self.inks.clear()

    def on_resize(self) -> None:
        self._keep_in_sight()

    def on_show(self) -> None:
        self.refresh()

    def render_line(self, y: int) -> Strip:
        picture = self._drawn[y] = self._picture(y)
        return paint(self.inks, *picture)

    def _picture(self, y: int) -> tuple[Line, int, str]:
        """What a line shows: fragments, width and ground."""
        width = visible_width(self)
        index = self._index_at(y)
        if not self.rows:
            empty = EMPTY[index] if self._snapshot is not None and index < len(EMPTY) else ()
            return empty, width, ""
        if index >= len(self.rows):
            none = self.order.wanted and len(self.rows) == 1 and index == NONE_AT
            return self._no_route() if none else (), width, ""
        cells = Layout.of(width, self.hidden).cells(self.rows[index])
        if index != y + self.scroll_offset.y:
            cells[0] = Fragment("▴" if y == 0 else "▾", Tone.ACCENT)
        return cells, width, self._ground(index)

    def _no_route(self) -> Line:
        words = f"  no route matches {self.order.wanted!r} · «find» changes it"
        return [Fragment(self.fill(words), Tone.MUTED)]

    def _index_at(self, y: int) -> int:
        """The row of a line: the selected one, when it was scrolled away, stays at the edge it left by."""
        top, bottom = self.scroll_offset.y, self.scroll_offset.y + self.size.height - 1
        if self.rows and ((y == 0 and self._cursor < top) or (y == bottom - top and self._cursor > bottom)):
            return self._cursor
        return top + y

    def _ground(self, index: int) -> str:
        if index == self._cursor:
            return "row--selected"
        return "row--hover" if index == self._hover else ""

    def on_mouse_move(self, event: events.MouseMove) -> None:
        self._hover_at(self._index_at(event.y))

    def on_leave(self) -> None:
        self._hover_at(-1)

    def _hover_at(self, index: int) -> None:
        if index != self._hover:
            self._hover = index
            self.refresh()

    def on_click(self, event: events.Click) -> None:
        index = self._index_at(event.y)
        if index >= len(self.rows):
            return
        key = self.rows[index].key
        again = key == self.selected
        self.select(key)
        if event.x < 3 and key.slot is None:
            self.toggle_fold()
        elif again and event.chain == 2:
            self.post_message(self.Opened())
