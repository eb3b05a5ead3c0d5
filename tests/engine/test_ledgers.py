"""The ledger of a kill: what was in hand, where it came again, and what became of it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from routemq_tui.engine.endings import _deaths_words, death_of
from routemq_tui.engine.journal import Journal
from routemq_tui.engine.ledgers import KEPT, SETTLE_AFTER, Death, Ledgers, fate_words, is_with_broker
from routemq_tui.engine.log_store import LogStore
from routemq_tui.engine.snapshot import Ledger, LedgerEntry, Outcome
from routemq_tui.engine.snapshot_json import _ledger
from routemq_tui.worker import cells
from routemq_tui.worker.spec import Fate, Seen

O = Outcome  # noqa: E741


class Books:
    """Ledgers of a route with one live slot, and what they told."""

    def __init__(self) -> None:
        self.journal = Journal(LogStore(1_000_000))
        self.ledgers = Ledgers(self.journal)
        self.words = memoryview(bytearray(cells.WORDS * 8)).cast("B").cast("Q")
        self.ledgers.join("jobs", self.words)

    def death(
        self,
        *in_hand: int,
        pid: int = 1,
        slot: int = 2,
        qos: int = 1,
        finished: int = 0,
        in_order: bool = True,
    ) -> Death:
        return Death("jobs", slot, pid, "killed by hand", qos, len(in_hand), in_hand, finished, in_order)

    def seen(self, fingerprint: int, now: float, fate: Fate = "came", slot: int = 1, unrun: str = "") -> None:
        self.ledgers.seen("jobs", slot, Seen(fingerprint, f"jobs/{fingerprint}", True, fate, unrun), now)

    @property
    def watched(self) -> frozenset[int]:
        return cells.read_watched(self.words)

    def last(self) -> Ledger:
        return self.ledgers.values[-1]

    def outcomes(self) -> list[Outcome]:
        return [each.outcome for each in self.last().entries]

    def told(self) -> list[str]:
        return [each.text for each in self.journal.notices]


def test_a_ledger_is_joined_from_what_the_workers_see() -> None:
    books = Books()
    books.ledgers.open(books.death(10, 11, 12, finished=1), 100.0)
    assert books.watched == {10, 11, 12}
    books.seen(10, 100.1)
    books.seen(11, 100.3, slot=3)
    books.seen(12, 100.3, slot=3)
    assert books.outcomes() == [O.REDELIVERED] * 3
    for fingerprint, slot in ((10, 1), (11, 3), (12, 3)):
        books.seen(fingerprint, 100.5, "handled", slot=slot)
    assert books.outcomes() == [O.HANDLED_TWICE, O.HANDLED, O.HANDLED]
    assert [each.topic for each in books.last().entries] == ["jobs/10", "jobs/11", "jobs/12"]
    assert books.last().settled
    assert books.watched == frozenset()
    assert books.told() == [
        "jobs/2 killed by hand: 3 in flight, 3 redelivered (1 to jobs/1, 2 to jobs/3) after 0.1-0.3 s, "
        "1 handled twice"
    ]


def test_what_does_not_come_again_is_said_after_a_while() -> None:
    books = Books()
    books.ledgers.open(books.death(10, 11), 0.0)
    books.seen(10, 0.5)
    books.ledgers.settle(SETTLE_AFTER - 0.1)
    assert not books.last().settled
    books.ledgers.settle(SETTLE_AFTER)
    assert books.told() == [
        "jobs/2 killed by hand: 2 in flight, 1 redelivered to jobs/1 after 0.5 s, 1 not yet handled, "
        "1 not seen here again within 30 s"
    ]
    assert books.watched == frozenset()
    books.seen(11, 40.0)
    assert books.outcomes() == [O.REDELIVERED, O.AWAITED]


def test_what_failed_is_not_called_handled() -> None:
    books = Books()
    books.ledgers.open(books.death(10, 11, 12, 13, 14, 15), 0.0)
    ends: list[tuple[Fate, str]] = [
        ("dead-lettered", "poison"),
        ("dead-lettered", ""),
        ("dead-lettered", ""),
        ("dropped", "timeout"),
        ("stopped", ""),
        ("handled", ""),
    ]
    for fingerprint, (fate, unrun) in enumerate(ends, 10):
        books.seen(fingerprint, 0.02)
        books.seen(fingerprint, 0.1, fate, unrun=unrun)
    assert books.outcomes() == [O.DEAD_LETTERED] * 3 + [O.DROPPED, O.STOPPED, O.HANDLED]
    assert [each.unrun for each in books.last().entries] == ["poison", "", "", "timeout", "", ""]
    assert books.last().settled
    assert books.told() == [
        "jobs/2 killed by hand: 6 in flight, 6 redelivered to jobs/1 after 20 ms, 2 dead letters, "
        "1 dead letter (not run again: poison), 1 dropped (not run again: timeout), 1 stopped its worker"
    ]
    assert books.journal.notices[-1].severity == "warning"
    values = _ledger(books.last())
    assert values["counts"] == {
        "awaited": 0,
        "redelivered": 0,
        "handled": 1,
        "handled twice": 0,
        "dead-lettered": 3,
        "published": 0,
        "dropped": 1,
        "stopped": 1,
        "unknowable": 0,
    }
    assert (values["not_run"], values["entries"][0]["unrun"]) == (2, "poison")


def test_what_was_handled_before_and_is_only_acknowledged_was_handled_once() -> None:
    books = Books()
    books.ledgers.open(books.death(10, 11, finished=2), 0.0)
    for fingerprint, fate in ((10, "handled before"), (11, "handled")):
        books.seen(fingerprint, 0.1)
        books.seen(fingerprint, 0.2, fate)  # type: ignore[arg-type]
    assert books.outcomes() == [O.HANDLED, O.HANDLED_TWICE]


def test_of_several_at_once_it_is_not_said_which_were_handled_before() -> None:
    books = Books()
    books.ledgers.open(books.death(10, 11, finished=1, in_order=False), 0.0)
    for fingerprint in (10, 11):
        books.seen(fingerprint, 0.1)
        books.seen(fingerprint, 0.2, "handled")
    assert books.outcomes() == [O.HANDLED, O.HANDLED]
    assert "1 handled before, not known which" in books.told()[0]


@pytest.mark.parametrize(
    ("times", "words"),
    [((0.0211, 0.081), "21-81 ms"), ((0.0004,), "<1 ms"), ((0.04, 1.24), "40 ms-1.2 s"), ((0.3,), "0.3 s")],
)
def test_how_long_it_took_is_said_in_fitting_units(times: tuple[float, ...], words: str) -> None:
    entries = tuple(LedgerEntry(1, "t", O.HANDLED, 1, each) for each in times)
    assert Ledger("jobs/1", 7, 0.0, "killed", len(times), entries).span_words() == words


UNREAD = "what it had not read yet is not known (QoS 0: never sent again)"


def test_qos_0_says_at_least_how_many_are_lost() -> None:
    books = Books()
    books.ledgers.open(books.death(1, 2, 3, qos=0, finished=1), 0.0)
    assert books.outcomes() == [O.HANDLED, O.UNKNOWABLE, O.UNKNOWABLE]
    assert books.watched == frozenset()
    assert books.told() == [
        f"jobs/2 killed by hand: 3 in flight, 1 handled before, at least 2 lost; {UNREAD}"
    ]
    books.ledgers.open(books.death(1, 2, pid=2, qos=0, finished=1, in_order=False), 0.0)
    assert books.outcomes() == [O.UNKNOWABLE, O.UNKNOWABLE]
    assert f"2 in flight, 1 handled before, at least 1 lost; {UNREAD}" in books.told()[1]
    assert _ledger(books.last())["lost"] == 1


def test_nothing_in_hand_is_a_ledger_until_the_next_death_of_its_worker() -> None:
    books = Books()
    books.ledgers.open(books.death(1), 0.0)
    books.ledgers.open(books.death(pid=2), 1.0)
    books.ledgers.open(books.death(pid=3, slot=5), 2.0)
    assert [(each.pid, each.in_flight) for each in books.ledgers.values] == [(1, 1), (2, 0), (3, 0)]
    assert books.last().settled
    assert books.told() == []  # there is nothing to be told by itself
    books.ledgers.open(books.death(pid=4), 3.0)
    assert [each.pid for each in books.ledgers.values] == [1, 3, 4]


def test_deaths_with_nothing_in_hand_take_no_place() -> None:
    books = Books()
    for number in range(1, KEPT + 1):
        books.ledgers.open(books.death(number, pid=number), 0.0)
    for number in range(1, KEPT + 5):
        books.ledgers.open(books.death(pid=100 + number, slot=100 + number), 0.0)
    assert sum(each.in_flight for each in books.ledgers.values) == KEPT
    assert len(books.ledgers.values) == 2 * KEPT


def test_what_happens_between_the_kill_and_the_end_is_in_it() -> None:
    books = Books()
    books.ledgers.expect(books.death(10, 11, 12), 0.0)
    assert books.ledgers.values == ()  # no end seen yet
    books.seen(11, 0.1)  # at another worker before we saw the end
    books.ledgers.open(books.death(11, 12, 13), 0.2)  # 10 was acknowledged at the last moment, 13 came
    assert [each.fingerprint for each in books.last().entries] == [11, 12, 13]
    assert books.outcomes() == [O.REDELIVERED, O.AWAITED, O.AWAITED]
    assert books.watched == {11, 12, 13}
    books.ledgers.expect(books.death(20, pid=7), 1.0)
    books.ledgers.open(books.death(pid=7), 1.0)  # it had finished all
    assert [(each.pid, each.in_flight) for each in books.ledgers.values] == [(1, 3), (7, 0)]


def test_a_message_that_is_lost_again_is_awaited_again() -> None:
    books = Books()
    books.ledgers.open(books.death(10), 0.0)
    books.seen(10, 0.1, slot=1)
    books.ledgers.open(books.death(10, pid=9, slot=1), 1.0)
    assert [book.entries[0].outcome for book in books.ledgers.values] == [O.AWAITED, O.AWAITED]
    books.seen(10, 1.5, slot=2)
    books.seen(10, 1.6, "handled", slot=2)
    assert [book.settled for book in books.ledgers.values] == [True, True]
    assert "after 1.5 s" in books.told()[0]
    assert "after 0.5 s" in books.told()[1]


@pytest.mark.parametrize("late", [False, True])
def test_what_its_worker_did_not_end_is_with_the_broker_until_it_comes_again(late: bool) -> None:
    # given two messages that came to a worker, which stopped at the first; the ledger may be settled by then
    books = Books()
    books.ledgers.open(books.death(10, 11), 0.0)
    books.seen(10, 0.1)
    books.seen(11, 0.1)
    books.seen(10, 0.2, "stopped")
    if late:
        books.ledgers.settle(SETTLE_AFTER)
    books.ledgers.gone("jobs", 1, SETTLE_AFTER)
    # then nobody runs the other one
    assert books.outcomes() == [O.STOPPED, O.AWAITED]
    assert is_with_broker(books.last().entries[1])
    if not late:
        told = "2 redelivered to jobs/1 after 0.1 s, 1 stopped its worker, 1 with the broker"
        assert books.told() == [f"jobs/2 killed by hand: 2 in flight, {told}"]
        assert _ledger(books.last())["counts"]["awaited"] == 1
    # and when a worker is there again it is looked for again
    assert books.watched == frozenset()
    books.ledgers.connected("jobs", 500.0)
    assert books.watched == {11}
    assert not books.last().settled
    books.seen(11, 500.1, slot=3)
    assert books.outcomes() == [O.STOPPED, O.REDELIVERED]
    books.seen(11, 500.2, "handled", slot=3)
    assert books.last().settled
    assert len(books.told()) == 2
    assert "with the broker" not in books.told()[1]


def test_what_does_not_come_after_all_is_not_told_twice() -> None:
    books = Books()
    books.ledgers.open(books.death(10), 0.0)
    books.seen(10, 0.1)
    books.ledgers.gone("jobs", 1, 1.0)
    books.ledgers.settle(SETTLE_AFTER)
    books.ledgers.connected("jobs", 100.0)
    books.ledgers.settle(100.0 + SETTLE_AFTER)
    assert books.last().settled
    assert len(books.told()) == 1


def test_a_message_whose_handler_never_began_is_called_not_run() -> None:
    entry = LedgerEntry(1, "t", O.DEAD_LETTERED, 1, 0.1, "payload")
    assert fate_words(Ledger("jobs/1", 7, 0.0, "killed", 1, (entry,))) == ["1 dead letter (not run: payload)"]


def test_the_last_ones_are_kept() -> None:
    books = Books()
    for number in range(KEPT + 5):
        books.ledgers.open(books.death(number + 1, pid=number), 0.0)
    assert [each.pid for each in books.ledgers.values] == list(range(5, KEPT + 5))


def test_what_a_run_that_was_cut_short_had_handled_is_not_lost() -> None:
    # given a hot run of five QoS 0 messages that ended in the third: nothing of it is counted yet
    words = memoryview(bytearray(cells.WORDS * 8)).cast("B").cast("Q")
    words[cells.ACKNOWLEDGED], words[cells.RECEIVED], words[cells.IN_FLIGHT] = 40, 45, 5
    words[cells.OK] = 40
    words[cells.DONE_FROM] = words[cells.DONE_TO] = 42
    slot = SimpleNamespace(
        words=words,
        route=SimpleNamespace(name="jobs", qos=0, concurrency=1),
        number=1,
        ended_before=0,
        received_before=0,
    )
    death = death_of(slot, SimpleNamespace(pid=7), "killed")  # type: ignore[arg-type]
    assert (death.in_flight, death.finished) == (5, 2)
    # and what is counted, but not acknowledged yet, is not counted a second time
    words[cells.OK], words[cells.DONE_FROM] = 42, 40
    assert death_of(slot, SimpleNamespace(pid=7), "killed").finished == 2  # type: ignore[arg-type]


def test_a_death_beyond_the_limit_is_no_sum_that_does_not_add_up() -> None:
    assert _deaths_words(3, 3) == "3 of 3 deaths"
    assert _deaths_words(4, 3) == "4th death, limit 3"
    assert [_deaths_words(n, 1).split()[0] for n in (2, 3, 11, 21)] == ["2nd", "3rd", "11th", "21st"]
