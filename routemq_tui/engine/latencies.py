"""How long handlers took since the beginning, of a route's slots and those that have gone."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from routemq_tui.worker import cells

_MIDDLES = [cells.bucket_middle(index) for index in range(cells.BUCKETS)]


class Latencies:
    """The log buckets of `worker.cells`, added up; a latency is known within 3.2 %."""

    def __init__(self) -> None:
        self._buckets = [0] * cells.BUCKETS
        self._nanoseconds = 0

    def add(self, words: memoryview) -> None:
        """Those of one slot."""
        self._buckets = [a + b for a, b in zip(self._buckets, cells.read_histogram(words), strict=True)]
        self._nanoseconds += words[cells.BUSY_NS]

    def copy(self) -> Latencies:
        copy = Latencies()
        copy._buckets, copy._nanoseconds = list(self._buckets), self._nanoseconds
        return copy

    @property
    def count(self) -> int:
        return sum(self._buckets)

    @property
    def seconds(self) -> float:
        """All of them together."""
        return self._nanoseconds / 1e9

    def cumulative(self, bounds: Sequence[float]) -> list[int]:
        """How many took at most so long, for rising bounds in seconds."""
        return [sum(self._buckets[: bisect_right(_MIDDLES, bound)]) for bound in bounds]
