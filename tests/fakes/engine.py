"""An engine without processes: scripted snapshots and logs, a clock that is set, commands that are kept."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace

from routemq_tui.engine.commands import Command, Stop
from routemq_tui.engine.log_block import LogBlock
from routemq_tui.engine.port import LogBatch, LogHolding, LogLine, Span
from routemq_tui.engine.sanitise import CleanRun
from routemq_tui.engine.snapshot import EngineState, History, Notice, Snapshot
from tests.fakes.messages import FakeLetters, FakeMessages
from tests.fakes.snapshots import stretched


class FakeLogs:
    """A log store in a list; `let_go` drops the oldest as a full store does."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []
        self.reads = 0
        self.block_lines = 50
        """Several blocks even in a short log; 1 where it matters which line `let_go` ends at."""
        self._gone = 0
        self._blocks: dict[str, list[LogBlock]] = {}

    @property
    def last_seq(self) -> int:
        return self.lines[-1].seq if self.lines else self._gone

    def add(self, source: str, text: str, time: float = 0.0, **other: object) -> LogLine:
        values: dict[str, object] = {"level": 20, "stream": "log", "logger": "app", **other}
        line = LogLine(self.last_seq + 1, time, source, text=text, **values)  # type: ignore[arg-type]
        self.lines.append(line)
        self._keep(line)
        return line

    def _keep(self, line: LogLine) -> None:
        blocks = self._blocks.setdefault(line.source, [])
        if not blocks or len(blocks[-1]) >= self.block_lines:
            if blocks:
                blocks[-1].seal()
            blocks.append(LogBlock(line.source, blocks[-1].last if blocks else 0))
        ansi = {} if line.ansi is None else {0: line.ansi}
        kind = (line.level, line.stream, line.logger)
        blocks[-1].append(
            line.seq, kind, CleanRun([line.text], [line.time], ansi, (0,) if line.continued else ()), 0, 1
        )

    def let_go(self, count: int) -> None:
        self._gone = self.lines[count - 1].seq
        del self.lines[:count]
        for source, blocks in self._blocks.items():
            kept = [block for block in blocks if block.seqs[-1] > self._gone]
            self._blocks[source] = kept or [LogBlock(source, blocks[-1].last)]

    def holdings(self, sources: frozenset[str] | None = None) -> list[LogHolding]:
        self.reads += 1
        return [
            LogHolding(source, tuple(blocks), len(blocks[-1]), blocks[0].first)
            for source, blocks in self._blocks.items()
            if (sources is None or source in sources) and blocks[-1].seqs
        ]

    def read(
        self, sources: frozenset[str] | None = None, after: int = 0, limit: int = 10_000, newest: bool = False
    ) -> LogBatch:
        self.reads += 1
        first = bisect_right(self.lines, after, key=lambda line: line.seq)
        found = [line for line in self.lines[first:] if sources is None or line.source in sources]
        more = len(found) > limit
        kept = found[-limit:] if newest else found[:limit]
        next_seq = kept[-1].seq if more and not newest else max(after, self.last_seq)
        return LogBatch(tuple(kept), next_seq, max(0, self._gone - after) if after else 0, more)


class FakeEngine:
    """Implements `EnginePort`. Set `now` and call `show` to let time pass."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.now = snapshot.time
        self.logs = FakeLogs()
        self.messages = FakeMessages()
        self.letters = FakeLetters()
        self.commands: list[Command] = []
        self.on_command: Callable[[Command], None] = lambda command: None
        self._snapshot = snapshot

    def snapshot(self) -> Snapshot:
        return self._snapshot

    def history(self, name: str | None, span: Span = "60s") -> History:
        if name is None:
            return stretched(self._snapshot.history, span)
        routes = self._snapshot.routes
        known = {each.name: each.history for route in routes for each in route.workers}
        known |= {route.name: route.history for route in routes}
        return stretched(known[name], span) if name in known else History()

    def last_notice(self) -> int:
        return self._snapshot.notices[-1].number if self._snapshot.notices else 0

    def send(self, command: Command) -> None:
        self.commands.append(command)
        self.on_command(command)

    def show(self, **changes: object) -> Snapshot:
        """The next snapshot: the last one with these changes."""
        values = {"sequence": self._snapshot.sequence + 1, "time": self.now, **changes}
        self._snapshot = replace(self._snapshot, **values)  # type: ignore[arg-type]
        return self._snapshot

    def notice(self, text: str, severity: str = "information") -> None:
        number = self._snapshot.notices[-1].number + 1 if self._snapshot.notices else 1
        self.show(notices=(*self._snapshot.notices, Notice(number, self.now, severity, text)))

    def stops_only_by_force(self) -> None:
        """Answer `Stop` as an engine whose workers do not finish."""

        def answer(command: Command) -> None:
            if isinstance(command, Stop):
                self.show(state=EngineState.STOPPED if command.force else EngineState.STOPPING)

        self.on_command = answer

    def stops_when_asked(self) -> None:
        """Answer `Stop` as an engine with nothing to drain does."""

        def answer(command: Command) -> None:
            if isinstance(command, Stop):
                self.show(state=EngineState.STOPPED)

        self.on_command = answer
