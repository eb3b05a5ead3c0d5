"""A limit for work that nobody could interrupt: an expression may backtrack for hours over one line."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

T = TypeVar("T")


class TooSlowError(Exception):
    """The work took longer than it was given."""


def within(seconds: float, work: Callable[[], T]) -> T:
    """The result of `work`; raises TooSlowError when it takes longer. It may be left at any point.

    Only the main thread can be interrupted, by a timer's signal, which `re` looks for as it works; in others
    there is no limit. A timer that was set already goes on afterwards.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    begun, before = time.monotonic(), signal.signal(signal.SIGALRM, _expired)
    left = 0.0
    try:
        left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            return work()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, before)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(1e-3, left - (time.monotonic() - begun)))


def _expired(number: int, frame: FrameType | None) -> None:
    raise TooSlowError
