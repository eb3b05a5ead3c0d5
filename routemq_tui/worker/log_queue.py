"""The log channel of one worker: a queue by its interface, a one-way pipe underneath.

`put_nowait` never blocks and takes no lock that a signal handler or a finaliser could find taken: records are
appended to a deque, and whoever gets the lock without waiting writes for all. In calm times the caller writes
at once, so that the last line before a crash is there; in a flood a thread writes batches. Bounded in bytes,
the oldest goes first, and what goes is counted.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

import msgspec

CAPACITY_BYTES = 4 * 1024 * 1024
FRAME_BYTES = 64 * 1024
"""A frame holds records up to this size together, or one record that is larger."""
MAX_FRAME_BYTES = 64 * 1024 * 1024
"""No sender makes a larger one: a length beyond it means that the channel is damaged."""
PIPE_BYTES = 256 * 1024

# A caller may write by itself 1,000 times a second, and 200 times at once after a calm time.
_WRITE_INTERVAL = 0.001
_WRITE_BURST = 0.2
_FLUSH_DELAY = 0.005
_INBOX_RECORDS = 10_000

_LENGTH = struct.Struct("!I")
_HEADER = struct.Struct("!IBI")
_ARRAY_32 = 0xDD
"""MessagePack's array with a 32-bit count: records are encoded once, a frame only joins them."""


class LogRecord(msgspec.Struct, array_like=True, frozen=True):
    """One record; `text` may hold newlines."""

    time: float
    """Unix time."""
    level: int
    """As in `logging`."""
    stream: str
    """`log`, `stdout` or `stderr`."""
    logger: str
    text: str


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[list[LogRecord]] = msgspec.msgpack.Decoder(list[LogRecord])


class LogQueue:
    """The writing end. Thread-safe, signal-safe; `on_drop` is told how many records were just dropped."""

    def __init__(
        self,
        connection: Connection[Any, Any],
        capacity_bytes: int = CAPACITY_BYTES,
        on_drop: Callable[[int], None] | None = None,
    ) -> None:
        self.dropped = 0
        self._connection = connection
        self._fd = connection.fileno()
        self._capacity = capacity_bytes
        self._on_drop = on_drop
        self._inbox: deque[LogRecord] = deque()
        self._inbox_bytes = 0  # only a hint: threads may lose an addition
        self._backlog: deque[bytes] = deque()
        self._backlog_bytes = 0
        self._frame = memoryview(b"")
        self._lock = threading.Lock()
        self._due = 0.0
        self._stalled = False
        self._broken = False
        self._closed = False
        self._woken = False
        self._wake: SimpleQueue[bool] = SimpleQueue()  # the C one: its put() is reentrant
        os.set_blocking(self._fd, False)
        with contextlib.suppress(
            OSError, AttributeError
        ):  # Linux only; refused beyond the user's pipe budget
            fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._flusher = threading.Thread(target=self._flush_batches, name="routemq-logs", daemon=True)
        self._flusher.start()

    def put_nowait(self, record: LogRecord) -> None:
        """Take a record; it is dropped, and counted, when the reader is too far behind."""
        self._inbox.append(record)
        self._inbox_bytes += len(record.text)
        now = time.monotonic()
        due = self._due
        if due < now - _WRITE_BURST:
            due = now - _WRITE_BURST
        if due <= now and not self._stalled:
            self._due = due + _WRITE_INTERVAL
            if self._pump(wait=False):
                return
        elif self._inbox_bytes > self._capacity // 4 or len(self._inbox) > _INBOX_RECORDS:
            self._pump(wait=False)
        if not self._woken:
            self._woken = True
            self._wake.put(True)

    def close(self, timeout: float = 1.0) -> None:
        """Write what is there, for at most `timeout` seconds, and close the pipe."""
        deadline = time.monotonic() + timeout
        self._closed = True
        self._wake.put(False)
        while not self._pump(wait=True) and not self._broken and time.monotonic() < deadline:
            _wait_writable(self._fd, 0.05)
        self._flusher.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            self._broken = True
            self._connection.close()

    # -- under the lock ----------------------------------------------------------------------------------

    def _pump(self, wait: bool) -> bool:
        """Write as much as the pipe takes; True when nothing is left. Does nothing when the lock is taken."""
        if not self._lock.acquire(blocking=wait):
            return False
        try:
            self._take_inbox()
            if self._broken:
                self._backlog.clear()
                return True
            self._stalled = not self._write_frames()
            return not self._stalled and not self._inbox
        finally:
            self._lock.release()

    def _take_inbox(self) -> None:
        self._inbox_bytes = 0
        for _ in range(len(self._inbox)):
            record = self._inbox.popleft()
            data = _encode(record, self._capacity // 4)
            self._backlog.append(data)
            self._backlog_bytes += len(data)
        dropped = 0
        while self._backlog_bytes > self._capacity:
            self._backlog_bytes -= len(self._backlog.popleft())
            dropped += 1
        if dropped:
            self.dropped += dropped
            if self._on_drop is not None:
                self._on_drop(dropped)

    def _write_frames(self) -> bool:
        try:
            while self._frame or self._backlog:
                if not self._frame:
                    self._frame = memoryview(self._next_frame())
                self._frame = self._frame[os.write(self._fd, self._frame) :]
        except BlockingIOError:
            return False
        except OSError:  # the engine is gone: nobody will read this any more
            self._broken = True
            self._frame = memoryview(b"")
            self._backlog.clear()
        return True

    def _next_frame(self) -> bytes:
        records: list[bytes] = []
        size = 0
        while self._backlog and (not records or size + len(self._backlog[0]) <= FRAME_BYTES):
            records.append(self._backlog.popleft())
            size += len(records[-1])
        self._backlog_bytes -= size
        return _HEADER.pack(size + 5, _ARRAY_32, len(records)) + b"".join(records)

    # -- the flusher thread ------------------------------------------------------------------------------

    def _flush_batches(self) -> None:
        while self._wake.get():
            time.sleep(_FLUSH_DELAY)  # so that a batch gathers
            self._woken = False
            while not self._pump(wait=True) and not self._closed:
                if self._stalled:
                    _wait_writable(self._fd, 0.05)


def _wait_writable(fd: int, timeout: float) -> None:
    poller = select.poll()
    poller.register(fd, select.POLLOUT)
    poller.poll(timeout * 1000)


def _encode(record: LogRecord, limit: int) -> bytes:
    text = record.text
    if len(text) > limit:
        record = msgspec.structs.replace(record, text=f"{text[:limit]}… ({len(text) - limit} characters cut)")
    try:
        return _encoder.encode(record)
    except UnicodeEncodeError:  # lone surrogates, as in the name of an undecodable file
        return _encoder.encode(
            msgspec.structs.replace(record, text=_valid(record.text), logger=_valid(record.logger))
        )


def _valid(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


class LogReceiver:
    """The reading end. `closed` is True once the writer is gone; a half-written last frame is discarded."""

    def __init__(self, connection: Connection[Any, Any]) -> None:
        self.closed = False
        self._connection = connection
        self._fd = connection.fileno()
        self._buffer = bytearray()
        os.set_blocking(self._fd, False)

    def fileno(self) -> int:
        return self._fd

    def get_batch(self, limit_bytes: int = 1024 * 1024) -> list[LogRecord]:
        """The records that are there now, after reading about `limit_bytes` at most; never blocks."""
        taken = 0
        while not self.closed and taken < limit_bytes:
            try:
                chunk = os.read(self._fd, PIPE_BYTES)
            except BlockingIOError:
                break
            except OSError:
                chunk = b""
            if not chunk:
                self.closed = True
            self._buffer += chunk
            taken += len(chunk)
        return self._take_records()

    def close(self) -> None:
        self.closed = True
        self._connection.close()

    def _take_records(self) -> list[LogRecord]:
        records: list[LogRecord] = []
        start = 0
        buffer = self._buffer
        while len(buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, start)
            end = start + _LENGTH.size + length
            if length > MAX_FRAME_BYTES:
                return self._damaged(records)
            if end > len(buffer):
                break
            try:
                with memoryview(buffer) as view:
                    records += _decoder.decode(view[start + _LENGTH.size : end])
            except msgspec.DecodeError:
                return self._damaged(records)
            start = end
        del buffer[:start]
        return records

    def _damaged(self, records: list[LogRecord]) -> list[LogRecord]:
        """Bytes that no LogQueue wrote: without a frame to trust there is no way back into step."""
        self.closed = True
        self._buffer.clear()
        records.append(LogRecord(time.time(), 40, "stderr", "", "the log channel of this worker is damaged"))
        return records
