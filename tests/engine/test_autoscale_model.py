"""The promises of bench/autoscale.py in short: its model of a route, its loads, seeds that are fixed."""

from __future__ import annotations

import random

import pytest

from bench.queueing import Load, Model, Naive, Ours, Run, Shop, simulate, workers_needed
from routemq_tui.config.model import ScalingConfig, ScalingPolicy

CONFIG = ScalingConfig()
SERVICE = 0.1
SEEDS = range(6)


def step(
    before: float, after: float, seed: int, shop: Shop, service: float = SERVICE
) -> tuple[Run, float, int]:
    """A run, when its load changed (within an interval, by the seed), and what is needed from then on."""
    at = 30 + seed * 0.8
    load = Load(lambda now: before if now < at else after, service=service)
    run = simulate(load, shop, Ours(CONFIG, shop), at + 40, seed)
    return run, at, workers_needed(after, service, CONFIG.target)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("before", "after", "service"),
    [(10, 56, 0.1), (10, 40, 0.1), (50, 300, 0.02), (100, 500, 0.01), (40, 56, 0.1)],
)
def test_a_step_settles_within_three_intervals_and_one_worker(
    before: float, after: float, service: float, seed: int
) -> None:
    shop = Shop(workers=workers_needed(before, service, CONFIG.target), queue_known=True)
    run, at, need = step(before, after, seed, shop, service)
    settled = run.settled(at, run.seconds, need)
    assert settled is not None, run.changes
    assert settled <= 3 * CONFIG.interval
    assert max(run.between(at, run.seconds)) <= need + 1


@pytest.mark.parametrize("seed", SEEDS)
def test_a_step_on_a_broker_that_does_not_tell_what_waits_is_met_all_the_same(seed: int) -> None:
    run, at, need = step(10, 56, seed, Shop(workers=2))
    assert max(run.between(at, at + 15)) > 2
    assert need - 1 <= run.count_at(run.seconds) <= need + 3


@pytest.mark.parametrize("policy", ScalingPolicy)
def test_noise_changes_the_number_less_than_once_a_minute(policy: ScalingPolicy) -> None:
    # given a rate that is another one each second, 20 % up or down
    for seed, mean in enumerate((20, 35, 50, 53, 110)):
        chance = random.Random(seed)
        factors = [max(chance.gauss(1, 0.2), 0) for _ in range(600)]
        shop = Shop(workers=workers_needed(mean, SERVICE, CONFIG.target))
        config = ScalingConfig(policy=policy, per_worker=7)
        load = Load(lambda now, mean=mean, factors=factors: mean * factors[int(now) % 600])  # type: ignore[misc]
        run = simulate(load, shop, Ours(config, shop), 600, seed)
        assert run.changes_a_minute() <= 1, (policy, mean, run.changes)


@pytest.mark.parametrize(("rate", "service"), [(0.3, 1.0), (0.5, 4.0), (0.05, 20.0)])
def test_long_messages_that_come_now_and_then_do_not_make_it_flap(rate: float, service: float) -> None:
    for seed in range(4):
        shop = Shop(workers=workers_needed(rate, service, CONFIG.target))
        run = simulate(Load(lambda now: rate, service=service), shop, Ours(CONFIG, shop), 1200, seed)
        assert run.changes_a_minute() <= 1, run.changes


def test_the_naive_rule_does_not_keep_what_ours_promises() -> None:
    # given the same noise: the model can tell a rule that flaps
    chance = random.Random(1)
    factors = [max(chance.gauss(1, 0.2), 0) for _ in range(300)]
    shop = Shop(workers=8)
    run = simulate(Load(lambda now: 50 * factors[int(now)]), shop, Naive(CONFIG, shop), 300, 1)
    assert run.changes_a_minute() > 3


def test_a_sine_is_followed_up_and_down() -> None:
    shop = Shop(workers=2)
    config = ScalingConfig(cooldown=30)
    run = simulate(Load(lambda now: 10 if now % 200 < 100 else 56), shop, Ours(config, shop), 400, 3)
    for high in (140, 340):
        assert abs(run.count_at(high) - 8) <= 2
    assert run.count_at(199 + 80) <= 3


def test_the_model_keeps_a_queue_as_theory_says() -> None:
    # given 1 server, 80 % load and exponential times: M/M/1 has rho / (1 - rho) = 4 messages in the system
    model = Model(Load(lambda now: 8, service=0.1, spread=1.0), Shop(workers=1), seed=2)
    backlog = []
    busy = 0.0
    for _ in range(40_000):
        reading = model.step()
        assert reading is not None
        busy += reading.busy
        backlog.append(model.backlog)
    assert busy / (40_000 * 0.5) == pytest.approx(0.8, abs=0.02)
    assert sum(backlog) / len(backlog) == pytest.approx(4.0, rel=0.1)
