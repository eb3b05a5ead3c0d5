"""Counts the messages that failed for good, by place, and tells the engine: exact, twice a second.

What a killed process had not told yet the engine knows as a number, from the failed counter.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from routemq_tui.worker.error_place import Place, Places
from routemq_tui.worker.failure import Failure
from routemq_tui.worker.letters import storable
from routemq_tui.worker.spec import ErrorCount, ErrorsCounted, WorkerReport

_TELL_LATEST = 1.0
"""A handler that has the loop for long keeps the worker's tick from telling."""
_TEXT_MOST = 300
_AT_ONCE = 25
"""Groups in a report: it must fit where there is room for one (`control`)."""
_WAITING_MOST = 200
_OTHERS = Place("others", "others", "")


class ErrorTally:
    """`offer` tells a report if there is room for it now."""

    def __init__(self, places: Places, offer: Callable[[WorkerReport], bool]) -> None:
        self._places = places
        self._offer = offer
        self._waiting: dict[str, ErrorCount] = {}
        self._told_at = 0.0

    def count(self, failure: Failure, topic: str) -> None:
        """One more. To be called in the same step as the failed counter is raised."""
        place = self._places.of(failure, topic)
        if place.fingerprint not in self._waiting and len(self._waiting) >= _WAITING_MOST:
            place = _OTHERS
        before = self._waiting.get(place.fingerprint)
        text = failure.error.removeprefix(f"{place.kind}: ")[:_TEXT_MOST]
        count = 1 if before is None else before.count + 1
        self._waiting[place.fingerprint] = ErrorCount(*place, storable(text), count, time.time())
        if time.monotonic() - self._told_at >= _TELL_LATEST:
            self.tell()

    def tell(self) -> None:
        """All that was not told yet. What there is no room for waits for the next time."""
        while self._waiting:
            chosen = list(self._waiting.values())[:_AT_ONCE]
            if not self._offer(ErrorsCounted(chosen)):
                return
            self._told_at = time.monotonic()
            for each in chosen:
                del self._waiting[each.fingerprint]
