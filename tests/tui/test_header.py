"""The two lines at the top: what they say when, and what they leave out last."""

from __future__ import annotations

from dataclasses import replace

import pytest

from routemq_tui.engine.snapshot import BrokerState, Health, Metrics, Snapshot
from routemq_tui.engine.states import WorkerState
from routemq_tui.tui.rows import Row, RowKey
from routemq_tui.tui.widgets.detail import detail_lines
from routemq_tui.tui.widgets.header import figures_line, identity_line
from tests.fakes.snapshots import route, snapshot, worker
from tests.tui.conftest import Sit


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


def test_dead_letters_of_earlier_runs_are_there() -> None:
    given = replace(snapshot((route("jobs", (worker("jobs", 1),)),)), dead_letters=40)
    assert "✗ dead letters 40  log" in said(figures_line(given, 120))
    some = replace(given, metrics=replace(given.metrics, dead_lettered=3))
    assert "✗ dead letters 40 (3 new)" in said(figures_line(some, 120))
    assert "✗ dead letters 40  log" in said(figures_line(some, 80))
    gone = replace(some, dead_letters=0)
    assert "dead-lettered 3" in said(figures_line(gone, 120))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"metrics": Metrics(rate=5.0, error_rate=0.98)}, "! jobs fails 98%"),
        ({"paused": True}, "! jobs is paused"),
        ({"workers": (worker("jobs", 1, crashes=4),)}, "! jobs/1 crashed 4 times "),
    ],
)
def test_what_is_not_well_stands_before_the_health_of_workers_that_all_run(
    change: dict[str, object], words: str
) -> None:
    one = route("jobs", (worker("jobs", 1),))
    well = snapshot((one,))
    assert "● healthy 100%" in said(identity_line(well, 80))
    line = said(identity_line(snapshot((replace(one, **change),)), 80))  # type: ignore[arg-type]
    assert words in line
    assert "healthy" not in line
    assert "100%" not in line
    assert line.count("●") == 1, "only the broker is green"


def test_the_worst_of_several_worries_is_named() -> None:
    first = route("jobs", (worker("jobs", 1),), paused=True)
    second = route(
        "a-route-with-quite-a-long-name", (worker("mail", 1),), metrics=Metrics(rate=1.0, error_rate=1.0)
    )
    line = said(identity_line(snapshot((first, second)), 120))
    assert "! a-route-with-quite-a-long-name fails 100% +1 " in line
    assert said(identity_line(snapshot((first, second)), 80)).endswith("! a-route-with-quite-a-long-nam… +1 ")


def halted() -> Snapshot:
    """A route that is down beside many workers that run."""
    many = route("orders", tuple(worker("orders", slot) for slot in range(1, 12)))
    return snapshot((many, route("halts", (worker("halts", 1, WorkerState.STOPPED, 0.0, at_rest=True),))))


@pytest.mark.parametrize("width", [80, 120])
def test_a_route_that_is_down_is_told_though_most_workers_run(width: int) -> None:
    given = halted()
    assert given.health is Health.HEALTHY
    line = said(identity_line(given, width))
    assert line.endswith("! halts is down: stopped ")
    assert "91%" not in line


def test_concerns_are_told_beside_bad_health_where_there_is_room() -> None:
    given = replace(halted(), health=Health.DEGRADED)
    assert said(identity_line(given, 120)).endswith("! halts is down: stopped  ◐ degraded ")
    assert said(identity_line(given, 60)).endswith("◐ degraded 91% ")


def test_the_next_try_is_told_where_there_is_room() -> None:
    begin = worker(
        "begin",
        1,
        WorkerState.BACKOFF,
        0.0,
        retry_in=12.2,
        crashes=4,
        last_exit="on_start (a.py:5) failed: OSError",
    )
    given = snapshot((route("begin", (begin,)), *halted().routes[:1]))
    assert said(identity_line(given, 120)).endswith("! begin is down: on_start fails, next try in 12 s ")
    assert said(identity_line(given, 80)).endswith("! begin is down: on_start fails ")


def test_the_detail_of_all_names_every_concern() -> None:
    given = snapshot((*halted().routes, route("jobs", (worker("jobs", 1, crashes=4),))))
    text = [said(line).rstrip() for line in detail_lines(Row(RowKey(), given), 60)]
    assert text[1:3] == [" ! halts is down: stopped", " ! jobs/1 crashed 4 times in the last minute"]
    one = Row(RowKey("jobs"), given, given.routes[-1])
    assert not any("!" in said(line) for line in detail_lines(one, 60))


async def test_a_click_on_a_concern_leads_to_its_route(sit: Sit) -> None:
    async with sit(halted()) as seat:
        row = seat.text("#header").splitlines()[0]
        await seat.pilot.click("#header", offset=(row.index("halts"), 0))
        await seat.pilot.pause()
        assert seat.main.table.selected == RowKey("halts")
