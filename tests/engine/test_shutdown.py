"""The end: bounded whatever handlers do, nothing left running, and what was unfinished is said."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import psutil
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from routemq_tui.broker.handle import EmbeddedBroker
from routemq_tui.config.model import AppConfig
from routemq_tui.engine import commands
from routemq_tui.engine.states import WorkerState
from routemq_tui.errors import ExitCode
from tests.conftest import Mosquitto
from tests.engine.conftest import StartRig
from tests.engine.rig import Rig, alive, make_config, route, running
from tests.waiting import wait_until


def body(**values: Any) -> bytes:
    return json.dumps(values).encode()


def pids_of(rig: Rig, name: str = "jobs") -> list[int]:
    return [each.pid for each in rig.route(name).workers if each.pid]


def with_children(pids: list[int]) -> list[int]:
    return pids + [child.pid for pid in pids for child in psutil.Process(pid).children(recursive=True)]


def test_64_workers_stop_in_time(start_rig: StartRig) -> None:
    with start_rig(route(workers=64), app=AppConfig(shutdown_timeout=10.0)) as rig:
        rig.until(lambda: rig.route().running == 64, "64 workers run", timeout=30)
        pids = pids_of(rig)
        rig.publish(200)
        start = time.monotonic()
        rig.stop()
        assert time.monotonic() - start < 10.0
        assert alive(pids) == []
        assert "not drained" not in rig.log_text()
        assert {each.state for each in rig.route().workers} == {WorkerState.STOPPED}
        assert rig.engine.exit_code is ExitCode.OK


@pytest.mark.parametrize("how", ["stop", "kill", "drain"])
def test_deaf_handlers_and_their_children_go(
    start_rig: StartRig, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routemq_tui.engine.crew.DRAIN_TIMEOUT", 0.1)
    monkeypatch.setattr("routemq_tui.engine.slot.DRAIN_GRACE", 0.1)
    with start_rig(route(handler="deaf"), app=AppConfig(shutdown_timeout=0.5)) as rig:
        rig.until_running(1)
        rig.publish(1, payload=body(seconds=60))
        (pid,) = pids_of(rig)
        wait_until(lambda: len(with_children([pid])) >= 3, what="the handler and its children run")
        family = with_children([pid])
        order = {"stop": commands.Stop(), "kill": commands.KillWorker("jobs", 1)}
        rig.send(order.get(how, commands.DrainWorker("jobs", 1)))
        wait_until(lambda: not alive(family), what="all of them are gone")
        if how == "stop":
            assert rig.engine.wait(5)
            told = "not drained within 0.5 s, killed with 1 messages unfinished: jobs/1"
            assert told in rig.notices()


def test_a_drained_worker_takes_its_children_along(start_rig: StartRig) -> None:
    with start_rig(route(handler="deaf")) as rig:
        rig.until_running(1)
        rig.publish(1)
        rig.until_ok(1)
        family = with_children(pids_of(rig))
        assert len(family) >= 2
        rig.stop()
        wait_until(lambda: not alive(family), what="all of them are gone")


def test_a_stopped_process_does_not_hold_up_the_end(start_rig: StartRig) -> None:
    with start_rig(route(workers=2), app=AppConfig(shutdown_timeout=0.6)) as rig:
        rig.until_running(2)
        pids = pids_of(rig)
        os.kill(pids[0], signal.SIGSTOP)
        rig.send(commands.Stop())
        assert rig.engine.wait(5)
        assert alive(pids) == []
        states = [each.reason for each in rig.route().workers]
        assert states[0].startswith("not drained within 0.6 s, killed")
        assert states[1].startswith("drained: ")


@pytest.mark.parametrize(
    ("usual", "asked", "said"), [(20.0, 0.4, "not drained within 0.4 s"), (0.2, 20.0, "drained: ")]
)
def test_a_stop_with_a_time_of_its_own(start_rig: StartRig, usual: float, asked: float, said: str) -> None:
    with start_rig(route(handler="sleeper"), app=AppConfig(shutdown_timeout=usual)) as rig:
        rig.until_running(1)
        rig.publish(1, payload=body(seconds=1.5))
        rig.until(lambda: (one := rig.worker()) and one.current_topic, "it is at work")
        rig.send(commands.Stop(timeout=asked))
        assert rig.engine.wait(10)
        assert [each.reason[: len(said)] for each in rig.route().workers] == [said]


def test_a_worker_that_dies_at_the_end_is_not_waited_for(start_rig: StartRig) -> None:
    with start_rig(route(handler="wedge")) as rig:
        rig.until_running(1)
        rig.publish(1)
        rig.until(lambda: (one := rig.worker()) and one.current_topic, "it is at work")
        (pid,) = pids_of(rig)
        rig.send(commands.Stop())
        rig.until_state(WorkerState.DRAINING)
        os.kill(pid, signal.SIGKILL)
        assert rig.engine.wait(5)
        assert "jobs/1 exited by SIGKILL while handling jobs/0" in rig.notices()
        assert "1 unfinished" in rig.notices()


def test_what_is_unfinished_at_the_end_comes_again(mosquitto: Mosquitto, tmp_path: Path) -> None:
    config = make_config(tmp_path, mosquitto.port, route(handler="slow_note", prefetch=5))
    with running(config, mosquitto.port) as rig:
        rig.until_running(1)
        rig.publish(100)
        rig.until_ok(5)
        rig.stop(force=True)
        assert "messages unfinished: jobs/1" in rig.notices()
    with running(config, mosquitto.port) as rig:
        handled = tmp_path / "tasks" / "handled"
        rig.until(lambda: len(set(handled.read_text().split())) == 100, "none is lost")
        assert len(handled.read_text().split()) <= 105


def test_a_node_that_never_comes_back_leaves_no_session(tmp_path: Path, broker: EmbeddedBroker) -> None:
    # given workers whose route is not shared, so that its session alone has the messages
    config = make_config(
        tmp_path, broker.port, route("lone", shared=False), app=AppConfig(group="lonely", ephemeral=True)
    )
    with running(config, broker.port) as rig:
        rig.until_running(1, "lone")
        rig.stop()
        assert "drained" in rig.log_text("lone/1")
    # then the next client under the id finds no session
    client = mqtt.Client(CallbackAPIVersion.VERSION2, "lonely-local-lone-1", protocol=mqtt.MQTTv5)
    found: list[bool] = []
    client.on_connect = lambda _c, _u, flags, _r, _p: found.append(flags.session_present)
    client.connect("127.0.0.1", broker.port, clean_start=False)
    client.loop_start()
    wait_until(lambda: found)
    client.disconnect()
    client.loop_stop()
    assert found == [False]
