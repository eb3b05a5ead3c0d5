"""The crashes of one slot: when it is started again, and whether it still is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from routemq_tui.engine.deaths import DeathTable
from routemq_tui.engine.policy import RestartPolicy

NEVER_BEGAN = -1  # instead of the fingerprint of the message that it died of


class Crashes:
    """Times are `time.monotonic` seconds."""

    def __init__(self, policy: RestartPolicy, deaths: DeathTable) -> None:
        self._policy, self._deaths = policy, deaths
        self._all: deque[tuple[float, int]] = deque(maxlen=policy.limit * 4)
        """Time and, when one was being handled, message of each."""

    def add(self, now: float, message: int) -> None:
        """`message` is its fingerprint, 0 for none, NEVER_BEGAN for a worker whose begin failed."""
        self._all.append((now, message))

    def clear(self) -> None:
        self._all.clear()

    def recent(self, now: float) -> int:
        return self._policy.recent([at for at, _ in self._all], now)

    def next_start(self, now: float, chance: Callable[[], float]) -> float | None:
        """Seconds until then; None for a crash loop."""
        # A message that is not run again explains its deaths: they are no sign of a loop.
        counted = [(at, message) for at, message in self._all if not self._deaths.explains(message)]
        # What a begin needs, a database, may be back in an hour: it is tried for ever.
        if self._policy.is_crash_loop([at for at, message in counted if message != NEVER_BEGAN], now):
            return None
        return self._policy.delay([at for at, _ in counted], now, chance)
