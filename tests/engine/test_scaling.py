"""Autoscale with real workers: decisions carried out, told, paused by hand, and left alone when in doubt."""

from __future__ import annotations

import argparse
import json
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from routemq_tui.commands import ctl
from routemq_tui.config.model import AppConfig, BrokerConfig, ScalingConfig
from routemq_tui.engine import commands
from routemq_tui.engine.snapshot import BrokerState, ScalingSnapshot
from routemq_tui.engine.snapshot_json import snapshot_values
from routemq_tui.engine.states import WorkerState
from tests.engine.conftest import StartRig
from tests.engine.rig import Rig, make_config, publish, route, running

QUICK = ScalingConfig(interval=1.0, cooldown=1.0, drain=2.0)


def scaling(rig: Rig, name: str = "jobs") -> ScalingSnapshot:
    found = rig.route(name).scaling
    assert found is not None
    return found


def broker_port(rig: Rig) -> int:
    rig.until(lambda: rig.engine.snapshot().broker.state is BrokerState.UP, "the broker is up")
    return int(rig.engine.snapshot().broker.address.rpartition(":")[2])


def test_a_burst_is_met_with_workers_that_go_again(tmp_path: Path) -> None:
    # given one worker of 20 messages/s on the embedded broker
    jobs = route(handler="slow", autoscale=True, scaling=QUICK, max_workers=4)
    config = make_config(tmp_path, 0, jobs, app=AppConfig(group="burst"), broker=BrokerConfig(url="embedded"))
    with running(config) as rig:
        rig.until_running(1)
        port = broker_port(rig)
        rig.until(lambda: rig.engine._broker.queued("crew", "jobs/+") is not None, "the queue is watched")
        # when 200 messages come at once
        publish(port, 200)
        rig.until(lambda: rig.route().desired > 1, "workers are added")
        # then the decision tells the figures, in the log, on the curves and in the snapshot
        found = scaling(rig)
        assert found.decision.startswith("1 -> ")
        # by what waits, or, when the look fell into the burst, by what comes
        assert re.search(r"wait.*workers clear them in 2 s|/s x .* workers' work", found.decision)
        assert abs(time.time() - (found.decided or 0)) < 5
        assert f"jobs: autoscale {found.decision}" in rig.log_text("engine")
        marks = [mark.label for mark in rig.engine.history("jobs").marks]
        assert f"autoscale 1 → {rig.route().desired}" in marks
        # and all is handled, and after a cool-down one worker is left
        rig.until_ok(200)
        rig.until(lambda: rig.route().desired == 1, "workers are taken away", 15)
        rig.until_running(1)
        assert rig.route().metrics.ok == 200
        assert "-> 1: " in scaling(rig).decision


def test_full_windows_tell_of_a_queue_that_the_broker_keeps_to_itself(start_rig: StartRig) -> None:
    # given a broker that is not ours: nobody tells what waits there
    with start_rig(route(handler="slow", autoscale=True, scaling=QUICK, max_workers=4)) as rig:
        rig.until_running(1)
        rig.publish(100)
        rig.until(lambda: scaling(rig).decision, "workers are added")
        assert scaling(rig).decision.startswith("1 -> 2: ")
        assert "% busy of 70% target, windows full " in scaling(rig).decision
        assert scaling(rig).decision.endswith(": what waits is not known, so twice as many")
        rig.until_ok(100)


def test_with_concurrency_a_worker_is_busy_by_its_handlers_in_flight(start_rig: StartRig) -> None:
    # given room for 8 handlers in one worker, and 4 that wait: half of what it can do
    jobs = route(handler="async_sleeper", concurrency=8, autoscale=True, scaling=replace(QUICK, interval=1.0))
    with start_rig(jobs) as rig:
        rig.until_running(1)
        rig.publish(4, payload=b'{"seconds": 3.2}')
        rig.until(lambda: scaling(rig).found == "50% busy of 70% target", "half busy")
        assert rig.route().desired == 1


def test_scaling_by_hand_pauses_and_the_switch_resumes(start_rig: StartRig) -> None:
    jobs = route(workers=2, autoscale=True, scaling=QUICK, max_workers=4)
    with start_rig(jobs) as rig:
        rig.until_running(2)
        assert (scaling(rig).switch, scaling(rig).low, scaling(rig).high) == ("on", 1, 4)
        rig.send(commands.SetWorkers("jobs", 9))  # of which it has 4
        rig.until_running(4)
        assert (scaling(rig).switch, scaling(rig).why) == ("paused", "you set 4")
        assert "jobs: autoscale paused: you set 4; A resumes it" in rig.notices()
        rig.send(commands.DrainWorker("jobs"))
        rig.until_running(3)
        assert scaling(rig).why == "you set 3"
        assert rig.notices().count("autoscale paused") == 1
        # when it is on again, idle workers go
        rig.send(commands.SetAutoscale("jobs", True))
        rig.until(lambda: rig.route().desired == 1, "down to the least")
        assert scaling(rig).switch == "on"
        rig.send(commands.SetAutoscale("jobs", False))
        rig.until(lambda: scaling(rig).switch == "off", "off")
        rig.send(commands.AddWorker("jobs"))
        rig.until_running(2)
        assert scaling(rig).switch == "off"


def test_a_hand_that_changes_nothing_pauses_nothing(start_rig: StartRig) -> None:
    jobs = route(workers=2, autoscale=True, max_workers=2)
    with start_rig(jobs) as rig:
        rig.until_running(2)
        rig.send(commands.AddWorker("jobs"))
        rig.until(lambda: "has at most 2" in rig.notices(), "refused")
        assert scaling(rig).switch == "on"


def test_what_cannot_be_scaled_says_why(start_rig: StartRig) -> None:
    with start_rig(route("alone", shared=False), route(min_workers=2, max_workers=2, workers=2)) as rig:
        rig.until_running(2)
        assert rig.route("alone").scaling is None
        rig.send(commands.SetAutoscale("alone", True))
        rig.send(commands.SetAutoscale("jobs", True))
        rig.until(lambda: "nothing to scale: min_workers and max_workers are both 2" in rig.notices(), "told")
        assert "alone is not shared: it has exactly one worker, so there is nothing to scale" in rig.notices()
        assert scaling(rig).switch == "off"


def test_a_failed_worker_and_a_pause_keep_it_from_deciding(start_rig: StartRig) -> None:
    lost = route("lost", "absent", workers=2, autoscale=True, scaling=QUICK)
    paused = route(workers=3, autoscale=True, scaling=QUICK)
    with start_rig(lost, paused) as rig:
        rig.send(commands.PauseRoute("jobs"))
        rig.until_state(WorkerState.FAILED, route="lost")
        rig.until(lambda: scaling(rig, "lost").found == "waits: lost/1 is failed", "it waits")
        rig.until(lambda: scaling(rig).found == "waits: the route is paused", "it waits")
        assert (rig.route("lost").desired, rig.route().desired) == (2, 3)
        # when it goes on, the idle workers go
        rig.send(commands.ResumeRoute("jobs"))
        rig.until(lambda: rig.route().desired == 1, "down to the least")
        assert rig.route("lost").desired == 2


def test_the_snapshot_is_plain_json(start_rig: StartRig) -> None:
    with start_rig(route(autoscale=True), route("alone", shared=False)) as rig:
        rig.until_running(1)
        first, second = json.loads(json.dumps(snapshot_values(rig.engine.snapshot())))["routes"]
        assert second["scaling"] is None
        assert first["scaling"].pop("next_look") <= 5
        assert first["scaling"] == {
            "switch": "on",
            "policy": "utilisation",
            "low": 1,
            "high": 64,
            "target": 0.7,
            "why": "",
            "found": "",
            "decision": "",
            "decided": None,
        }


def test_ctl_turns_it_on_and_off(
    start_rig: StartRig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    ctl.add_arguments(parser)

    def asked(switch: str) -> str:
        ctl.run(parser.parse_args(["-c", str(tmp_path / "routemq.toml"), "autoscale", "jobs", switch]))
        return capsys.readouterr().out

    with start_rig(route(workers=2)) as rig:
        rig.until_running(2)
        assert "jobs: autoscale on, 1 to 64 workers" in asked("on")
        assert scaling(rig).switch == "on"
        assert "jobs: autoscale off" in asked("off")
        assert scaling(rig).switch == "off"
