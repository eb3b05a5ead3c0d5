"""The one seam between the engine and every front end (screen, headless, tests)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from routemq_tui.engine.commands import Command
from routemq_tui.engine.letters import Letter, LetterLine
from routemq_tui.engine.messages import MessageBatch, TappedMessage
from routemq_tui.engine.snapshot import History, Snapshot

if TYPE_CHECKING:
    from routemq_tui.engine.log_block import LogBlock

Span = Literal["60s", "10m", "1h"]
"""How far a history goes back: with a point a second, every 10 seconds, or every minute."""


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
    continued: bool = False
    """It belongs to the traceback that the line before it begins, or goes on with."""

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


class LogHolding(NamedTuple):
    """All that is held of one source, of which nothing was copied."""

    source: str
    blocks: tuple[LogBlock, ...]
    """In order; only the last one may still grow."""
    in_last: int
    """Lines of the last block: what comes to it later belongs to a later look."""
    evicted: int
    """Lines of the source that were let go."""


class LogReader(Protocol):
    def read(
        self, sources: frozenset[str] | None = None, after: int = 0, limit: int = 10_000, newest: bool = False
    ) -> LogBatch:
        """Lines with `seq > after` of the given sources (None: all), at most `limit`.

        The oldest of them come first to hand; with `newest`, the last `limit` ones. Thread-safe.
        """

    def holdings(self, sources: frozenset[str] | None = None) -> list[LogHolding]:
        """Everything that is held of the given sources (None: all) at one moment, those without a line left
        out. For a view of all of it: lines are read from the blocks when they are needed. Thread-safe."""

    @property
    def last_seq(self) -> int:
        """The `seq` of the newest line; cheap, to see whether anything came."""


class MessageReader(Protocol):
    """The last messages that were told: all that failed, and of a tapped route the others. Thread-safe."""

    def read(self, route: str | None = None, after: int = 0, limit: int = 1000) -> MessageBatch:
        """Those with `seq > after` of the route (None: all), the oldest first, at most `limit`."""

    def get(self, seq: int) -> TappedMessage | None:
        """One of them; None when it was let go."""

    @property
    def last_seq(self) -> int:
        """The `seq` of the newest one; cheap, to see whether anything came."""


class LetterReader(Protocol):
    """The dead letters in the project's store. Thread-safe; a store that cannot be read is a notice."""

    def count(self) -> int:
        """All that are stored; cheap, at most about a second old."""

    def read(self, after: int = 0, limit: int = 200, route: str | None = None) -> tuple[LetterLine, ...]:
        """The newest first, at most `limit`, only those with `id > after`. The last ones that were replayed
        or purged here are among them, by their state."""

    def get(self, id: int) -> Letter | None:
        """All of one; None when it is not in the store any more."""


class EnginePort(Protocol):
    """An engine as a front end knows it. Every call is thread-safe and returns at once."""

    @property
    def logs(self) -> LogReader: ...

    @property
    def messages(self) -> MessageReader: ...

    @property
    def letters(self) -> LetterReader: ...

    def snapshot(self) -> Snapshot:
        """The newest one; the same object until the next tick, at most 10 times a second."""

    def history(self, name: str | None, span: Span = "60s") -> History:
        """Of a route, of a worker (`temperature/2`), or of all (None). Empty when there is no such one."""

    def last_notice(self) -> int:
        """The number of the last notice there is; it may be in no snapshot yet. 0 before the first."""

    def send(self, command: Command) -> None: ...
