"""How the plain front end words things: log lines and the status line. Pure text."""

from __future__ import annotations

from datetime import datetime

from routemq_tui.engine.port import LogLine
from routemq_tui.engine.snapshot import BrokerState, Snapshot
from routemq_tui.units import format_percent, format_rate, format_seconds

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
    level = "INFO" if broker.state is not BrokerState.DOWN else "WARNING"
    return format_line(now, level, "status", ", ".join(parts))
