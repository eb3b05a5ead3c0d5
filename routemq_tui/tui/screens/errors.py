"""Failed messages grouped by where and how they failed: how often, since when, whom it touched."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from routemq_tui.engine.snapshot import ErrorGroup
from routemq_tui.tui.message_near import MOST_APART
from routemq_tui.tui.payload_text import payload_lines, plain, traceback_lines
from routemq_tui.tui.record_columns import RecordColumn
from routemq_tui.tui.screens.messages import MessagesScreen, time_of_day
from routemq_tui.tui.screens.records import RecordsScreen
from routemq_tui.tui.sparkline import sparkline
from routemq_tui.tui.surroundings import Surroundings
from routemq_tui.tui.tones import Fragment, Tone
from routemq_tui.tui.widgets.lines import Line
from routemq_tui.units import format_age, format_count

TREND = 15


def _error(group: ErrorGroup) -> str:
    return plain(f"{group.kind}: {group.text}" if group.text else group.kind)


class ErrorsScreen(RecordsScreen[ErrorGroup]):
    TITLE_TEXT = "Errors"
    FILTER_HINT = "words of the error, its place, route or worker · empty: all · Esc undoes"
    HINT = (
        "«records.open» whole · «records.filter» filter · «records.link» example message · «records.worker» "
        "worker · «records.logs» log · «records.copy» copy the traceback · ● new since you looked"
    )

    def __init__(self, around: Surroundings, wanted: str = "", select: Hashable = None) -> None:
        super().__init__(around, wanted, select)
        self._new_since = around.seen.errors_until

    def on_unmount(self) -> None:
        self.around.seen.errors_until = self.around.engine.snapshot().time

    def columns(self) -> Sequence[RecordColumn[ErrorGroup]]:
        return (
            RecordColumn("", 1, lambda group: Fragment("●" if self._is_new(group) else "", Tone.WARN)),
            RecordColumn(
                "count", 6, lambda group: Fragment(format_count(group.count), Tone.STRONG), align="right"
            ),
            RecordColumn("last", 6, lambda group: Fragment(self._age(group), Tone.MUTED), align="right"),
            RecordColumn(
                "trend 5 min",
                TREND,
                lambda group: Fragment(sparkline(group.trend, TREND)[0], Tone.BAD),
                narrow=0,
            ),
            RecordColumn("error", 44, lambda group: Fragment(_error(group), Tone.BAD), narrow=34),
            RecordColumn("routes", 14, lambda group: Fragment(" ".join(group.routes), Tone.ACCENT), narrow=0),
            RecordColumn("where", 0, lambda group: Fragment(plain(group.where))),
        )

    def _is_new(self, group: ErrorGroup) -> bool:
        return group.first_seen > self._new_since > 0

    def _age(self, group: ErrorGroup) -> str:
        return format_age(max(0.0, self.around.engine.snapshot().time - group.last_seen))

    def load(self) -> Sequence[ErrorGroup]:
        return list(self.around.engine.snapshot().errors)  # a new one: their ages are shown

    def key(self, record: ErrorGroup) -> Hashable:
        return record.fingerprint

    def passes(self, record: ErrorGroup, words: Sequence[str]) -> bool:
        parts = (record.kind, record.text, record.where, *record.routes, *record.workers)
        text = " ".join(parts).lower()
        return all(word in text for word in words)

    def empty(self) -> str:
        return "No message has failed for good."

    def detail(self, record: ErrorGroup, width: int) -> list[Line]:
        workers = ", ".join(record.workers[:12]) + (" …" if len(record.workers) > 12 else "")
        lines: list[Line] = [
            [Fragment(f" {record.kind}", Tone.BAD), Fragment(f"  {plain(record.text)}")],
            [Fragment(" where    ", Tone.MUTED), Fragment(plain(record.where))],
            [
                Fragment(" count    ", Tone.MUTED),
                Fragment(f"{record.count:,}", Tone.STRONG),
                Fragment(
                    f"  first {time_of_day(record.first_seen)}, last {time_of_day(record.last_seen)}",
                    Tone.MUTED,
                ),
            ],
            [Fragment(" workers  ", Tone.MUTED), Fragment(workers, Tone.ACCENT)],
            *traceback_lines(record.traceback),
        ]
        example = self.around.engine.messages.get(record.example) if record.example else None
        if example is not None:
            lines += [
                [],
                [Fragment(" example  ", Tone.MUTED), Fragment(plain(example.topic))],
                *payload_lines(example.payload, example.size, self.view),
            ]
        return lines

    def text(self, record: ErrorGroup) -> str:
        return record.traceback or f"{record.kind}: {record.text} ({record.where})"

    def action_worker(self) -> None:
        if (record := self.records.record) is not None and record.workers:
            self.go_to_worker(record.workers[-1])

    def action_logs(self) -> None:
        """To what the worker of the last one logged then."""
        if (record := self.records.record) is None or not record.workers:
            return
        example = self.around.engine.messages.get(record.example) if record.example else None
        if example is None:
            self.go_to_logs(record.workers[-1], record.last_seen - MOST_APART)
        else:
            self.go_to_logs(example.worker, example.time - example.duration)

    def action_link(self) -> None:
        record = self.records.record
        if record is None or not record.example or self.around.engine.messages.get(record.example) is None:
            self.app.notify("No message of this error is kept any more", severity="warning")
        else:
            self.app.push_screen(MessagesScreen(self.around, None, select=record.example))
