"""The table at the end of a run: what each worker did while the engine ran. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from routemq_tui.engine.snapshot import EngineState, Metrics, Snapshot, WorkerSnapshot
from routemq_tui.engine.states import WorkerState
from routemq_tui.units import format_rate, format_seconds

_HEADINGS = ("worker", "state", "ok", "failed", "msg/s", "p95", "CPU")
_LEFT = 2
"""Columns that are text; the others are numbers."""
_TOTAL = "total"


@dataclass(slots=True)
class _Track:
    """One row's figures over the run."""

    state: str = ""
    ok: int = 0
    failed: int = 0
    p95: float | None = None
    cpu_sum: float = 0.0
    cpu_count: int = 0

    def add(self, state: str, metrics: Metrics) -> None:
        self.state = state
        self.ok, self.failed = metrics.ok, metrics.failed
        if metrics.p95 is not None:
            self.p95 = metrics.p95
        if metrics.cpu_percent is not None:
            self.cpu_sum += metrics.cpu_percent
            self.cpu_count += 1

    def values(self, name: str, elapsed: float) -> dict[str, Any]:
        return {
            "name": name,
            "state": self.state,
            "ok": self.ok,
            "failed": self.failed,
            "rate": (self.ok + self.failed) / elapsed if elapsed > 0 else 0.0,
            "p95": self.p95,
            "cpu_percent": self.cpu_sum / self.cpu_count if self.cpu_count else None,
        }

    def cells(self, name: str, elapsed: float) -> tuple[str, ...]:
        values = self.values(name, elapsed)
        cpu = "-" if values["cpu_percent"] is None else f"{values['cpu_percent']:.1f}%"
        p95 = format_seconds(self.p95)
        return (name, self.state, str(self.ok), str(self.failed), format_rate(values["rate"]), p95, cpu)


@dataclass(slots=True)
class Summary:
    """Takes every snapshot of the run. CPU is its mean; p95 the last one known; the rate that of the run.

    States, p95 and CPU are those before the stop, when every worker is told to leave; counts go on.
    """

    _tracks: dict[str, _Track] = field(default_factory=dict)
    _total: _Track = field(default_factory=_Track)
    _since: float | None = None
    _until: float = 0.0

    def add(self, snapshot: Snapshot) -> None:
        stopping = snapshot.state in (EngineState.STOPPING, EngineState.STOPPED)
        if not stopping:
            self._since = snapshot.time if self._since is None else self._since
            self._until = snapshot.time
            self._total.add(snapshot.health.value, snapshot.metrics)
        self._total.ok, self._total.failed = snapshot.metrics.ok, snapshot.metrics.failed
        for route in snapshot.routes:
            for worker in route.workers:
                track = self._tracks.setdefault(worker.name, _Track(_state_of(worker)))
                if not stopping:
                    track.add(_state_of(worker), worker.metrics)
                track.ok, track.failed = worker.metrics.ok, worker.metrics.failed

    @property
    def _elapsed(self) -> float:
        return self._until - (self._since if self._since is not None else self._until)

    def values(self) -> dict[str, Any]:
        """The same as `lines`, for programs: seconds, and a row for each worker and for all of them."""
        elapsed = self._elapsed
        rows = [track.values(name, elapsed) for name, track in self._tracks.items()]
        return {"seconds": elapsed, "workers": rows, "total": self._total.values(_TOTAL, elapsed)}

    def lines(self) -> list[str]:
        elapsed = self._elapsed
        rows = [track.cells(name, elapsed) for name, track in self._tracks.items()]
        rows.append(self._total.cells(_TOTAL, elapsed))
        return [f"summary of {elapsed:.1f} s", *format_table(_HEADINGS, rows, _LEFT)]


def _state_of(worker: WorkerSnapshot) -> str:
    """As the screen has it: without the broker a worker runs in vain."""
    return "offline" if worker.state is WorkerState.RUNNING and not worker.connected else worker.state.value


def format_table(headings: Sequence[str], rows: Iterable[Sequence[str]], left: int) -> list[str]:
    """Aligned columns, two spaces apart; the first `left` ones flush left, the others flush right."""
    table = [tuple(headings), *(tuple(row) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(headings))]
    return [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
