"""One thread that reads whatever workers, broker and traffic say, and hands it to the log store.

Every descriptor is read as far as it goes and never waited for. It is watched until its end of file, so that
the last words of a dead process are read, and then closed.

The thread shares the interpreter with the screen, which comes first: after it has read, it pauses for as long
as the reading took of a core's time, so that it never takes more than half of one; a worker that says more
drops it.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import selectors
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, Protocol

from routemq_tui.engine.held_events import HeldEvents
from routemq_tui.engine.journal import ENGINE
from routemq_tui.engine.log_store import LogStore
from routemq_tui.engine.process import OutputPipes
from routemq_tui.engine.sanitise import CleanLine, LineAssembler, clean_batch
from routemq_tui.engine.traceback_lines import TracebackLines
from routemq_tui.engine.wake import Wake
from routemq_tui.worker.log_queue import LogReceiver

_READ = 256 * 1024
_PAUSE = 0.04
"""Seconds after a reading until the next one: what comes in that time is read at once, and wakes nobody."""
_SHORT_PAUSE = 0.002
"""The same when a pipe was half full, since a worker may be waiting."""
_PARTIAL_AFTER = 0.3
"""Seconds until a line that was begun and not ended is shown as it is."""

_LEVELS = logging.getLevelNamesMapping()
_LEVEL = re.compile(rf"({'|'.join(_LEVELS)})[: ]\s*(?:routemq_tui(?:\.\w+)*:\s*)?")
"""The level, and the name of a logger of ours, which says no more than the source."""


class _Feed(Protocol):
    """Something that is read: `read` returns False at its end."""

    fd: int
    last_read: int
    """Bytes of the last reading."""

    def read(self, store: LogStore) -> bool: ...
    def flush(self, store: LogStore) -> None: ...
    def close(self) -> None: ...

    @property
    def pending(self) -> bool: ...


class _RecordFeed:
    """The log channel of a worker."""

    pending = False

    def __init__(self, source: str, connection: Connection[Any, Any], events: HeldEvents) -> None:
        self._source = source
        self._events = events
        self._receiver = LogReceiver(connection)
        self.fd = self._receiver.fileno()
        self.last_read = 0

    def read(self, store: LogStore) -> bool:
        for batch in self._receiver.get_batches(_READ):
            for part in self._events.parts(self._source, batch):
                run, numbers = clean_batch(part)
                store.add_mixed(self._source, run, part.kinds, numbers)
        self.last_read = self._receiver.last_read
        return not self._receiver.closed

    def flush(self, store: LogStore) -> None:
        """Records are whole or discarded."""

    def close(self) -> None:
        self._receiver.close()


class _ByteFeed:
    """A descriptor 1 or 2 of some process; with `levels_told` its lines begin with the name of a level."""

    def __init__(
        self,
        source: str,
        fd: int,
        stream: str,
        level: int,
        close: Callable[[], None],
        levels_told: bool = False,
    ) -> None:
        self.fd = fd
        self.last_read = 0
        self._levels_told = levels_told
        self._source, self._stream, self._level = source, stream, level
        self._assembler = LineAssembler()
        self._tracebacks = TracebackLines()
        self._close = close
        os.set_blocking(fd, False)
        with contextlib.suppress(OSError, AttributeError):  # Linux only; refused beyond the user's budget
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _READ)

    @property
    def pending(self) -> bool:
        return self._assembler.pending

    def read(self, store: LogStore) -> bool:
        self.last_read = 0
        try:
            data = os.read(self.fd, _READ)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        self.last_read = len(data)
        self._store_lines(store, self._assembler.feed(data))
        return bool(data)

    def flush(self, store: LogStore) -> None:
        self._store_lines(store, self._assembler.flush())

    def _store_lines(self, store: LogStore, lines: list[CleanLine]) -> None:
        if lines and not self._levels_told:
            continued = self._tracebacks.places(line.text for line in lines)
            store.add(self._source, lines, self._level, self._stream, continued=continued)
        elif lines:
            for line in lines:
                level, text = _told_level(line.text)
                store.add(self._source, [CleanLine(text, None)], level or self._level, self._stream)

    def close(self) -> None:
        self._close()


def _told_level(text: str) -> tuple[int | None, str]:
    found = _LEVEL.match(text)
    return (_LEVELS[found[1]], text[found.end() :]) if found else (None, text)


class LogPump:
    def __init__(self, store: LogStore) -> None:
        self._store = store
        self._wake = Wake()
        self._events = HeldEvents(store)
        self._arrivals: deque[_Feed] = deque()
        self._ending: float | None = None
        self._partial_since = 0.0
        self._event_due: float | None = None
        self._thread = threading.Thread(target=self._run, name="routemq-log-pump", daemon=True)

    def start(self) -> None:
        self._wake.open()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._thread.start()

    def watch_worker(self, source: str, outputs: OutputPipes) -> None:
        self._arrivals.append(_RecordFeed(source, outputs.logs, self._events))
        for connection, stream, level in (
            (outputs.stdout, "stdout", logging.INFO),
            (outputs.stderr, "stderr", logging.WARNING),
        ):
            self._arrivals.append(_ByteFeed(source, connection.fileno(), stream, level, connection.close))
        self._wake.set()

    def watch_fd(self, source: str, fd: int) -> None:
        """The stderr of broker or traffic; lines may begin with a level's name.

        The descriptor becomes the pump's own: hand it a duplicate when somebody else closes it.
        """
        feed = _ByteFeed(source, fd, "stderr", logging.INFO, lambda: os.close(fd), levels_told=True)
        self._arrivals.append(feed)
        self._wake.set()

    def event(self, source: str, text: str, level: int) -> None:
        """A line that the engine says about a source, after what that has said itself before. Any thread."""
        if self._events.put(source, text, level):
            self._wake.set()

    def stop(self, timeout: float) -> None:
        """Read until every writer has ended, for at most `timeout` seconds, and end the thread."""
        self._ending = time.monotonic() + timeout
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout + 5)

    # -- its thread --------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._is_over():
                self._turn()
        finally:
            for key in list(self._selector.get_map().values()):
                if key.data is not None:
                    self._end(key.data)
            self._events.close()
            self._selector.close()
            self._wake.close()

    def _turn(self) -> None:
        while self._arrivals:
            feed = self._arrivals.popleft()
            self._selector.register(feed.fd, selectors.EVENT_READ, feed)
        ready = self._selector.select(self._timeout())
        used = time.thread_time()
        fullest = 0
        for key, _ in ready:
            if key.data is None:
                self._wake.clear()
            else:
                self._read(key.data)
                fullest = max(fullest, key.data.last_read)
        self._flush_partial_lines()
        self._event_due = self._events.release_due()
        if fullest and self._ending is None:
            pause = _SHORT_PAUSE if fullest > _READ // 2 else _PAUSE
            time.sleep(max(pause, time.thread_time() - used))

    def _is_over(self) -> bool:
        if self._ending is None or self._arrivals:
            return False
        return len(self._selector.get_map()) <= 1 or time.monotonic() >= self._ending

    def _timeout(self) -> float | None:
        if self._ending is not None:
            return min(max(self._ending - time.monotonic(), 0.0), _PARTIAL_AFTER)
        waits = [_PARTIAL_AFTER] if self._partial_since else []
        if self._event_due is not None:
            waits.append(max(self._event_due - time.monotonic(), 0.0))
        return min(waits, default=None)

    def _flush_partial_lines(self) -> None:
        now = time.monotonic()
        if self._partial_since and now - self._partial_since < _PARTIAL_AFTER:
            return
        due = bool(self._partial_since)
        self._partial_since = 0.0
        for key in self._selector.get_map().values():
            if key.data is not None and key.data.pending:
                if due:
                    key.data.flush(self._store)
                else:
                    self._partial_since = now

    def _read(self, feed: _Feed) -> None:
        try:
            if feed.read(self._store):
                return
        except Exception:  # noqa: BLE001 - one worker's channel must not silence all the others
            self._store.add_text(ENGINE, traceback.format_exc(), logging.ERROR, "event")
        self._selector.unregister(feed.fd)
        self._end(feed)

    def _end(self, feed: _Feed) -> None:
        feed.flush(self._store)
        feed.close()
