"""The same things as `lines`, a JSON object a line, for those who collect logs.

Every object has `ts` (ISO 8601, UTC) and `level`. A log line has `source`, `stream`, `logger` where there is
one, `route`, `worker` and `pid` when it is a worker's, and `message`; what the engine says of a worker has
`event` instead of `message`. `event` is also "program" (with `message`), "status" and "summary".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from routemq_tui.engine.concerns import concern_words
from routemq_tui.engine.port import LogLine
from routemq_tui.engine.snapshot import BrokerState, Snapshot
from routemq_tui.headless.lines import level_name
from routemq_tui.headless.summary import Summary


class JsonLines:
    """Implements `lines.Wording`."""

    def log(self, line: LogLine, pids: Mapping[str, int]) -> str:
        values: dict[str, Any] = {"source": line.source, "stream": line.stream}
        if line.logger:
            values["logger"] = line.logger
        if line.route != line.source:
            values |= {"route": line.route, "worker": line.source, "pid": pids.get(line.source)}
        values["event" if line.stream == "event" else "message"] = line.text
        return _object(line.time, level_name(line.level), values)

    def said(self, time: float, level: str, text: str) -> str:
        return _object(time, level, {"event": "program", "message": text})

    def status(self, snapshot: Snapshot, now: float) -> str:
        metrics, broker = snapshot.metrics, snapshot.broker
        level = "INFO" if broker.state is not BrokerState.DOWN else "WARNING"
        return _object(
            now,
            level,
            {
                "event": "status",
                "state": snapshot.state.value,
                "health": snapshot.health.value,
                "concerns": concern_words(snapshot),
                "running": snapshot.running,
                "desired": snapshot.desired,
                "rate": metrics.rate,
                "ok": metrics.ok,
                "failed": metrics.failed,
                "dead_lettered": metrics.dead_lettered,
                "in_flight": metrics.in_flight,
                "p95": metrics.p95,
                "cpu_percent": metrics.cpu_percent,
                "broker": broker.address,
                "broker_state": broker.state.value,
                "broker_reason": broker.reason,
            },
        )

    def summary(self, summary: Summary, now: float) -> list[str]:
        return [_object(now, "INFO", {"event": "summary", **summary.values()})]


def _object(time: float, level: str, values: Mapping[str, Any]) -> str:
    stamp = datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"ts": stamp, "level": level, **values}, ensure_ascii=False)
