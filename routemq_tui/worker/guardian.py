"""A thread that keeps a worker's promises while a handler occupies the main thread.

It sends every PINGREQ, beats the heartbeat cell, and watches the control pipe: an engine that died must be
noticed in the middle of a long handler too, and a handler that never ends must not outlive it.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import threading
import time
from collections.abc import Callable
from typing import Protocol

from routemq_tui.errors import ExitCode
from routemq_tui.worker import cells
from routemq_tui.worker.socket_wrapper import MqttSocket

CHILDREN_SECONDS = 0.5
"""How long children that a handler started have to end after SIGTERM, when the engine has died."""
INTERVAL = 0.25
"""Seconds between two looks."""


class Pinged(Protocol):
    """What the guardian needs of the connection."""

    @property
    def socket(self) -> MqttSocket | None: ...

    @property
    def keepalive(self) -> int: ...


class Guardian:
    def __init__(
        self, words: memoryview, control_fd: int, drain_timeout: float, last_words: Callable[[], None]
    ) -> None:
        self._last_words = last_words
        self._words = words
        self._control_fd = control_fd
        self._drain_timeout = drain_timeout
        self._connection: Pinged | None = None
        self._engine_gone: Callable[[], None] | None = None
        self._gone_since: float | None = None
        self._exit_at: float | None = None
        self._exit_code = ExitCode.ENGINE_GONE
        self._thread = threading.Thread(target=self._run, name="routemq-guardian", daemon=True)

    def start(self) -> None:
        self._beat()
        self._thread.start()

    def watch(self, connection: Pinged, engine_gone: Callable[[], None]) -> None:
        """Ping for this connection; call `engine_gone`, on the guardian's thread, when the engine dies."""
        self._connection = connection
        self._engine_gone = engine_gone

    def exit_within(self, seconds: float, code: ExitCode) -> None:
        """End the process by force after so long: a thread that a handler left behind must not keep it.

        `last_words` is called before that.
        """
        self._exit_code = code
        self._exit_at = time.monotonic() + seconds

    def _run(self) -> None:
        # With no event asked for, poll() still tells of the other end's closing, even behind unread commands.
        poller = select.poll()
        poller.register(self._control_fd, 0)
        while True:
            if self._gone_since is None:
                if any(
                    event & (select.POLLHUP | select.POLLERR) for _, event in poller.poll(INTERVAL * 1000)
                ):
                    self._gone_since = time.monotonic()
                    self._exit_at = self._exit_at or self._gone_since + self._drain_timeout
            else:
                time.sleep(INTERVAL / 2)
            self._beat()
            self._ping()
            if self._gone_since is not None and self._engine_gone is not None:
                tell, self._engine_gone = self._engine_gone, None
                with contextlib.suppress(RuntimeError):  # the loop has ended already
                    tell()
            if self._exit_at is not None and time.monotonic() >= self._exit_at:
                self._leave()

    def _beat(self) -> None:
        self._words[cells.HEARTBEAT_NS] = time.monotonic_ns()

    def _ping(self) -> None:
        socket = self._connection.socket if self._connection is not None else None
        if socket is None or self._connection is None or not self._connection.keepalive:
            return
        # Nothing received counts too: who only publishes at QoS 0 would else never hear from the broker.
        quiet_since = min(socket.last_sent, max(socket.last_received, socket.last_ping))
        if time.monotonic() - quiet_since >= self._connection.keepalive / 3:
            socket.ping()

    def _leave(self) -> None:
        gone = self._gone_since is not None
        if gone:
            end_children()
        try:
            self._last_words()
        finally:
            if gone:
                kill_children()
            os._exit(self._exit_code)


def end_children() -> None:
    """Ask the rest of this worker's process group to end: nothing of it shall outlive the engine."""
    with contextlib.suppress(OSError):
        if os.getpgid(0) == os.getpid():
            os.killpg(0, signal.SIGTERM)


def kill_children() -> None:
    """End those that were asked and did not. The group cannot be killed without us: where there is or was a
    child, this does not return and the exit code is SIGKILL's; nobody is left to read it."""
    deadline = time.monotonic() + CHILDREN_SECONDS
    while _has_children():
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    else:
        if not resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss:
            return
    with contextlib.suppress(OSError):
        if os.getpgid(0) == os.getpid():
            os.killpg(0, signal.SIGKILL)


def _has_children() -> bool:
    """Reaps those that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        return False
    return True
