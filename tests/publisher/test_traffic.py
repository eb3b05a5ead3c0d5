"""Traffic maths: rates without drift, bursts, no flood after a stall; and entries that are wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routemq_tui.config.model import Burst, Place, TrafficConfig
from routemq_tui.publisher.traffic import Schedule, check_traffic, compile_traffic


@given(
    rate=st.floats(0.1, 5000),
    steps=st.lists(st.floats(0.0001, 0.9), min_size=1, max_size=50),
)
def test_the_count_follows_the_clock_however_it_is_looked_at(rate: float, steps: list[float]) -> None:
    schedule = Schedule(rate, None, start=100.0)
    now, taken = 100.0, 0
    for step in steps:
        now += step
        taken += schedule.take(now)
    assert abs(taken - (now - 100.0) * rate) <= 1.001


def test_waiting_for_the_next_time_takes_one_message_each() -> None:
    schedule = Schedule(8.0, None, start=0.0)
    for number in range(1, 1000):
        moment = schedule.next_time()
        assert moment == pytest.approx(number / 8)
        assert schedule.take(moment) == 1


def test_after_a_stall_only_a_second_is_made_up_for_and_the_pace_goes_on() -> None:
    schedule = Schedule(10.0, None, start=0.0)
    assert schedule.take(60.0) == 10
    assert schedule.take(60.05) == 0
    assert schedule.take(61.0) == 10


def test_a_burst_comes_on_top_at_its_time_and_once_after_a_stall() -> None:
    schedule = Schedule(1.0, Burst(every=5.0, size=40), start=0.0)
    assert schedule.take(4.5) == 1 + 0  # a second's worth of arrears
    assert schedule.next_time() == 5.0
    assert schedule.take(5.0) == 41
    assert schedule.take(5.5) == 0
    assert schedule.take(27.0) == 1 + 40
    assert schedule.take(29.99) == 1
    assert schedule.take(30.0) == 41


def test_an_entry_without_payload_sends_json() -> None:
    template = compile_traffic(TrafficConfig("t")).template
    assert json.loads(template.make(5.0)[1]) == {"seq": 1, "time": 5.0}


def test_mistakes_are_told_with_their_place() -> None:
    place = Place(Path("routemq.toml"), 7)
    entries = [
        TrafficConfig("good"),
        TrafficConfig("bad/{int:1}", place=place),
        TrafficConfig("slow", rate=0),
    ]
    told = [str(problem) for problem in check_traffic(entries)]
    assert told[0].startswith("routemq.toml:7: traffic: {int:1}")
    assert "rate must be above 0" in told[1]
    assert len(told) == 2


def test_a_burst_needs_a_time() -> None:
    with pytest.raises(ValueError, match=r"burst\.every"):
        compile_traffic(TrafficConfig("t", burst=Burst(0.0, 5)))
