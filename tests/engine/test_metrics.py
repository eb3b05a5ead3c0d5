"""The arithmetic of rates and percentiles, on real cells."""

from __future__ import annotations

import multiprocessing
import os
import random
import time

import pytest

from routemq_tui.engine.metrics import (
    Sample,
    Track,
    Window,
    add_windows,
    between,
    percentiles,
    take_sample,
)
from routemq_tui.engine.usage import Usage
from routemq_tui.worker import cells

CONTEXT = multiprocessing.get_context("forkserver")


def new_words() -> memoryview:
    return cells.words_of(cells.allocate(CONTEXT))


def handle(words: memoryview, seconds: float, ok: bool = True) -> None:
    nanoseconds = int(seconds * 1e9)
    words[cells.OK if ok else cells.FAILED] += 1
    words[cells.BUSY_NS] += nanoseconds
    words[cells.HISTOGRAM + cells.bucket_of(nanoseconds)] += 1


def test_a_window_is_the_difference_of_its_ends() -> None:
    words = new_words()
    handle(words, 0.5)
    old = take_sample(words, 10.0, 0)
    for number in range(20):
        handle(words, 0.01, ok=number % 4 != 0)
    window = between(old, take_sample(words, 12.0, 0))
    assert (window.ok, window.failed, window.rate) == (15, 5, 10.0)
    assert window.error_rate == 0.25
    assert window.utilisation == pytest.approx(0.1)
    assert sum(window.latencies.values()) == 20


def test_percentiles_agree_with_the_sorted_latencies() -> None:
    chance = random.Random(7)
    latencies = [chance.lognormvariate(-6, 1.5) for _ in range(2_000)]
    words = new_words()
    before = take_sample(words, 0.0, 0)
    for latency in latencies:
        handle(words, latency)
    found = percentiles(between(before, take_sample(words, 1.0, 0)).latencies, (0.5, 0.95, 0.99))
    latencies.sort()
    for value, rank in zip(found, (1_000, 1_900, 1_980), strict=True):
        assert value == pytest.approx(latencies[rank - 1], rel=0.035)


def test_nothing_finished_is_not_known_rather_than_zero() -> None:
    idle = between(Sample(1.0), Sample(3.0))
    assert (idle.rate, idle.error_rate) == (0.0, None)
    assert percentiles(idle.latencies, (0.5, 0.95)) == (None, None)


def test_a_single_message_is_every_percentile() -> None:
    value = cells.bucket_middle(100)
    assert percentiles({100: 1}, (0.5, 0.95, 0.99)) == (value, value, value)


def test_a_handler_under_way_counts_as_busy() -> None:
    words = new_words()
    track = Track(take_sample(words, 0.0, 1))
    cells.set_current(words, b"slow/1", 1)
    track.add(take_sample(words, 2.0, 2_000_000_001))
    assert track.window.utilisation == 1.0
    assert track.window.rate == 0.0


def test_the_window_slides() -> None:
    words = new_words()
    track = Track(take_sample(words, 0.0, 0))
    for _ in range(100):
        handle(words, 0.001)
    for step in range(1, 40):
        track.add(take_sample(words, step * 0.5, 0))
        if step == 4:
            assert track.window.rate == 50.0
    assert track.window.rate == 0.0


def test_rates_of_workers_add_up_whatever_the_length_of_their_windows() -> None:
    rate, joined = add_windows(
        [Window(6.0, 60, 0, 3.0, {5: 60}), Window(2.0, 10, 10, 1.0, {5: 10, 9: 10}), Window()]
    )
    assert rate == 20.0
    assert (joined.ok, joined.failed, joined.latencies) == (70, 10, {5: 70, 9: 10})


def test_usage_of_a_busy_process_and_of_one_that_is_gone() -> None:
    usage = Usage(os.getpid())
    usage.sample(time.monotonic())
    assert usage.cpu_percent is None
    end = time.thread_time() + 0.15
    while time.thread_time() < end:
        pass
    usage.sample(time.monotonic())
    assert usage.cpu_percent is not None
    assert usage.cpu_percent > 10
    assert usage.rss_bytes is not None
    assert usage.rss_bytes > 5_000_000

    child = CONTEXT.Process(target=os.getpid)
    child.start()
    gone = Usage(child.pid or 0)
    child.join()
    gone.sample(time.monotonic())
    assert (gone.cpu_percent, gone.rss_bytes) == (None, None)
