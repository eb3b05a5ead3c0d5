"""The two lines at the top: who and how healthy; how much, how fast, how wrong."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual import events
from textual.message import Message

from routemq_tui.engine.concerns import concerns
from routemq_tui.engine.snapshot import BrokerSnapshot, BrokerState, EngineState, Health, Snapshot
from routemq_tui.engine.states import WorkerState
from routemq_tui.tui.fitting import clip
from routemq_tui.tui.tones import BROKER_FACES, HEALTH_FACES, Fragment, Tone, error_tone
from routemq_tui.tui.widgets.lines import Line, Lines, joined, length, spread
from routemq_tui.units import format_count, format_percent, format_rate, format_seconds

CONCERN_CELLS = 30
"""Of a concern where room is short."""
CONCERN_WHOLE_FROM = 120
"""Columns from which there is room for when it is tried again."""
NEWS_FROM = 100
"""Columns from which there is room for how many dead letters are new."""
COMING_UP = 10.0
"""Seconds that a worker may take until it is subscribed, before that is a matter of health."""


class Header(Lines):
    class Clicked(Message):
        """Something was clicked that leads somewhere: `letters`, `errors`, `engine`, a route's `concern`."""

        def __init__(self, target: str, route: str = "") -> None:
            super().__init__()
            self.target, self.route = target, route

    _worst = ""
    """Route of the concern that is shown."""

    def on_click(self, event: events.Click) -> None:
        target = target_at(self._lines, event.x, event.y)
        if target:
            self.post_message(self.Clicked(target, self._worst))

    def show_snapshot(self, snapshot: Snapshot) -> None:
        self._worst = next((each.route for each in concerns(snapshot)), "")
        self.show(lambda width: [identity_line(snapshot, width), figures_line(snapshot, width)])


def target_at(lines: Sequence[Line], x: int, y: int) -> str:
    """What a click leads to: what is given up to the dead letters, failures to the errors, broker and health
    to the logs of all; empty for a figure that leads nowhere."""
    if y >= len(lines):
        return ""
    words = text_at(lines[y], x)
    if "dead" in words:
        return "letters"
    if y == 0:
        return "concern" if words.startswith("!") else "engine" if words else ""
    return "errors" if words.startswith(("failed", "err")) else ""


def text_at(line: Line, x: int) -> str:
    """The fragment at a cell; of a figure in two fragments, the one that names it."""
    begin, before = 0, ""
    for text, _ in line:
        end = begin + cell_len(text)
        if begin <= x < end:
            return before if text.strip()[:1].isdigit() else text.strip()
        begin, before = end, text
    return ""


def identity_line(snapshot: Snapshot, width: int) -> Line:
    """Group, node, broker; health at the right end. Shortened by whole parts before anything is cut."""
    rights = [health_parts(snapshot, concern_parts(snapshot, width)), health_parts(snapshot, [])]
    if snapshot.state is not EngineState.RUNNING:
        rights = [[Fragment(f"{snapshot.state}  ", Tone.WARN), *each] for each in rights]
    name = [Fragment(" routemq", Tone.TITLE)]
    group = [Fragment(snapshot.group, Tone.STRONG)]
    node = [*group, Fragment(f"@{snapshot.node}", Tone.MUTED)]
    broker = snapshot.broker
    full, short = broker_parts(broker, version=True), broker_parts(broker, version=False)
    variants = [(name, node, full), (name, node, short), (name, group, short), (name, short)]
    if snapshot.health is Health.HEALTHY:
        rights.pop()  # a green word beside a concern would be what the eye sees first
    choices = [(joined(variant), right) for right in rights for variant in variants]
    left, right = next(
        (each for each in choices if length(each[0]) + 1 + length(each[1]) <= width), choices[-1]
    )
    return spread(left, right, width)


def concern_parts(snapshot: Snapshot, width: int) -> list[Fragment]:
    """The worst that is not well, and how much more there is."""
    if not (worries := concerns(snapshot)):
        return []
    worst = worries[0]
    text = worst.whole if width >= CONCERN_WHOLE_FROM else clip(worst.text, CONCERN_CELLS)
    more = f" +{len(worries) - 1}" if len(worries) > 1 else ""
    return [Fragment(f"! {clip(text, 2 * CONCERN_CELLS)}{more} ", Tone.WARN)]


def health_parts(snapshot: Snapshot, concern: list[Fragment]) -> list[Fragment]:
    """Health, where there is something to judge: not while workers first come up, nor when none is wanted.

    Beside a concern there is no share of the workers: that all of them run would contradict it.
    """
    if snapshot.routes and not snapshot.desired and not snapshot.running:
        return [Fragment("○ no workers wanted ", Tone.MUTED)]
    if snapshot.health is not Health.HEALTHY and is_coming_up(snapshot):
        return [Fragment("◌ starting ", Tone.ACCENT)]
    face = HEALTH_FACES[snapshot.health]
    if not concern:
        return [Fragment(face.text, face.tone), Fragment(f" {snapshot.health_percent}% ", Tone.MUTED)]
    if snapshot.health is Health.HEALTHY:
        return concern
    return [*concern, Fragment(f" {face.text} ", face.tone)]


def is_coming_up(snapshot: Snapshot) -> bool:
    """Whether all that is missing has just been started, or waits for a broker that has."""
    if snapshot.state not in (EngineState.STARTING, EngineState.RUNNING):
        return False
    if snapshot.broker.state is BrokerState.DOWN:
        return False
    missing = [each for route in snapshot.routes for each in route.workers if not each.connected]
    return all(
        each.state in (WorkerState.STARTING, WorkerState.STOPPED)
        and not (each.restarts or each.at_rest)
        and not each.last_exit
        and (each.uptime or 0.0) < COMING_UP
        for each in missing
    )


def broker_parts(broker: BrokerSnapshot, version: bool) -> list[Fragment]:
    face = BROKER_FACES[broker.state]
    if broker.state is BrokerState.DOWN:
        named = broker.address in broker.reason or not broker.reason
        where = f" ({broker.address})" if version and not named else ""
        return [Fragment(f"{face.symbol} broker down: {broker.reason or broker.address}{where}", face.tone)]
    odd = Tone.WARN if broker.state is BrokerState.UP and broker.reason else None
    parts = [
        Fragment(f"{face.symbol} ", odd or face.tone),
        Fragment(f"{broker.kind} {broker.address}", odd or Tone.TEXT),
    ]
    if broker.state is BrokerState.STARTING:
        parts.append(Fragment(" starting", face.tone))
    if version and broker.version:
        parts.append(Fragment(f" {broker.version}", Tone.MUTED))
    return parts


def figures_line(snapshot: Snapshot, width: int) -> Line:
    """Figures of fixed width, so that none moves another; the last ones go first when there is no room."""
    metrics = snapshot.metrics
    cpu = "-" if metrics.cpu_percent is None else f"{metrics.cpu_percent:.0f}%"
    workers = f"{snapshot.running}/{snapshot.desired}"
    workers_tone = Tone.STRONG if snapshot.running >= snapshot.desired else Tone.WARN
    figures: list[Line] = [
        [Fragment(" workers ", Tone.MUTED), Fragment(f"{workers:<6}", workers_tone)],
        [Fragment(f"{format_rate(metrics.rate):>5}", Tone.STRONG), Fragment(" msg/s", Tone.MUTED)],
        [
            Fragment("err ", Tone.MUTED),
            Fragment(f"{format_percent(metrics.error_rate):>5}", error_tone(metrics.error_rate)),
        ],
        [Fragment("failed ", Tone.MUTED), Fragment(f"{format_count(metrics.failed):<5}")],
        [Fragment("cpu ", Tone.MUTED), Fragment(f"{cpu:>5}")],
        [Fragment("p95 ", Tone.MUTED), Fragment(f"{format_seconds(metrics.p95):>6}")],
        [Fragment("in flight ", Tone.MUTED), Fragment(f"{format_count(metrics.in_flight):<5}")],
        [Fragment("ok ", Tone.MUTED), Fragment(f"{format_count(metrics.ok):<6}")],
    ]
    right = drops(snapshot, width)
    while len(figures) > 2 and length(joined(figures)) + 1 + length(right) > width:
        figures.pop()
    return spread(joined(figures), right, width)


def drops(snapshot: Snapshot, width: int) -> list[Fragment]:
    """What was given up or lost on the way: loud only when something was."""
    lost = snapshot.metrics.log_dropped
    right = [Fragment(f"log drops {format_count(lost)} ", Tone.WARN if lost else Tone.MUTED)]
    stored, new = snapshot.dead_letters, snapshot.metrics.dead_lettered
    if stored:
        told = f" ({format_count(new)} new)" if 0 < new < stored and width >= NEWS_FROM else ""
        right.insert(0, Fragment(f"✗ dead letters {format_count(stored)}{told}  ", Tone.BAD))
    elif new:  # published, replayed or purged since
        right.insert(0, Fragment(f"dead-lettered {format_count(new)}  ", Tone.WARN))
    if snapshot.broker.dropped:
        right.insert(0, Fragment(f"! broker dropped {format_count(snapshot.broker.dropped)}  ", Tone.BAD))
    return right
