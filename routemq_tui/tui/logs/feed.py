"""What of the store a log view shows, brought up to date when the view asks; it follows, or is paused.

Knows no widget.
"""

from __future__ import annotations

from routemq_tui.engine.log_filter import LogFilter
from routemq_tui.engine.port import LogReader
from routemq_tui.tui.logs.index import LogIndex


class LogFeed:
    def __init__(self, reader: LogReader) -> None:
        self._reader = reader
        self.index = LogIndex()
        self.sources: frozenset[str] | None = None
        self.following = True
        self._seen = -1

    @property
    def idle(self) -> bool:
        """Nothing came since the last look."""
        return self._reader.last_seq == self._seen

    @property
    def new(self) -> int:
        """Lines that came since the pause."""
        return 0 if self.following else self.index.new

    @property
    def missed(self) -> int:
        """Lines below those in sight that the store let go since the pause."""
        return 0 if self.following else self.index.missed

    def reload(self) -> None:
        """Look at all of it anew, and follow."""
        self.following = True
        self.index.reset()
        self.look()

    def clear(self) -> None:
        """Forget what was until now; the store keeps everything."""
        self.index.cleared = self._reader.last_seq
        self.reload()

    def pause(self) -> None:
        if self.following:
            self.following = False
            self.index.mark_here(self.index.newest)

    def follow(self) -> None:
        self.following = True
        self.look()

    def set_filter(self, chosen: LogFilter) -> None:
        self.index.set_filter(chosen)

    def look(self) -> None:
        """Take up what came, and what went."""
        self._seen = self._reader.last_seq
        self.index.look(self._reader.holdings(self.sources))
