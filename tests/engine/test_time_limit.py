"""A limit for work that cannot be interrupted otherwise."""

from __future__ import annotations

import re
import signal
import threading
import time

import pytest

from routemq_tui.engine.time_limit import TooSlowError, within

ENDLESS = re.compile("(a+)+$")


def test_an_expression_that_backtracks_without_end_is_left() -> None:
    began = time.monotonic()
    with pytest.raises(TooSlowError):
        within(0.05, lambda: ENDLESS.search("a" * 40 + "!"))
    assert time.monotonic() - began < 5


def test_a_timer_that_was_set_goes_on_and_its_handler_is_kept() -> None:
    rang = threading.Event()
    before = signal.signal(signal.SIGALRM, lambda *_: rang.set())
    timer = signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        assert within(5.0, lambda: 17) == 17
        assert rang.wait(5.0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, before)


def test_other_threads_have_no_limit() -> None:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(within(0.001, lambda: time.sleep(0.05) or 3)))
    thread.start()
    thread.join()
    assert found == [3]
