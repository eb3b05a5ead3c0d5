"""Processes that a handler forks (`os.fork`, a pool with "fork"): they must not pass for the worker.

A forked child has the worker's signal wake-up socket, its log channel, its streams, its connection and its
slot's memory. With them, a SIGTERM to the child would drain the worker, its log would break into the worker's
frames, and one that runs out of its handler would go on as a second worker.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import TextIO

from routemq_tui.worker.log_handler import LogQueueHandler
from routemq_tui.worker.log_queue import LogQueue

_in_child = False
_connections: list[Callable[[], int]] = []


def set_forks_apart(queue: LogQueue, handler: LogQueueHandler, words: memoryview) -> None:
    """From now on a forked child is an ordinary process, which logs to the captured descriptors 1 and 2."""

    def in_child() -> None:
        global _in_child
        _in_child = True
        # Whatever of ours it comes back to fails at its next look at the cells; then `leave_if_child`.
        words.release()
        with contextlib.suppress(ValueError):  # not on the main thread: then there is nothing to undo
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for descriptor in [each() for each in _connections]:
            if descriptor >= 0:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        queue.abandon()
        handler.write_to(2)
        sys.stdout = sys.__stdout__ = _stream(1)  # type: ignore[assignment,misc]
        sys.stderr = sys.__stderr__ = _stream(2)  # type: ignore[assignment,misc]

    os.register_at_fork(after_in_child=in_child)


def close_in_children(descriptor: Callable[[], int]) -> None:
    """What it gives at a fork is closed in the child; -1 for nothing."""
    _connections.append(descriptor)


def leave_if_child(error: BaseException | None) -> None:
    """End a child that has left its handler, by `error` or by returning: the rest is its parent's work."""
    if not _in_child:
        return
    code: object = 0
    if isinstance(error, SystemExit):
        code = error.code
        if not isinstance(code, int | None):
            print(code, file=sys.stderr)
            code = 1
    elif error is not None:
        traceback.print_exception(error)
        code = 1
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code if isinstance(code, int) else 0)


def leave_if_child_waits() -> None:
    """After a step of a coroutine that waits: the loop, and the messages on it, are the parent's."""
    if _in_child:
        leave_if_child(RuntimeError("a forked child cannot await: it has its parent's event loop"))


def _stream(descriptor: int) -> TextIO:
    return open(descriptor, "w", 1, "utf-8", "backslashreplace", closefd=False)
