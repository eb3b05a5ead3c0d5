"""Points over a minute, ten minutes and an hour, and what followed a mark; the clock is passed in."""

from __future__ import annotations

import pytest

from routemq_tui.engine.histories import MARKS_MOST, POINTS, HistoryKeeper, joined
from routemq_tui.engine.metrics import Window
from routemq_tui.engine.snapshot import Mark
from routemq_tui.worker import cells


def second(ok: int, latency: float = 0.01, failed: int = 0) -> Window:
    bucket = cells.bucket_of(round(latency * 1e9))
    return Window(1.0, ok, failed, ok * latency, {bucket: ok} if ok else {})


def run(keeper: HistoryKeeper, start: int, seconds: int, ok: int, latency: float = 0.01, **more: int) -> int:
    """So many seconds of the same; returns the time at their end."""
    for at in range(start + 1, start + seconds + 1):
        keeper.add(float(ok), second(ok, latency, **more), 50.0, float(at))
    return start + seconds


def test_a_history_has_at_most_sixty_points_and_forgets_old_marks() -> None:
    keeper = HistoryKeeper()
    keeper.mark("+1 worker", 0.0)
    for second in range(80):
        keeper.add(float(second), Window(1.0, 1, 1, 0.1, {3: 2}), None, float(second))
        if second == 30:
            assert [mark.label for mark in keeper.history.marks] == ["+1 worker"]
    history = keeper.history
    assert len(history.rate) == len(history.p95) == len(history.cpu_percent) == POINTS
    assert (history.rate[-1], history.error_rate[-1]) == (79.0, 0.5)
    assert history.marks == ()


def test_a_longer_history_has_a_point_for_each_step_and_one_in_the_making() -> None:
    """Given an hour at 10/s and then 25 s at 40/s, when asked for ten minutes and for all of it."""
    keeper = HistoryKeeper()
    at = run(keeper, 0, 3600, 10)
    at = run(keeper, at, 25, 40, latency=0.2)

    ten, hour = keeper.of("10m"), keeper.of("1h")

    assert (ten.step, hour.step) == (10.0, 60.0)
    assert len(ten.rate) == len(hour.rate) == len(hour.p95) == POINTS
    assert ten.rate[-4:] == (10.0, 40.0, 40.0, 40.0)
    assert hour.rate[-2:] == (10.0, 40.0), "the last one is of 25 s"
    assert (ten.until, hour.until) == (at + 5, at + 35)
    assert ten.p95[-1] == pytest.approx(0.2, rel=0.05)
    assert ten.p95[-4] == pytest.approx(0.01, rel=0.05)
    assert set(hour.cpu_percent) == {50.0}


def test_a_step_has_the_percentile_of_all_its_messages_not_the_mean_of_seconds() -> None:
    """Given nine quick seconds with one message each and a slow one with a thousand."""
    keeper = HistoryKeeper()
    at = run(keeper, 0, 9, 1, latency=0.001)
    run(keeper, at, 1, 1000, latency=0.5)

    assert keeper.of("10m").p95 == pytest.approx((0.5,), rel=0.05)


def test_a_mark_is_in_every_history_that_goes_back_to_it() -> None:
    keeper = HistoryKeeper()
    at = run(keeper, 0, 100, 10)
    keeper.mark("+1 worker", at)
    run(keeper, at, 120, 10)

    assert keeper.of("60s").marks == ()
    assert [each.label for each in keeper.of("10m").marks] == ["+1 worker"]
    assert [each.label for each in keeper.of("1h").marks] == ["+1 worker"]


def test_marks_are_bounded() -> None:
    keeper = HistoryKeeper()
    for number in range(MARKS_MOST + 10):
        keeper.mark(f"mark {number}", float(number))
    assert len(keeper.of("1h").marks) == MARKS_MOST


def effect_of(keeper: HistoryKeeper, number: int = -1) -> str:
    return keeper.of("60s").marks[number].effect


def test_the_effect_of_a_mark_is_known_after_fifteen_seconds() -> None:
    """Given 100/s at 52 ms before and 131/s at 40 ms after."""
    keeper = HistoryKeeper()
    at = run(keeper, 0, 20, 100, latency=0.052)
    keeper.mark("+1 worker", at)
    at = run(keeper, at, 14, 131, latency=0.040)
    assert effect_of(keeper) == ""
    run(keeper, at, 1, 131, latency=0.040)

    assert effect_of(keeper) == "rate +31 %, p95 -10 ms", "as far as a bucket is wide"


def test_what_happens_while_a_change_begins_to_work_is_no_effect() -> None:
    """Given a worker that is away for four seconds after its restart, and then as before."""
    keeper = HistoryKeeper()
    at = run(keeper, 0, 20, 100)
    keeper.mark("restarted", at)
    at = run(keeper, at, 4, 0)
    run(keeper, at, 12, 100)

    assert effect_of(keeper) == "rate ±0 %, p95 ±0 ms"


def test_the_effect_tells_of_errors_and_of_a_beginning() -> None:
    keeper = HistoryKeeper()
    at = run(keeper, 0, 20, 0)
    keeper.mark("resumed", at)
    run(keeper, at, 15, 90, failed=10)

    assert effect_of(keeper) == "rate 0 to 90/s, errors 0 % to 10 %"


def test_of_marks_close_together_the_last_one_tells_of_all() -> None:
    """Given three workers added one after the other within ten seconds."""
    keeper = HistoryKeeper()
    at = run(keeper, 0, 20, 100)
    for rate in (150, 200, 400):
        keeper.mark("+1 worker", at)
        at = run(keeper, at, 5, rate)
    run(keeper, at, 10, 400)

    assert [each.effect for each in keeper.of("60s").marks] == ["", "", "rate +300 %, p95 ±0 ms"]


def test_a_mark_without_a_time_before_it_has_no_effect() -> None:
    keeper = HistoryKeeper()
    keeper.mark("+1 worker", 0.0)
    run(keeper, 0, 30, 100)
    assert effect_of(keeper) == ""


def test_marks_of_several_routes_are_named_and_in_order() -> None:
    marks = joined([("a", (Mark(1.0, "killed"), Mark(5.0, "+1 worker"))), ("b", (Mark(3.0, "paused"),))])
    assert [each.label for each in marks] == ["a: killed", "b: paused", "a: +1 worker"]
