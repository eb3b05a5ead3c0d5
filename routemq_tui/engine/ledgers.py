"""The ledger of a kill or crash: each message that was in hand, where it came again, and what became of it.

It needs only what the dead slot's shared memory names and what the route's workers report of the messages it
asks them to look for (`cells.write_watched`). A message that goes to a worker of another node is not seen.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from routemq_tui.engine.journal import Journal
from routemq_tui.engine.snapshot import FAILED, Ledger, LedgerEntry, Outcome
from routemq_tui.worker import cells
from routemq_tui.worker.spec import Fate, Seen

KEPT = 20
"""Ledgers of messages in hand, and as many of deaths with none."""
SETTLE_AFTER = 30.0
"""Seconds after which what was not seen again is no longer waited for."""
_BAD = (Outcome.AWAITED, *FAILED)
_OUTCOMES: dict[Fate, Outcome] = {
    "handled": Outcome.HANDLED,
    "handled before": Outcome.HANDLED,
    "dead-lettered": Outcome.DEAD_LETTERED,
    "published": Outcome.PUBLISHED,
    "dropped": Outcome.DROPPED,
    "stopped": Outcome.STOPPED,
}


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
    """So many of them had been handled and were not acknowledged yet."""
    in_order: bool = True
    """Then they are the first ones; which they are is not known when several are handled at once."""
    current: tuple[int, str] | None = None
    """Fingerprint and topic of the message whose handler was running."""

    @property
    def worker(self) -> str:
        return f"{self.route}/{self.slot}"

    def had_finished(self, index: int) -> bool:
        """Whether this one of the messages in hand is known to have been handled."""
        return self.in_order and index < self.finished


@dataclass(slots=True)
class _Book:
    """A ledger while it changes."""

    death: Death
    at: float
    since: float
    entries: list[LedgerEntry]
    """As in `death.in_hand`."""
    final: bool = True
    """False until the end of the process has been seen."""
    settled: bool = False
    until: float = field(init=False)
    told: str = ""
    value: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.until = self.since + SETTLE_AFTER
        self.freeze()

    def freeze(self) -> None:
        death = self.death
        self.value = Ledger(
            death.worker,
            death.pid,
            self.at,
            death.reason,
            death.in_flight,
            tuple(self.entries),
            self.settled,
            death.qos,
            death.finished - sum(map(death.had_finished, range(len(self.entries)))),
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

    def end(self, index: int, report: Seen) -> None:
        outcome = _OUTCOMES[report.fate]
        if report.fate == "handled" and self.death.had_finished(index):
            outcome = Outcome.HANDLED_TWICE
        self.entries[index] = replace(self.entries[index], outcome=outcome, unrun=report.unrun)

    def lose(self, slot: int) -> None:
        """What had come again to this slot is with the broker once more."""
        for index, each in enumerate(self.entries):
            if each.outcome is Outcome.REDELIVERED and each.slot == slot:
                self.entries[index] = replace(each, outcome=Outcome.AWAITED)
        self.freeze()

    def reopen(self, now: float) -> None:
        self.settled, self.until = False, now + SETTLE_AFTER
        self.freeze()

    def find(self, report: Seen, slot: int) -> int | None:
        """The entry that the report is about: one that is awaited, or that came to this slot."""
        for index, each in enumerate(self.entries):
            if each.fingerprint != report.fingerprint:
                continue
            if report.fate == "came" and each.outcome is Outcome.AWAITED:
                return index
            if report.fate != "came" and each.outcome is Outcome.REDELIVERED and each.slot == slot:
                return index
        return None


def _entries_of(death: Death) -> list[LedgerEntry]:
    current = dict([death.current]) if death.current else {}
    followed = [each for each in death.in_hand if each][: cells.WATCHED_MOST]
    return [
        LedgerEntry(each, current.get(each), _outcome_at(death, index)) for index, each in enumerate(followed)
    ]


def _outcome_at(death: Death, index: int) -> Outcome:
    if death.qos:
        return Outcome.AWAITED
    return Outcome.HANDLED if death.had_finished(index) else Outcome.UNKNOWABLE


class Ledgers:
    """All routes'. Used on the engine's thread; times are `time.monotonic` seconds."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._books: list[_Book] = []
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
            self._let_go()
            self._write(death.route)

    def open(self, death: Death, now: float) -> None:
        """The ledger of a death, whose cells no longer change."""
        expected = next((each for each in self._books if each.death.pid == death.pid), None)
        if expected is not None:
            expected.amend(death)
        else:
            self._books.append(_Book(death, time.time(), now, _entries_of(death)))
        self._lose(death.route, death.slot)
        self._let_go()
        self._write(death.route)
        self.settle(now)

    def gone(self, route: str, slot: int, now: float) -> None:
        """The slot's process ended as it was to: what had come to it and was not handled is not with it."""
        self._lose(route, slot)
        self._write(route)
        self.settle(now)

    def _lose(self, route: str, slot: int) -> None:
        for book in self._books:
            if book.death.route == route:
                book.lose(slot)

    def connected(self, route: str, now: float) -> None:
        """A worker of the route is back: what is with the broker may come now, and is looked for again."""
        for book in self._books:
            if book.settled and book.death.route == route and any(map(is_with_broker, book.entries)):
                book.reopen(now)
        self._write(route)
        self.settle(now)

    def _let_go(self) -> None:
        """That nothing was in hand is told of a worker's last death only, and costs no other its place."""
        last = {book.death.worker: book for book in self._books}
        told = [book for book in self._books if book.death.in_flight][-KEPT:]
        bare = [book for book in last.values() if not book.death.in_flight][-KEPT:]
        kept = {id(book) for book in (*told, *bare)}
        self._books = [book for book in self._books if id(book) in kept]

    def seen(self, route: str, slot: int, report: Seen, now: float) -> None:
        """A worker of the route received a message that is awaited, or has done with it."""
        came = report.fate == "came"
        for book in self._open_of(route):
            index = book.find(report, slot)
            if index is None:
                continue
            if came:
                book.entries[index] = replace(
                    book.entries[index],
                    topic=report.topic,
                    outcome=Outcome.REDELIVERED,
                    slot=slot,
                    after=now - book.since,
                )
            else:
                book.end(index, report)
            book.freeze()
        self.settle(now)

    def _open_of(self, route: str) -> list[_Book]:
        return [book for book in self._books if not book.settled and book.death.route == route]

    def settle(self, now: float) -> None:
        """Close the ledgers that are complete or old, and say what they hold. Cheap; call it often."""
        for book in self._books:
            if book.final and not book.settled and (book.complete or now >= book.until):
                book.settled = True
                book.freeze()
                self._tell(book)
                self._write(book.death.route)
        self.values = tuple(book.value for book in self._books if book.final)

    def _tell(self, book: _Book) -> None:
        words = ledger_words(book.value)
        if not book.death.in_flight or words == book.told:
            return
        book.told = words
        bad = book.value.lost or any(each.outcome in _BAD for each in book.entries)
        self._journal.notice("warning" if bad else "information", words, book.death.worker)

    def _write(self, route: str) -> None:
        awaited = [
            each.fingerprint
            for book in self._open_of(route)
            for each in book.entries
            if each.outcome in (Outcome.AWAITED, Outcome.REDELIVERED)
        ]
        for words in self._boards.get(route, ()):
            cells.write_watched(words, awaited)


def is_with_broker(entry: LedgerEntry) -> bool:
    """It had come again, and its worker went without having ended it."""
    return entry.outcome is Outcome.AWAITED and entry.slot is not None


def fate_words(ledger: Ledger) -> list[str]:
    """As `Ledger.fate_words`; of a message that was begun before, that it is not run again."""
    told = ledger.fate_words()
    for cause in ("poison", "timeout"):
        told = [each.replace(f"(not run: {cause})", f"(not run again: {cause})") for each in told]
    return told


def ledger_words(ledger: Ledger) -> str:
    """In one line: "temperature/2 killed by hand: 7 in flight, 7 redelivered (5 to temperature/1, …) …"."""
    entries, count = ledger.entries, ledger.counts
    parts = [f"{ledger.worker} {ledger.reason}: {ledger.in_flight} in flight"]
    if not entries:
        parts.append("not known by name")
    if 0 < len(entries) < ledger.in_flight:
        parts.append(f"the first {len(entries)} followed")
    again = [each for each in entries if each.slot is not None]
    if again:
        parts.append(_redelivered(ledger, again))
    parts += fate_words(ledger)
    if count[Outcome.REDELIVERED]:
        parts.append(f"{count[Outcome.REDELIVERED]} not yet handled")
    with_broker = sum(map(is_with_broker, entries))
    if with_broker:
        parts.append(f"{with_broker} with the broker")
    if unseen := count[Outcome.AWAITED] - with_broker:
        parts.append(f"{unseen} not seen here again within {SETTLE_AFTER:.0f} s")
    return ", ".join(parts)


def _redelivered(ledger: Ledger, again: list[LedgerEntry]) -> str:
    route = ledger.worker.rpartition("/")[0]
    slots = Counter(each.slot for each in again)
    if len(slots) == 1:
        where = f"to {route}/{again[0].slot}"
    else:
        each_to = [f"{count} to {route}/{slot}" for slot, count in sorted(slots.items(), key=str)]
        where = f"({', '.join(each_to)})"
    return f"{len(again)} redelivered {where} after {ledger.span_words()}"
