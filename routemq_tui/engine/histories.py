"""Points over time for sparklines: the last minute, ten minutes and hour of one route, worker or all.

The clock is passed in. Written on the engine's thread, asked from any.
"""

from __future__ import annotations

import threading
from array import array
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

from routemq_tui.engine.metrics import Window, percentiles
from routemq_tui.engine.port import Span
from routemq_tui.engine.snapshot import History, Mark

POINTS = 60
STEPS: dict[Span, int] = {"60s": 1, "10m": 10, "1h": 60}
"""Seconds of a point."""
MARKS_MOST = 64
_BEFORE = 10.0
_SETTLES = 5.0
"""Seconds that are left out after a mark: what changed is only beginning to work."""
_KNOWN_AFTER = _SETTLES + _BEFORE
_Point = tuple[float, float, float, float]


class _Track:
    """Points of one step; the last is in the making until its seconds have passed."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        self._columns = tuple(array("d") for _ in range(4))
        self._begin()

    def _begin(self) -> None:
        self._added = 0
        self._rate = self._cpu = 0.0
        self._ok = self._failed = 0
        self._latencies: dict[int, int] = {}

    def add(self, rate: float, second: Window, cpu_percent: float) -> None:
        self._added += 1
        self._rate += rate
        self._cpu += cpu_percent
        self._ok += second.ok
        self._failed += second.failed
        for bucket, count in second.latencies.items():
            self._latencies[bucket] = self._latencies.get(bucket, 0) + count
        if self._added == self.seconds:
            for column, value in zip(self._columns, self._point(), strict=True):
                column.append(value)
                del column[:-POINTS]
            self._begin()

    def _point(self) -> _Point:
        finished = self._ok + self._failed
        (p95,) = percentiles(self._latencies, (0.95,))
        error_rate = self._failed / finished if finished else 0.0
        return self._rate / self._added, p95 or 0.0, error_rate, self._cpu / self._added

    def columns(self) -> list[tuple[float, ...]]:
        """Rates, p95s, error rates, CPU."""
        if not self._added:
            return [tuple(each) for each in self._columns]
        point = self._point()
        return [(*each, value)[-POINTS:] for each, value in zip(self._columns, point, strict=True)]

    def ends(self, at: float) -> float:
        """When the last point ends, if the last second ended at `at`."""
        return at + (self.seconds - self._added if self._added else 0)


class HistoryKeeper:
    """Add a point a second. Thread-safe."""

    def __init__(self) -> None:
        self._tracks = {span: _Track(seconds) for span, seconds in STEPS.items()}
        self._marks: deque[Mark] = deque(maxlen=MARKS_MOST)
        self._unsettled: deque[float] = deque()
        """Times of the marks whose effect is not known yet."""
        self._at = 0.0
        self._lock = threading.Lock()
        self.history = History()
        """Of the last minute."""

    def add(self, rate: float, second: Window, cpu_percent: float | None, at: float) -> None:
        """One point; `at` is Unix time."""
        with self._lock:
            self._at = at
            for track in self._tracks.values():
                track.add(rate, second, cpu_percent or 0.0)
            self._settle(at)
            self.history = self._of("60s")

    def mark(self, label: str, at: float) -> None:
        with self._lock:
            self._marks.append(Mark(at, label))
            self._unsettled.append(at)
            self.history = self._of("60s")

    def of(self, span: Span) -> History:
        with self._lock:
            return self._of(span)

    def _of(self, span: Span) -> History:
        track = self._tracks[span]
        rate, p95, error_rate, cpu_percent = track.columns()
        since = self._at - POINTS * track.seconds
        marks = tuple(each for each in self._marks if each.time >= since)
        return History(rate, p95, error_rate, cpu_percent, marks, float(track.seconds), track.ends(self._at))

    # -- what followed a mark ----------------------------------------------------------------------------

    def _settle(self, now: float) -> None:
        """Work out the effect of marks that are old enough; of several at once the last one tells."""
        while self._unsettled and now - self._unsettled[0] >= _KNOWN_AFTER:
            first = last = self._unsettled.popleft()
            while self._unsettled and self._unsettled[0] - last < _KNOWN_AFTER:
                if now - self._unsettled[0] < _KNOWN_AFTER:
                    self._unsettled.appendleft(first)  # wait for the last of them
                    return
                last = self._unsettled.popleft()
            effect = self._effect(first, last)
            for index, mark in enumerate(self._marks):
                if mark.time == last:
                    self._marks[index] = replace(mark, effect=effect)

    def _effect(self, first: float, last: float) -> str:
        rate, p95, error_rate, _ = self._tracks["60s"].columns()
        before = self._slice(len(rate), first - _BEFORE, first)
        after = self._slice(len(rate), last + _SETTLES, last + _KNOWN_AFTER)
        if before.stop - before.start < 3 or after.stop - after.start < 3:
            return ""
        parts = [_rate_words(_mean(rate[before]), _mean(rate[after]))]
        latencies = [each for each in p95[before] if each], [each for each in p95[after] if each]
        if all(latencies):
            parts.append(_p95_words(_mean(latencies[1]) - _mean(latencies[0])))
        errors = _mean(error_rate[before]) * 100, _mean(error_rate[after]) * 100
        if abs(errors[1] - errors[0]) >= 1:
            parts.append(f"errors {errors[0]:.0f} % to {errors[1]:.0f} %")
        return ", ".join(each for each in parts if each)

    def _slice(self, points: int, begin: float, end: float) -> slice:
        """Of the points a second, those that lie between two times."""
        first = points - round(self._at - begin)
        stop = points - round(self._at - end)
        return slice(min(max(first, 0), points), min(max(stop, 0), points))


def joined(marks: Iterable[tuple[str, Sequence[Mark]]]) -> tuple[Mark, ...]:
    """The marks of several routes, each named by its own."""
    found = [replace(mark, label=f"{name}: {mark.label}") for name, each in marks for mark in each]
    return tuple(sorted(found, key=lambda mark: mark.time)[-MARKS_MOST:])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _rate_words(before: float, after: float) -> str:
    if not before and not after:
        return ""
    if not before:
        return f"rate 0 to {after:.3g}/s"
    change = round((after / before - 1) * 100)
    return f"rate {change:+d} %" if change else "rate ±0 %"


def _p95_words(change: float) -> str:
    thousandths = round(change * 1000)
    if thousandths:
        return f"p95 {thousandths:+d} ms"
    millionths = round(change * 1e6)
    return f"p95 {millionths:+d} us" if abs(millionths) >= 10 else "p95 ±0 ms"
