"""Another configuration under running workers: what comes, goes, restarts, and what is left alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from routemq_tui.broker.handle import EmbeddedBroker
from routemq_tui.config.load import ConfigError
from routemq_tui.config.model import Config, Limits, Place, Problem, RouteConfig, ScalingConfig
from routemq_tui.engine.commands import AddWorker, KillWorker, PauseRoute, Reload, SetTap, SetWorkers, Stop
from routemq_tui.engine.engine import Engine
from routemq_tui.engine.snapshot import EngineState
from routemq_tui.engine.states import WorkerState
from tests.engine.conftest import StartRig
from tests.engine.rig import QUICK, Rig, alive, make_config, publish, route


class Reloaded:
    """An engine whose configuration is what a test says it is now."""

    def __init__(self, config: Config, port: int) -> None:
        self.config: Config | Exception = config
        self.engine = Engine(config, QUICK, reload=self._read)
        self.engine.start()
        self.rig = Rig(self.engine, port)

    def _read(self) -> Config:
        if isinstance(self.config, Exception):
            raise self.config
        return self.config

    def reload(self, **changes: Any) -> str:
        """Have these changes read; what was told of it."""
        assert isinstance(self.config, Config)
        self.config = replace(self.config, **changes)
        return self.again()

    def again(self) -> str:
        before = len(self.engine.snapshot().notices)
        self.engine.send(Reload())

        def told() -> str:
            notices = self.engine.snapshot().notices[before:]
            return next((each.text for each in notices if "reloaded" in each.text), "")

        return str(self.rig.until(told))

    def pids(self, name: str = "jobs") -> dict[int, int | None]:
        return {worker.slot: worker.pid for worker in self.rig.route(name).workers}


@pytest.fixture
def reloaded(tmp_path: Path, broker: EmbeddedBroker) -> Any:
    made: list[Reloaded] = []

    def make(*routes: RouteConfig) -> Reloaded:
        name = tmp_path.name[-12:].strip("-_")
        own = [replace(each, topic=f"{name}/{each.topic}", group=f"r{name}") for each in routes]
        config = make_config(tmp_path, broker.port, *own)
        made.append(Reloaded(config, broker.port))
        for each in routes:
            made[0].rig.until_running(each.workers, each.name)
        return made[0]

    yield make
    for each in made:
        each.rig.stop(force=True)


Make = Callable[..., Reloaded]
REPLACED = (
    "reloaded: jobs replaced (topic); "
    "jobs: the old route drains ({} in hand); its new topic is subscribed when that is done"
)


def test_routes_come_and_go(reloaded: Make) -> None:
    engine = reloaded(route("jobs", workers=2), route("old"))
    jobs, old = engine.rig.engine._config.routes
    before = engine.pids()
    told = engine.reload(routes=(jobs, replace(jobs, name="more", topic=old.topic, workers=3)))
    assert told == "reloaded: -old, +more"
    engine.rig.until_running(3, "more")
    engine.rig.until(lambda: [one.name for one in engine.engine.snapshot().routes] == ["jobs", "more"])
    assert engine.pids() == before
    # and what the new one gets is handled
    publish(engine.rig.port, 10, old.topic.replace("{id}", "{}"))
    engine.rig.until_ok(10, "more")


def test_a_count_that_changed_counts_and_one_set_by_hand_stays(reloaded: Make) -> None:
    engine = reloaded(route("jobs", workers=2), route("other"))
    jobs, other = engine.engine._config.routes
    engine.rig.send(SetWorkers("other", 3))
    engine.rig.until_running(3, "other")
    before = engine.pids()
    assert engine.reload(routes=(replace(jobs, workers=4), other)) == "reloaded: jobs 2 -> 4 workers"
    engine.rig.until_running(4)
    assert engine.rig.route("other").desired == 3
    assert engine.pids().items() >= before.items()
    assert engine.again() == "reloaded: nothing to change"


def test_a_limit_that_sank_takes_workers_with_it(reloaded: Make) -> None:
    engine = reloaded(route("jobs", workers=3))
    (jobs,) = engine.engine._config.routes
    told = engine.reload(routes=(replace(jobs, max_workers=2, workers=2),))
    assert told == "reloaded: jobs 3 -> 2 workers"
    engine.rig.until_running(2)
    assert engine.rig.route().max_workers == 2


def test_other_settings_restart_the_workers_one_by_one(reloaded: Make) -> None:
    engine = reloaded(route("jobs", workers=2), route("other"))
    jobs, other = engine.engine._config.routes
    before, others = engine.pids(), engine.pids("other")
    told = engine.reload(routes=(replace(jobs, prefetch=7, limits=Limits(open_files=256)), other))
    assert told == "reloaded: jobs restarts one by one (prefetch, limits)"
    engine.rig.until(lambda: "jobs: all workers restarted" in engine.rig.notices())
    assert not set(engine.pids().values()) & set(before.values())
    assert {worker.window for worker in engine.rig.route().workers} == {7}
    assert engine.pids("other") == others


def test_another_topic_is_another_route(reloaded: Make) -> None:
    engine = reloaded(route("jobs", workers=2))
    (jobs,) = engine.engine._config.routes
    topic = jobs.topic.replace("jobs/", "tasks/")
    assert engine.reload(routes=(replace(jobs, topic=topic),)) == REPLACED.format(0)
    engine.rig.until(lambda: engine.engine.snapshot().routes and engine.rig.route().topic == topic)
    engine.rig.until_running(2)
    # then what goes to the old one is nobody's, and to the new one theirs
    publish(engine.rig.port, 5, jobs.topic.replace("{id}", "{}"))
    publish(engine.rig.port, 5, topic.replace("{id}", "{}"))
    engine.rig.until_ok(5)
    assert engine.rig.route().metrics.received == 5


class Busy:
    """One worker of jobs holds a message, so that its route leaves when it is let go on and no sooner."""

    def __init__(self, engine: Reloaded, folder: Path) -> None:
        self._open = folder / "open"
        topic = engine.engine._config.routes[0].topic.replace("{id}", "held")
        publish(engine.rig.port, 1, topic, json.dumps({"open": str(self._open)}).encode())
        engine.rig.until(lambda: (one := engine.rig.worker()) and one.current_topic == topic)
        self.pid = engine.pids()[1]

    def go_on(self) -> None:
        self._open.touch()


def test_a_route_put_back_while_it_is_drained_starts_when_it_has_gone(reloaded: Make, tmp_path: Path) -> None:
    engine = reloaded(route("jobs", "gate"), route("other"))
    jobs, other = engine.engine._config.routes
    busy = Busy(engine, tmp_path)
    assert engine.reload(routes=(other,)) == "reloaded: -jobs"
    # when it is put back, with another setting, while its worker has a message in hand
    told = engine.reload(routes=(other, replace(jobs, prefetch=7)))
    # then it is told that nobody is subscribed meanwhile
    gap = "jobs: the old route drains (1 in hand); its new subscription is made when that is done"
    assert told == f"reloaded: +jobs; {gap}"
    assert engine.pids() == {1: busy.pid}
    # then the old worker goes first, and the new one is another
    busy.go_on()
    engine.rig.until(lambda: engine.pids().get(1) not in (busy.pid, None), "the route is back")
    engine.rig.until_running(1)
    assert alive([busy.pid]) == []
    assert [worker.window for worker in engine.rig.route().workers] == [7]
    assert "jobs: the old route is gone, the new one begins" in engine.rig.notices()


def test_a_reload_while_a_route_is_replaced_is_for_the_new_one(reloaded: Make, tmp_path: Path) -> None:
    engine = reloaded(route("jobs", "gate"))
    (jobs,) = engine.engine._config.routes
    new = replace(jobs, topic=jobs.topic.replace("jobs/", "tasks/"))
    busy = Busy(engine, tmp_path)
    assert engine.reload(routes=(new,)) == REPLACED.format(1)
    assert engine.engine.snapshot().notices[-1].severity == "warning"
    assert engine.again() == "reloaded: nothing to change"
    told = engine.reload(routes=(replace(new, prefetch=7, workers=2, min_workers=1),))
    expected = "reloaded: jobs (workers, min_workers, prefetch) when the old route is drained"
    assert set(told.replace(",", "").split()) == set(expected.replace(",", "").split())
    # then no worker of the old route starts again
    assert engine.pids() == {1: busy.pid}
    busy.go_on()
    engine.rig.until(lambda: engine.rig.worker() is None or engine.rig.route().topic == new.topic)
    engine.rig.until_running(2)
    assert engine.rig.route().topic == new.topic
    assert {worker.window for worker in engine.rig.route().workers} == {7}


def test_a_route_taken_out_while_it_is_replaced_is_gone(reloaded: Make, tmp_path: Path) -> None:
    engine = reloaded(route("jobs", "gate"), route("other"))
    jobs, other = engine.engine._config.routes
    busy = Busy(engine, tmp_path)
    engine.reload(routes=(replace(jobs, topic=jobs.topic.replace("jobs/", "tasks/")), other))
    assert engine.reload(routes=(other,)) == "reloaded: -jobs"
    busy.go_on()
    engine.rig.until(lambda: "jobs: the route is gone" in engine.rig.notices())
    assert [one.name for one in engine.engine.snapshot().routes] == ["other"]


def test_a_route_that_is_replaced_still_takes_a_kill_and_the_tap(reloaded: Make, tmp_path: Path) -> None:
    engine = reloaded(route("jobs", "gate"))
    (jobs,) = engine.engine._config.routes
    engine.rig.send(SetTap("jobs", True))
    engine.rig.until(lambda: engine.rig.route().tapped)
    busy = Busy(engine, tmp_path)
    engine.rig.send(PauseRoute("jobs"))
    engine.rig.until(lambda: engine.rig.route().paused)
    new = replace(jobs, topic=jobs.topic.replace("jobs/", "tasks/"))
    engine.reload(routes=(new,))
    # when the worker that holds it up is killed, and nobody looks at the messages any more
    engine.rig.send(AddWorker("jobs"))
    engine.rig.send(SetTap("jobs", False))
    engine.rig.send(KillWorker("jobs", 1))
    engine.rig.until(lambda: not alive([busy.pid]), "it is killed")
    told = "jobs is being replaced: its workers are being drained"
    engine.rig.until(lambda: told in engine.rig.notices())
    busy.go_on()
    # then the new route is paused, as the old one was
    engine.rig.until(lambda: engine.rig.route().topic == new.topic)
    engine.rig.until_state(WorkerState.PAUSED)
    assert (engine.rig.route().paused, engine.rig.route().tapped) == (True, False)


def test_an_engine_that_stops_while_a_route_is_replaced_starts_no_other(
    reloaded: Make, tmp_path: Path
) -> None:
    engine = reloaded(route("jobs", "gate"))
    (jobs,) = engine.engine._config.routes
    busy = Busy(engine, tmp_path)
    engine.reload(routes=(replace(jobs, topic=jobs.topic.replace("jobs/", "tasks/")),))
    engine.rig.send(Stop())
    engine.rig.until(lambda: engine.engine.snapshot().state is EngineState.STOPPING)
    busy.go_on()
    assert engine.engine.wait(5)
    assert engine.rig.route().topic == jobs.topic
    assert alive([busy.pid]) == []


def test_a_session_that_the_old_route_could_not_empty_is_not_taken_by_the_new_one(
    reloaded: Make, tmp_path: Path
) -> None:
    engine = reloaded(route("jobs", "until_mended", shared=False, max_deliveries=100))
    (jobs,) = engine.engine._config.routes
    body = json.dumps({"flag": str(tmp_path / "mended")}).encode()
    publish(engine.rig.port, 3, jobs.topic.replace("{id}", "{}"), body)
    engine.rig.until_state(WorkerState.FAILED)
    # when it gets another topic and another handler
    new = replace(jobs, topic=jobs.topic.replace("jobs/", "tasks/"), handler="tasks.work:count")
    engine.reload(routes=(new,))
    engine.rig.until(lambda: "the new one begins" in engine.rig.notices())
    engine.rig.until_running(1)
    publish(engine.rig.port, 3, jobs.topic.replace("{id}", "{}"), body)
    publish(engine.rig.port, 5, new.topic.replace("{id}", "{}"))
    engine.rig.until_ok(5)
    # then it has its own messages only, under a client id of its own
    assert engine.rig.route().metrics.received == 5
    assert engine.pids().keys() == {2}


def test_autoscale_is_made_anew(reloaded: Make) -> None:
    engine = reloaded(route("jobs"))
    (jobs,) = engine.engine._config.routes
    changed = replace(jobs, autoscale=True, scaling=ScalingConfig(target=0.5))
    assert engine.reload(routes=(changed,)) == "reloaded: nothing to change"

    def on() -> bool:
        scaling = engine.rig.route().scaling
        return scaling is not None and scaling.switch == "on" and scaling.target == 0.5

    engine.rig.until(on)
    # and a hand's number stays when other bounds come
    engine.rig.send(SetWorkers("jobs", 3))
    engine.rig.until_running(3)
    engine.reload(routes=(replace(changed, max_workers=9),))
    engine.rig.until(lambda: engine.rig.route().max_workers == 9)
    scaling = engine.rig.route().scaling
    assert scaling is not None
    assert (scaling.switch, scaling.why, scaling.high) == ("paused", "you set 3", 9)


def test_what_cannot_be_changed_changes_nothing(reloaded: Make) -> None:
    engine = reloaded(route("jobs", workers=2))
    config, before = engine.engine._config, engine.pids()
    (jobs,) = config.routes
    told = engine.reload(
        routes=(replace(jobs, workers=5),),
        app=replace(config.app, group="else"),
        broker=replace(config.broker, keepalive=10),
    )
    assert told == "not reloaded: restart to apply app.group, broker.keepalive; nothing was changed"
    assert (engine.pids(), engine.rig.route().desired) == (before, 2)


def test_what_the_next_start_does_is_told(reloaded: Make) -> None:
    engine = reloaded(route("jobs"))
    config = engine.engine._config
    told = engine.reload(app=replace(config.app, log_memory=5_000_000, ephemeral=True))
    assert told == "reloaded: nothing to change; restart to apply app.log_memory, app.ephemeral"


def test_a_broken_file_changes_nothing_and_says_why(reloaded: Make) -> None:
    engine = reloaded(route("jobs", workers=2))
    before = engine.pids()
    engine.config = ConfigError([Problem(Place(Path("routemq.toml"), 7), "routes.jobs.qos", "found 5")])
    assert engine.again() == "not reloaded: routemq.toml:7: routes.jobs.qos: found 5"
    assert engine.pids() == before


def test_without_a_file_it_says_so(tmp_path: Path, start_rig: StartRig) -> None:
    with start_rig(route("jobs")) as rig:
        rig.send(Reload())
        rig.until(lambda: "not reloaded: this instance was not started from a file" in rig.notices())
