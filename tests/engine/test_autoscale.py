"""What autoscale decides: pure, with readings made up and a clock passed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routemq_tui.config.model import ScalingConfig, ScalingPolicy
from routemq_tui.engine.autoscale.rate import workers_by_rule
from routemq_tui.engine.autoscale.readings import Figures, Reading, arrivals, figures_of, is_full
from routemq_tui.engine.autoscale.scaler import Decision, Scaler, Switch
from routemq_tui.engine.autoscale.utilisation import ByUtilisation

EVERY = 0.5
PREFETCH = 20
CONFIG = ScalingConfig()


def reading(workers: int, busy: float, time: float = 0.1, **more: object) -> Reading:
    """Workers that are busy so much of the half second, with all that arrives seen."""
    finished = round(busy * workers * EVERY / time)
    settled = Reading(
        seconds=EVERY,
        workers=workers,
        busy=busy * workers * EVERY,
        received=finished,
        finished=finished,
        in_flight=workers,
        window=PREFETCH * workers,
        arrived=float(finished),
    )
    return replace(settled, **more)  # type: ignore[arg-type]


def saturated(workers: int, time: float = 0.1) -> Reading:
    """Busy all the time, all windows full: nobody sees what arrives."""
    return reading(workers, 1.0, time, in_flight=PREFETCH * workers, full=workers, arrived=None)


class Driver:
    """Half-second steps of one scaler; `count` follows what it decides, at once."""

    def __init__(self, scaling: ScalingConfig = CONFIG, low: int = 1, high: int = 32, count: int = 2) -> None:
        self.scaler = Scaler(scaling, low, high, True, 0.0)
        self.now, self.count = 0.0, count
        self.decisions: list[Decision] = []

    def run(self, seconds: float, make: Callable[[int], Reading | str]) -> Driver:
        for _ in range(round(seconds / EVERY)):
            self.now += EVERY
            found = make(self.count)
            if isinstance(found, str):
                self.scaler.hinders(self.now, found)
            else:
                self.scaler.reading(self.now, found)
            decision = self.scaler.look(self.now, self.count)
            if decision is not None:
                self.decisions.append(decision)
                self.count = decision.after
        return self


def test_busier_than_target_and_band_adds_what_is_needed_and_says_why() -> None:
    # given 4 workers whose work is that of 3.8; when they have been looked at
    driver = Driver(count=4).run(5, lambda count: reading(count, 0.95))
    # then as many are there as keeps each near 70 % busy, by the figures told
    (decision,) = driver.decisions
    assert (decision.before, decision.after, decision.time) == (4, 6, 5.0)
    assert str(decision).startswith("4 -> 6: 95% busy of 70% target, 38/s x 100ms = 3.8 workers' work")


@pytest.mark.parametrize("busy", [0.61, 0.7, 0.79])
def test_within_the_band_nothing_changes(busy: float) -> None:
    assert Driver(count=4).run(600, lambda count: reading(count, busy)).decisions == []


def test_fewer_are_kept_only_after_a_cooldown_of_lower_need() -> None:
    driver = Driver(count=8).run(CONFIG.cooldown - EVERY, lambda count: reading(count, 0.1))
    assert driver.decisions == []
    assert "2 would do" in driver.scaler.thought
    driver.run(EVERY, lambda count: reading(count, 0.1))
    assert [(each.before, each.after) for each in driver.decisions] == [(8, 2)]


@pytest.mark.parametrize(("interval", "cooldown"), [(3.0, 20.0), (7.0, 7.0), (5.0, 60.0), (2.0, 3.0)])
def test_a_cooldown_that_is_no_multiple_of_the_interval_ends_too(interval: float, cooldown: float) -> None:
    config = replace(CONFIG, interval=interval, cooldown=cooldown)
    driver = Driver(config, count=4).run(cooldown + interval, lambda count: reading(count, 0.1))
    assert driver.count == 1
    assert driver.decisions[0].time >= cooldown


def test_messages_longer_than_an_interval_count_by_the_time_they_take() -> None:
    # given one worker that is busy all the time with a message that does not end, and a few behind it
    driver = Driver(count=1)
    driver.run(10, lambda count: reading(count, 1.0, time=60.0, in_flight=8, arrived=0.0, queued=0))
    assert [(each.before, each.after) for each in driver.decisions] == [(1, 2), (2, 3)]
    assert driver.decisions[0].reason == "100% busy of 70% target"


def test_nobody_goes_while_a_known_queue_needs_them() -> None:
    # given little that comes, and a queue that 4 workers clear in the time set for it
    driver = Driver(replace(CONFIG, cooldown=10), count=4)
    driver.run(60, lambda count: replace(saturated(count), arrived=1.0, queued=2000))
    assert driver.count == 4
    driver.run(60, lambda count: reading(count, 0.1, queued=0))
    assert driver.count == 1


def test_one_look_at_more_load_within_the_cooldown_keeps_the_workers() -> None:
    # given little to do, but for one interval
    driver = Driver(count=8)
    driver.run(60, lambda count: reading(count, 0.1)).run(5, lambda count: reading(count, 0.7))
    driver.run(CONFIG.cooldown - 65, lambda count: reading(count, 0.1))
    # then they stay until that interval is a cool-down ago
    assert driver.count == 8
    driver.run(65, lambda count: reading(count, 0.1))
    assert driver.count < 8


def test_hidden_arrivals_double_the_workers_at_most() -> None:
    driver = Driver(count=3).run(5, saturated)
    (decision,) = driver.decisions
    assert (decision.before, decision.after) == (3, 6)
    assert "windows full 100% of 5 s: what waits is not known, so twice as many" in decision.reason


def test_what_came_while_the_windows_filled_is_believed_while_the_backlog_clears() -> None:
    # given 2 workers and, after a look, the work of 5.6: windows that fill, and are full
    driver = Driver(count=2).run(5, lambda count: reading(count, 0.5))
    for held in (8, 20, 36):
        driver.run(EVERY, lambda count, held=held: reading(count, 1.0, in_flight=held, arrived=28.0))
    driver.run(3.5, saturated)
    # then the belief sets the number, short of what chance may have added
    assert driver.decisions[-1].after in (7, 8)
    assert "as it filled 5." in driver.decisions[-1].reason
    # and at the next looks it lets the backlog clear, and adds nothing
    count = driver.count
    driver.run(5, saturated)
    assert driver.count == count
    assert "the backlog clears in about" in driver.scaler.thought
    # and more, when that belief has not come true
    driver.run(30, saturated)
    assert driver.count > count
    assert "the backlog has not cleared" in " ".join(each.reason for each in driver.decisions)


def test_full_windows_without_busy_handlers_ask_for_nobody() -> None:
    def waits(count: int) -> Reading:
        return reading(count, 0.1, in_flight=PREFETCH * count, full=count, arrived=None)

    driver = Driver(count=3).run(300, waits)
    assert driver.decisions == []
    assert "they wait for something else than handlers" in driver.scaler.thought


def test_a_known_queue_is_cleared_in_the_time_set_for_it() -> None:
    # given 1,200 messages of 100 ms: 120 worker-seconds, and a minute for them
    driver = Driver(count=1, scaling=replace(CONFIG, step=100))
    driver.run(5, lambda count: replace(saturated(count), arrived=1.0, queued=1200))
    assert driver.count == 3
    assert "1220 wait: 2.2 workers clear them in 60 s" in driver.decisions[0].reason


def test_a_burst_is_no_rate() -> None:
    readings = [reading(2, 0.5)] * 9 + [reading(2, 0.5, arrived=900.0)]
    assert figures_of(readings).rate < 1.5 * figures_of(readings[:9]).rate
    steps = [reading(2, 0.5)] * 3 + [reading(2, 0.5, arrived=20.0)] * 7
    assert figures_of(steps).rate == pytest.approx(31.0)


@pytest.mark.parametrize(
    ("received", "workers", "roomy", "queues", "arrived"),
    [
        (10, 4, 4, (None, None), 10.0),
        (10, 4, 2, (None, None), 10.0),
        (10, 4, 1, (None, None), None),
        (10, 4, 0, (100, 130), 40.0),
        (10, 4, 4, (100, 95), 5.0),
        (10, 4, 0, (None, 95), None),
    ],
)
def test_arrivals(
    received: int, workers: int, roomy: int, queues: tuple[int | None, int | None], arrived: float | None
) -> None:
    assert arrivals(received, workers, roomy, queues) == arrived


@pytest.mark.parametrize(
    ("in_flight", "prefetch", "concurrency", "full"),
    [
        (20, 20, 1, True),
        (18, 20, 1, True),
        (17, 20, 1, False),
        (1, 1, 1, False),  # it is in the handler: nobody needs to wait behind it
        (2, 2, 1, True),
        (4, 4, 4, False),
        (20, 20, 16, True),
    ],
)
def test_a_window_is_full_when_messages_wait_behind_those_in_handlers(
    in_flight: int, prefetch: int, concurrency: int, full: bool
) -> None:
    assert is_full(in_flight, prefetch, concurrency) is full


@pytest.mark.parametrize("why", ["jobs/2 is starting", "jobs/1 is failed", "the route is paused"])
def test_nothing_is_decided_while_not_all_are_at_work(why: str) -> None:
    driver = Driver(count=2).run(60, lambda count: why)
    assert driver.decisions == []
    assert driver.scaler.thought == f"waits: {why}"
    # and what was measured before does not count after it
    driver.run(2, saturated)
    assert driver.decisions == []


def test_too_little_measured_decides_nothing() -> None:
    driver = Driver(count=2).run(3, lambda count: "jobs/2 is starting").run(2, saturated)
    assert driver.decisions == []
    assert driver.scaler.thought == "waits: too little is measured yet"


def test_by_hand_pauses_until_turned_on_again() -> None:
    driver = Driver(count=2)
    assert driver.scaler.pause("you set 2")
    driver.run(60, saturated)
    assert (driver.scaler.switch, driver.scaler.why, driver.decisions) == (Switch.PAUSED, "you set 2", [])
    assert not driver.scaler.pause("you set 3")  # nothing new to tell
    driver.scaler.turn(True, driver.now)
    driver.run(4.5, saturated)
    assert driver.decisions == []  # an interval is measured first
    driver.run(0.5, saturated)
    assert driver.count == 4


def test_off_is_not_paused_by_hand() -> None:
    scaler = Scaler(CONFIG, 1, 8, False, 0.0)
    assert not scaler.pause("you set 2")
    assert scaler.switch is Switch.OFF


def test_no_worker_at_all_becomes_one_without_a_measurement() -> None:
    driver = Driver(low=0, count=0).run(5, lambda count: "workers come or go")
    assert driver.count == 1
    assert driver.decisions[0].reason == "least 1 while autoscale is on"


figures = st.builds(
    Figures,
    seconds=st.just(5.0),
    workers=st.just(4.0),
    utilisation=st.floats(0, 1),
    hidden_utilisation=st.just(0.0),
    hidden_for=st.just(0.0),
    full=st.floats(0, 0.4),
    rate=st.floats(0, 1000),
    seen=st.just(True),
    came=st.integers(0, 5000).map(float),
    finished=st.integers(5, 5000),
    time=st.one_of(st.none(), st.floats(0.001, 5)),
    in_flight=st.integers(0, 80),
    queued=st.one_of(st.none(), st.integers(0, 10_000)),
    cpu_percent=st.one_of(st.none(), st.floats(0, 100)),
)


@given(figures, st.floats(1, 3), st.integers(1, 40))
def test_more_work_never_wants_fewer_workers(less: Figures, factor: float, count: int) -> None:
    more = replace(
        less,
        rate=less.rate * factor,
        came=less.came * factor,
        utilisation=min(less.utilisation * factor, 1.0),
        queued=None if less.queued is None else round(less.queued * factor),
    )
    policy = ByUtilisation(CONFIG)
    first, second = policy.need(less, (), count), policy.need(more, (), count)
    assert second.wanted >= first.wanted >= count or first.wanted >= count
    assert second.wanted >= first.wanted
    assert second.enough >= first.enough >= 1


load = st.tuples(st.floats(0, 1), st.booleans(), st.integers(0, 3000), st.booleans())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(load, min_size=20, max_size=60),
    st.integers(0, 4),
    st.integers(4, 40),
    st.integers(1, 9),
    st.sampled_from(ScalingPolicy),
)
def test_bounds_steps_and_cooldowns_hold_whatever_happens(
    loads: list[tuple[float, bool, int, bool]], low: int, high: int, step: int, policy: ScalingPolicy
) -> None:
    config = ScalingConfig(policy=policy, step=step, cooldown=30.0, per_worker=20)
    driver = Driver(config, low, high, count=max(low, 1))
    for busy, hidden, queued, absent in loads:

        def make(count: int, busy=busy, hidden=hidden, queued=queued, absent=absent) -> Reading | str:
            if absent:
                return "jobs/1 is starting"
            return saturated(count) if hidden else reading(count, busy, queued=queued, cpu_percent=100 * busy)

        driver.run(5, make)
    times = [0.0, *(each.time for each in driver.decisions)]
    for before, decision in zip(times, driver.decisions, strict=False):
        assert max(low, 1) <= decision.after <= high
        assert 0 < abs(decision.after - decision.before) <= step
        rest = config.rest_up if decision.after > decision.before else config.cooldown
        assert decision.time - before >= rest - 0.01


@pytest.mark.parametrize(
    ("rate", "cpu", "depth", "workers"),
    [
        (500, 50, 0, 5.0),
        (500, 81, 0, 7.5),
        (500, 80, 0, 5.0),
        (500, 29, 0, 3.5),
        (500, 30, 0, 5.0),
        (500, None, 0, 5.0),
        (500, 50, 1001, 6.5),
        (500, 90, 5000, 9.75),
        (0, 0, 0, 0.0),
    ],
)
def test_the_rule_of_the_page(rate: float, cpu: float | None, depth: int, workers: float) -> None:
    found = replace(figures_of([reading(2, 0.5)]), rate=rate, cpu_percent=cpu, in_flight=0, queued=depth)
    number, words = workers_by_rule(found, 100)
    assert number == pytest.approx(workers)
    assert words.startswith(f"{rate}/s / 100")
    assert words.endswith(f"= {workers:.1f} workers")


def test_the_rule_scales_a_route() -> None:
    config = ScalingConfig(policy=ScalingPolicy.RATE)
    driver = Driver(config, count=1).run(5, lambda count: reading(count, 0.9, time=0.001, cpu_percent=90.0))
    # then 900 messages/s of one worker make 9, half as many again for its CPU: 13.5, eight at once
    assert driver.decisions[0].after == 9
    assert driver.decisions[0].reason == "900/s / 100 x 1.5 (CPU 90 %) = 13.5 workers"
    assert ceil(13.5) > driver.count
