"""The histogram's error, and what is stored of the current message."""

from __future__ import annotations

import multiprocessing

from hypothesis import given
from hypothesis import strategies as st

from routemq_tui.worker import black_box, cells


@given(st.integers(min_value=0, max_value=8_700 * 10**9))
def test_a_latency_is_known_within_five_percent(nanoseconds: int) -> None:
    middle = cells.bucket_middle(cells.bucket_of(nanoseconds)) * 1e9
    assert abs(middle - nanoseconds) <= max(0.05 * nanoseconds, 1)


@given(st.integers(min_value=0, max_value=2**63), st.integers(min_value=0, max_value=2**63))
def test_buckets_are_in_order_and_in_range(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert 0 <= cells.bucket_of(low) <= cells.bucket_of(high) < cells.BUCKETS


@given(st.text(min_size=1, max_size=400), st.integers(min_value=1, max_value=2**62))
def test_the_current_topic_is_read_back_cut_to_its_place(topic: str, now: int) -> None:
    words = cells.words_of(cells.allocate(multiprocessing.get_context("spawn")))
    data = topic.encode("utf-8", "replace")
    cells.set_current(words, data, now)
    assert black_box.read_current(words) == (data[:512].decode("utf-8", "replace"), now)
    cells.clear_current(words)
    assert black_box.read_current(words) is None
