"""What cannot be done is an error where it is asked for, not only a notice afterwards."""

from __future__ import annotations

import argparse
import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from routemq_tui.commands import ctl
from routemq_tui.engine.commands import (
    AddWorker,
    Command,
    DrainWorker,
    KillWorker,
    PauseRoute,
    Reload,
    SaveCounts,
    SetAutoscale,
    SetWorkers,
    StartWorker,
    Stop,
)
from routemq_tui.engine.control import socket_path
from routemq_tui.engine.refusals import refusal
from routemq_tui.engine.snapshot import EngineState, ScalingSnapshot, Snapshot
from routemq_tui.engine.states import WorkerState
from tests.engine.conftest import StartRig
from tests.engine.rig import route
from tests.fakes import snapshots


def seen(state: EngineState = EngineState.RUNNING) -> Snapshot:
    """`jobs` wants 2 of 2 to 3 workers; of them one drains and one has failed; `orders` is not shared."""
    workers = (
        snapshots.worker("jobs", 1),
        snapshots.worker("jobs", 2, WorkerState.DRAINING),
        snapshots.worker("jobs", 3, WorkerState.FAILED),
    )
    jobs = snapshots.route(
        "jobs",
        workers,
        desired=2,
        min_workers=2,
        max_workers=3,
        scaling=ScalingSnapshot("off", "rate", 3, 3),
    )
    orders = snapshots.route("orders", (snapshots.worker("orders", 1),), shared=False, max_workers=1)
    return replace(snapshots.snapshot((jobs, orders, snapshots.route("idle", ()))), state=state)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (AddWorker("jobs"), ""),
        (SetWorkers("jobs", 3), ""),
        (SetWorkers("jobs", 4), "jobs has at most 3 (max_workers)"),
        (SetWorkers("jobs", 1), "jobs keeps at least 2 (min_workers)"),
        (DrainWorker("jobs"), "jobs keeps at least 2 (min_workers)"),
        (DrainWorker("jobs", 1), "jobs keeps at least 2 (min_workers)"),
        (DrainWorker("jobs", 2), ""),
        (DrainWorker("idle"), "idle has no worker left to take away"),
        (AddWorker("orders"), "orders is not shared"),
        (SetWorkers("orders", 2), "orders is not shared"),
        (SetWorkers("orders", 0), ""),
        (KillWorker("jobs", 1), ""),
        (KillWorker("jobs", 3), "jobs/3 has no process to kill: it is failed"),
        (StartWorker("jobs", 3), ""),
        (SetAutoscale("jobs", True), "jobs: nothing to scale"),
        (SetAutoscale("jobs", False), ""),
        (SetAutoscale("orders", False), "orders is not shared"),
        (PauseRoute("nowhere"), "there is no route 'nowhere'"),
        (Reload(), ""),
    ],
)
def test_bounds(command: Command, why: str) -> None:
    assert refusal(command, seen())[: len(why) or None] == why


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (SetWorkers("jobs", 3), "the engine is stopping"),
        (Reload(), "the engine is stopping"),
        (SaveCounts(), ""),
        (Stop(force=True), ""),
    ],
)
def test_at_the_end_only_what_belongs_to_it_is_done(command: Command, why: str) -> None:
    assert refusal(command, seen(EngineState.STOPPING)) == why


def asked(root: Path, *words: str) -> int:
    parser = argparse.ArgumentParser()
    ctl.add_arguments(parser)
    return ctl.run(parser.parse_args(["-c", str(root / "routemq.toml"), *words]))


def test_a_reload_that_is_not_done_is_an_error_however_mildly_it_is_said(
    start_rig: StartRig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with start_rig(route()) as rig:
        rig.until_running(1)
        with pytest.raises(ctl.ControlError, match="not reloaded: this instance was not started from a file"):
            asked(tmp_path, "reload", "--json")
        assert json.loads(capsys.readouterr().out)["ok"] is False


def test_a_refusal_that_comes_as_a_notice_is_an_error_too(
    start_rig: StartRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a snapshot from before the last change, so that nothing stands against the next one
    monkeypatch.setattr("routemq_tui.engine.control.refusal", lambda command, snapshot: "")
    with start_rig(route(workers=1, max_workers=2)) as rig:
        rig.until_running(1)
        with pytest.raises(ctl.ControlError, match=r"jobs has at most 2 \(max_workers\)"):
            asked(tmp_path, "scale", "jobs", "3")


@pytest.mark.parametrize("number", ["9" * 5000, "9" * 19])
def test_a_number_of_too_many_digits_is_answered(start_rig: StartRig, tmp_path: Path, number: str) -> None:
    with start_rig(route()), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(socket_path(tmp_path, "local")))
        connection.sendall(b'{"do": "logs", "lines": %s}\n{"do": "snapshot"}\n' % number.encode())
        with connection.makefile("rb") as lines:
            assert json.loads(lines.readline()) == {"ok": False, "error": "a number has at most 18 digits"}
            assert json.loads(lines.readline())["ok"] is True
