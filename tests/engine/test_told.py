"""Kept messages and error groups: bounds, order, counts that add up; the clock is passed in."""

from __future__ import annotations

from pathlib import Path

import pytest

from routemq_tui.engine.error_groups import GROUPS_MOST, STEPS, ErrorGroups
from routemq_tui.engine.journal import Journal
from routemq_tui.engine.letter_desk import LetterDesk
from routemq_tui.engine.log_store import LogStore
from routemq_tui.engine.message_store import MessageStore
from routemq_tui.engine.told import SHARE_SECONDS, ToldMessages
from routemq_tui.worker.dead_letters import FILE_NAME
from routemq_tui.worker.spec import ErrorCount, ErrorsCounted, MessageTold
from tests.fakes.messages import failed, message

# -- messages -------------------------------------------------------------------------------------------


def filled(store: MessageStore, count: int, **other: object) -> None:
    for _ in range(count):
        store.add(message(store.next_seq, **other))


def test_messages_are_read_in_order_and_in_portions() -> None:
    # given messages of two routes, some of them failed
    store = MessageStore()
    filled(store, 3)
    store.add(failed(4))
    filled(store, 2)
    # when they are read two at a time
    first = store.read(limit=2)
    rest = store.read(after=first.next_seq)
    assert [each.seq for each in first.messages + rest.messages] == [1, 2, 3, 4, 5, 6]
    assert (rest.next_seq, rest.missed, store.last_seq) == (6, 0, 6)
    assert store.read(after=6).messages == ()
    # or those of one route
    assert [each.seq for each in store.read("alerts").messages] == [4]
    assert store.read("alerts").next_seq == 6
    assert store.get(4) == store.read("alerts").messages[0]


def test_failed_messages_are_kept_longest() -> None:
    # given a store for eight, with two failed messages at first and then many that went well
    store = MessageStore(messages_most=8)
    store.add(failed(1))
    store.add(failed(2))
    filled(store, 20)
    seqs = [each.seq for each in store.read().messages]
    assert seqs == [1, 2, *range(17, 23)]
    # then a reader that was at the second is told how many it missed
    assert store.read(after=2).missed == 14
    assert store.get(3) is None


def test_failures_leave_a_quarter_to_what_goes_well() -> None:
    store = MessageStore(messages_most=8)
    filled(store, 8)
    for seq in range(9, 40):
        store.add(failed(seq))
    outcomes = [each.outcome for each in store.read().messages]
    assert outcomes.count("ok") == 2
    assert outcomes.count("dead-lettered") == 6


def test_messages_are_bounded_in_bytes() -> None:
    store = MessageStore(bytes_most=1_000_000)
    filled(store, 100, payload=b"x" * 60_000)
    for _ in range(100):
        store.add(failed(store.next_seq, payload=b"x" * 60_000))
    kept = store.read().messages
    assert 0 < sum(len(each.payload) for each in kept) <= 1_000_000
    assert kept[-1].seq == 200


# -- groups ---------------------------------------------------------------------------------------------


def groups(kept: bool = True) -> ErrorGroups:
    return ErrorGroups(lambda seq: kept)


def count(errors: ErrorGroups, fingerprint: str, number: int, at: float, worker: str = "jobs/1") -> None:
    errors.count(fingerprint, "ValueError", "work.py:3 in f", f"text at {at:g}", number, at, worker)


def test_a_group_adds_up_over_workers_and_time() -> None:
    errors = groups()
    count(errors, "a", 2, 1000.0)
    count(errors, "a", 3, 1011.0, "jobs/2")
    count(errors, "b", 1, 1005.0)
    first, second = errors.values(1025.0)
    assert (first.fingerprint, second.fingerprint) == ("a", "b")
    assert (first.count, first.first_seen, first.last_seen, first.text) == (5, 1000.0, 1011.0, "text at 1011")
    assert (first.routes, first.workers) == (("jobs",), ("jobs/1", "jobs/2"))
    assert first.trend == (*[0] * (STEPS - 3), 2, 3, 0)
    assert errors.values(1026.0) is errors.values(1025.0), "nothing changed"
    assert errors.values(1035.0)[0].trend == (*[0] * (STEPS - 4), 2, 3, 0, 0)


def test_the_oldest_group_goes_and_its_count_stays() -> None:
    errors = groups()
    for number in range(GROUPS_MOST + 20):
        count(errors, f"g{number}", 2, float(number))
    values = errors.values(200.0)
    assert len(values) == GROUPS_MOST
    assert sum(each.count for each in values) == 2 * (GROUPS_MOST + 20)
    (others,) = [each for each in values if each.fingerprint == "others"]
    assert others.count == 42
    assert {each.fingerprint for each in values} >= {"g119", "g21"}


@pytest.mark.parametrize("told_first", [True, False])
def test_a_group_has_the_message_and_traceback_that_were_told(told_first: bool) -> None:
    """A worker tells messages at once and counts a little later."""
    errors = groups()
    steps = [lambda: errors.show("a", 7, "Traceback"), lambda: count(errors, "a", 1, 1.0)]
    for step in steps if told_first else reversed(steps):
        step()
    (group,) = errors.values(1.0)
    assert (group.example, group.traceback) == (7, "Traceback")


def test_an_example_that_was_let_go_is_none() -> None:
    errors = groups(kept=False)
    count(errors, "a", 1, 1.0)
    errors.show("a", 7, "Traceback")
    assert errors.values(1.0)[0].example == 0


# -- both -----------------------------------------------------------------------------------------------


def counted(number: int, at: float = 1.0) -> ErrorsCounted:
    return ErrorsCounted([ErrorCount("a", "ValueError", "work.py:3 in f", "bad", number, at)])


def told_ok(passed: int) -> MessageTold:
    return MessageTold(1.0, "jobs/1", "ok", 0.1, b"{}", 2, 1, passed=passed)


def test_what_a_killed_worker_did_not_tell_is_counted_all_the_same() -> None:
    # given a worker with 10 failures of which 7 were told, and a second process of it with 5 more
    told = ToldMessages()
    told.count("jobs/1", counted(7))
    told.ended("jobs/1", 10)
    told.count("jobs/1", counted(5))
    told.ended("jobs/1", 15)
    counts = {each.fingerprint: each.count for each in told.errors.values(2.0)}
    assert counts == {"a": 12, "unknown": 3}
    # and when its slot goes, one of the same name begins anew
    told.forget("jobs/1")
    told.count("jobs/1", counted(1))
    told.ended("jobs/1", 1)
    assert sum(each.count for each in told.errors.values(3.0)) == 16


def test_the_share_of_a_tap_is_what_it_shows_of_what_passed() -> None:
    told = ToldMessages()
    assert told.share("jobs", 0.0) is None
    told.take("jobs/1", told_ok(1), 0.0)
    told.take("jobs/2", told_ok(1), 0.0)
    assert told.share("jobs", 0.0) is None, "all were told"
    told.take("jobs/1", told_ok(98), 1.0)
    assert told.share("jobs", 1.0) == 0.03
    told.take("jobs/1", told_ok(1), SHARE_SECONDS + 2)
    assert told.share("jobs", SHARE_SECONDS + 2) is None, "long ago"


# -- the store of dead letters --------------------------------------------------------------------------


def test_a_store_that_cannot_be_read_is_told_once(tmp_path: Path) -> None:
    journal = Journal(LogStore(1_000_000))
    desk = LetterDesk(tmp_path, journal)
    (tmp_path / FILE_NAME).write_bytes(b"this is no database, and long enough to be seen as none" * 20)
    assert desk.read() == desk.read() == ()
    assert (desk.count(), desk.get(1)) == (0, None)
    (notice,) = journal.notices
    assert "cannot look into the dead letters" in notice.text
