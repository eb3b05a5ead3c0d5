"""Which lines of the store a log view holds: the newest while it follows, all in order while it is paused.

While paused nothing that is shown goes away and what comes is counted exactly. Knows no widget.
"""

from __future__ import annotations

from typing import NamedTuple

from routemq_tui.engine.port import LogReader
from routemq_tui.tui.log_buffer import LogBuffer, LogFilter

BATCH = 10_000
BATCHES_A_TICK = 6
"""While paused, so many batches are counted a tick; the rest waits for the next one."""


class Update(NamedTuple):
    added: int
    """So many of the shown lines are new, at their end."""
    rebuilt: bool
    """Lines before them went away too: places among them mean nothing any more."""


class LogFeed:
    def __init__(self, reader: LogReader, capacity: int) -> None:
        self._reader = reader
        self.buffer = LogBuffer(capacity)
        self.sources: frozenset[str] | None = None
        self.following = True
        self.new = 0
        """Lines that came since the pause."""
        self.missed = 0
        """Lines that the store let go before they were counted."""
        self._whole = True
        self._next = 0
        self._seen = -1
        self._cleared = 0
        self._paused_at = 0

    @property
    def idle(self) -> bool:
        """Nothing came since the last look."""
        return self._reader.last_seq == self._seen

    def reload(self) -> None:
        """Start again from the newest lines of the store, and follow."""
        self.buffer.clear()
        self._next, self._seen = self._cleared, self._reader.last_seq
        self.following, self._whole, self.new, self.missed = True, True, 0, 0
        self._take_newest()

    def clear(self) -> None:
        """Forget what was until now; the store keeps everything."""
        self._cleared = self._reader.last_seq
        self.reload()

    def pause(self) -> None:
        if self.following:
            self.following, self._paused_at = False, self._next

    def follow(self) -> bool:
        """Follow again; False when lines were only counted, so that the view starts again from the end."""
        if not self._whole:
            self.reload()
            return False
        self.following, self.new, self.missed = True, 0, 0
        return True

    def set_filter(self, chosen: LogFilter) -> bool:
        """Show other lines; False when the view starts again from the end."""
        self.buffer.set_filter(chosen)
        if self.following or not self._whole:
            self.reload()
            return False
        self.new = len(self.buffer.shown) - self.buffer.place_of(self._paused_at + 1)
        return True

    def pull(self) -> Update:
        """Take what is new."""
        self._seen = self._reader.last_seq
        return self._take_newest() if self.following else self._take_in_order()

    def _take_newest(self) -> Update:
        batch = self._reader.read(self.sources, self._next, BATCH, newest=True)
        if batch.more:
            # Lines between the last ones and these are passed over: the view starts again with these.
            self.buffer.clear()
        self._next = max(self._next, batch.next_seq)
        change = self.buffer.extend(batch.lines)
        return Update(len(change.added), batch.more or bool(change.evicted))

    def _take_in_order(self) -> Update:
        """Keep lines while there is room below, count them all."""
        before = len(self.buffer.shown)
        for _ in range(BATCHES_A_TICK):
            batch = self._reader.read(self.sources, self._next, BATCH)
            self._next = max(self._next, batch.next_seq)
            self.missed += batch.missed
            if self._whole and not batch.missed:
                change = self.buffer.extend(batch.lines, paused=True)
                self._whole = change.kept
                self.new += len(change.added)
            else:
                self._whole = False
                self.new += sum(1 for line in batch.lines if self.buffer.filter.passes(line))
            if not batch.more:
                break
        else:
            self._seen = -1
        return Update(len(self.buffer.shown) - before, rebuilt=False)
