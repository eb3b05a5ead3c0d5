from __future__ import annotations

from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routemq_tui.engine.plan import HEADROOM, Load, Machine, advise, answer, is_saturated, measured_load


@pytest.mark.parametrize(
    ("load", "machine", "workers", "said"),
    [
        (Load(500, 0.1), Machine(8), 65, "65 workers for 500/s, up to 650/s"),
        (Load(500, 0.1, 0.5), Machine(8), 16, "as many as keep the cores busy: at most 160 of 500/s"),
        (Load(500, 0.1, 0.01, 4), Machine(8), 17, "17 workers for 500/s, up to 680/s"),
        (Load(500, 0.1, 0.0, 1, 80_000_000), Machine(8, 2 * 10**9), 25, "memory holds: at most 250 of 500/s"),
        (Load(10, 0.1, 0.0, 1, 80), Machine(8, 79), 0, "no worker at all: the memory does not hold one"),
        (Load(100, 0.02, 1.0), Machine(2), 2, "as keep the cores busy: the headroom would take 3"),
        (Load(100, 0.1), Machine(2, most=1), 1, "may be: at most 10 of 100/s; raise max_workers"),
        (Load(0.001, 0.001), Machine(1), 1, "1 worker for 0.001/s"),
        (Load(100, 0.1, 1e-320), Machine(2), 13, "13 workers"),
        # a process computes on one core, however much it has in hand
        (Load(100, 0.1, 0.5, 100), Machine(16), 7, "7 workers for 100/s, up to 140/s"),
    ],
)  # fmt: skip
def test_examples_worked_out_by_hand(load: Load, machine: Machine, workers: int, said: str) -> None:
    advice = advise(load, machine)
    assert advice.workers == workers
    assert said in answer(load, advice)


def test_the_arithmetic_is_shown_step_by_step() -> None:
    advice = advise(Load(500, 0.1, 0.5, 1, 80_000_000), Machine(8, 2 * 10**9))
    assert [f"{step.what}: {step.text}" for step in advice.steps] == [
        "in hand: 500/s x 100ms = 50 messages at a time (Little's law)",
        "headroom: 50 x 1.3 = 65: 65 workers",
        "cores: 50 x 0.5 of computing = 25 wanted of 8 cores; 8 / 0.5 = 16 workers keep them busy",
        "memory: 65 x 80 MB = 5.2 GB wanted of 2 GB: 25 of them fit",
        "capacity: 16 workers: at most 160/s, all busy all the time",
    ]


LOADS = st.builds(
    Load,
    st.floats(0.01, 1e5),
    st.floats(1e-6, 100),
    st.one_of(st.none(), st.floats(0, 1)),
    st.integers(1, 100),
    st.one_of(st.none(), st.integers(1_000_000, 10**10)),
)
MACHINES = st.builds(
    Machine,
    st.floats(0.1, 256),
    st.one_of(st.none(), st.integers(10**6, 10**12)),
    st.one_of(st.none(), st.integers(1, 1000)),
)


@given(LOADS, MACHINES, st.floats(1, 5))
def test_no_bound_is_broken_and_nothing_is_held_back(load: Load, machine: Machine, headroom: float) -> None:
    advice = advise(load, machine, headroom)
    assert 0 <= advice.workers <= advice.wanted
    if load.memory is not None and machine.memory is not None:
        assert advice.workers * load.memory <= machine.memory
    if machine.most is not None:
        assert advice.workers <= machine.most
    if not advice.bound:
        # what was wanted is advised, and does the load with its headroom
        assert advice.workers == advice.wanted
        assert advice.wanted >= load.rate * load.time * headroom / load.concurrency * (1 - 1e-6)
    else:
        assert advice.workers < advice.wanted
    if load.cpu:
        assert advice.capacity * load.time * load.cpu <= machine.cores * (1 + 1e-9)
    assert answer(load, advice)


@given(LOADS, MACHINES, st.floats(1, 10))
def test_more_messages_never_ask_for_fewer_workers(load: Load, machine: Machine, more: float) -> None:
    greater = Load(load.rate * more, load.time, load.cpu, load.concurrency, load.memory)
    assert advise(greater, machine).workers >= advise(load, machine).workers


@given(st.floats(1, 1e4), st.floats(1e-3, 10), st.integers(1, 1000))
def test_handlers_that_wait_are_bounded_by_no_core(rate: float, time: float, cores: int) -> None:
    assert advise(Load(rate, time, 0.0), Machine(cores)).workers == max(
        ceil(round(rate * time * HEADROOM, 9)), 1
    )


def measured(*utilisations: float, rate: float = 50, cpu: float | None = 10, **more: Any) -> dict[str, Any]:
    """A route as `ctl snapshot --json` has it."""
    workers = [{"pid": 7, "utilisation": each, "rss_bytes": 10**8} for each in utilisations]
    gone = {"pid": None, "utilisation": 0.9, "rss_bytes": None}
    return {
        "rate": rate,
        "cpu_percent": cpu,
        "p50": 0.01,
        "utilisation": sum(utilisations) / max(len(utilisations), 1),
        "workers": [*workers, gone],
    } | more


def test_a_running_routes_own_figures_are_its_load() -> None:
    # 2 workers busy 0.5 of the time, 50/s: 20 ms each; a tenth of a core for one message in hand
    assert measured_load(measured(0.5, 0.5), 1) == Load(50, 0.02, 0.1, 1, 10**8)


def test_figures_that_are_not_there_or_hide_something() -> None:
    assert measured_load(measured(0.5, rate=0), 1) is None
    assert measured_load(measured(), 1) is None
    # a quick handler: the client around it computes longer than it runs
    quick = measured_load(measured(0.1, rate=1000, cpu=50), 1)
    assert quick == Load(1000, 0.0005, 1.0, 1, 10**8)
    # with concurrency utilisation ends at 1; the median says that more is in hand
    crowded = measured_load(measured(1.0, rate=200, p50=0.1), 50)
    assert crowded is not None
    assert crowded.time == pytest.approx(0.1)
    assert measured_load(measured(0.5, cpu=None), 1) == Load(50, 0.01, None, 1, 10**8)
    assert is_saturated(measured(0.95, 0.96))
    assert not is_saturated(measured(0.9, 0.96))
