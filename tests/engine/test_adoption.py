"""Sessions that outlive their worker or their engine: drained and ended by somebody, or told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from routemq_tui.config.model import BrokerConfig, Config, RouteConfig
from routemq_tui.engine import commands
from routemq_tui.engine.journal import Journal
from routemq_tui.engine.log_store import LogStore
from routemq_tui.engine.policy import RestartPolicy
from routemq_tui.engine.sessions import SessionEntry, SessionList
from routemq_tui.engine.states import WorkerState
from tests.conftest import Mosquitto
from tests.engine.rig import Rig, make_config, publish, route, running

ENGINE = """
import sys
from pathlib import Path
from routemq_tui.config.model import *
from routemq_tui.engine.commands import PauseRoute
from routemq_tui.engine.engine import Engine
port, workers, protocol = sys.argv[1:4]
jobs = RouteConfig("jobs", "jobs/{id}", "tasks.work:note", "crew", qos=1, workers=int(workers))
root = Path.cwd()
broker = BrokerConfig(url=f"mqtt://127.0.0.1:{port}", protocol=protocol)
engine = Engine(Config(root, root / "routemq.toml", AppConfig(group="crew"), broker, (jobs,)))
engine.start()
while engine.snapshot().running < int(workers):
    engine.wait(0.02)
engine.send(PauseRoute("jobs"))
while any(worker.state != "paused" for worker in engine.snapshot().routes[0].workers):
    engine.wait(0.02)
print("up", flush=True)
engine.wait(60)
"""


def listed(root: Path) -> list[dict[str, Any]]:
    try:
        contents = json.loads((root / ".routemq" / "local.slots.json").read_text())
    except FileNotFoundError:
        return []
    found: list[dict[str, Any]] = contents["sessions"]
    return found


def ids(root: Path) -> list[str]:
    return [each["client_id"] for each in listed(root)]


def handled(root: Path) -> list[int]:
    file = root / "tasks" / "handled"
    return sorted(int(line) for line in file.read_text().split()) if file.exists() else []


def project(root: Path, port: int, *routes: RouteConfig, protocol: str = "5") -> Config:
    broker = BrokerConfig(url=f"mqtt://127.0.0.1:{port}", protocol=protocol)  # type: ignore[arg-type]
    return make_config(root, port, *routes, broker=broker)


def kill_an_engine(root: Path, port: int, workers: int, messages: int, protocol: str = "5") -> None:
    """An engine with paused workers, each with messages in hand and in its queue, dies by SIGKILL."""
    project(root, port)  # writes the handlers
    program = subprocess.Popen(
        [sys.executable, "-c", ENGINE, str(port), str(workers), protocol],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
    )
    assert program.stdout is not None
    try:
        assert program.stdout.readline() == b"up\n"
        publish(port, messages)
        children = [each["client_id"] for each in listed(root)]
        assert len(children) == workers
        os.kill(program.pid, signal.SIGSTOP)  # so that it can tell its workers nothing
    finally:
        kill_all_of(program)


def kill_all_of(program: subprocess.Popen[bytes]) -> None:
    """The engine and its workers at once, as when the machine or the container goes."""
    family = [psutil.Process(program.pid), *psutil.Process(program.pid).children(recursive=True)]
    for each in family:
        each.suspend()
    for each in family:
        each.kill()
    program.communicate()


def no_black_hole(rig: Rig, root: Path, first: int, count: int) -> None:
    """Messages published now all reach a worker that runs: no session takes some for nobody."""
    for number in range(first, first + count):
        rig.publish(1, topic=f"jobs/{number}")
    rig.until(lambda: handled(root)[-count:] == list(range(first, first + count)), "none goes astray")


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_smaller_engine_empties_what_a_killed_one_left(
    mosquitto: Mosquitto, tmp_path: Path, protocol: str
) -> None:
    kill_an_engine(tmp_path, mosquitto.port, workers=4, messages=200, protocol=protocol)
    assert ids(tmp_path) == [f"crew-local-jobs-{slot}" for slot in (1, 2, 3, 4)]
    assert all(each["met"] for each in listed(tmp_path))
    assert handled(tmp_path) == []

    one = project(tmp_path, mosquitto.port, route(handler="note"), protocol=protocol)
    with running(one, mosquitto.port) as rig:
        rig.until(lambda: handled(tmp_path) == list(range(200)), "the backlog is handled, each once")
        rig.until(lambda: ids(tmp_path) == ["crew-local-jobs-1"], "the others' sessions are ended")
        rig.until_running(1)
        assert [each.slot for each in rig.route().workers] == [1]
        text = rig.notices()
        assert "jobs: sessions left at the broker are drained and ended: jobs/2, jobs/3, jobs/4" in text
        assert rig.route().metrics.ok == 200
        no_black_hole(rig, tmp_path, 1000, 20)


def leave_sessions(root: Path, port: int, messages: int, **settings: Any) -> None:
    """An engine ends in order, its one session stays, and messages come for it."""
    with running(project(root, port, route(handler="note", **settings)), port) as rig:
        rig.until_running(1)
        rig.stop()
    assert ids(root) == ["crew-local-jobs-1"]
    publish(port, messages)


def test_a_session_of_another_subscription_is_emptied_with_its_old_topic(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    leave_sessions(tmp_path, mosquitto.port, 20)
    changed = route(handler="note", topic="errands/{id}")
    with running(project(tmp_path, mosquitto.port, changed), mosquitto.port) as rig:
        rig.until(lambda: handled(tmp_path) == list(range(20)), "the old messages are handled")
        rig.until(lambda: ids(tmp_path) == ["crew-local-jobs-2"], "the old session is ended")
        assert listed(tmp_path)[0]["subscription"] == "$share/crew/errands/+"
        rig.until_running(1)
        publish(mosquitto.port, 5, "jobs/{}")
        rig.publish(1, "errands/77")
        rig.until(lambda: 77 in handled(tmp_path), "the new topic is handled")
        rig.until(lambda: rig.route().metrics.received >= 21, "the counts are there")
        assert rig.route().metrics.received == 21
        assert rig.route().metrics.failed == 0


def test_a_session_that_another_handler_must_not_have_is_left_alone_and_told(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    leave_sessions(tmp_path, mosquitto.port, 20)
    changed = route(handler="count", topic="errands/{id}")
    with running(project(tmp_path, mosquitto.port, changed), mosquitto.port) as rig:
        rig.until_running(1)
        assert "'jobs' has another topic and another handler now, and its session" in rig.notices()
        rig.publish(5, "errands/{}")
        rig.until_ok(5)
        assert rig.route().metrics.received == 5
        assert [each.client_id for each in rig.route().workers] == ["crew-local-jobs-2"]
    # when the route is put back as it was
    with running(project(tmp_path, mosquitto.port, route(handler="note")), mosquitto.port) as rig:
        rig.until(lambda: handled(tmp_path) == list(range(20)), "none is lost")


def test_a_session_of_another_group_is_emptied_beside_the_new_one(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    leave_sessions(tmp_path, mosquitto.port, 20)
    other = route(handler="note", group="others")
    with running(project(tmp_path, mosquitto.port, other), mosquitto.port) as rig:
        rig.until(lambda: handled(tmp_path) == list(range(20)), "the old messages are handled")
        rig.until(lambda: ids(tmp_path) == ["others-local-jobs-1"], "the old session is ended")


def test_a_session_whose_route_is_gone_is_kept_and_told(mosquitto: Mosquitto, tmp_path: Path) -> None:
    leave_sessions(tmp_path, mosquitto.port, 20)
    with running(project(tmp_path, mosquitto.port, route("other", "note")), mosquitto.port) as rig:
        rig.until_running(1, "other")
        text = rig.notices()
        assert "route 'jobs' is gone, and its session crew-local-jobs-1 at 127.0.0.1:" in text
        assert "goes on collecting messages of $share/crew/jobs/+" in text
        command = text[text.index("mosquitto_sub") :].splitlines()[0].split()
        assert ids(tmp_path) == ["crew-local-jobs-1", "crew-local-other-1"]
    with running(project(tmp_path, mosquitto.port, route(handler="note")), mosquitto.port) as rig:
        rig.until(lambda: handled(tmp_path) == list(range(20)), "the route is back, and so are they")
    assert command[-4:] == ["crew-local-jobs-1", "-t", "nothing", "-E"]


def test_a_session_at_another_broker_is_told(mosquitto: Mosquitto, tmp_path: Path, broker: Any) -> None:
    leave_sessions(tmp_path, mosquitto.port, 1)
    with running(project(tmp_path, broker.port, route(handler="note")), broker.port) as rig:
        rig.until_running(1)
        assert (
            f"1 sessions of our workers still collect messages at 127.0.0.1:{mosquitto.port}" in rig.notices()
        )
        assert len(ids(tmp_path)) == 2


def test_scaling_up_and_down_ends_the_sessions(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with running(project(tmp_path, mosquitto.port, route(handler="note")), mosquitto.port) as rig:
        rig.until_running(1)
        for _ in range(3):
            rig.send(commands.SetWorkers("jobs", 4))
            rig.until_running(4)
            rig.publish(40)
            rig.send(commands.SetWorkers("jobs", 1))
            rig.until_running(1)
        rig.until(lambda: len(handled(tmp_path)) == 120, "all are handled, each once")
        assert len(ids(tmp_path)) == 1
        no_black_hole(rig, tmp_path, 1000, 10)


def test_a_failed_worker_taken_away_leaves_no_session(mosquitto: Mosquitto, tmp_path: Path) -> None:
    # It kills its process until the file is there, so that its slot fails with messages in its session.
    flag = tmp_path / "mended"
    body = json.dumps({"flag": str(flag)}).encode()
    jobs = route(handler="until_mended", workers=2, max_deliveries=100)
    with running(project(tmp_path, mosquitto.port, jobs), mosquitto.port) as rig:
        rig.until_running(2)
        rig.publish(10, payload=body)
        rig.until_state(WorkerState.FAILED, slot=1)
        rig.until_state(WorkerState.FAILED, slot=2)
        flag.touch()
        rig.send(commands.DrainWorker("jobs", 2))
        rig.until(lambda: ids(tmp_path) == ["crew-local-jobs-1"], "the session is ended")
        assert (
            "jobs/2 taken away (it was failed); what its session at the broker holds is handled"
            in rig.notices()
        )
        assert rig.route().metrics.ok == 5
        rig.send(commands.StartWorker("jobs", 1))
        rig.until_ok(10)


def test_a_worker_killed_while_it_drains_is_followed_by_one_that_goes_on(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    jobs = route(handler="slow_note", workers=2, prefetch=5)
    with running(project(tmp_path, mosquitto.port, jobs), mosquitto.port) as rig:
        rig.until_running(2)
        rig.publish(200)
        rig.send(commands.DrainWorker("jobs", 2))
        rig.until_state(WorkerState.DRAINING, slot=2)
        rig.send(commands.KillWorker("jobs", 2))
        rig.until(lambda: "killed by hand" in rig.notices(), "it is killed")
        rig.until(lambda: set(handled(tmp_path)) == set(range(200)), "all are handled")
        rig.until(lambda: ids(tmp_path) == ["crew-local-jobs-1"], "the session is ended")


def test_an_engine_that_ends_while_it_empties_a_session_leaves_it_to_the_next(
    mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routemq_tui.engine.supervisor.EMPTYING_AT_END", 0.1)
    kill_an_engine(tmp_path, mosquitto.port, workers=2, messages=100)
    slow = replace(route(handler="slow_note"), prefetch=5)
    with running(project(tmp_path, mosquitto.port, slow), mosquitto.port) as rig:
        rig.until_state(WorkerState.DRAINING, slot=2)
        rig.until(lambda: handled(tmp_path), "it has begun")
        rig.stop()
        assert len(set(handled(tmp_path))) < 100
        assert ids(tmp_path) == ["crew-local-jobs-1", "crew-local-jobs-2"]
    with running(project(tmp_path, mosquitto.port, slow), mosquitto.port) as rig:
        rig.until(lambda: set(handled(tmp_path)) == set(range(100)), "all are handled")
        rig.until(lambda: ids(tmp_path) == ["crew-local-jobs-1"], "the session is ended")


ENTRY = SessionEntry("jobs", 1, "id", "s", "t", "h", 1, "home", "5")


def test_the_list_is_written_at_each_change(tmp_path: Path) -> None:
    journal = Journal(LogStore(100_000))
    sessions = SessionList(tmp_path / "n.slots.json", "home", journal)
    sessions.started(ENTRY)
    assert not sessions.exists("id")
    sessions.connected("id")
    sessions.started(ENTRY)  # a restart: the broker still has the session
    assert sessions.exists("id")
    again = SessionList(tmp_path / "n.slots.json", "home", journal)
    (entry,) = again.load()
    assert (entry.client_id, entry.met) == ("id", True)
    again.ended("id")
    assert SessionList(tmp_path / "n.slots.json", "home", journal).load() == []


def test_a_list_that_cannot_be_read_is_told_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "n.slots.json"
    path.write_text('{"version": 1, "sess')
    journal = Journal(LogStore(100_000))
    assert SessionList(path, "home", journal).load() == []
    assert "cannot be read" in journal.notices[0].text
    assert (tmp_path / "n.slots.unreadable").read_text() == '{"version": 1, "sess'


def test_a_list_that_cannot_be_written_is_told_once(tmp_path: Path) -> None:
    journal = Journal(LogStore(100_000))
    sessions = SessionList(tmp_path / "nowhere" / "n.json", "home", journal)
    sessions.started(ENTRY)
    sessions.connected("id")
    assert len(journal.notices) == 1
    assert sessions.exists("id")


def test_a_failed_slot_leaves_the_group_and_comes_back_with_what_it_had(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    # given two workers, one of which is given up
    config = project(tmp_path, mosquitto.port, route(handler="note", workers=2))
    with running(config, mosquitto.port, RestartPolicy(first=0.05, limit=2)) as rig:
        rig.until_running(2)
        for restarts in range(2):
            first = rig.until_state(WorkerState.RUNNING)
            assert first.pid is not None
            os.kill(first.pid, signal.SIGKILL)
            if not restarts:
                rig.until(lambda: (one := rig.worker()) and one.restarts == 1 and one.connected, "it is back")
        rig.until_state(WorkerState.FAILED, 1)
        rig.until(lambda: "jobs/1 event unsubscribed: new messages go to the others" in rig.log_text(), "out")
        # then the other one gets all there is
        publish(mosquitto.port, 40)
        rig.until(lambda: sorted(handled(tmp_path)) == list(range(40)), "the other handles all")
        # and when it is started again it has its share
        rig.send(commands.StartWorker("jobs", 1))
        rig.until_running(2)
        publish(mosquitto.port, 40)
        rig.until(lambda: len(handled(tmp_path)) >= 80, "both handle all")
        rig.until(lambda: (one := rig.worker()) and one.metrics.ok > 0, "it had its share")
