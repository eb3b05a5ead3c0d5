"""When a worker connects again, and how it finds that another client has its id. The clock is passed in."""

from __future__ import annotations

import random

FIRST_RETRY = 0.2
LONGEST_RETRY = 15.0
STEADY_SECONDS = 5.0
"""A connection that held for so long starts the back-off anew."""
TAKEN_OVER_CLOSES = 3
"""MQTT 3.1.1 and older mosquittos only close when another client takes the id: so often in a row, each soon
after SUBACK, is taken for that, since two clients would push each other out for ever."""


class BackOff:
    """Exponential, with jitter so that workers which lost their broker together do not return together."""

    def __init__(self) -> None:
        self._failures = 0
        self._connected_at: float | None = None

    def connected(self, now: float) -> None:
        self._connected_at = now

    def next_delay(self, now: float) -> float:
        """Seconds until the next try."""
        if self._connected_at is not None and now - self._connected_at > STEADY_SECONDS:
            self._failures = 0
        self._connected_at = None
        delay = min(FIRST_RETRY * 2.0**self._failures, LONGEST_RETRY)
        self._failures = min(self._failures + 1, 16)
        return delay * random.uniform(0.5, 1.0)


class QuickCloses:
    """Orderly ends soon after SUBACK, in a row."""

    def __init__(self) -> None:
        self._count = 0

    def forget(self) -> None:
        """The broker could not be reached at all: nobody took anything over."""
        self._count = 0

    def are_a_takeover(self, subscribed_for: float | None, in_order: bool) -> bool:
        """Count one more end; `subscribed_for` is None when SUBACK never came."""
        soon = subscribed_for is not None and subscribed_for < STEADY_SECONDS
        self._count = self._count + 1 if soon and in_order else 0
        return self._count >= TAKEN_OVER_CLOSES
