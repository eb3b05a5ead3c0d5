"""Processes that a handler forks (`os.fork`, a pool with "fork"): they must not pass for the worker.

A forked child has the worker's signal wake-up socket, its log channel and its streams. With them, a SIGTERM
to the child would drain the worker, and its log would break into the worker's frames.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TextIO

from routemq_tui.worker.log_handler import LogQueueHandler
from routemq_tui.worker.log_queue import LogQueue


def set_forks_apart(queue: LogQueue, handler: LogQueueHandler) -> None:
    """From now on a forked child is an ordinary process, which logs to the captured descriptors 1 and 2."""

    def in_child() -> None:
        with contextlib.suppress(ValueError):  # not on the main thread: then there is nothing to undo
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        queue.abandon()
        handler.write_to(2)
        sys.stdout = sys.__stdout__ = _stream(1)  # type: ignore[assignment,misc]
        sys.stderr = sys.__stderr__ = _stream(2)  # type: ignore[assignment,misc]

    os.register_at_fork(after_in_child=in_child)


def _stream(descriptor: int) -> TextIO:
    return open(descriptor, "w", 1, "utf-8", "backslashreplace", closefd=False)
