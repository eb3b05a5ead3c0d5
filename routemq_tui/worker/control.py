"""The worker's end of its control pipe: commands in, reports out. Never blocks, whatever the engine does."""

from __future__ import annotations

import logging
import select
from collections import deque
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import msgspec

from routemq_tui.worker.spec import HandlerFailed, WorkerCommand, WorkerReport, decode_command, encode

_OUTBOX = 100
"""Reports kept for an engine that does not read (a suspended one); the oldest go first."""

_log = logging.getLogger("routemq.worker")


class Control:
    """Used by the main thread only."""

    def __init__(self, connection: Connection[Any, Any]) -> None:
        self.engine_gone = False
        self._connection = connection
        self._outbox: deque[bytes] = deque(maxlen=_OUTBOX)
        self._writable = select.poll()
        self._writable.register(connection.fileno(), select.POLLOUT)

    def fileno(self) -> int:
        return self._connection.fileno()

    def commands(self) -> Iterator[WorkerCommand]:
        """The commands that have come; sets `engine_gone` at the end of the pipe."""
        try:
            while self._connection.poll():
                data = self._connection.recv_bytes()
                try:
                    yield decode_command(data)
                except msgspec.DecodeError as error:
                    _log.error("an unknown command came from the engine: %s", error)
        except (EOFError, OSError):
            self.engine_gone = True

    def report(self, report: WorkerReport) -> None:
        """Send, or keep for later when the engine does not read. A HandlerFailed is not worth keeping."""
        if not self.offer(report) and not isinstance(report, HandlerFailed):
            self._outbox.append(encode(report))

    def offer(self, report: WorkerReport) -> bool:
        """Send if there is room now, and nothing waits before it."""
        self.retry()
        if self._outbox or not self._has_room():
            return False
        self._send(encode(report))
        return True

    def retry(self) -> None:
        """Send what was kept, as far as there is room."""
        while self._outbox and self._has_room():
            self._send(self._outbox.popleft())

    def _has_room(self) -> bool:
        # A socket pair is writable while three quarters of its buffer are free: one report never blocks then.
        return bool(self._writable.poll(0))

    def _send(self, data: bytes) -> None:
        try:
            self._connection.send_bytes(data)
        except OSError:
            self.engine_gone = True
