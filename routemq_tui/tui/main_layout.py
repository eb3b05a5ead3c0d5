"""What the main screen remembers: pane, columns and order; and whether it was ever seen before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routemq_tui.tui.layout_memory import LayoutMemory
from routemq_tui.tui.row_order import Sort
from routemq_tui.tui.widgets.log_panes import MOST

if TYPE_CHECKING:
    from routemq_tui.tui.screens.main import MainScreen

PANE, KEPT, HIDDEN, SORT, UP, HINT = (
    "main.pane",
    "logs.kept",
    "table.hidden",
    "table.sort",
    "table.ascending",
    "main.hint_seen",
)


class MainLayout:
    def __init__(self, memory: LayoutMemory, screen: MainScreen) -> None:
        self._memory, self._screen = memory, screen
        self._restored = False

    def restore(self) -> None:
        """Once, before anything is kept: what follows from it is no news."""
        memory, screen = self._memory, self._screen
        table = screen.table
        hidden, sort = memory.get(HIDDEN, list[str]()), memory.get(SORT, "")
        if hidden or sort:
            table.order.sort = Sort(sort, memory.get(UP, False))
            table.hide_columns(frozenset(hidden))
        rows = {row.key.label: row for row in screen.all_rows()}
        for label in memory.get(KEPT, list[str]())[: MOST - 1]:
            if label in rows:
                screen.log_panes.keep(rows[label])
        screen.panes.restore(memory.get(PANE, "routes"))
        self._restored = True

    def keep(self) -> None:
        screen = self._screen
        if not self._restored:
            return
        table = screen.table
        self._memory.update(
            {
                PANE: screen.panes.focused,
                KEPT: [key.label for key in screen.log_panes.kept],
                HIDDEN: sorted(table.hidden),
                SORT: table.order.sort.column,
                UP: table.order.sort.ascending,
            }
        )

    def wants_hint(self) -> bool:
        """True once in a folder, where it can be remembered that it was shown."""
        wanted = self._memory.lasts and not self._memory.get(HINT, False)
        if wanted:
            self._memory.set(HINT, True)
        return wanted
