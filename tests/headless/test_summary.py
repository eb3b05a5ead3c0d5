"""The summary's figures: rates of the run, states from before the stop, counts up to the end."""

from __future__ import annotations

from dataclasses import replace

from routemq_tui.engine.snapshot import EngineState, Metrics, Snapshot
from routemq_tui.engine.states import WorkerState
from routemq_tui.headless.summary import Summary, format_table
from tests.fakes.snapshots import NOW, route, snapshot, worker


def at(seconds: float, ok: int, cpu: float | None, state: EngineState, work: WorkerState) -> Snapshot:
    metrics = Metrics(ok=ok, failed=2, p95=0.005 if cpu is not None else None, cpu_percent=cpu)
    one = replace(worker("t", 1, work), metrics=metrics)
    whole = snapshot((route("t", (one,)),))
    return replace(whole, time=NOW + seconds, state=state, metrics=metrics)


def test_counts_go_on_through_the_drain_and_the_rest_is_of_the_run() -> None:
    summary = Summary()
    running, stopping = EngineState.RUNNING, EngineState.STOPPING
    summary.add(at(0, 0, None, running, WorkerState.STARTING))
    summary.add(at(5, 50, 10.0, running, WorkerState.RUNNING))
    summary.add(at(10, 98, 30.0, running, WorkerState.RUNNING))
    summary.add(at(12, 118, None, stopping, WorkerState.STOPPED))
    title, _, row, total = summary.lines()
    assert title == "summary of 10.0 s"
    assert row.split() == ["t/1", "running", "118", "2", "12", "5.0ms", "20.0%"]
    assert total.split() == ["total", "healthy", "118", "2", "12", "5.0ms", "20.0%"]


def test_workers_that_lost_the_broker_before_the_stop_are_offline() -> None:
    def seen(seconds: float, state: EngineState, *connected: bool) -> Snapshot:
        workers = tuple(
            replace(worker("t", slot, WorkerState.RUNNING), connected=each)
            for slot, each in enumerate(connected, 1)
        )
        return replace(snapshot((route("t", workers),)), time=NOW + seconds, state=state)

    summary = Summary()
    summary.add(seen(0, EngineState.RUNNING, True, True))
    summary.add(seen(1, EngineState.RUNNING, True, False))
    assert [line.split()[1] for line in summary.lines()[2:4]] == ["running", "offline"]
    summary.add(seen(2, EngineState.RUNNING, False, False))
    summary.add(seen(3, EngineState.STOPPING, False, False))
    assert [each["state"] for each in summary.values()["workers"]] == ["offline", "offline"]


def test_nothing_seen_is_a_table_without_figures() -> None:
    assert Summary().lines()[-1].split() == ["total", "0", "0", "0", "-", "-"]


def test_text_is_flush_left_and_numbers_flush_right() -> None:
    assert format_table(("name", "n"), [("a", "1"), ("longer", "100")], left=1) == [
        "name      n",
        "a         1",
        "longer  100",
    ]
