"""How the plain front end words things: log lines and the status line. Pure text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from routemq_tui.engine.concerns import concern_words
from routemq_tui.engine.port import LogLine
from routemq_tui.engine.snapshot import BrokerState, Snapshot
from routemq_tui.headless.summary import Summary
from routemq_tui.units import format_percent, format_rate, format_seconds


class Wording(Protocol):
    """How a run is told, a line each."""

    def log(self, line: LogLine, pids: Mapping[str, int]) -> str:
        """`pids` are those of the workers, by name."""

    def said(self, time: float, level: str, text: str) -> str:
        """What the front end itself has to say."""

    def status(self, snapshot: Snapshot, now: float) -> str: ...

    def summary(self, summary: Summary, now: float) -> list[str]: ...


class PlainLines:
    """For people."""

    def log(self, line: LogLine, pids: Mapping[str, int]) -> str:
        return format_log_line(line)

    def said(self, time: float, level: str, text: str) -> str:
        return format_line(time, level, "routemq-tui", text)

    def status(self, snapshot: Snapshot, now: float) -> str:
        return format_status(snapshot, now)

    def summary(self, summary: Summary, now: float) -> list[str]:
        return summary.lines()


_LEVELS = ((50, "CRITICAL"), (40, "ERROR"), (30, "WARNING"), (20, "INFO"), (0, "DEBUG"))


def format_line(time: float, level: str, source: str, text: str) -> str:
    """`12:34:56.789 WARNING temperature/2    text`; further lines of a text are indented."""
    moment = datetime.fromtimestamp(time)
    stamp = f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"
    body = text.replace("\n", "\n    ")
    return f"{stamp} {level:<8} {source:<16} {body}".rstrip()


def level_name(level: int) -> str:
    return next((name for least, name in _LEVELS if level >= least), "DEBUG")


def format_log_line(line: LogLine) -> str:
    return format_line(line.time, level_name(line.level), line.source, line.text)


def format_status(snapshot: Snapshot, now: float) -> str:
    metrics = snapshot.metrics
    parts = [
        f"{snapshot.state.value}, {snapshot.health.value}",
        f"{snapshot.running}/{snapshot.desired} workers",
        f"{format_rate(metrics.rate)} msg/s",
        f"ok {metrics.ok}",
        f"failed {metrics.failed}",
        f"errors {format_percent(metrics.error_rate)}",
        f"in flight {metrics.in_flight}",
        f"p95 {format_seconds(metrics.p95)}",
    ]
    if metrics.cpu_percent is not None:
        parts.append(f"CPU {metrics.cpu_percent:.0f}%")
    broker = snapshot.broker
    if broker.state is not BrokerState.UP:
        reason = f": {broker.reason}" if broker.reason else ""
        parts.append(f"broker {broker.address} {broker.state.value}{reason}")
    if worries := concern_words(snapshot):
        parts.append(f"! {worries[0]}{f' and {len(worries) - 1} more' if len(worries) > 1 else ''}")
    level = "INFO" if broker.state is not BrokerState.DOWN else "WARNING"
    return format_line(now, level, "status", ", ".join(parts))
