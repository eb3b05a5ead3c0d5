"""The ledger of a kill: what was in hand, where it came again, and what became of it."""

from __future__ import annotations

import json
from pathlib import Path

from routemq_tui.engine import commands
from routemq_tui.engine.journal import Journal
from routemq_tui.engine.ledgers import KEPT, SETTLE_AFTER, Death, Ledgers
from routemq_tui.engine.log_store import LogStore
from routemq_tui.engine.snapshot import Ledger, Outcome
from routemq_tui.engine.snapshot_json import snapshot_values
from routemq_tui.worker import cells
from routemq_tui.worker.spec import Seen
from tests.conftest import Mosquitto
from tests.engine.conftest import StartRig
from tests.engine.rig import Rig, make_config, route, running

O = Outcome  # noqa: E741


class Books:
    """Ledgers of a route with one live slot, and what they told."""

    def __init__(self) -> None:
        self.journal = Journal(LogStore(1_000_000))
        self.ledgers = Ledgers(self.journal)
        self.words = memoryview(bytearray(cells.WORDS * 8)).cast("B").cast("Q")
        self.ledgers.join("jobs", self.words)

    def death(self, *in_hand: int, pid: int = 1, slot: int = 2, qos: int = 1, finished: int = 0) -> Death:
        return Death("jobs", slot, pid, "killed by hand", qos, len(in_hand), in_hand, finished)

    def seen(self, fingerprint: int, now: float, handled: bool = False, slot: int = 1) -> None:
        self.ledgers.seen("jobs", slot, Seen(fingerprint, f"jobs/{fingerprint}", handled, True), now)

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
        books.seen(fingerprint, 100.5, handled=True, slot=slot)
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


def test_qos_0_is_unknowable_and_nothing_in_hand_is_no_ledger() -> None:
    books = Books()
    books.ledgers.open(books.death(), 0.0)
    assert books.ledgers.values == ()
    books.ledgers.open(books.death(1, 2, 3, qos=0), 0.0)
    assert books.outcomes() == [O.UNKNOWABLE] * 3
    assert books.watched == frozenset()
    assert books.told() == [
        "jobs/2 killed by hand: 3 in flight, QoS 0, so whether they were handled is unknowable"
    ]


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
    assert [each.pid for each in books.ledgers.values] == [1]


def test_a_message_that_is_lost_again_is_awaited_again() -> None:
    books = Books()
    books.ledgers.open(books.death(10), 0.0)
    books.seen(10, 0.1, slot=1)
    books.ledgers.open(books.death(10, pid=9, slot=1), 1.0)
    assert [book.entries[0].outcome for book in books.ledgers.values] == [O.AWAITED, O.AWAITED]
    books.seen(10, 1.5, slot=2)
    books.seen(10, 1.6, slot=2, handled=True)
    assert [book.settled for book in books.ledgers.values] == [True, True]
    assert "after 1.5 s" in books.told()[0]
    assert "after 0.5 s" in books.told()[1]


def test_the_last_ones_are_kept() -> None:
    books = Books()
    for number in range(KEPT + 5):
        books.ledgers.open(books.death(number + 1, pid=number), 0.0)
    assert [each.pid for each in books.ledgers.values] == list(range(5, KEPT + 5))


def settled(rig: Rig) -> Ledger:
    def found() -> Ledger | None:
        ledgers = rig.engine.snapshot().ledgers
        return ledgers[-1] if ledgers and ledgers[-1].settled else None

    ledger: Ledger = rig.until(found, "the ledger is settled")
    return ledger


def paused_with(rig: Rig, workers: int, messages: int, qos: int = 1) -> None:
    """So many messages in hand, none of them being handled."""
    rig.until_running(workers)
    rig.send(commands.PauseRoute("jobs"))
    rig.until(lambda: rig.route().paused, "the route is paused")
    rig.publish(messages, qos=qos)
    rig.until(lambda: rig.route().metrics.in_flight == messages, "all are in hand")


def test_a_kill_on_mosquitto_is_accounted_for(mosquitto: Mosquitto, tmp_path: Path) -> None:
    config = make_config(tmp_path, mosquitto.port, route(workers=2, prefetch=5))
    with running(config, mosquitto.port) as rig:
        paused_with(rig, workers=2, messages=10)
        worker = rig.worker(1)
        assert worker is not None
        rig.send(commands.KillWorker("jobs", 1))
        rig.until(lambda: (again := rig.worker(1)) and again.metrics.duplicates == 5, "they came again")
        assert [each.settled for each in rig.engine.snapshot().ledgers] == [False]
        rig.send(commands.ResumeRoute("jobs"))
        ledger = settled(rig)
        assert (ledger.worker, ledger.pid, ledger.in_flight) == ("jobs/1", worker.pid, 5)
        assert {each.outcome for each in ledger.entries} == {O.HANDLED}
        assert {each.slot for each in ledger.entries} == {1}
        assert len({each.topic for each in ledger.entries}) == 5
        assert "jobs/1 killed by hand: 5 in flight, 5 redelivered to jobs/1 after" in rig.notices()
        rig.until_ok(10)
        (values,) = json.loads(json.dumps(snapshot_values(rig.engine.snapshot())))["ledgers"]
        assert (values["worker"], values["settled"], values["in_flight"]) == ("jobs/1", True, 5)
        assert values["entries"][0]["outcome"] == "handled"


def test_a_kill_sends_messages_to_another_worker_of_a_group_with_one_queue(start_rig: StartRig) -> None:
    with start_rig(route(workers=2, prefetch=5)) as rig:
        paused_with(rig, workers=2, messages=6)
        rig.send(commands.KillWorker("jobs", 1))
        rig.until(lambda: rig.route().metrics.duplicates == 3, "they came again")
        rig.send(commands.ResumeRoute("jobs"))
        ledger = settled(rig)
        assert [each.outcome for each in ledger.entries] == [O.HANDLED] * 3
        assert {each.slot for each in ledger.entries} & {2}


def test_qos_0_in_hand_is_called_unknowable(start_rig: StartRig) -> None:
    with start_rig(route(qos=0)) as rig:
        paused_with(rig, workers=1, messages=3, qos=0)
        rig.send(commands.KillWorker("jobs", 1))
        assert {each.outcome for each in settled(rig).entries} == {O.UNKNOWABLE}
        assert "3 in flight, QoS 0, so whether they were handled is unknowable" in rig.notices()


def test_a_crash_has_its_ledger_too(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with running(make_config(tmp_path, mosquitto.port, route(handler="deadly")), mosquitto.port) as rig:
        rig.until_running(1)
        rig.publish(1, payload=b'{"kill": true}')
        rig.until(lambda: rig.route().metrics.dead_lettered == 1, "it is given up")
        rig.until(lambda: all(each.settled for each in rig.engine.snapshot().ledgers), "all are settled")
        ledgers = rig.engine.snapshot().ledgers
        assert [each.in_flight for each in ledgers] == [1, 1, 1]
        assert {each.entries[0].topic for each in ledgers} == {"jobs/0"}
        assert ledgers[0].reason == "exited with code 9 while handling jobs/0 (1 of 3 deaths)"
