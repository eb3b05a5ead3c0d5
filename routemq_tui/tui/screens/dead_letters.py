"""The dead letters of the project's store: looked at, replayed to their topics, removed."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from datetime import datetime

from routemq_tui.engine.commands import PurgeLetters, ReplayLetters
from routemq_tui.engine.letters import Letter, LetterLine
from routemq_tui.tui.fitting import place
from routemq_tui.tui.payload_text import payload_lines, plain, property_lines, traceback_lines
from routemq_tui.tui.screens.records import RecordsScreen
from routemq_tui.tui.tones import Fragment, Tone
from routemq_tui.tui.widgets.lines import Line

READ = 1000
STATES = {"stored": Tone.WARN, "replaying": Tone.ACCENT, "replayed": Tone.OK, "purged": Tone.MUTED}


class DeadLettersScreen(RecordsScreen[LetterLine]):
    TITLE_TEXT = "Dead letters"
    FILTER_HINT = "words of topic, route, worker, cause or error · Enter shows only these · empty shows all"
    HINT = (
        "«records.open» whole · «records.replay» replay it · «records.purge» remove it · «records.filter» "
        "filter · «records.view» text or hex · «records.copy» copy"
    )

    def load(self) -> Sequence[LetterLine]:
        return self.around.engine.letters.read(limit=READ)

    def key(self, record: LetterLine) -> Hashable:
        return record.id

    def passes(self, record: LetterLine, words: Sequence[str]) -> bool:
        text = f"{record.topic} {record.worker} {record.cause} {record.error} {record.state}".lower()
        return all(word in text for word in words)

    def empty(self) -> str:
        return "There are none: no message was given up."

    def more_title(self) -> Line:
        count = self.around.engine.letters.count()
        more = f" the newest {READ:,} are shown" if count > READ else ""
        return [Fragment(f" {count:,} in the store{more}", Tone.WARN if count else Tone.MUTED)]

    def heading(self, width: int) -> Line:
        text = f" {'id':>6}  {'time':<14} {'state':<10} {'cause':<8} {'worker':<16} {'topic':<32} error"
        return [Fragment(text, Tone.MUTED)]

    def line(self, record: LetterLine, width: int) -> Line:
        return [
            Fragment(f" {record.id:>6}  ", Tone.STRONG),
            Fragment(f"{datetime.fromtimestamp(record.time):%d.%m. %H:%M:%S} ", Tone.MUTED),
            Fragment(place(record.state, 11, "left"), STATES.get(record.state, Tone.TEXT)),
            Fragment(place(record.cause, 9, "left")),
            Fragment(place(record.worker, 17, "left"), Tone.ACCENT),
            Fragment(place(plain(record.topic), 33, "left")),
            Fragment(plain(record.error), Tone.BAD),
        ]

    def detail(self, record: LetterLine, width: int) -> list[Line]:
        lines: list[Line] = [
            [
                Fragment(f" dead letter {record.id}", Tone.STRONG),
                Fragment(f"  {record.state}", STATES.get(record.state, Tone.TEXT)),
            ],
            [Fragment(" topic    ", Tone.MUTED), Fragment(plain(record.topic))],
            [
                Fragment(" worker   ", Tone.MUTED),
                Fragment(record.worker, Tone.ACCENT),
                Fragment(f"  given up after {record.attempts} attempts: {record.cause}", Tone.MUTED),
            ],
            [Fragment(" error    ", Tone.MUTED), Fragment(plain(record.error), Tone.BAD)],
        ]
        letter = self.around.engine.letters.get(record.id)
        if letter is None:
            lines.append([Fragment(f" It has left the store ({record.state}).", Tone.MUTED)])
            return lines
        return [*lines, *_rest(letter, self)]

    def action_replay(self) -> None:
        record = self._changeable()
        if record is not None:
            self.around.engine.send(ReplayLetters((record.id,)))

    def action_purge(self) -> None:
        record = self._changeable()
        if record is not None:
            order = PurgeLetters((record.id,))
            self.ask(
                f"Remove dead letter {record.id}?",
                f"The message to {record.topic} is then lost for good.",
                "Yes, remove it",
                lambda: self.around.engine.send(order),
            )

    def _changeable(self) -> LetterLine | None:
        record = self.records.record
        if record is None:
            return None
        if self.around.read_only:
            self.app.notify("Read-only: nothing can be changed from here", severity="warning")
            return None
        if record.state != "stored":
            self.app.notify(f"Dead letter {record.id} is {record.state} already", severity="warning")
            return None
        return record

    def action_worker(self) -> None:
        if (record := self.records.record) is not None:
            self.go_to_worker(record.worker)


def _rest(letter: Letter, screen: DeadLettersScreen) -> list[Line]:
    return [
        [
            Fragment(" delivery ", Tone.MUTED),
            Fragment(f"QoS {letter.qos}{' retained' * letter.retain}"),
        ],
        *property_lines(letter.properties),
        *payload_lines(letter.payload, letter.line.size, screen.view),
        *traceback_lines(letter.traceback),
    ]
