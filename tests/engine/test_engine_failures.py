"""What the engine does when something under it dies, and that nothing is left when it dies itself."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from routemq_tui.broker.handle import EmbeddedBroker
from routemq_tui.config.model import AppConfig, BrokerConfig, RouteConfig, TrafficConfig
from routemq_tui.engine import commands
from routemq_tui.engine.engine import Engine
from routemq_tui.engine.journal import Journal
from routemq_tui.engine.ledgers import Ledgers
from routemq_tui.engine.log_store import LogStore
from routemq_tui.engine.mosquitto import find_mosquitto
from routemq_tui.engine.sessions import SessionList
from routemq_tui.engine.snapshot import BrokerSnapshot, BrokerState, EngineState
from routemq_tui.engine.snapshots import Observer
from routemq_tui.engine.states import WorkerState
from routemq_tui.engine.supervisor import Supervisor
from routemq_tui.engine.surroundings import Surroundings
from routemq_tui.errors import ExitCode
from tests.engine.conftest import StartRig
from tests.engine.rig import alive, make_config, route, running, worker_processes
from tests.waiting import free_port, listens, wait_until

BROKERS = [
    "embedded",
    pytest.param(
        "mosquitto",
        marks=[
            pytest.mark.mosquitto,
            pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed"),
        ],
    ),
]


def broker_process(port: int) -> psutil.Process:
    """The process that listens there, among our children."""
    for child in psutil.Process().children(recursive=True):
        listening = [one for one in child.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
        if any(one.laddr.port == port for one in listening):
            return child
    raise AssertionError(f"nobody listens on {port}")


@pytest.mark.parametrize("url", BROKERS)
def test_our_own_broker_is_started_restarted_and_ended(url: str, tmp_path: Path) -> None:
    port = free_port()
    config = make_config(tmp_path, 0, route(workers=2), broker=BrokerConfig(url=url, port=port))
    with running(config, port) as rig:
        rig.until_running(2)
        broker = rig.engine.snapshot().broker
        assert (broker.kind, broker.address, broker.state) == (url, f"127.0.0.1:{port}", BrokerState.UP)
        assert broker.version
        rig.publish(20)
        rig.until_ok(20)

        broker_process(port).kill()
        rig.until(lambda: f"the {url} broker is gone" in rig.notices(), "its death is told")
        rig.until(lambda: rig.engine.snapshot().broker.state is BrokerState.UP, "it is back")
        rig.until_running(2)
        assert [worker.restarts for worker in rig.route().workers] == [0, 0]
        rig.publish(20)
        rig.until_ok(40)
        rig.stop()
        assert rig.engine.exit_code is ExitCode.OK
        assert not listens(port)
        broker = rig.engine.snapshot().broker
        assert (broker.state, broker.reason) == (BrokerState.UP, "stopped with the engine")


def test_drops_of_the_embedded_broker_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routemq_tui.engine.broker_host._INSPECT_EVERY", 0.1)
    start = EmbeddedBroker.start
    tight = staticmethod(lambda port, **others: start(port, **others, limits={"queue_messages": 5}))
    monkeypatch.setattr("routemq_tui.engine.broker_host.EmbeddedBroker.start", tight)
    port = free_port()
    config = make_config(tmp_path, 0, route(prefetch=1), broker=BrokerConfig(url="embedded", port=port))
    with running(config, port) as rig:
        rig.until_running(1)
        rig.until(lambda: rig.engine.snapshot().broker.dropped == 0, "it was looked at")
        rig.send(commands.PauseRoute("jobs"))
        rig.until_state(WorkerState.PAUSED)
        rig.publish(20)
        rig.until(lambda: rig.engine.snapshot().broker.dropped, "drops are seen")
        rig.until(lambda: "the embedded broker dropped" in rig.notices(), "and told")


def test_a_taken_port_is_replaced_and_told(tmp_path: Path, broker: EmbeddedBroker) -> None:
    settings = BrokerConfig(url="embedded", port=broker.port)
    with running(make_config(tmp_path, 0, route(), broker=settings)) as rig:
        rig.until_running(1)
        assert f"port {broker.port} is in use: the embedded broker listens on" in rig.notices()
        told = [each for each in rig.engine.snapshot().notices if "in use" in each.text]
        assert [each.severity for each in told] == ["warning"]
        found = rig.engine.snapshot().broker
        assert found.address != f"127.0.0.1:{broker.port}"
        assert (found.state, found.reason[:4]) == (BrokerState.UP, "port")


def test_a_broker_that_cannot_start_is_named_and_has_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routemq_tui.engine.mosquitto.find_mosquitto", lambda: None)
    config = make_config(tmp_path, 0, route(), broker=BrokerConfig(url="mosquitto"))
    with running(config) as rig:
        rig.until(lambda: rig.engine.snapshot().broker.state is BrokerState.DOWN, "it is down")
        assert "mosquitto is not installed" in rig.engine.snapshot().broker.reason
        rig.stop()
        assert rig.engine.exit_code is ExitCode.BROKER_UNAVAILABLE


def test_an_external_broker_that_is_away_is_told_and_found_again(tmp_path: Path) -> None:
    port = free_port()
    with running(make_config(tmp_path, port, route()), port) as rig:
        rig.until(lambda: rig.engine.snapshot().broker.state is BrokerState.DOWN, "it is down")
        rig.until(lambda: (worker := rig.worker()) and "no connection" in worker.reason, "the worker says so")
        snapshot = rig.engine.snapshot()
        assert f"127.0.0.1:{port}" in snapshot.broker.reason
        assert (snapshot.running, snapshot.health_percent) == (0, 0)


def test_traffic_flows_and_its_process_is_replaced(start_rig: StartRig) -> None:
    traffic = TrafficConfig("jobs/{id}", rate=100.0, qos=1, payload={"n": 1}, values={"id": ["a", "b"]})
    with start_rig(route(), traffic=(traffic,)) as rig:
        rig.until_running(1)
        rig.until_ok(10)
        (process,) = [one for one in worker_processes() if "routemq_tui.publisher" in one.cmdline()]
        process.kill()
        rig.until(lambda: "the traffic generator ended" in rig.notices(), "its death is told")
        before = rig.route().metrics.ok
        rig.until_ok(before + 20)
        assert "traffic event started" in rig.log_text("traffic")


SCRIPT = """
import json, os, sys
from pathlib import Path
import psutil
from routemq_tui.config.model import *
from routemq_tui.engine.commands import Stop
from routemq_tui.engine.engine import Engine
with open("main-ran", "a") as marker:
    marker.write("x")
route = RouteConfig("jobs", "jobs/{id}", "tasks.work:wedge", "crew", qos=1, workers=2)
root = Path.cwd()
broker = BrokerConfig(url=sys.argv[1], port=int(sys.argv[2]))
engine = Engine(Config(root, root / "routemq.toml", broker=broker, routes=(route,)))
engine.start()
while engine.snapshot().running < 2:
    engine.wait(0.02)
print(json.dumps([child.pid for child in psutil.Process().children(recursive=True)]), flush=True)
engine.wait(float(sys.argv[3]))
if sys.argv[4:] == ["stop"]:
    engine.send(Stop())
    assert engine.wait(10)
    print(json.dumps([" ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)]))
"""


def run_script(root: Path, url: str, port: int, seconds: float, *more: str) -> subprocess.Popen[bytes]:
    make_config(root, port, route())  # writes the handlers
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, url, str(port), str(seconds), *more],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("url", BROKERS)
def test_nothing_outlives_a_killed_engine(url: str, tmp_path: Path) -> None:
    port = free_port()
    program = run_script(tmp_path, url, port, 60)
    assert program.stdout is not None
    pids = json.loads(program.stdout.readline())
    assert len(pids) >= 5  # two workers, fork server, resource tracker, broker
    program.send_signal(signal.SIGKILL)
    program.communicate()
    wait_until(lambda: not alive(pids), 5.0, "all are gone")


def test_a_program_that_just_ends_leaves_nothing_and_its_main_ran_once(tmp_path: Path) -> None:
    program = run_script(tmp_path, "embedded", free_port(), 0.1)
    out, err = program.communicate(timeout=20)
    assert (program.returncode, err) == (0, b"")
    pids = json.loads(out)
    wait_until(lambda: not alive(pids), 2.0, "all are gone")
    assert (tmp_path / "main-ran").read_text() == "x"


def test_a_stopped_engine_leaves_but_the_resource_tracker(tmp_path: Path) -> None:
    program = run_script(tmp_path, "embedded", free_port(), 0, "stop")
    out, err = program.communicate(timeout=20)
    assert (program.returncode, err) == (0, b"")
    (left,) = json.loads(out.splitlines()[1])
    assert "resource_tracker" in left


class ScreenStderr:
    """What a screen puts in the place of stderr."""

    def fileno(self) -> int:
        return -1

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


def test_workers_start_while_a_screen_has_stderr(
    start_rig: StartRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start_rig(route()) as rig:
        monkeypatch.setattr(sys, "stderr", ScreenStderr())
        rig.until_running(1)
        rig.send(commands.SetWorkers("jobs", 3))
        rig.until_running(3)


def test_a_dead_fork_server_is_replaced_and_no_worker_runs_unseen(
    start_rig: StartRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start_rig(route(workers=2)) as rig:
        monkeypatch.setattr(sys, "stderr", ScreenStderr())
        rig.until_running(2)
        before = {worker.pid for worker in rig.route().workers}
        (server,) = [one for one in psutil.Process().children() if "forkserver" in " ".join(one.cmdline())]
        assert os.getsid(server.pid) == server.pid  # a closed terminal does not end it
        server.kill()
        rig.until(lambda: not before & {worker.pid for worker in rig.route().workers}, "new workers")
        rig.until_running(2)
        wait_until(lambda: not alive(before), what="the old are gone")


def break_once(engine: Engine, step: str, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next call of this method of the supervisor raise."""
    supervisor: Any = engine._supervisor
    working: Callable[..., Any] = getattr(supervisor, step)

    def broken(*args: Any) -> Any:
        monkeypatch.setattr(supervisor, step, working)
        raise error

    monkeypatch.setattr(supervisor, step, broken)


def test_a_mistake_of_the_engine_is_logged_and_it_goes_on(
    start_rig: StartRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start_rig(route()) as rig:
        rig.until_running(1)
        break_once(rig.engine, "reconcile", ZeroDivisionError("oops"), monkeypatch)
        rig.until(lambda: "ZeroDivisionError: oops" in rig.log_text("engine"), "it is logged")
        assert "Traceback (most recent call last)" in rig.log_text("engine")
        rig.send(commands.AddWorker("jobs"))
        rig.until_running(2)


def test_a_dying_engine_takes_its_workers_along(start_rig: StartRig, monkeypatch: pytest.MonkeyPatch) -> None:
    before = worker_processes()
    with start_rig(route(workers=2)) as rig:
        rig.until_running(2)
        break_once(rig.engine, "reconcile", SystemExit(3), monkeypatch)
        assert rig.engine.wait(10)
        assert rig.engine.exit_code is ExitCode.CRASHED
        assert rig.engine.snapshot().state is EngineState.STOPPED
        assert worker_processes() == before


def busy_supervisor(root: Path, workers: int) -> tuple[Observer, Supervisor]:
    """An engine's inside without processes: slots whose cells are full of numbers."""
    journal = Journal(LogStore(1_000_000))
    crew: tuple[RouteConfig, ...] = tuple(route(f"r{n}", workers=workers // 4) for n in range(4))
    config = make_config(root, 1, *crew)
    sessions = SessionList(root / "sessions", None, journal)
    around = Surroundings(journal, lambda source, outputs: None, sessions, Ledgers(journal))
    supervisor = Supervisor(config, around)
    supervisor.reconcile(0.0, None)
    return Observer(config, supervisor, journal), supervisor


def test_observing_64_workers_is_cheap(tmp_path: Path) -> None:
    observer, supervisor = busy_supervisor(tmp_path, 64)
    broker = BrokerSnapshot("external", "127.0.0.1:1", BrokerState.UP)
    taken: list[float] = []
    for step in range(140):
        for slot in supervisor:
            slot.words[0:2] = memoryview(b"\1" * 16).cast("Q")
            for bucket in range(200, 260):
                slot.words[bucket] += 1
        observer.sample(step * 0.5, 0)
        start = time.perf_counter()
        snapshot = observer.snapshot(EngineState.RUNNING, broker, (), step * 0.5)
        taken.append(time.perf_counter() - start)
    assert sum(len(one.workers) for one in snapshot.routes) == 64
    assert len(snapshot.history.rate) == 60
    assert statistics.median(taken) < 0.010  # 2 to 3 ms on an idle core


def test_an_idle_engine_rests(start_rig: StartRig, own_pace: None) -> None:
    with start_rig(route(workers=4)) as rig:
        rig.until_running(4)
        start, cpu = time.monotonic(), time.process_time()
        assert not rig.engine.wait(1.5)
        used = (time.process_time() - cpu) / (time.monotonic() - start)
        assert used < 0.04  # 0.5 to 1 % on an idle core


def test_a_crew_of_many_starts_soon(start_rig: StartRig) -> None:
    with start_rig(route(workers=24), app=AppConfig()) as rig:
        rig.until_running(24)
        states = {worker.state for worker in rig.route().workers}
        assert states == {WorkerState.RUNNING}
