"""The ledger of a kill or crash: each message that was in hand, where it came again, and what became of it.

It needs only what the dead slot's shared memory names and what the route's workers report of the messages it
asks them to look for (`cells.write_watched`). A message that goes to a worker of another node is not seen.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from routemq_tui.engine.journal import Journal
from routemq_tui.engine.snapshot import Ledger, LedgerEntry, Outcome
from routemq_tui.worker import cells
from routemq_tui.worker.spec import Seen

KEPT = 20
SETTLE_AFTER = 30.0
"""Seconds after which what was not seen again is no longer waited for."""


@dataclass(frozen=True, slots=True)
class Death:
    """What a dead process had in hand."""

    route: str
    slot: int
    pid: int
    reason: str
    qos: int
    in_flight: int
    in_hand: Sequence[int] = ()
    """Fingerprints in order of receipt."""
    finished: int = 0
    """So many of them, the first ones, had been handled and were not acknowledged yet."""
    current: tuple[int, str] | None = None
    """Fingerprint and topic of the message whose handler was running."""

    @property
    def worker(self) -> str:
        return f"{self.route}/{self.slot}"


@dataclass(slots=True)
class _Book:
    """A ledger while it changes."""

    death: Death
    at: float
    since: float
    entries: list[LedgerEntry]
    """The first `death.finished` of them had been handled before the death."""
    final: bool = True
    """False until the end of the process has been seen."""
    settled: bool = False
    value: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.freeze()

    def freeze(self) -> None:
        death = self.death
        self.value = Ledger(
            death.worker, death.pid, self.at, death.reason, death.in_flight, tuple(self.entries), self.settled
        )

    def amend(self, death: Death) -> None:
        """What was acknowledged or received between the kill and the end goes, or comes in."""
        seen = {each.fingerprint: each for each in self.entries if each.outcome is not Outcome.AWAITED}
        self.death, self.final = death, True
        self.entries = [seen.get(each.fingerprint, each) for each in _entries_of(death)]
        self.freeze()

    @property
    def complete(self) -> bool:
        return all(each.outcome not in (Outcome.AWAITED, Outcome.REDELIVERED) for each in self.entries)

    def lose(self, slot: int) -> None:
        """What had come again to this slot is lost once more."""
        for index, each in enumerate(self.entries):
            if each.outcome is Outcome.REDELIVERED and each.slot == slot:
                self.entries[index] = replace(each, outcome=Outcome.AWAITED, slot=None, after=None)
        self.freeze()

    def find(self, fingerprint: int, outcome: Outcome, slot: int | None = None) -> int | None:
        for index, each in enumerate(self.entries):
            if each.fingerprint == fingerprint and each.outcome is outcome and each.slot == slot:
                return index
        return None


def _entries_of(death: Death) -> list[LedgerEntry]:
    outcome = Outcome.AWAITED if death.qos else Outcome.UNKNOWABLE
    current = dict([death.current]) if death.current else {}
    followed = [each for each in death.in_hand if each][: cells.WATCHED_MOST]
    return [LedgerEntry(each, current.get(each), outcome) for each in followed]


class Ledgers:
    """All routes'. Used on the engine's thread; times are `time.monotonic` seconds."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._books: deque[_Book] = deque(maxlen=KEPT)
        self._boards: dict[str, list[memoryview]] = {}
        self.values: tuple[Ledger, ...] = ()
        """Newest last."""

    def join(self, route: str, words: memoryview) -> None:
        """A slot of the route, whose worker is to look out for what is awaited."""
        self._boards.setdefault(route, []).append(words)
        self._write(route)

    def leave(self, route: str, words: memoryview) -> None:
        self._boards[route] = [each for each in self._boards.get(route, ()) if each is not words]

    def expect(self, death: Death, now: float) -> None:
        """A process is about to be killed: its messages may be at another worker before its end is seen."""
        if death.qos and death.in_hand:
            self._books.append(_Book(death, time.time(), now, _entries_of(death), final=False))
            self._write(death.route)

    def open(self, death: Death, now: float) -> None:
        """The ledger of a death, whose cells no longer change; without a message in hand there is none."""
        expected = next((each for each in self._books if each.death.pid == death.pid), None)
        if expected is not None:
            expected.amend(death)
        elif death.in_flight:
            self._books.append(_Book(death, time.time(), now, _entries_of(death)))
        for book in self._open_of(death.route):
            if book.death.pid != death.pid:
                book.lose(death.slot)
        self._books = deque((each for each in self._books if each.death.in_flight), KEPT)
        self._write(death.route)
        self.settle(now)

    def seen(self, route: str, slot: int, report: Seen, now: float) -> None:
        """A worker of the route received a message that is awaited, or its handler ended."""
        wanted = (Outcome.REDELIVERED, slot) if report.handled else (Outcome.AWAITED, None)
        for book in self._open_of(route):
            index = book.find(report.fingerprint, *wanted)
            if index is None:
                continue
            entry = book.entries[index]
            if report.handled:
                outcome = Outcome.HANDLED_TWICE if index < book.death.finished else Outcome.HANDLED
                book.entries[index] = replace(entry, outcome=outcome)
            else:
                book.entries[index] = replace(
                    entry, topic=report.topic, outcome=Outcome.REDELIVERED, slot=slot, after=now - book.since
                )
            book.freeze()
        self.settle(now)

    def _open_of(self, route: str) -> list[_Book]:
        return [book for book in self._books if not book.settled and book.death.route == route]

    def settle(self, now: float) -> None:
        """Close the ledgers that are complete or old, and say what they hold. Cheap; call it often."""
        for book in self._books:
            if book.final and not book.settled and (book.complete or now - book.since >= SETTLE_AFTER):
                book.settled = True
                book.freeze()
                awaited = any(each.outcome is Outcome.AWAITED for each in book.entries)
                severity = "warning" if awaited else "information"
                self._journal.notice(severity, ledger_words(book.value), book.death.worker)
                self._write(book.death.route)
        self.values = tuple(book.value for book in self._books if book.final)

    def _write(self, route: str) -> None:
        awaited = [
            each.fingerprint
            for book in self._open_of(route)
            for each in book.entries
            if each.outcome in (Outcome.AWAITED, Outcome.REDELIVERED)
        ]
        for words in self._boards.get(route, ()):
            cells.write_watched(words, awaited)


def ledger_words(ledger: Ledger) -> str:
    """In one line: "temperature/2 killed by hand: 7 in flight, 7 redelivered (5 to temperature/1, …) …"."""
    entries = ledger.entries
    parts = [f"{ledger.worker} {ledger.reason}: {ledger.in_flight} in flight"]
    count = Counter(each.outcome for each in entries)
    if count[Outcome.UNKNOWABLE] or not entries:
        parts.append("QoS 0, so whether they were handled is unknowable" if entries else "not known by name")
    if 0 < len(entries) < ledger.in_flight:
        parts.append(f"the first {len(entries)} followed")
    again = [each for each in entries if each.slot is not None]
    if again:
        parts.append(_redelivered(ledger, again))
    if count[Outcome.HANDLED_TWICE]:
        parts.append(f"{count[Outcome.HANDLED_TWICE]} handled twice")
    if count[Outcome.REDELIVERED]:
        parts.append(f"{count[Outcome.REDELIVERED]} not yet handled")
    if count[Outcome.AWAITED]:
        parts.append(f"{count[Outcome.AWAITED]} not seen here again within {SETTLE_AFTER:.0f} s")
    return ", ".join(parts)


def _redelivered(ledger: Ledger, again: list[LedgerEntry]) -> str:
    route = ledger.worker.rpartition("/")[0]
    slots = Counter(each.slot for each in again)
    if len(slots) == 1:
        where = f"to {route}/{again[0].slot}"
    else:
        each_to = [f"{count} to {route}/{slot}" for slot, count in sorted(slots.items(), key=str)]
        where = f"({', '.join(each_to)})"
    waits = sorted(each.after for each in again if each.after is not None)
    shortest, longest = f"{waits[0]:.1f}", f"{waits[-1]:.1f}"
    span = longest if shortest == longest else f"{shortest}-{longest}"
    return f"{len(again)} redelivered {where} after {span} s"
