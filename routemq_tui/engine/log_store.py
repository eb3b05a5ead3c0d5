"""The log lines of all sources in bounded memory, and the merged views of them (`port.LogReader`).

Lines are made harmless before they come here (`sanitise`). When memory is full, the oldest line of the source
that holds most goes first, so that a noisy worker never pushes out another's last words.
"""

from __future__ import annotations

import heapq
import sys
import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from itertools import islice
from operator import attrgetter

from routemq_tui.engine.port import LogBatch, LogLine
from routemq_tui.engine.sanitise import CleanLine, clean_lines

_LINE_OVERHEAD = 200
"""Bytes of a LogLine beside its text (measured: object, time, seq, list entry)."""
_CHECKPOINT_EVERY = 32
_CHECKPOINTS = 4096
_seq = attrgetter("seq")


class _Source:
    """The lines of one source in order: a list with a head index, since a deque cannot be bisected."""

    __slots__ = ("_checkpoints", "bytes", "evicted", "head", "last_evicted", "lines")

    def __init__(self) -> None:
        self.lines: list[LogLine] = []
        self.head = 0
        self.bytes = 0
        self.evicted = 0
        self.last_evicted = 0
        self._checkpoints: deque[tuple[int, int]] = deque([(0, 0)], maxlen=_CHECKPOINTS)

    def append(self, line: LogLine) -> int:
        self.lines.append(line)
        size = _size(line)
        self.bytes += size
        return size

    def evict(self) -> int:
        """Let the oldest line go; returns the bytes won."""
        line = self.lines[self.head]
        size = _size(line)
        self.head += 1
        self.bytes -= size
        self.evicted += 1
        self.last_evicted = line.seq
        if self.evicted % _CHECKPOINT_EVERY == 0:
            self._checkpoints.append((line.seq, self.evicted))
        if self.head > 512 and self.head * 2 > len(self.lines):
            del self.lines[: self.head]
            self.head = 0
        return size

    def missed(self, after: int) -> int:
        """Lines with `seq > after` that were let go; at most _CHECKPOINT_EVERY too many."""
        if after >= self.last_evicted:
            return 0
        index = bisect_right(self._checkpoints, (after, sys.maxsize)) - 1
        return self.evicted - self._checkpoints[max(index, 0)][1]

    def slice(self, after: int, limit: int, newest: bool) -> tuple[list[LogLine], bool]:
        start = bisect_right(self.lines, after, lo=self.head, key=_seq)
        end = len(self.lines)
        more = end - start > limit
        if more and newest:
            start = end - limit
        elif more:
            end = start + limit
        return self.lines[start:end], more


class LogStore:
    """A `port.LogReader` that is also written to. Thread-safe."""

    def __init__(self, limit_bytes: int, source_share: float = 0.25) -> None:
        """`source_share` is the part of the memory that one source may hold."""
        self._limit = limit_bytes
        self._source_limit = max(int(limit_bytes * source_share), 4096)
        self._lock = threading.Lock()
        self._sources: dict[str, _Source] = {}
        self._bytes = 0
        self._last_seq = 0

    @property
    def last_seq(self) -> int:
        return self._last_seq

    @property
    def bytes(self) -> int:
        """What the lines held now take."""
        return self._bytes

    def evicted(self, source: str) -> int:
        """Lines of the source let go so far."""
        with self._lock:
            found = self._sources.get(source)
            return found.evicted if found else 0

    def add_text(
        self, source: str, text: str, level: int, stream: str, logger: str = "", at: float | None = None
    ) -> None:
        """Raw text, of one line or many."""
        self.add(source, clean_lines(text), level, stream, logger, at)

    def add(
        self,
        source: str,
        lines: Iterable[CleanLine],
        level: int,
        stream: str,
        logger: str = "",
        at: float | None = None,
    ) -> None:
        """Lines that have been made harmless, all of one moment (now, unless `at` says)."""
        at = time.time() if at is None else at
        with self._lock:
            held = self._sources.get(source)
            if held is None:
                held = self._sources[source] = _Source()
            for text, ansi in lines:
                self._last_seq += 1
                line = LogLine(self._last_seq, at, source, level, stream, logger, text, ansi)
                self._bytes += held.append(line)
            while held.bytes > self._source_limit:
                self._bytes -= held.evict()
            if self._bytes > self._limit:
                self._shrink()

    def _shrink(self) -> None:
        """Make room with a little to spare, so that the search for the largest source is rare."""
        target = self._limit - self._limit // 64
        while self._bytes > target:
            largest = max(self._sources.values(), key=lambda source: source.bytes)
            half = largest.bytes // 2  # then it is asked again who holds most
            while self._bytes > target and largest.bytes > half:
                self._bytes -= largest.evict()

    def read(
        self, sources: frozenset[str] | None = None, after: int = 0, limit: int = 10_000, newest: bool = False
    ) -> LogBatch:
        with self._lock:
            last_seq = self._last_seq
            chosen = [source for name, source in self._sources.items() if sources is None or name in sources]
            slices = [source.slice(after, limit, newest) for source in chosen]
            missed = sum(source.missed(after) for source in chosen)
        lines, more = _merge([lines for lines, _ in slices if lines], limit, newest)
        more = more or any(cut for _, cut in slices)
        next_seq = lines[-1].seq if more and not newest else max(last_seq, after)
        return LogBatch(tuple(lines), next_seq, missed, more)


def _merge(slices: list[list[LogLine]], limit: int, newest: bool) -> tuple[list[LogLine], bool]:
    """At most `limit` of the lines in the order of `seq`, and whether there were more."""
    if len(slices) <= 1:
        return (slices[0] if slices else []), False
    more = sum(map(len, slices)) > limit
    if newest and more:
        backwards = heapq.merge(*(reversed(lines) for lines in slices), key=lambda line: -line.seq)
        return list(islice(backwards, limit))[::-1], True
    return list(islice(heapq.merge(*slices, key=_seq), limit)), more


def _size(line: LogLine) -> int:
    size = sys.getsizeof(line.text) + _LINE_OVERHEAD
    return size if line.ansi is None else size + sys.getsizeof(line.ansi)
