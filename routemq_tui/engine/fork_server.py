"""The fork server worker processes come from: preloaded with our worker code, never with the user's.

It is started before any screen: a screen replaces `sys.stderr` with an object without a file descriptor, and
multiprocessing then cannot start its resource tracker. And it is started first of all, since it imports for
longer than the program does. What it and a worker that has not yet taken its own output say goes into a pipe,
not to the terminal.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from types import ModuleType
from typing import Any

from routemq_tui.children import SAFE_PATH, own_path
from routemq_tui.worker.environment import run_in

PRELOAD = [
    "routemq_tui.worker.detached",
    "routemq_tui.worker.environment",
    "routemq_tui.worker.main",
    "paho.mqtt.client",
    "routemq_tui.worker.preloaded",
]
CONTEXT: ForkServerContext = multiprocessing.get_context("forkserver")

_lock = threading.RLock()
_users = 0
_output: int | None = None
"""What it says, until its first user takes that."""


@contextmanager
def _empty_main() -> Iterator[None]:
    """Keep the program's `__main__` out of the children.

    multiprocessing runs the main module again in every child, so that what is pickled from it can be found.
    Ours is a screen or a user's script: running it there costs time and may do anything. Nothing that crosses
    to a worker is defined in it, so for the moment of a start there is an empty module in its place.
    """
    with _lock:
        kept = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = kept


@contextmanager
def _output_to(fd: int) -> Iterator[None]:
    """Let file descriptors 1 and 2 be `fd` for a moment: a process started now inherits them."""
    kept = [(number, os.dup(number)) for number in (1, 2) if _is_open(number)]
    try:
        for number, _ in kept:
            os.dup2(fd, number)
        yield
    finally:
        for number, copy in kept:
            os.dup2(copy, number)
            os.close(copy)


@contextmanager
def _safe_path() -> Iterator[None]:
    """Let a Python that is started now find our package, and not the working folder first.

    The library starts its processes with -c, and a project may have a queue.py. Only for the moment of a
    start, under the lock: the environment is the whole program's, and a worker gets that (`run_in`).
    """
    changed = {SAFE_PATH: "1"}
    if (path := own_path()) is not None:
        changed["PYTHONPATH"] = path
    kept = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def begin() -> None:
    """Start the fork server, and do not wait: it imports while the program does. `start` is still to come.

    Whoever never calls that leaves nothing behind: it ends with this process.
    """
    global _output
    with _lock:
        if _users or _output is not None:
            return
        forkserver.set_forkserver_preload(PRELOAD)
        _start_resource_tracker()
        read_end, write_end = os.pipe()
        try:
            with _empty_main(), _output_to(write_end), _safe_path():
                forkserver.ensure_running()
        except BaseException:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        _output = read_end


def start() -> int | None:
    """Start the fork server, or join the one this process has; `stop` undoes it.

    Returns the read end of a pipe with all it says, or None when somebody else reads it already.
    """
    global _users, _output
    with _lock:
        begin()
        _users += 1
        output, _output = _output, None
        return output


def _start_resource_tracker() -> None:
    """Before the fork server, which would start it: it lives as long as the program, and the pipe with it."""
    with Path(os.devnull).open("wb") as nowhere, _output_to(nowhere.fileno()), _safe_path():
        resource_tracker.ensure_running()


def stop() -> None:
    """End the fork server when its last user has gone. Its children must be gone: it waits for none."""
    global _users
    with _lock:
        _users -= 1
        # The library ends it with the program only; an engine that has stopped leaves no process behind.
        end: Callable[[], None] | None = getattr(forkserver._forkserver, "_stop", None)
        if _users == 0 and end is not None:
            end()


def start_process(target: Callable[..., object], name: str, args: tuple[Any, ...]) -> ForkServerProcess:
    """A child of the fork server that runs `target`; from any thread, also while a screen is up."""
    with _empty_main():
        process = CONTEXT.Process(target=run_in, name=name, args=(dict(os.environ), target, args))
        with _safe_path():  # it may have died: then this starts another
            forkserver.ensure_running()
        process.start()
    # The library asks each process in this set at every start whether it has ended; the engine knows.
    getattr(multiprocessing.process, "_children", set()).discard(process)
    return process


def pipe(duplex: bool) -> tuple[Connection, Connection]:
    """(ours or reader, child's or writer)."""
    return CONTEXT.Pipe(duplex)
