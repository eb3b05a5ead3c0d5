"""What the engine wants of its routes and remembers of them, without any process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from routemq_tui.config.model import RouteConfig, ScalingConfig
from routemq_tui.engine.commands import StartWorker
from routemq_tui.engine.deaths import FORGET_AFTER
from routemq_tui.engine.journal import Journal
from routemq_tui.engine.ledgers import Ledgers
from routemq_tui.engine.log_store import LogStore
from routemq_tui.engine.reloading import Reloading
from routemq_tui.engine.scaling import Autoscaler
from routemq_tui.engine.sessions import SessionEntry, SessionList
from routemq_tui.engine.slot import Slot
from routemq_tui.engine.snapshots import Observer
from routemq_tui.engine.states import Status, WorkerState
from routemq_tui.engine.supervisor import Supervisor
from routemq_tui.engine.surroundings import Surroundings
from routemq_tui.worker import cells
from routemq_tui.worker.spec import BrokerAddress, ConnectNow
from tests.engine.rig import make_config, route


class Inside:
    """An engine's inside that starts nothing, since it has no broker."""

    def __init__(self, root: Path, *routes: RouteConfig) -> None:
        self.journal = Journal(LogStore(1_000_000))
        self.config = make_config(root, 1, *routes)
        self.sessions = SessionList(root / "sessions", "home", self.journal)
        around = Surroundings(
            self.journal, lambda source, outputs: None, self.sessions, Ledgers(self.journal)
        )
        self.supervisor = Supervisor(self.config, around)
        self.reloading = Reloading(self.config, self.supervisor, self.journal)
        self.reconcile()

    def reconcile(self, now: float = 0.0) -> None:
        self.supervisor.reconcile(now, None)

    def reload(self, *routes: RouteConfig) -> None:
        assert self.reloading.apply(replace(self.reloading.config, routes=routes))


def test_a_route_replaced_is_scaled_by_its_own_workers(tmp_path: Path) -> None:
    jobs = route(workers=3, autoscale=True, scaling=ScalingConfig(interval=1.0))
    inside = Inside(tmp_path, jobs)
    crews = inside.supervisor.crews
    autoscaler = Autoscaler(crews, inside.journal, lambda group, topic: None)
    autoscaler.look(0.0, 0)
    # when all of the old route goes between two looks
    inside.reload(replace(jobs, topic="tasks/{id}"))
    inside.reconcile()
    inside.reconcile()
    scaler = crews["jobs"].scaler
    assert scaler is not None
    autoscaler.look(scaler.next_look, 0)
    # then the new one is looked at
    assert scaler.thought == "waits: jobs/1 is stopped"


def test_who_waits_for_the_broker_is_told_once_that_it_is_back(tmp_path: Path) -> None:
    inside = Inside(tmp_path, route(workers=2))
    told: list[object] = []
    connected, waits = inside.supervisor.crews["jobs"].slots.values()
    for slot in (connected, waits):
        slot.process = cast(
            Any, SimpleNamespace(send=lambda command, name=slot.name: told.append((name, command)))
        )
    connected.words[cells.CONNECTED] = 1
    for up in (True, False, False, True, True):
        inside.supervisor.broker_is(up)
    assert told == [("jobs/2", ConnectNow())]


def test_an_engine_that_stops_waits_for_its_deadline_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given more to start than one step does, and a slot that was to go on emptying its session
    inside = Inside(tmp_path, route(workers=20))
    supervisor = inside.supervisor
    monkeypatch.setattr(Slot, "start", lambda *_: None)
    supervisor.reconcile(0.0, BrokerAddress("127.0.0.1", 1))
    assert supervisor.more_to_start
    slot = supervisor.crews["jobs"].slots[20]
    slot.take_over(SessionEntry("jobs", 20, slot.client_id, "s", "t", "h", 1, "home", "5"), differs=False)
    slot.could_not_start(OSError("no process"), 1.0)
    assert supervisor.next_deadline() == 1.0
    # when it stops
    supervisor.stop(2.0, force=False)
    inside.reconcile(5.0)
    # then it waits, as long as the workers may take
    assert not supervisor.more_to_start
    assert supervisor.next_deadline() == 2.0 + inside.config.app.shutdown_timeout


def test_a_suspect_is_forgotten_though_nobody_dies_any_more(tmp_path: Path) -> None:
    inside = Inside(tmp_path, route(workers=2))
    observer = Observer(inside.config, inside.supervisor, inside.journal)
    crew = inside.supervisor.crews["jobs"]
    crew.deaths.add(7, 10.0)
    observer.sample(10.0 + FORGET_AFTER, 0)
    assert [cells.read_suspects(slot.words) for slot in crew] == [{7: 1}, {7: 1}]
    observer.sample(10.5 + FORGET_AFTER, 0)
    assert [cells.read_suspects(slot.words) for slot in crew] == [{}, {}]


def test_a_reload_of_max_deliveries_reaches_the_table_of_deaths(tmp_path: Path) -> None:
    inside = Inside(tmp_path, route(max_deliveries=3))
    deaths = inside.supervisor.crews["jobs"].deaths
    inside.reload(route(max_deliveries=1))
    assert deaths.add(7, 0.0) == 1
    assert deaths.explains(7)


def test_what_is_saved_of_a_route_that_leaves_is_what_comes_instead(tmp_path: Path) -> None:
    jobs, old = route(workers=2), route("old", workers=3)
    inside = Inside(tmp_path, jobs, old)
    inside.reload(replace(jobs, topic="tasks/{id}", workers=4))
    assert inside.supervisor.desired == {"jobs": 4}


def test_a_rolling_restart_ends_in_silence_when_the_route_leaves(tmp_path: Path) -> None:
    inside = Inside(tmp_path, route(workers=2), route("other"))
    inside.supervisor.crews["jobs"].roll()
    inside.reconcile()
    inside.reload(route("other"))
    inside.reconcile()
    assert [each.text for each in inside.journal.notices if "all workers restarted" in each.text] == []


def test_a_second_rolling_restart_waits_for_the_worker_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = Inside(tmp_path, route(workers=3))
    crew = inside.supervisor.crews["jobs"]
    restarted: list[int] = []
    monkeypatch.setattr(crew, "restart", lambda slot, now: restarted.append(slot.number))

    def comes_back(number: int) -> None:
        slot = crew.slots[number]
        slot.starts += 1
        slot.status = Status(WorkerState.RUNNING)
        inside.reconcile()

    crew.roll()
    inside.reconcile()
    comes_back(1)
    assert restarted == [1, 2]
    # when another one begins while the second worker is away
    inside.reload(route(workers=3, prefetch=7))
    inside.reconcile()
    # then the first one goes when that is back, and not before
    assert restarted == [1, 2]
    comes_back(2)
    assert restarted == [1, 2, 1]


def test_a_slot_that_empties_its_session_is_started_for_that_only(tmp_path: Path) -> None:
    # given one worker, and another that was taken away and is to try again to empty its session
    inside = Inside(tmp_path, route(workers=2))
    crew = inside.supervisor.crews["jobs"]
    stays, goes = crew.slots.values()
    stays.status = Status(WorkerState.RUNNING)
    goes.take_over(SessionEntry("jobs", 2, goes.client_id, "s", "t", "h", 1, "home", "5"), differs=False)
    crew.desired = 1
    goes.could_not_start(OSError("no process"), 1.0)
    goes.could_not_start(OSError("no process"), 1.0)
    assert not goes.wants_start(1.1)
    # when it is to start now
    inside.supervisor.execute(StartWorker("jobs", 2), 1.1)
    # then it does, and goes all the same
    assert goes.wants_start(1.1)
    inside.reconcile(1.1)
    assert (stays.is_member, goes.is_member) == (True, False)
