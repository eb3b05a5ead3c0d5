"""The log lines of all sources in bounded memory, and the merged views of them (`port.LogReader`).

Lines are made harmless before they come here (`sanitise`). When memory is full, the oldest lines of the
source that holds most go first, so that a noisy worker never pushes out another's last words. They are kept,
and let go, in blocks (`log_block`).
"""

from __future__ import annotations

import threading
import time
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from operator import attrgetter

from routemq_tui.engine.log_block import MOST_BYTES, MOST_LINES, Kind, LogBlock
from routemq_tui.engine.port import LogBatch, LogHolding
from routemq_tui.engine.sanitise import CleanLine, CleanRun, clean_lines

FEWEST_BYTES = 1280
BLOCKS_A_SOURCE = 16
"""A source whose part of the memory is full holds so many blocks or more: what is let go at once is small."""
REMEMBERED = 8
"""Blocks let go whose line numbers are kept, to count exactly what a reader has missed."""
CHECKPOINTS = 1024

Piece = tuple[LogBlock, int, int]
"""Lines of a block, from one place to another."""


class _Source:
    """The lines of one source in order; the last block is the one that is written to."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.blocks: list[LogBlock] = []
        self.bytes = 0
        self.evicted = 0
        self._gone_seqs: deque[array[int]] = deque(maxlen=REMEMBERED)
        self._gone_last, self._gone_count = array("q", [0]), array("q", [0])

    def room(self, most_bytes: int) -> LogBlock:
        """The block to write to."""
        if self.blocks:
            block = self.blocks[-1]
            if len(block) < MOST_LINES and block.size < most_bytes:
                return block
            self.bytes -= block.size
            block.seal()
            self.bytes += block.size
        last = self.blocks[-1] if self.blocks else None
        block = LogBlock(self.name, last.last if last else self.evicted, last.last_kind if last else None)
        self.blocks.append(block)
        self.bytes += block.size
        return block

    def evict(self) -> int:
        """Let the oldest block go; returns the bytes won."""
        before = self.bytes
        block = self.blocks.pop(0)
        self.evicted += len(block)
        self.bytes -= block.size
        if len(self._gone_seqs) == REMEMBERED:
            self.bytes -= 8 * len(self._gone_seqs[0])
        self._gone_seqs.append(block.seqs)
        self.bytes += 8 * len(block.seqs)
        self._gone_last.append(block.seqs[-1])
        self._gone_count.append(self.evicted)
        if len(self._gone_last) > CHECKPOINTS:  # the older, the fewer
            del self._gone_last[1 : CHECKPOINTS // 2 : 2], self._gone_count[1 : CHECKPOINTS // 2 : 2]
        return before - self.bytes

    def missed(self, after: int) -> int:
        """Lines with `seq > after` that were let go; at most a block too many when they went long ago."""
        if after >= self._gone_last[-1]:
            return 0
        count = 0
        for seqs in reversed(self._gone_seqs):
            if seqs[0] <= after:
                return count + len(seqs) - bisect_right(seqs, after)
            count += len(seqs)
        return self.evicted - self._gone_count[bisect_right(self._gone_last, after) - 1]

    def pieces(self, after: int) -> list[Piece]:
        """All lines with `seq > after`."""
        first = bisect_right(self.blocks, after, key=lambda block: block.seqs[-1])
        found = [(block, 0, len(block)) for block in self.blocks[first:]]
        if found:
            block, _, stop = found[0]
            found[0] = block, bisect_right(block.seqs, after), stop
        return found


class LogStore:
    """A `port.LogReader` that is also written to. Thread-safe."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._most_bytes = MOST_BYTES
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

    # Writing

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
        continued: Collection[int] = (),
    ) -> None:
        """Lines that have been made harmless, all of one moment (now, unless `at` says)."""
        at = time.time() if at is None else at
        texts: list[str] = []
        colours: dict[int, str] = {}
        for text, ansi in lines:
            if ansi is not None:
                colours[len(texts)] = ansi
            texts.append(text)
        self.add_run(source, CleanRun(texts, [at] * len(texts), colours, continued), level, stream, logger)

    def add_run(self, source: str, run: CleanRun, level: int, stream: str, logger: str = "") -> None:
        """Lines that have been made harmless, each of its own moment."""
        self.add_mixed(source, run, ((level, stream, logger),), bytes(len(run.texts)))

    def add_mixed(self, source: str, run: CleanRun, kinds: Sequence[Kind], numbers: Sequence[int]) -> None:
        """The same of lines of several kinds; `numbers` holds for each line the place of its kind."""
        count = len(run.texts)
        with self._lock:
            held = self._sources.get(source)
            if held is None:
                held = self._open(source)
            place = 0
            while place < count:
                stop = self._fitting(run.texts, place)
                place = self._append(held, kinds, numbers, run, place, stop)

    def _fitting(self, texts: Sequence[str], start: int) -> int:
        """Up to which place texts go into one block; one at least does."""
        count = len(texts)
        if count - start == 1 or sum(map(len, texts[start:])) <= self._most_bytes:
            return count
        room = self._most_bytes - len(texts[start])
        for stop in range(start + 1, count):
            room -= len(texts[stop])
            if room < 0:
                return stop
        return count

    def _open(self, name: str) -> _Source:
        held = self._sources[name] = _Source(name)
        share = self._limit // len(self._sources)
        self._most_bytes = max(FEWEST_BYTES, min(MOST_BYTES, share // BLOCKS_A_SOURCE))
        return held

    def _append(
        self,
        held: _Source,
        kinds: Sequence[Kind],
        numbers: Sequence[int],
        run: CleanRun,
        start: int,
        stop: int,
    ) -> int:
        """Lines of a run, as many as one block takes; returns the place of the next one."""
        before = held.bytes
        block = held.room(self._most_bytes)
        size = block.size
        stop = min(stop, start + MOST_LINES - len(block))
        block.append_mixed(self._last_seq + 1, kinds, numbers, run, start, stop)
        self._last_seq += stop - start
        held.bytes += block.size - size
        self._bytes += held.bytes - before
        if self._bytes > self._limit:
            self._shrink()
        return stop

    def _shrink(self) -> None:
        """Make room with a little to spare, so that the search for the largest source is rare."""
        target = self._limit - self._limit // 64
        while self._bytes > target:
            # What is remembered of lines let go counts too: the largest may have no more lines.
            held = [source for source in self._sources.values() if source.blocks]
            if not held:
                return
            self._bytes -= max(held, key=attrgetter("bytes")).evict()

    # Reading

    def read(
        self, sources: frozenset[str] | None = None, after: int = 0, limit: int = 10_000, newest: bool = False
    ) -> LogBatch:
        with self._lock:
            last_seq = self._last_seq
            chosen = self._chosen(sources)
            pieces = [piece for source in chosen for piece in source.pieces(after)]
            missed = sum(source.missed(after) for source in chosen)
        surplus = sum(stop - start for _, start, stop in pieces) - limit
        if surplus > 0:
            pieces = _cut(pieces, surplus if newest else limit, newest)
        lines = [line for block, start, stop in pieces for line in block.lines(start, stop)]
        if len(chosen) > 1:
            lines.sort(key=_seq)
        more = surplus > 0
        next_seq = lines[-1].seq if lines and more and not newest else max(last_seq, after)
        return LogBatch(tuple(lines), next_seq, missed, more)

    def holdings(self, sources: frozenset[str] | None = None) -> list[LogHolding]:
        with self._lock:
            return [
                LogHolding(source.name, tuple(source.blocks), len(source.blocks[-1]), source.evicted)
                for source in self._chosen(sources)
                if source.blocks
            ]

    def _chosen(self, sources: frozenset[str] | None) -> list[_Source]:
        if sources is None:
            return list(self._sources.values())
        return [self._sources[name] for name in sources if name in self._sources]


_seq = attrgetter("seq")


def _cut(pieces: list[Piece], count: int, newest: bool) -> list[Piece]:
    """The pieces without the `count` oldest lines (`newest`), or these alone."""

    def older(seq: int) -> int:
        return sum(bisect_right(block.seqs, seq, start, stop) - start for block, start, stop in pieces)

    low = min(block.seqs[start] for block, start, stop in pieces if start < stop) - 1
    high = max(block.seqs[stop - 1] for block, start, stop in pieces if start < stop)
    while low < high:  # the least `seq` up to which there are so many lines
        middle = (low + high) // 2
        if older(middle) < count:
            low = middle + 1
        else:
            high = middle
    kept = []
    for block, start, stop in pieces:
        place = bisect_right(block.seqs, low, start, stop)
        kept.append((block, place, stop) if newest else (block, start, place))
    return [piece for piece in kept if piece[1] < piece[2]]
