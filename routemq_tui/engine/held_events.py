"""Events of the engine about a worker, held until what the worker itself had said before is in the log.

A worker's log comes up to a tenth of a second after its reports: without this, "gave up" would stand above
the attempts that led to it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from routemq_tui.engine.log_store import LogStore
from routemq_tui.worker.log_queue import LogBatch

HOLD = 0.2
"""Seconds; longer than a worker gathers its records (`log_queue`) and the pump rests."""


class _Event(NamedTuple):
    at: float
    """Unix time."""
    due: float
    text: str
    level: int


class HeldEvents:
    """Thread-safe. Events of one source keep their order."""

    def __init__(self, store: LogStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._held: dict[str, deque[_Event]] = {}
        self._over = False

    def put(self, source: str, text: str, level: int) -> bool:
        """Hold an event; False when nothing is held any more, and it is in the log already."""
        now = time.time()
        with self._lock:
            if not self._over:
                event = _Event(now, time.monotonic() + HOLD, text, level)
                self._held.setdefault(source, deque()).append(event)
                return True
        self._store.add_text(source, text, level, "event")
        return False

    def parts(self, source: str, batch: LogBatch) -> Iterator[LogBatch]:
        """The batch in parts, with the events of its source put into the log where they belong in between."""
        start = 0
        while batch.times and (at := self._first(source)) is not None and at < batch.times[-1]:
            end = next(place for place, time_ in enumerate(batch.times) if place >= start and time_ > at)
            if end > start:
                yield _part(batch, start, end)
            self._release(source, self._held[source])
            start = end
        yield _part(batch, start, len(batch.times)) if start else batch

    def release_due(self) -> float | None:
        """Put what was held for long enough into the log; gives when the next is due (`time.monotonic`)."""
        now = time.monotonic()
        coming: list[float] = []
        with self._lock:
            waiting = [(source, events) for source, events in self._held.items() if events]
        for source, events in waiting:
            while events and events[0].due <= now:
                self._release(source, events)
            if events:
                coming.append(events[0].due)
        return min(coming, default=None)

    def close(self) -> None:
        """Release everything, and hold nothing from now on."""
        with self._lock:
            self._over = True
        for source, events in self._held.items():
            while events:
                self._release(source, events)

    def _first(self, source: str) -> float | None:
        events = self._held.get(source)
        return events[0].at if events else None

    def _release(self, source: str, events: deque[_Event]) -> None:
        """Only the pump's thread takes from these."""
        event = events.popleft()
        self._store.add_text(source, event.text, event.level, "event", at=event.at)


def _part(batch: LogBatch, start: int, end: int) -> LogBatch:
    cuts = {place - start: cut for place, cut in batch.cuts.items() if start <= place < end}
    return LogBatch(
        batch.kinds, batch.numbers[start:end], batch.times[start:end], batch.texts[start:end], cuts
    )
