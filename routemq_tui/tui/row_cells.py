"""What a row of the tree-table says in each of its cells. Pure.

States in silence or held up say why instead of figures (`reason_of`).
"""

from __future__ import annotations

from routemq_tui.engine.snapshot import EngineState
from routemq_tui.engine.states import WorkerState
from routemq_tui.tui.fitting import clip
from routemq_tui.tui.rows import Row
from routemq_tui.tui.sparkline import sparkline
from routemq_tui.tui.tones import OFFLINE, WORKER_FACES, Fragment, Tone, error_tone
from routemq_tui.units import format_bytes, format_count, format_percent, format_rate, format_seconds

SILENT = frozenset({WorkerState.STOPPED, WorkerState.BACKOFF, WorkerState.FAILED})
"""States in which a worker has no figures of now: its row says why instead."""

TREND_WIDTH = 8
TREND_SECONDS = 32
UNFAIR = 1.8
"""A share so many times its fair part, or a fair part so many times the share, is marked."""
FAIRNESS_RATE = 10.0
"""Messages a second of a route below which chance rules."""
FAIRNESS_UPTIME = 10.0
"""Seconds a worker must have run: its rate is a mean over the last ones."""

AUTOSCALED = {"on": "⇅", "paused": "⇅‖"}
"""How a route's autoscale is marked, by its switch; off has no mark."""

HELD_UP = frozenset({WorkerState.PAUSED, WorkerState.KILLED, WorkerState.STARTING, WorkerState.RUNNING})
"""States in which a reason, when there is one, says more than figures: a message held, no heartbeat."""


def name_cell(row: Row, width: int) -> Fragment:
    """The name, indented by depth; a worker's slot is never cut off."""
    if row.route is None:
        return Fragment(clip("all routes", width), Tone.TITLE)
    if row.worker is None:
        return Fragment(clip(f"{'▸' if row.folded else '▾'} {row.route.name}", width), Tone.STRONG)
    slot = f"/{row.worker.slot}"
    return Fragment("  " + clip(row.route.name, width - 2 - len(slot)) + slot, Tone.TEXT)


def state_cell(row: Row) -> Fragment:
    if row.worker is not None:
        face = WORKER_FACES[row.worker.state]
        if row.worker.state is WorkerState.RUNNING and not row.worker.connected:
            face = OFFLINE
        return Fragment(face.text, face.tone)
    if row.route is not None and row.route.paused:
        return Fragment(WORKER_FACES[WorkerState.PAUSED].text, Tone.WARN)
    level = row.route or row.snapshot
    count = f"{level.running}/{level.desired} {_scaled(row)}"
    if row.route is not None and row.route.reason:
        return Fragment(f"! {count}", Tone.BAD)
    if level.desired == 0:
        return Fragment(f"○ {count}", Tone.MUTED)
    if level.running == 0:
        return Fragment(f"✗ {count}", Tone.BAD)
    if level.running < level.desired:
        return Fragment(f"◐ {count}", Tone.WARN)
    return Fragment(f"● {count}", Tone.OK)


def _scaled(row: Row) -> str:
    """`⇅` for a route that is scaled by itself, `⇅‖` when somebody's own number holds it."""
    scaling = row.route.scaling if row.route is not None else None
    return AUTOSCALED.get(scaling.switch, "up") if scaling is not None else "up"


def count(value: float, tone: Tone = Tone.TEXT) -> Fragment:
    return Fragment(format_count(value), tone if value else Tone.MUTED)


def rate_cell(row: Row) -> Fragment:
    return Fragment(format_rate(row.metrics.rate), Tone.STRONG if row.metrics.rate else Tone.MUTED)


def fairness(row: Row) -> float | None:
    """A worker's share by its fair part: 1 is fair. None where that says nothing: alone, idle, just begun."""
    worker, route = row.worker, row.route
    if worker is None or route is None or worker.share is None or route.metrics.rate < FAIRNESS_RATE:
        return None
    if worker.state is not WorkerState.RUNNING or (worker.uptime or 0) < FAIRNESS_UPTIME:
        return None
    members = sum(each.state is WorkerState.RUNNING for each in route.workers)
    return worker.share * members if members > 1 else None


def share(row: Row) -> float:
    if row.worker is not None:
        return or_least(row.worker.share)
    total = row.snapshot.metrics.rate
    return row.metrics.rate / total if total else -1.0


def share_cell(row: Row) -> Fragment:
    if row.worker is not None:
        fair = fairness(row)
        text = format_percent(row.worker.share)
        if fair is None or 1 / UNFAIR < fair < UNFAIR:
            return Fragment(text)
        return Fragment(f"{'▲' if fair > 1 else '▼'}{text}", Tone.WARN)
    total = row.snapshot.metrics.rate
    if row.route is None or not total:
        return Fragment("", Tone.MUTED)
    return Fragment(format_percent(row.metrics.rate / total), Tone.MUTED)


def error_cell(row: Row) -> Fragment:
    return Fragment(format_percent(row.metrics.error_rate), error_tone(row.metrics.error_rate))


def p95_cell(row: Row) -> Fragment:
    return Fragment(format_seconds(row.metrics.p95), Tone.MUTED if row.metrics.p95 is None else Tone.TEXT)


def cpu_cell(row: Row) -> Fragment:
    percent = row.metrics.cpu_percent
    if percent is None:
        return Fragment("-", Tone.MUTED)
    return Fragment(f"{percent:.0f}%", Tone.WARN if row.worker is not None and percent >= 90 else Tone.TEXT)


def memory_cell(row: Row) -> Fragment:
    return Fragment(
        format_bytes(row.metrics.rss_bytes), Tone.MUTED if row.metrics.rss_bytes is None else Tone.TEXT
    )


def flight_cell(row: Row) -> Fragment:
    held, window = row.metrics.in_flight, row.window
    if not window:
        return count(held)
    return Fragment(f"{held}/{window}", Tone.WARN if held >= window else Tone.TEXT if held else Tone.MUTED)


def restart_cell(row: Row) -> Fragment:
    return count(row.restarts, Tone.WARN)


def trend_cell(row: Row) -> Fragment:
    return Fragment(sparkline(row.history.rate[-TREND_SECONDS:], TREND_WIDTH)[0], Tone.ACCENT)


def severity(row: Row) -> float:
    """How much a row's state is in need of somebody."""
    if row.worker is not None:
        return float(_NEEDS_CARE.get(row.worker.state, 1 if not row.worker.connected else 0))
    level = row.route or row.snapshot
    return 1.0 - level.running / level.desired if level.desired else 0.0


_NEEDS_CARE = {
    WorkerState.FAILED: 6,
    WorkerState.BACKOFF: 5,
    WorkerState.KILLED: 4,
    WorkerState.STOPPED: 3,
    WorkerState.PAUSED: 2,
    WorkerState.STARTING: 1,
    WorkerState.DRAINING: 1,
}


def or_least(value: float | None) -> float:
    return -1.0 if value is None else float(value)


def reason_of(row: Row) -> Fragment | None:
    """Why a row does nothing and which key changes that; None for one whose figures say more."""
    worker = row.worker
    if worker is None:
        held = row.route is not None and row.folded and row.route.reason
        return Fragment(held, Tone.BAD) if held else None
    if worker.state not in SILENT:
        held_up = worker.state in HELD_UP and worker.reason
        return Fragment(worker.reason, Tone.BAD) if held_up else None
    reason = worker.reason or worker.last_error or worker.last_exit or ""
    if worker.state is WorkerState.BACKOFF:
        wait = "" if worker.retry_in is None else f"retry in {worker.retry_in:.0f}s"
        return Fragment(" · ".join(part for part in (wait, reason) if part), Tone.WARN)
    tone = Tone.BAD if worker.state is WorkerState.FAILED else Tone.MUTED
    hint = "[s] starts it" if row.snapshot.state is EngineState.RUNNING else ""
    return Fragment(" · ".join(part for part in (hint, reason) if part), tone)
