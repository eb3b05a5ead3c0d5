"""What is told of routes that are not well, whatever the health of all workers is."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest

from routemq_tui.commands.ctl import _print_snapshot
from routemq_tui.config.model import OnError
from routemq_tui.engine.concerns import concern_words, concerns
from routemq_tui.engine.snapshot import EngineState, Health, Metrics, WorkerSnapshot
from routemq_tui.engine.snapshot_json import snapshot_values
from routemq_tui.engine.states import WorkerState
from routemq_tui.headless.json_lines import JsonLines
from routemq_tui.headless.lines import format_status
from routemq_tui.monitoring.server import _ready
from tests.engine.conftest import StartRig
from tests.engine.rig import route as configured
from tests.fakes.snapshots import route, snapshot, worker

BEGIN = "on_start (app/db.py:5) failed: OSError: no database"


def stopped(slot: int) -> WorkerSnapshot:
    return worker("jobs", slot, WorkerState.STOPPED, 0.0, at_rest=True)


def failed(slot: int) -> WorkerSnapshot:
    return worker("jobs", slot, WorkerState.FAILED, 0.0)


def beginning(slot: int, state: WorkerState, retry_in: float | None = None) -> WorkerSnapshot:
    return worker("jobs", slot, state, 0.0, retry_in=retry_in, crashes=4, last_exit=BEGIN)


def runs(slot: int) -> WorkerSnapshot:
    return worker("jobs", slot)


@pytest.mark.parametrize(
    ("workers", "words"),
    [
        ((stopped(1),), ("jobs is down: stopped",)),
        ((stopped(1), failed(2)), ("jobs is down: stopped, failed",)),
        ((runs(1), stopped(2), runs(3)), ("jobs: 1 of 3 stopped",)),
        ((failed(1), stopped(2), runs(3)), ("jobs: 2 of 3 down: failed, stopped",)),
        ((beginning(1, WorkerState.BACKOFF, 12.2),), ("jobs is down: on_start fails, next try in 12 s",)),
        ((beginning(1, WorkerState.STARTING),), ("jobs is down: on_start fails",)),
        ((runs(1), beginning(2, WorkerState.STARTING)), ("jobs: 1 of 2 down: on_start fails",)),
        (
            (worker("jobs", 1, WorkerState.BACKOFF, retry_in=0.4),),
            ("jobs is down: crashed, next try in 1 s",),
        ),
        ((worker("jobs", 1, crashes=4),), ("jobs/1 crashed 4 times in the last minute",)),
        ((runs(1), worker("jobs", 2, WorkerState.STARTING)), ()),
        ((runs(1), worker("jobs", 2, WorkerState.BACKOFF, retry_in=0.0)), ()),
        ((runs(1), worker("jobs", 2, WorkerState.STOPPED, 0.0)), ()),
    ],
)
def test_workers_that_are_missed(workers: tuple[WorkerSnapshot, ...], words: tuple[str, ...]) -> None:
    assert concern_words(snapshot((route("jobs", workers),))) == words


def test_one_scaled_away_is_not_missed_nor_any_at_the_end() -> None:
    away = snapshot((route("jobs", (runs(1), failed(2)), desired=1),))
    assert concerns(away) == ()
    down = snapshot((route("jobs", (stopped(1),)),))
    assert concerns(replace(down, state=EngineState.STOPPING)) == ()


def test_the_worst_comes_first() -> None:
    fails = Metrics(rate=1.0, error_rate=1.0)
    given = snapshot(
        (
            route("mail", (worker("mail", 1),), paused=True),
            route("jobs", (runs(1), stopped(2))),
            route("bad", (worker("bad", 1),), metrics=fails),
            route("halts", (worker("halts", 1, WorkerState.FAILED, 0.0),)),
        )
    )
    assert [each.route for each in concerns(given)] == ["halts", "bad", "jobs", "mail"]


def test_every_front_end_tells_them(capsys: pytest.CaptureFixture[str]) -> None:
    paused = route("mail", (worker("mail", 1),), paused=True)
    given = replace(snapshot((route("jobs", (stopped(1),)), paused)), health=Health.HEALTHY)
    both = ["jobs is down: stopped", "mail is paused"]
    assert format_status(given, given.time).endswith("! jobs is down: stopped and 1 more")
    assert json.loads(JsonLines().status(given, given.time))["concerns"] == both
    assert json.loads(_ready(given)[2])["concerns"] == both
    _print_snapshot({"snapshot": snapshot_values(given)}, Namespace(json=False))
    assert capsys.readouterr().out.splitlines()[1:3] == [f"! {each}" for each in both]


def test_a_worker_that_stopped_by_its_policy_is_at_rest(start_rig: StartRig) -> None:
    with start_rig(configured(handler="quoting", on_error=OnError.STOP)) as rig:
        rig.until_running(1)
        assert concerns(rig.engine.snapshot()) == ()
        rig.publish(1)
        rig.until(lambda: concern_words(rig.engine.snapshot()) == ("jobs is down: stopped",))


def test_a_begin_that_fails_for_ever_is_told_with_its_next_try(start_rig: StartRig, tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "work.py").write_text("def count(payload): ...\ndef opens(): raise OSError")
    with start_rig(configured(on_start="tasks.work:opens")) as rig:
        rig.until(lambda: (one := rig.worker()) is not None and one.crashes >= 3)
        rig.until(lambda: concern_words(rig.engine.snapshot()) == ("jobs is down: on_start fails",))
        told = "jobs is down: on_start fails, next try in 1 s"
        rig.until(lambda: concern_words(rig.engine.snapshot()) == (told,))
