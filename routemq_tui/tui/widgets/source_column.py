"""How wide the names of workers are in a log: as the longest of the row, and of its lines seen so far. Pure.

Lines outlive their workers: a route that was scaled to none still shows whose they were.
"""

from __future__ import annotations

from collections.abc import Iterable

from routemq_tui.engine.port import LogLine
from routemq_tui.tui.rows import Row

LONGEST_SOURCE = 20


class SourceColumn:
    """Grows only, until another row is shown: scrolling moves no text."""

    def __init__(self) -> None:
        self.width = 0
        """0: all lines have the same source, and no name."""
        self._row = self._seen = 0

    def begin(self) -> None:
        """The lines of another row are shown."""
        self._seen = 0

    def show_row(self, row: Row | None) -> bool:
        """Make room for its workers; True when the width is another one."""
        self._row = source_width(row)
        return self._fit()

    def see(self, lines: Iterable[LogLine]) -> bool:
        """Make room for the names of these; True when the width is another one."""
        longest = max((len(line.source) for line in lines), default=0)
        self._seen = max(self._seen, min(LONGEST_SOURCE, longest))
        return self._fit()

    def _fit(self) -> bool:
        before, self.width = self.width, max(self._row, self._seen) if self._row else 0
        return self.width != before


def source_width(row: Row | None) -> int:
    """Room for the longest source of the row; none where all lines have the same one."""
    if row is None:
        return len("traffic")
    if row.worker is not None:
        return 0
    routes = row.snapshot.routes if row.route is None else (row.route,)
    longest = max((len(worker.name) for route in routes for worker in route.workers), default=1)
    return min(LONGEST_SOURCE, max(longest, len("traffic")) if row.route is None else longest)
