"""When a dead worker is started again: pure decisions over the times of its deaths.

Knows no process and no slot. Times are `time.monotonic` seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """The first restart is immediate (a dead member of a share group is a black hole on some brokers), then
    0.5, 1, 2, 4 … seconds, each `jitter` more or less, so that workers that died together do not start
    together. `limit` deaths within `window` seconds are a crash loop.
    """

    first: float = 0.5
    factor: float = 2.0
    longest: float = 30.0
    jitter: float = 0.2
    limit: int = 5
    window: float = 60.0

    def recent(self, deaths: Sequence[float], now: float) -> int:
        """How many of the deaths count."""
        return sum(1 for death in deaths if now - death < self.window)

    def is_crash_loop(self, deaths: Sequence[float], now: float) -> bool:
        return self.recent(deaths, now) >= self.limit

    def delay(self, deaths: Sequence[float], now: float, random: Callable[[], float]) -> float:
        """Seconds until the next start; `random` gives 0 to 1."""
        doublings = self.recent(deaths, now) - 2
        if doublings < 0:
            return 0.0
        plain = min(self.first * self.factor**doublings, self.longest)
        return plain * (1 + self.jitter * (2 * random() - 1))


def crash_loop_reason(policy: RestartPolicy, last: str) -> str:
    return (
        f"given up after {policy.limit} crashes in {policy.window:.0f} s, "
        f"the last: {last}; press s to start it again"
    )


def hopeless_reason(what: str) -> str:
    return f"{what}; press s to start it again when it is mended"
