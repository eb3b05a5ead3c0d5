"""The detail of the selected row: figures over time with the marks of what was done, then the facts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from routemq_tui.engine.concerns import concern_words
from routemq_tui.engine.port import Span
from routemq_tui.engine.snapshot import (
    BrokerState,
    Exit,
    History,
    Mark,
    Metrics,
    RouteSnapshot,
    ScalingSnapshot,
    WorkerSnapshot,
)
from routemq_tui.engine.states import WorkerState
from routemq_tui.tui.keys import KEY_BY_ID
from routemq_tui.tui.ledgers import entry_lines, headline, ledgers_of
from routemq_tui.tui.row_cells import SILENT, reason_of, state_cell
from routemq_tui.tui.rows import Row
from routemq_tui.tui.sparkline import fit, mark_line, sparkline
from routemq_tui.tui.tones import Fragment, Tone, error_tone
from routemq_tui.tui.widgets.lines import Line, Lines, ScrolledLines, beside, clipped, length, spread
from routemq_tui.units import (
    format_age,
    format_bytes,
    format_count,
    format_percent,
    format_rate,
    format_seconds,
)

LABEL = 13
"""Width of the labels at the left: a cell, the longest one, and a gap."""
VALUE = 8
"""Width of the value at the right of a sparkline."""
MARKS_SHOWN = 3
EXITS_SHOWN = 4
"""Of the earlier ends of a worker's processes."""
MEMORY_HIGH = 0.8
BREAKS = "/.:-_"
"""A topic, a handler or an id may be broken after one of these."""
DOWN = (WorkerState.FAILED, WorkerState.BACKOFF)
TWO_COLUMNS = 100
TALL = 26
"""From this height on the sparklines are two lines high."""


SPANS: dict[Span, str] = {"60s": "1 min", "10m": "10 min", "1h": "1 h"}
Histories = Callable[[str | None, Span], History]
"""`EnginePort.history`."""


class DetailHeading(Lines):
    def show_row(self, row: Row | None, span: Span = "60s") -> None:
        name = "nothing selected" if row is None else row.key.label
        left = [Fragment(" Detail ", Tone.MUTED), Fragment(name, Tone.TITLE)]
        right = [Fragment(f"{SPANS[span]} ", Tone.MUTED)]
        self.show(lambda width: [spread(left, right, width)])


class Detail(ScrolledLines):
    def __init__(self, histories: Histories, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.span: Span = "60s"
        self._histories = histories

    def show_row(self, row: Row | None) -> None:
        def draw(width: int) -> list[Line]:
            if row is None:
                return []
            return detail_lines(row, width, self.size.height >= TALL, self._history(row))

        self.show(draw)

    def next_span(self) -> None:
        """The last minute, ten minutes, the hour."""
        spans = list(SPANS)
        self.span = spans[(spans.index(self.span) + 1) % len(spans)]

    def _history(self, row: Row) -> History:
        if self.span == "60s":
            return row.history
        return self._histories(None if row.route is None else row.key.label, self.span)


def detail_lines(row: Row, width: int, tall: bool = False, history: History | None = None) -> list[Line]:
    """All lines of the detail for a width; `tall` draws the sparklines two lines high.

    `history` is that of the span to show, the last minute's without it.

    Ledgers of deaths lie beside the rest where there is room, below it where there is none.
    """
    ledgers = [each for each in ledgers_of(row) if each.entries]
    half = width // 2 if ledgers and width >= TWO_COLUMNS else width
    left = _figures_and_facts(row, half, tall, row.history if history is None else history)
    if not ledgers:
        return left
    right = [line for ledger in ledgers for line in [*entry_lines(ledger, half), []]]
    if half == width:
        return [*left, [], *(clipped(line, width) for line in right)]
    rows = max(len(left), len(right))
    return [beside(left[row : row + 1], right[row : row + 1], half, width) for row in range(rows)]


def _figures_and_facts(row: Row, width: int, tall: bool, history: History) -> list[Line]:
    state = state_cell(row)
    lines: list[Line] = [[Fragment(f" {state.text}", state.tone), *_since(row)]]
    if row.route is None:
        worries = [text for each in concern_words(row.snapshot) for text in _folded(f"! {each}", width)]
        lines += [[Fragment(text, Tone.WARN)] for text in worries]
    reason = reason_of(row)
    if reason is None and row.worker is None and row.route is not None and row.route.reason:
        reason = Fragment(row.route.reason, Tone.BAD)
    if reason is not None:
        lines += [[Fragment(text, reason.tone)] for text in _folded(reason.text, width)]
    lines.append([])
    lines += spark_lines(row, history, width, 2 if tall else 1)
    for ledger in ledgers_of(row):
        told = headline(ledger, row.snapshot.time, named=row.worker is None)
        lines += [[], *([Fragment(text, told.tone)] for text in _folded(told.text, width))]
    lines.append([])
    if row.worker is not None and row.route is not None:
        facts = worker_facts(row.worker, row.route)
    elif row.route is not None:
        facts = route_facts(row.route, row.snapshot.time)
    else:
        facts = engine_facts(row)
    lines += [fact for label, value, tone in facts for fact in _fact(label, value, tone, width)]
    return [clipped(line, width) for line in lines]


def spark_lines(row: Row, history: History, width: int, height: int) -> list[Line]:
    """Rate, errors, p95 and CPU over time, each with its value of now, and the marks with what followed."""
    metrics = row.metrics
    cpu = "-" if metrics.cpu_percent is None else f"{metrics.cpu_percent:.0f}%"
    series: tuple[tuple[str, Sequence[float], str, Tone, float | None], ...] = (
        ("msg/s", history.rate, format_rate(metrics.rate), Tone.ACCENT, None),
        (
            "errors",
            history.error_rate,
            format_percent(metrics.error_rate),
            error_tone(metrics.error_rate),
            None,
        ),
        ("p95", history.p95, format_seconds(metrics.p95), Tone.TITLE, None),
        ("cpu", history.cpu_percent, cpu, Tone.OK, None),
    )
    room = max(1, width - LABEL - VALUE - 1)
    lines: list[Line] = []
    for label, values, value, tone, top in series:
        drawn = sparkline(values, min(60, room), height, top)
        for index, text in enumerate(drawn):
            last = index == len(drawn) - 1
            lines.append(
                [
                    Fragment(f" {label if last else '':<{LABEL - 1}}", Tone.MUTED),
                    Fragment(text, Tone.BAD if label == "errors" else tone),
                    Fragment(f"{value if last else '':>{VALUE}}", Tone.STRONG),
                ]
            )
    points = len(history.rate)
    cells = len(fit(history.rate, min(60, room)))
    marks = mark_line(history.marks, row.snapshot.time, points, cells, history.step)
    if marks.strip():
        lines.append([Fragment(" " * LABEL), Fragment(marks.rjust(min(60, room)), Tone.WARN)])
    lines += _marks_in_words(history.marks, row.snapshot.time, width)
    return lines


def _marks_in_words(marks: Sequence[Mark], now: float, width: int) -> list[Line]:
    """What was done, and its effect: beside it where there is room, else below."""
    lines: list[Line] = []
    for mark in marks[-MARKS_SHOWN:]:
        line = [
            Fragment(f" {'▲':>{LABEL - 2}} ", Tone.WARN),
            Fragment(f"{format_age(max(0.0, now - mark.time)):>5} ago  ", Tone.MUTED),
            Fragment(mark.label),
        ]
        effect = [Fragment(mark.effect, Tone.ACCENT)] if mark.effect else []
        if effect and length(line) + 2 + length(effect) <= width - 1:
            lines.append([*line, Fragment("  "), *effect])
        else:
            lines.append(line)
            lines += [[Fragment(" " * LABEL), *effect]] * bool(effect)
    return lines


Fact = tuple[str, str, Tone]


def worker_facts(worker: WorkerSnapshot, route: RouteSnapshot) -> list[Fact]:
    metrics = worker.metrics
    full = bool(worker.window) and metrics.in_flight >= worker.window
    held = f"{metrics.in_flight} of {worker.window}{'  window full' if full else ''}"
    link = "connected" if worker.connected else "not connected"
    facts: list[Fact] = [
        ("in flight", held, Tone.WARN if full else Tone.TEXT),
        ("busy", format_percent(worker.metrics.utilisation), Tone.TEXT),
        ("latency", _latency(metrics.p50, metrics.p95, metrics.p99), Tone.TEXT),
        ("counts", _counts(metrics.ok, metrics.failed, metrics.received), Tone.TEXT),
        ("pid", "-" if worker.pid is None else str(worker.pid), Tone.TEXT),
        _memory(metrics.rss_bytes, worker.memory_limit),
        ("broker", link, Tone.TEXT if worker.connected else Tone.WARN),
        ("client id", worker.client_id, Tone.TEXT),
        ("subscribed", route.subscription, Tone.TEXT),
        ("restarts", str(worker.restarts), Tone.WARN if worker.restarts else Tone.TEXT),
    ]
    if worker.current_topic:
        since = "" if worker.current_for is None else f" for {format_seconds(worker.current_for)}"
        facts.insert(1, ("handling", worker.current_topic + since, Tone.TEXT))
    facts += _unusual(metrics)
    trouble: list[Fact] = []
    if worker.last_exit:
        trouble.append(("last exit", worker.last_exit, Tone.WARN))
    if worker.last_error:
        trouble.append(("last error", worker.last_error, Tone.BAD))
    # Why it is down comes first; of a worker that runs again it is history.
    # The last one is told above, in full.
    trouble += [
        ("earlier", _exit(each), Tone.MUTED) for each in reversed(worker.exits[-EXITS_SHOWN - 1 : -1])
    ]
    return trouble + facts if worker.state in SILENT else facts + trouble


def _memory(used: int | None, limit: int | None) -> Fact:
    """Of its limit, where it has one; a warning from four fifths of it on."""
    if limit is None:
        return ("memory", format_bytes(used), Tone.TEXT)
    share = 0.0 if used is None else used / limit
    text = f"{format_bytes(used)} of {format_bytes(limit)}, {format_percent(share)}"
    return ("memory", text, Tone.WARN if share >= MEMORY_HIGH else Tone.TEXT)


def _exit(each: Exit) -> str:
    clock = time.strftime("%H:%M:%S", time.localtime(each.time))
    return f"{clock} after {format_age(max(0.0, each.ran_for))}: {each.words}"


def route_facts(route: RouteSnapshot, now: float) -> list[Fact]:
    metrics = route.metrics
    sharing = "shared" if route.shared else "not shared, one worker"
    facts: list[Fact] = [
        *_scaling_facts(route.scaling, now),
        ("topic", route.topic, Tone.TEXT),
        ("subscribed", route.subscription, Tone.TEXT),
        ("handler", route.handler, Tone.TEXT),
        ("delivery", f"QoS {route.qos}, {sharing}", Tone.TEXT),
        ("workers", f"{route.running} of {route.desired} run, at most {route.max_workers}", Tone.TEXT),
        ("latency", _latency(metrics.p50, metrics.p95, metrics.p99), Tone.TEXT),
        ("counts", _counts(metrics.ok, metrics.failed, metrics.received), Tone.TEXT),
        ("in flight", str(metrics.in_flight), Tone.TEXT),
        ("busy", format_percent(metrics.utilisation), Tone.TEXT),
    ]
    facts += _unusual(metrics)
    for worker in route.workers:
        why = worker.reason or worker.last_error
        if why and (worker.state in DOWN or (worker.state is WorkerState.PAUSED and worker.reason)):
            facts.append((worker.name.rpartition("/")[2].rjust(3), why, Tone.BAD))
    return facts


def _scaling_facts(scaling: ScalingSnapshot | None, now: float) -> list[Fact]:
    """Autoscale: whether, what it changed last and why, and what it found since."""
    if scaling is None or (scaling.switch == "off" and not scaling.decision):
        return []
    said = f"{scaling.switch}, {scaling.low} to {scaling.high} workers by {scaling.policy}"
    if scaling.switch == "paused":
        said = f"paused: {scaling.why}; [{KEY_BY_ID['autoscale'].shown}] resumes it"
    facts: list[Fact] = [("autoscale", said, Tone.WARN if scaling.switch == "paused" else Tone.TEXT)]
    if scaling.decision and scaling.decided is not None:
        age = format_age(max(now - scaling.decided, 0))
        facts.append(("changed", f"{age} ago  {scaling.decision}", Tone.TEXT))
    if scaling.switch == "on":
        after = "" if scaling.next_look is None else f"; looks in {format_age(scaling.next_look)}"
        facts.append(("looked", f"{scaling.found or 'not yet'}{after}", Tone.MUTED))
    return facts


def engine_facts(row: Row) -> list[Fact]:
    snapshot, metrics = row.snapshot, row.metrics
    broker = snapshot.broker
    version = f" {broker.version}" if broker.version else ""
    odd = bool(broker.reason) and broker.state is BrokerState.UP
    facts: list[Fact] = [
        ("group", snapshot.group, Tone.TEXT),
        ("node", snapshot.node, Tone.TEXT),
        ("broker", f"{broker.kind}{version} {broker.state}", Tone.TEXT),
        ("address", broker.address, Tone.WARN if odd else Tone.TEXT),
        ("routes", str(len(snapshot.routes)), Tone.TEXT),
        ("workers", f"{snapshot.running} of {snapshot.desired} run", Tone.TEXT),
        ("latency", _latency(metrics.p50, metrics.p95, metrics.p99), Tone.TEXT),
        ("counts", _counts(metrics.ok, metrics.failed, metrics.received), Tone.TEXT),
        ("memory", format_bytes(metrics.rss_bytes), Tone.TEXT),
    ]
    if broker.dropped is not None:
        tone = Tone.BAD if broker.dropped else Tone.TEXT
        facts.insert(4, ("lost by it", f"{format_count(broker.dropped)} messages dropped", tone))
    if broker.reason:
        facts.insert(4, ("reason", broker.reason, Tone.WARN if odd else Tone.BAD))
    # The header counts the store, with those of earlier runs.
    unusual = [
        (label, f"{value} of this run" if label == "dead letter" else value, tone)
        for label, value, tone in _unusual(metrics)
    ]
    return facts + unusual


def _unusual(metrics: Metrics) -> list[Fact]:
    """Counts worth a line only when there are any."""
    named = (
        ("retried", metrics.retried, Tone.WARN),
        ("dead letter", metrics.dead_lettered, Tone.BAD),
        ("dropped", metrics.dropped, Tone.WARN),
        ("repeated", metrics.duplicates, Tone.TEXT),
        ("log drops", metrics.log_dropped, Tone.WARN),
    )
    return [(label, format_count(count), tone) for label, count, tone in named if count]


def _latency(p50: float | None, p95: float | None, p99: float | None) -> str:
    # No-break spaces: a line never ends between a name and its value.
    return f"p50\u00a0{format_seconds(p50)}  p95\u00a0{format_seconds(p95)}  p99\u00a0{format_seconds(p99)}"


def _counts(ok: int, failed: int, received: int) -> str:
    return f"{format_count(ok)}\u00a0ok  {format_count(failed)}\u00a0failed  of\u00a0{format_count(received)}"


def _since(row: Row) -> list[Fragment]:
    if row.worker is None or row.worker.uptime is None:
        return []
    return [Fragment(f"  up {format_age(row.worker.uptime)}", Tone.MUTED)]


def _fact(label: str, value: str, tone: Tone, width: int) -> list[Line]:
    """A label and its value, on as many lines as the value needs; at most four."""
    pieces = _folded(value, width - LABEL)[:4]
    first = Fragment(f" {label:<{LABEL - 1}}", Tone.MUTED)
    return [
        [first if index == 0 else Fragment(" " * LABEL), Fragment(piece.removeprefix(" "), tone)]
        for index, piece in enumerate(pieces)
    ]


def _folded(text: str, width: int) -> list[str]:
    """The text broken at spaces; too long a word after one of BREAKS, or anywhere; a cell of margin."""
    room = max(4, width - 2)
    lines = [""]
    for word in text.split(" "):
        while len(word) > room:
            if lines[-1]:
                lines.append("")
            end = max(word.rfind(mark, 1, room) for mark in BREAKS) + 1 or room
            lines[-1], word = word[:end], word[end:]
            lines.append("")
        if lines[-1] and len(lines[-1]) + 1 + len(word) > room:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return [f" {line}" for line in lines if line] or [" "]
