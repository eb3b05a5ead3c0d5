"""The tap: single messages as their workers told them. All that failed, and of tapped routes the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from datetime import datetime

from routemq_tui.engine.commands import SetTap
from routemq_tui.engine.messages import TappedMessage
from routemq_tui.engine.snapshot import RouteSnapshot
from routemq_tui.tui.payload_text import payload_lines, plain, property_lines, traceback_lines
from routemq_tui.tui.record_columns import RecordColumn
from routemq_tui.tui.screens.records import RecordsScreen
from routemq_tui.tui.surroundings import Surroundings
from routemq_tui.tui.tones import Fragment, Tone
from routemq_tui.tui.widgets.lines import Line
from routemq_tui.units import format_percent, format_seconds, parse_duration

KEPT = 5000
"""Messages this screen holds; the engine lets its own go by bytes."""
FACES = {"ok": ("●", Tone.OK), "retried": ("↻", Tone.WARN)}
BAD = ("✗", Tone.BAD)


def _tone(record: TappedMessage) -> Tone:
    return FACES.get(record.outcome, BAD)[1]


def time_of_day(time: float) -> str:
    return f"{datetime.fromtimestamp(time):%H:%M:%S.%f}"[:12]


def slower_than(word: str) -> float | None:
    """The seconds of a word like `>20ms`; None for any other word, ValueError when it is no duration."""
    return parse_duration(word[1:]) if word.startswith(">") else None


def _told(record: TappedMessage) -> Fragment:
    """Why it failed, or the beginning of its payload."""
    if record.error:
        return Fragment(plain(record.error), Tone.BAD)
    return Fragment(plain(record.payload[:200].decode("utf-8", "replace")), Tone.MUTED)


COLUMNS: tuple[RecordColumn[TappedMessage], ...] = (
    RecordColumn("", 1, lambda record: Fragment(*FACES.get(record.outcome, BAD))),
    RecordColumn("time", 12, lambda record: Fragment(time_of_day(record.time), Tone.MUTED)),
    RecordColumn(
        "took", 6, lambda record: Fragment(format_seconds(record.duration), Tone.STRONG), align="right"
    ),
    RecordColumn("outcome", 13, lambda record: Fragment(record.outcome, _tone(record)), narrow=0),
    RecordColumn("worker", 16, lambda record: Fragment(record.worker, Tone.ACCENT), narrow=14),
    RecordColumn("topic", 32, lambda record: Fragment(plain(record.topic)), narrow=22),
    RecordColumn("payload or error", 0, _told),
)


class MessagesScreen(RecordsScreen[TappedMessage]):
    TITLE_TEXT = "Messages"
    FILTER_HINT = "words of topic, worker, outcome or error · failed · >20ms · empty: all"
    HINT = (
        "«records.open» whole · «records.filter» filter · «records.tap» tap the route · «records.link» its "
        "errors · «records.worker» its worker · «records.logs» log · «records.view» text or hex · "
        "«records.copy» copy"
    )

    def __init__(
        self, around: Surroundings, route: RouteSnapshot | None, wanted: str = "", select: Hashable = None
    ) -> None:
        super().__init__(around, wanted, select)
        self._route = None if route is None else route.name
        self._held: deque[TappedMessage] = deque(maxlen=KEPT)
        self._newest_first: list[TappedMessage] = []
        self._next = 0

    def load(self) -> Sequence[TappedMessage]:
        more, before = True, self._next
        while more:
            batch = self.around.engine.messages.read(self._route, self._next)
            self._held.extend(batch.messages)
            more, self._next = bool(batch.messages), batch.next_seq
        if self._next != before:
            self._newest_first = list(reversed(self._held))
        return self._newest_first

    def columns(self) -> Sequence[RecordColumn[TappedMessage]]:
        return COLUMNS

    def key(self, record: TappedMessage) -> Hashable:
        return record.seq

    def problem(self, text: str) -> str:
        for word in text.split():
            try:
                slower_than(word)
            except ValueError:
                return f"{word!r} is no time: >20ms, >1.5s"
        return ""

    def passes(self, record: TappedMessage, words: Sequence[str]) -> bool:
        failed = "" if record.outcome == "ok" else " failed"
        text = f"{record.topic} {record.worker} {record.outcome}{failed} {record.error}".lower()
        for word in words:
            least = slower_than(word)
            if record.duration < least if least is not None else word not in text:
                return False
        return True

    def _snapshot(self) -> RouteSnapshot | None:
        routes = self.around.engine.snapshot().routes
        return next((route for route in routes if route.name == self._route), None)

    def more_title(self) -> Line:
        route = self._snapshot()
        name = Fragment(f" {self._route or 'all routes'} ", Tone.STRONG)
        if route is None:
            return [name, Fragment(" failed ones, and those of tapped routes", Tone.MUTED)]
        if not route.tapped:
            return [
                name,
                Fragment(
                    self.around.fill(" tap off: only failed ones; «records.tap» turns it on"), Tone.WARN
                ),
            ]
        if route.sampled is None:
            return [name, Fragment(" tapped: every message", Tone.OK)]
        return [name, Fragment(f" tapped: {format_percent(route.sampled)} of the messages", Tone.WARN)]

    def empty(self) -> str:
        return self.around.fill(
            "No message was told yet. «records.tap» taps the route: its messages come here."
        )

    def detail(self, record: TappedMessage, width: int) -> list[Line]:
        symbol, tone = FACES.get(record.outcome, BAD)
        flags = " retained" * record.retain + " DUP" * record.duplicate
        facts: list[Line] = [
            [
                Fragment(f" {symbol} {record.outcome}", tone),
                Fragment(f"  in {format_seconds(record.duration)}"),
            ],
            [Fragment(" topic    ", Tone.MUTED), Fragment(plain(record.topic))],
            [
                Fragment(" worker   ", Tone.MUTED),
                Fragment(record.worker, Tone.ACCENT),
                Fragment(f"  {time_of_day(record.time)}  attempt {record.attempts}", Tone.MUTED),
            ],
            [Fragment(" delivery ", Tone.MUTED), Fragment(f"QoS {record.qos}{flags}")],
        ]
        if record.letter is not None:
            facts.append(
                [Fragment(" stored   ", Tone.MUTED), Fragment(f"dead letter {record.letter}", Tone.WARN)]
            )
        if record.error:
            facts.append([Fragment(" error    ", Tone.MUTED), Fragment(plain(record.error), Tone.BAD)])
        return [
            *facts,
            *property_lines(record.properties),
            *payload_lines(record.payload, record.size, self.view),
            *traceback_lines(record.traceback),
        ]

    def action_tap(self) -> None:
        route = self._snapshot()
        if route is None:
            self.app.notify("Choose a route first: the tap is for one route", severity="warning")
        elif self.around.read_only:
            self.app.notify("Read-only: nothing can be changed from here", severity="warning")
        else:
            self.around.engine.send(SetTap(route.name, not route.tapped))

    def action_worker(self) -> None:
        if (record := self.records.record) is not None:
            self.go_to_worker(record.worker)

    def action_logs(self) -> None:
        if (record := self.records.record) is not None:
            self.go_to_logs(record.worker, record.time - record.duration)

    def action_link(self) -> None:
        from routemq_tui.tui.screens.errors import ErrorsScreen  # each leads to the other

        record = self.records.record
        if record is None or not record.group:
            self.app.notify("This message did not fail: it belongs to no error", severity="warning")
        else:
            self.app.push_screen(ErrorsScreen(self.around, select=record.group))
