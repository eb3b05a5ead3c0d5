"""The two lines at the top: what they say when, and what they leave out last."""

from __future__ import annotations

from dataclasses import replace

import pytest

from routemq_tui.engine.snapshot import BrokerState, Health, Snapshot
from routemq_tui.engine.states import WorkerState
from routemq_tui.tui.widgets.header import figures_line, identity_line
from tests.fakes.snapshots import route, snapshot, worker


def said(line: object) -> str:
    return "".join(fragment.text for fragment in line)  # type: ignore[attr-defined]


def coming_up(**other: object) -> Snapshot:
    workers = tuple(worker("jobs", slot, WorkerState.STARTING, uptime=0.3, **other) for slot in (1, 2))
    return replace(snapshot((route("jobs", workers),)), health=Health.UNHEALTHY, health_percent=0)


def test_workers_that_first_come_up_are_no_ill_health() -> None:
    assert "starting" in said(identity_line(coming_up(), 120))
    assert "unhealthy" not in said(identity_line(coming_up(), 120))


@pytest.mark.parametrize("trouble", [{"restarts": 1}, {"last_exit": "exited with code 1"}, {"uptime": 11.0}])
def test_workers_that_do_not_come_up_are(trouble: dict[str, object]) -> None:
    given = coming_up()
    (one,) = given.routes
    broken = replace(one, workers=(replace(one.workers[0], **trouble), *one.workers[1:]))  # type: ignore[arg-type]
    assert "unhealthy 0%" in said(identity_line(replace(given, routes=(broken,)), 120))


def test_workers_without_a_broker_are() -> None:
    given = coming_up()
    down = replace(given, broker=replace(given.broker, state=BrokerState.DOWN))
    assert "unhealthy 0%" in said(identity_line(down, 120))


def test_where_no_worker_is_wanted_nothing_is_called_healthy() -> None:
    given = snapshot((route("jobs", ()),))
    line = said(identity_line(given, 120))
    assert "no workers wanted" in line
    assert "healthy" not in line


def test_failures_stay_at_120_columns_when_log_lines_were_dropped() -> None:
    given = snapshot((route("jobs", (worker("jobs", 1),)),))
    metrics = replace(given.metrics, failed=12_345, log_dropped=1_234_567, dead_lettered=12)
    line = said(figures_line(replace(given, metrics=metrics), 120))
    assert "failed 12.3k" in line
    assert "log drops 1.2M" in line
