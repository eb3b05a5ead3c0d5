"""The ledger of a kill, with real workers on a real broker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from routemq_tui.config.model import OnError
from routemq_tui.engine import commands
from routemq_tui.engine.ledgers import is_with_broker
from routemq_tui.engine.snapshot import Ledger, Outcome
from routemq_tui.engine.snapshot_json import snapshot_values
from routemq_tui.engine.states import WorkerState
from tests.conftest import Mosquitto
from tests.engine.conftest import StartRig
from tests.engine.rig import Rig, make_config, route, running

O = Outcome  # noqa: E741


def test_what_a_stopped_worker_had_is_with_the_broker(
    start_rig: StartRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routemq_tui.engine.ledgers.SETTLE_AFTER", 1.0)
    with start_rig(route(handler="picky", on_error=OnError.STOP, prefetch=5)) as rig:
        paused_with(rig, workers=1, messages=4)
        rig.send(commands.KillWorker("jobs", 1))
        rig.until(lambda: rig.route().metrics.duplicates == 4, "they came again")
        rig.send(commands.ResumeRoute("jobs"))
        rig.until_state(WorkerState.STOPPED)
        (ledger,) = rig.engine.snapshot().ledgers
        assert [each.outcome for each in ledger.entries] == [O.STOPPED, *[O.AWAITED] * 3]
        assert all(map(is_with_broker, ledger.entries[1:]))
        # and when it is started after the ledger was settled, they are seen to come once more
        before = settled(rig).entries[1].after
        rig.send(commands.StartWorker("jobs", 1))
        again = lambda: rig.engine.snapshot().ledgers[0].entries[1].after != before  # noqa: E731
        rig.until(again, "they came once more")


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
        assert "3 in flight, at least 3 lost; what it had not read yet is not known" in rig.notices()


def test_a_crash_has_its_ledger_too(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with running(make_config(tmp_path, mosquitto.port, route(handler="deadly")), mosquitto.port) as rig:
        rig.until_running(1)
        rig.publish(1, payload=b'{"kill": true}')
        rig.until(lambda: rig.route().metrics.dead_lettered == 1, "it is given up")
        rig.until(lambda: all(each.settled for each in rig.engine.snapshot().ledgers), "all are settled")
        ledgers = rig.engine.snapshot().ledgers
        assert [each.in_flight for each in ledgers] == [1, 1, 1]
        assert {each.entries[0].topic for each in ledgers} == {"jobs/0"}
        assert {(each.entries[0].outcome, each.entries[0].unrun) for each in ledgers} == {
            (O.DEAD_LETTERED, "poison")
        }
        assert "1 redelivered to jobs/1 after" in rig.notices()
        assert "1 dead letter (not run again: poison)" in rig.notices()
        assert ledgers[0].reason == "exited with code 9 while handling jobs/0 (1 of 3 deaths)"


@pytest.mark.parametrize(
    ("on_error", "outcome"),
    [
        (OnError.DEAD_LETTER, O.DEAD_LETTERED),
        (OnError.DROP, O.DROPPED),
        (OnError.STOP, O.STOPPED),
    ],
)
def test_what_fails_after_a_kill_is_told_as_that(
    mosquitto: Mosquitto, tmp_path: Path, on_error: OnError, outcome: Outcome
) -> None:
    config = make_config(tmp_path, mosquitto.port, route(handler="picky", on_error=on_error))
    with running(config, mosquitto.port) as rig:
        paused_with(rig, workers=1, messages=1)
        rig.send(commands.KillWorker("jobs", 1))
        rig.until(lambda: rig.route().metrics.duplicates == 1, "it came again")
        rig.send(commands.ResumeRoute("jobs"))
        (entry,) = settled(rig).entries
        assert (entry.outcome, entry.unrun, entry.topic) == (outcome, "", "jobs/0")
        (values,) = snapshot_values(rig.engine.snapshot())["ledgers"]
        assert values["entries"][0]["outcome"] == outcome.value
        assert (values["counts"][outcome.value], values["counts"]["handled"]) == (1, 0)


def test_a_kill_with_nothing_in_hand_is_in_the_snapshot(start_rig: StartRig) -> None:
    with start_rig(route()) as rig:
        rig.until_running(1)
        rig.send(commands.KillWorker("jobs", 1))
        ledger = settled(rig)
        assert (ledger.worker, ledger.reason, ledger.in_flight) == ("jobs/1", "killed by hand", 0)
