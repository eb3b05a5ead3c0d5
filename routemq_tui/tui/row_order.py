"""In which order the rows come: as configured, or by a column; and which routes are shown at all. Pure.

Rows that are ordered by a figure that changes are put in order anew only now and then, so that what somebody
looks at does not jump; between, new rows come last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from routemq_tui.engine.snapshot import RouteSnapshot, Snapshot, WorkerSnapshot
from routemq_tui.tui.columns import COLUMN_BY_ID
from routemq_tui.tui.rows import EVERYTHING, Row, RowKey

REORDER_SECONDS = 2.0
CONFIGURED = ""
"""The column of no sorting."""


@dataclass(frozen=True, slots=True)
class Sort:
    column: str = CONFIGURED
    """A column's id."""
    ascending: bool = False

    @property
    def arrow(self) -> str:
        return "▲" if self.ascending else "▼"


class RowOrder:
    """Turns snapshots into rows; remembers the last order."""

    def __init__(self) -> None:
        self._sort = Sort()
        self._wanted = ""
        self._places: dict[RowKey, int] = {}
        self._ordered_at = float("-inf")

    @property
    def sort(self) -> Sort:
        return self._sort

    @sort.setter
    def sort(self, sort: Sort) -> None:
        self._sort = sort if sort.column in COLUMN_BY_ID else Sort()
        self._ordered_at = float("-inf")

    @property
    def wanted(self) -> str:
        """Only routes with this in their name, topic or handler; empty for all."""
        return self._wanted

    @wanted.setter
    def wanted(self, text: str) -> None:
        self._wanted = text.strip().lower()

    def shows(self, route: RouteSnapshot) -> bool:
        wanted = self._wanted
        return not wanted or any(wanted in text.lower() for text in (route.name, route.topic, route.handler))

    def rows(self, snapshot: Snapshot, folded: frozenset[str] = frozenset()) -> list[Row]:
        """All rows to show in their order; none when there is no route."""
        if not snapshot.routes:
            return []
        if self._sort.column and abs(snapshot.time - self._ordered_at) >= REORDER_SECONDS:
            self._ordered_at = snapshot.time
            self._places = self._places_of(snapshot)
        rows = [Row(EVERYTHING, snapshot)]
        for route in self._routes(snapshot):
            is_folded = route.name in folded
            rows.append(Row(RowKey(route.name), snapshot, route, folded=is_folded))
            if not is_folded:
                rows += (
                    Row(RowKey(route.name, worker.slot), snapshot, route, worker)
                    for worker in self._workers(route)
                )
        return rows

    def _routes(self, snapshot: Snapshot) -> Sequence[RouteSnapshot]:
        shown = [route for route in snapshot.routes if self.shows(route)]
        if not self._sort.column:
            return shown
        last = len(self._places)
        return sorted(shown, key=lambda route: self._places.get(RowKey(route.name), last))

    def _workers(self, route: RouteSnapshot) -> Sequence[WorkerSnapshot]:
        if not self._sort.column:
            return route.workers
        last = len(self._places)
        return sorted(
            route.workers, key=lambda worker: self._places.get(RowKey(route.name, worker.slot), last)
        )

    def _places_of(self, snapshot: Snapshot) -> dict[RowKey, int]:
        keyed: list[tuple[RowKey, float | str]] = []
        value = COLUMN_BY_ID[self._sort.column].value
        for route in snapshot.routes:
            keyed.append((RowKey(route.name), value(Row(RowKey(route.name), snapshot, route))))
            for worker in route.workers:
                key = RowKey(route.name, worker.slot)
                keyed.append((key, value(Row(key, snapshot, route, worker))))
        # Equal ones stay as they are configured, whichever way it goes; so do those that look nearly equal,
        # or two workers of one route would change places all the time.
        ordered = sorted(keyed, key=lambda pair: _rounded(pair[1]), reverse=not self._sort.ascending)
        return {key: place for place, (key, _) in enumerate(ordered)}


def _rounded(value: float | str) -> Any:
    """A number to two digits."""
    return float(f"{value:.1e}") if isinstance(value, float) else value
