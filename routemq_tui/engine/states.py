"""The states of a worker slot. One enum, one pure transition function; the clock is passed in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum, auto


class WorkerState(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    DRAINING = "draining"
    STOPPED = "stopped"
    BACKOFF = "backoff"
    FAILED = "failed"
    KILLED = "killed"
    """SIGKILLed on request; it starts again at once under its client id, or stays if it was to go."""


class Event(StrEnum):
    """What happens to a slot: things asked for, and things reported."""

    START = "start"
    SUBSCRIBED = "subscribed"
    PAUSE = "pause"
    RESUME = "resume"
    DRAIN = "drain"
    KILL = "kill"
    ENDED = "ended"
    """The process is gone, as was asked."""
    DIED = "died"
    """The process is gone, and nobody asked for it; it will be started again."""
    GAVE_UP = "gave up"
    """It will not be started again by itself."""


class IllegalTransitionError(Exception):
    """An event that has no meaning in this state: a mistake in the engine, never a user's."""


@dataclass(frozen=True, slots=True)
class Status:
    """A state, since when (`time.monotonic`), why in words, and when a slot in back-off starts again."""

    state: WorkerState = WorkerState.STOPPED
    since: float = 0.0
    reason: str = ""
    retry_at: float | None = None


_S = WorkerState
ALIVE = frozenset({_S.STARTING, _S.RUNNING, _S.PAUSED, _S.DRAINING, _S.KILLED})
"""States with a process; KILLED until its end has been seen."""
SERVING = frozenset({_S.RUNNING, _S.PAUSED})
"""States that count as running: a paused worker does what it was asked."""
_AT_REST = (_S.STOPPED, _S.BACKOFF, _S.FAILED)

_TABLE: dict[Event, dict[WorkerState, WorkerState]] = {
    Event.START: dict.fromkeys((*_AT_REST, _S.KILLED), _S.STARTING),
    Event.SUBSCRIBED: {
        _S.STARTING: _S.RUNNING,
        _S.RUNNING: _S.RUNNING,
        _S.PAUSED: _S.PAUSED,
        _S.DRAINING: _S.DRAINING,
        _S.KILLED: _S.KILLED,
    },
    Event.PAUSE: {_S.RUNNING: _S.PAUSED, _S.PAUSED: _S.PAUSED},
    Event.RESUME: {_S.PAUSED: _S.RUNNING, _S.RUNNING: _S.RUNNING},
    Event.DRAIN: {
        **dict.fromkeys((_S.STARTING, _S.RUNNING, _S.PAUSED, _S.DRAINING), _S.DRAINING),
        **dict.fromkeys(_AT_REST, _S.STOPPED),
        _S.KILLED: _S.KILLED,
    },
    Event.KILL: dict.fromkeys(ALIVE, _S.KILLED),
    Event.ENDED: dict.fromkeys((*ALIVE, *_AT_REST), _S.STOPPED),
    Event.DIED: dict.fromkeys(ALIVE, _S.BACKOFF),
    Event.GAVE_UP: dict.fromkeys((*ALIVE, *_AT_REST), _S.FAILED),
}


def transition(
    status: Status, event: Event, now: float, reason: str | None = None, retry_at: float | None = None
) -> Status:
    """The status after the event. `since` moves only when the state changes; a reason of None keeps the
    old one while the state stays and clears it when the state changes.

    Raises IllegalTransitionError when the event has no meaning in the state.
    """
    state = _TABLE[event].get(status.state)
    if state is None:
        raise IllegalTransitionError(f"{event} in state {status.state}")
    if state is status.state:
        kept = status.reason if reason is None else reason
        return Status(state, status.since, kept, retry_at)
    return Status(state, now, reason or "", retry_at)


class Intent(Enum):
    """What is to become of the slot when its process has ended as asked."""

    SERVE = auto()
    RESTART = auto()
    LEAVE = auto()
    """Scaled away: the slot goes when its process has gone and its session is drained and ended."""
    REST = auto()
    """It stopped by its own policy and waits for a person."""
    STOP = auto()
    """The engine ends."""
