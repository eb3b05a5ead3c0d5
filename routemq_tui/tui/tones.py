"""What colours mean. A tone is a component class (`tone--ok`); app.tcss gives it its colour from the theme.

States always show a symbol and a word as well, so that nothing is said by colour alone.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from routemq_tui.engine.snapshot import BrokerState, Health
from routemq_tui.engine.states import WorkerState


class Tone(StrEnum):
    TEXT = "text"
    STRONG = "strong"
    MUTED = "muted"
    ACCENT = "accent"
    TITLE = "title"
    OK = "ok"
    WARN = "warn"
    BAD = "bad"
    MATCH = "match"
    KEY = "key"


class Fragment(NamedTuple):
    """A piece of one line."""

    text: str
    tone: Tone = Tone.TEXT


class Face(NamedTuple):
    """How a state looks: a symbol one cell wide, a word, a tone."""

    symbol: str
    word: str
    tone: Tone

    @property
    def text(self) -> str:
        return f"{self.symbol} {self.word}"


WORKER_FACES = {
    WorkerState.STARTING: Face("◌", "starting", Tone.ACCENT),
    WorkerState.RUNNING: Face("●", "running", Tone.OK),
    WorkerState.PAUSED: Face("‖", "paused", Tone.WARN),
    WorkerState.DRAINING: Face("◐", "draining", Tone.ACCENT),
    WorkerState.STOPPED: Face("○", "stopped", Tone.MUTED),
    WorkerState.BACKOFF: Face("↻", "backoff", Tone.WARN),
    WorkerState.FAILED: Face("✗", "failed", Tone.BAD),
    WorkerState.KILLED: Face("†", "killed", Tone.BAD),
}
OFFLINE = Face("◌", "offline", Tone.WARN)
"""A worker that runs without a connection to the broker."""

HEALTH_FACES = {
    Health.HEALTHY: Face("●", "healthy", Tone.OK),
    Health.DEGRADED: Face("◐", "degraded", Tone.WARN),
    Health.UNHEALTHY: Face("✗", "unhealthy", Tone.BAD),
}

BROKER_FACES = {
    BrokerState.STARTING: Face("◌", "starting", Tone.ACCENT),
    BrokerState.UP: Face("●", "up", Tone.OK),
    BrokerState.DOWN: Face("✗", "down", Tone.BAD),
}


def error_tone(error_rate: float | None) -> Tone:
    """Muted when nothing failed, a warning below 5 %, bad from there."""
    if not error_rate:
        return Tone.MUTED
    return Tone.BAD if error_rate >= 0.05 else Tone.WARN
