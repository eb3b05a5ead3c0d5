"""Rates and percentiles from the cells of a slot: arithmetic over samples, the clock passed in.

A sample is a copy of the cells at one moment. Counters only rise, so everything over a window is the
difference of its two ends; one number jumping back (a slot made anew) counts as nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from routemq_tui.engine.snapshot import Metrics
from routemq_tui.worker import cells

WINDOW = 6.0
"""Seconds a rate looks back."""
SAMPLE_EVERY = 0.5
_PER_POINT = round(1 / SAMPLE_EVERY)
_KEPT = round(WINDOW / SAMPLE_EVERY) + 1


@dataclass(frozen=True, slots=True)
class Sample:
    time: float
    ok: int = 0
    failed: int = 0
    busy_ns: int = 0
    """Time in handlers, the one under way included."""
    histogram: bytes = bytes(cells.BUCKETS * 8)


def take_sample(words: memoryview, now: float, now_ns: int) -> Sample:
    """Copy what a window needs; about 5 us."""
    since = words[cells.CURRENT_SINCE_NS]
    running = max(now_ns - since, 0) if since else 0
    histogram = words[cells.HISTOGRAM : cells.HISTOGRAM + cells.BUCKETS].tobytes()
    return Sample(now, words[cells.OK], words[cells.FAILED], words[cells.BUSY_NS] + running, histogram)


@dataclass(frozen=True, slots=True)
class Window:
    """What happened between two samples; windows of workers add up to that of their route."""

    seconds: float = 0.0
    ok: int = 0
    failed: int = 0
    busy: float = 0.0
    """Seconds in handlers."""
    latencies: Mapping[int, int] = field(default_factory=dict)
    """Histogram bucket to count, without the empty ones."""

    @property
    def finished(self) -> int:
        return self.ok + self.failed

    @property
    def rate(self) -> float:
        return self.finished / self.seconds if self.seconds > 0 else 0.0

    @property
    def error_rate(self) -> float | None:
        return self.failed / self.finished if self.finished else None

    @property
    def utilisation(self) -> float:
        return min(self.busy / self.seconds, 1.0) if self.seconds > 0 else 0.0


def between(old: Sample, new: Sample) -> Window:
    latencies: dict[int, int] = {}
    if old.histogram != new.histogram:
        pairs = zip(memoryview(old.histogram).cast("Q"), memoryview(new.histogram).cast("Q"), strict=True)
        latencies = {index: after - before for index, (before, after) in enumerate(pairs) if after > before}
    return Window(
        new.time - old.time,
        max(new.ok - old.ok, 0),
        max(new.failed - old.failed, 0),
        max(new.busy_ns - old.busy_ns, 0) / 1e9,
        latencies,
    )


def percentiles(latencies: Mapping[int, int], ratios: tuple[float, ...]) -> tuple[float | None, ...]:
    """The latency in seconds below which each ratio of the messages lies; None without messages.

    `ratios` rise. The nearest-rank method, within the width of a histogram bucket.
    """
    total = sum(latencies.values())
    if not total:
        return (None,) * len(ratios)
    result: list[float | None] = []
    ordered = sorted(latencies.items())
    position = 0
    reached = ordered[0][1]
    for ratio in ratios:
        rank = max(-(-ratio * total // 1), 1)  # rounded up
        while reached < rank and position < len(ordered) - 1:
            position += 1
            reached += ordered[position][1]
        result.append(cells.bucket_middle(ordered[position][0]))
    return tuple(result)


class Track:
    """The last samples of one slot and what follows from them, worked out once a sample."""

    def __init__(self, first: Sample) -> None:
        self._samples: deque[Sample] = deque([first], maxlen=_KEPT)
        self.window = Window()
        self.second = Window()
        """The last second alone: a point of the history."""

    def add(self, sample: Sample) -> None:
        self._samples.append(sample)
        self.window = between(self._samples[0], sample)
        start = self._samples[max(len(self._samples) - 1 - _PER_POINT, 0)]
        self.second = between(start, sample)


def add_windows(windows: Iterable[Window]) -> tuple[float, Window]:
    """The rates of several windows added up, and their counts as one window.

    The windows may differ in length (a new slot's is shorter), so rates are added, not counts divided.
    """
    rate = seconds = busy = 0.0
    ok = failed = 0
    latencies: dict[int, int] = {}
    for window in windows:
        rate += window.rate
        seconds = max(seconds, window.seconds)
        ok += window.ok
        failed += window.failed
        busy += window.busy
        for bucket, count in window.latencies.items():
            latencies[bucket] = latencies.get(bucket, 0) + count
    return rate, Window(seconds, ok, failed, busy, latencies)


@dataclass(slots=True)
class Totals:
    """Counts that outlive the slot they were counted in, so that a route's never fall."""

    received: int = 0
    ok: int = 0
    failed: int = 0
    retried: int = 0
    dead_lettered: int = 0
    dropped: int = 0
    duplicates: int = 0
    in_flight: int = 0
    log_dropped: int = 0

    def add(self, counters: cells.Counters) -> None:
        self.received += counters.received
        self.ok += counters.ok
        self.failed += counters.failed
        self.retried += counters.retried
        self.dead_lettered += counters.dead_lettered
        self.dropped += counters.dropped
        self.duplicates += counters.duplicates
        self.in_flight += counters.in_flight
        self.log_dropped += counters.log_dropped

    def add_totals(self, other: Totals) -> None:
        self.received += other.received
        self.ok += other.ok
        self.failed += other.failed
        self.retried += other.retried
        self.dead_lettered += other.dead_lettered
        self.dropped += other.dropped
        self.duplicates += other.duplicates
        self.in_flight += other.in_flight
        self.log_dropped += other.log_dropped


def metrics_of(
    totals: Totals,
    rate: float,
    window: Window,
    utilisation: float,
    cpu_percent: float | None,
    rss_bytes: int | None,
) -> Metrics:
    p50, p95, p99 = percentiles(window.latencies, (0.5, 0.95, 0.99))
    return Metrics(
        received=totals.received,
        ok=totals.ok,
        failed=totals.failed,
        retried=totals.retried,
        dead_lettered=totals.dead_lettered,
        dropped=totals.dropped,
        duplicates=totals.duplicates,
        in_flight=totals.in_flight,
        log_dropped=totals.log_dropped,
        rate=rate,
        error_rate=window.error_rate,
        p50=p50,
        p95=p95,
        p99=p99,
        utilisation=utilisation,
        cpu_percent=cpu_percent,
        rss_bytes=rss_bytes,
    )
