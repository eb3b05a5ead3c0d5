"""Back-off and crash loops, by the times of deaths alone."""

from __future__ import annotations

from routemq_tui.engine.policy import RestartPolicy

POLICY = RestartPolicy()


def delays(deaths: list[float], now: float, chance: float = 0.5) -> float:
    return POLICY.delay(deaths, now, lambda: chance)


def test_the_first_restart_is_immediate_and_then_it_doubles() -> None:
    deaths: list[float] = []
    seen = []
    for now in (10.0, 11.0, 12.0, 13.0, 14.0):
        deaths.append(now)
        seen.append(delays(deaths, now))
    assert seen == [0.0, 0.5, 1.0, 2.0, 4.0]


def test_jitter_stays_within_a_fifth() -> None:
    deaths = [1.0, 2.0, 3.0]
    assert delays(deaths, 3.0, chance=0.0) == 0.8
    assert delays(deaths, 3.0, chance=1.0) == 1.2


def test_old_deaths_are_forgotten() -> None:
    assert delays([1.0, 2.0, 100.0], 100.0) == 0.0
    assert not POLICY.is_crash_loop([1.0, 2.0, 3.0, 4.0, 100.0], 100.0)


def test_five_within_a_minute_are_a_crash_loop() -> None:
    assert not POLICY.is_crash_loop([1.0, 2.0, 3.0, 4.0], 4.0)
    assert POLICY.is_crash_loop([1.0, 2.0, 3.0, 4.0, 60.9], 60.9)
    assert not POLICY.is_crash_loop([1.0, 2.0, 3.0, 4.0, 61.0], 61.0)


def test_the_delay_has_an_upper_bound() -> None:
    patient = RestartPolicy(limit=100)
    assert patient.delay([0.0] * 50, 0.0, lambda: 0.5) == patient.longest
