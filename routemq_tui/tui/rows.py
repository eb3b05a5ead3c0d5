"""The rows of the tree-table: one for everything, then routes that fold out into workers. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from routemq_tui.engine.snapshot import History, Metrics, RouteSnapshot, Snapshot, WorkerSnapshot


class RowKey(NamedTuple):
    """What a row is about, whatever its place: everything (no route), a route (no slot) or a worker."""

    route: str = ""
    slot: int | None = None

    @property
    def label(self) -> str:
        if not self.route:
            return "all routes"
        return self.route if self.slot is None else f"{self.route}/{self.slot}"


EVERYTHING = RowKey()


@dataclass(frozen=True, slots=True)
class Row:
    key: RowKey
    snapshot: Snapshot
    route: RouteSnapshot | None = None
    worker: WorkerSnapshot | None = None
    folded: bool = False

    @property
    def metrics(self) -> Metrics:
        return (self.worker or self.route or self.snapshot).metrics

    @property
    def history(self) -> History:
        return (self.worker or self.route or self.snapshot).history

    @property
    def window(self) -> int:
        """Messages that may be in flight at once."""
        if self.worker is not None:
            return self.worker.window
        routes = self.snapshot.routes if self.route is None else (self.route,)
        return sum(worker.window for route in routes for worker in route.workers if worker.pid is not None)

    @property
    def restarts(self) -> int:
        if self.worker is not None:
            return self.worker.restarts
        routes = self.snapshot.routes if self.route is None else (self.route,)
        return sum(worker.restarts for route in routes for worker in route.workers)

    def sources(self) -> frozenset[str] | None:
        """The log sources of the row; None is all of them."""
        if self.route is None:
            return None
        return self.route.log_sources() if self.worker is None else frozenset((self.worker.name,))


def key_named(snapshot: Snapshot, name: str) -> RowKey | None:
    """The key of a route or worker by its name; None when there is no such one."""
    for route in snapshot.routes:
        if route.name == name:
            return RowKey(name)
        for worker in route.workers:
            if worker.name == name:
                return RowKey(route.name, worker.slot)
    return None


def place_of(rows: list[Row], key: RowKey, near: int = 0) -> int:
    """Where the key is now; its route when the worker is gone, else the place nearest to where it was."""
    places = {row.key: index for index, row in enumerate(rows)}
    if key in places:
        return places[key]
    if key.slot is not None and RowKey(key.route) in places:
        siblings = [row.key.slot for row in rows if row.key.route == key.route and row.key.slot is not None]
        lower = [slot for slot in siblings if slot < key.slot]
        return places[RowKey(key.route, max(lower) if lower else None)]
    return max(0, min(near, len(rows) - 1))
