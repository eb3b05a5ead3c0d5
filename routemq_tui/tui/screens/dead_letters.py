"""The dead letters of the project's store: looked at, replayed to their topics, removed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Sequence
from datetime import datetime
from typing import NamedTuple

from routemq_tui.engine.commands import PurgeLetters, ReplayLetters
from routemq_tui.engine.letters import Letter, LetterLine
from routemq_tui.tui.payload_text import payload_lines, plain, property_lines, traceback_lines
from routemq_tui.tui.record_columns import RecordColumn
from routemq_tui.tui.screens.records import RecordsScreen
from routemq_tui.tui.surroundings import Surroundings
from routemq_tui.tui.tones import Fragment, Tone
from routemq_tui.tui.widgets.lines import Line

READ = 1000
REST = 20
"""Times as long as a look into the store took, until the next one."""
LEAST_REST = 0.2
"""Seconds."""
STATES = {"stored": Tone.WARN, "replaying": Tone.ACCENT, "replayed": Tone.OK, "purged": Tone.MUTED}


COLUMNS: tuple[RecordColumn[LetterLine], ...] = (
    RecordColumn("id", 6, lambda record: Fragment(str(record.id), Tone.STRONG), narrow=4, align="right"),
    RecordColumn(
        "time",
        15,
        lambda record: Fragment(f"{datetime.fromtimestamp(record.time):%d.%m. %H:%M:%S}", Tone.MUTED),
    ),
    RecordColumn("state", 9, lambda record: Fragment(record.state, STATES.get(record.state, Tone.TEXT))),
    RecordColumn("cause", 7, lambda record: Fragment(record.cause), narrow=0),
    RecordColumn("worker", 16, lambda record: Fragment(record.worker, Tone.ACCENT), narrow=0),
    RecordColumn("topic", 32, lambda record: Fragment(plain(record.topic)), narrow=18),
    RecordColumn("error", 0, lambda record: Fragment(plain(record.error), Tone.BAD)),
)


class Stored(NamedTuple):
    lines: tuple[LetterLine, ...] = ()
    total: int = 0
    """All there are; more than the lines when these are too many."""


class DeadLettersScreen(RecordsScreen[LetterLine]):
    TITLE_TEXT = "Dead letters"
    FILTER_HINT = "words of topic, route, worker, cause or error · empty: all · Esc undoes"
    HINT = (
        "«records.open» whole · «records.replay» replay it · «records.purge» remove it · «records.filter» "
        "filter · «records.view» text or hex · «records.copy» copy"
    )

    HOLDS = True  # a key may replay or remove it

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._stored: Stored | None = None
        self._reading = False
        self._next = 0.0

    def load(self) -> Sequence[LetterLine]:
        """What was read last: a look into a full store takes too long to wait for it, but for the first."""
        if self._stored is None:
            self._take(self._look())
        elif not self._reading and time.monotonic() >= self._next:
            self._reading = True
            self.run_worker(self._read(), group="letters", exit_on_error=False)
        return self._stored.lines if self._stored is not None else ()

    async def _read(self) -> None:
        begun = time.monotonic()
        try:
            self._take(await asyncio.to_thread(self._look))
        finally:
            self._reading, now = False, time.monotonic()
            self._next = now + max(LEAST_REST, REST * (now - begun))
        self.refresh_records()

    def _look(self) -> Stored:
        letters = self.around.engine.letters
        lines = letters.read(limit=READ)
        if len(lines) >= READ:
            return Stored(lines, letters.count())
        # The count is a second old: that of a whole list agrees with what is seen.
        return Stored(lines, sum(each.state in ("stored", "replaying") for each in lines))

    def _take(self, stored: Stored) -> None:
        before = self._stored
        if before is not None and before.lines == stored.lines:
            stored = stored._replace(lines=before.lines)
        self._stored = stored

    def columns(self) -> Sequence[RecordColumn[LetterLine]]:
        return COLUMNS

    def key(self, record: LetterLine) -> Hashable:
        return record.id

    def passes(self, record: LetterLine, words: Sequence[str]) -> bool:
        text = f"{record.topic} {record.worker} {record.cause} {record.error} {record.state}".lower()
        return all(word in text for word in words)

    def empty(self) -> str:
        return "There are none: no message was given up."

    def more_title(self) -> Line:
        count = 0 if self._stored is None else self._stored.total
        more = f" the newest {READ:,} are shown" if count > READ else ""
        return [Fragment(f" {count:,} in the store{more}", Tone.WARN if count else Tone.MUTED)]

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
                Fragment(f"  given up after {attempts_of(record)}: {record.cause}", Tone.MUTED),
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


def attempts_of(record: LetterLine) -> str:
    return "one attempt" if record.attempts == 1 else f"{record.attempts} attempts"


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
