"""The one seam between the engine and every front end (screen, headless, tests)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from routemq_tui.engine.commands import Command
from routemq_tui.engine.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of log, harmless to draw: control characters are made visible, the text is valid Unicode."""

    seq: int
    """Rises by one for every line the store takes, over all sources: the order of the merged view."""
    time: float
    """Unix time at which it was written."""
    source: str
    """A worker's name (`temperature/2`), or `engine`, `broker`, `traffic`."""
    level: int
    """As in `logging`: 10 debug to 50 critical."""
    stream: str
    """`log` (a logging record), `stdout`, `stderr` or `event` (said by the engine)."""
    logger: str
    """Name of the logger; empty unless `stream` is `log`."""
    text: str
    """Without colour."""
    ansi: str | None = None
    """The same with its SGR colour sequences, when it had any; no other control sequence is ever left in."""

    @property
    def route(self) -> str:
        """The route of a worker's line, else the source itself."""
        return self.source.rpartition("/")[0] or self.source


@dataclass(frozen=True, slots=True)
class LogBatch:
    lines: tuple[LogLine, ...]
    """In the order of `seq`."""
    next_seq: int
    """Ask with this the next time."""
    missed: int
    """Lines between the one asked for and the first one given that the store had already let go."""
    more: bool
    """More lines are there than `limit` allowed."""


class LogReader(Protocol):
    def read(
        self, sources: frozenset[str] | None = None, after: int = 0, limit: int = 10_000, newest: bool = False
    ) -> LogBatch:
        """Lines with `seq > after` of the given sources (None: all), at most `limit`.

        The oldest of them come first to hand; with `newest`, the last `limit` ones. Thread-safe.
        """

    @property
    def last_seq(self) -> int:
        """The `seq` of the newest line; cheap, to see whether anything came."""


class EnginePort(Protocol):
    """An engine as a front end knows it. Every call is thread-safe and returns at once."""

    @property
    def logs(self) -> LogReader: ...

    def snapshot(self) -> Snapshot:
        """The newest one; the same object until the next tick, at most 10 times a second."""

    def send(self, command: Command) -> None: ...
