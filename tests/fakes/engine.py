"""An engine without processes: scripted snapshots and logs, a clock that is set, commands that are kept."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace

from routemq_tui.engine.commands import Command, Stop
from routemq_tui.engine.port import LogBatch, LogLine
from routemq_tui.engine.snapshot import EngineState, Notice, Snapshot


class FakeLogs:
    """A log store in a list; `let_go` drops the oldest as a full store does."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []
        self.reads = 0
        self._gone = 0

    @property
    def last_seq(self) -> int:
        return self.lines[-1].seq if self.lines else self._gone

    def add(self, source: str, text: str, time: float = 0.0, **other: object) -> LogLine:
        values: dict[str, object] = {"level": 20, "stream": "log", "logger": "app", **other}
        line = LogLine(self.last_seq + 1, time, source, text=text, **values)  # type: ignore[arg-type]
        self.lines.append(line)
        return line

    def let_go(self, count: int) -> None:
        self._gone = self.lines[count - 1].seq
        del self.lines[:count]

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
        self.commands: list[Command] = []
        self.on_command: Callable[[Command], None] = lambda command: None
        self._snapshot = snapshot

    def snapshot(self) -> Snapshot:
        return self._snapshot

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
