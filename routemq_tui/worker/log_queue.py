"""The log channel of one worker: a queue by its interface, a one-way pipe underneath.

`put_nowait` never blocks and takes no lock that a signal handler or a finaliser could find taken: records are
appended to a deque, and whoever gets the lock without waiting writes for all. In calm times each caller
writes at once, so that the last line before a crash is there; in a flood one of many does, and a thread
writes what is left. Bounded in bytes, the oldest frame goes first, and what goes is counted.
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
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

import msgspec

CAPACITY_BYTES = 4 * 1024 * 1024
LINE_LIMIT = 64 * 1024
"""Characters of one line that are kept; how many more there were goes with it."""
RECORD_LIMIT = 256 * 1024
"""The same of a record of many lines."""
FRAME_BYTES = 64 * 1024
"""A frame holds records up to about this size together, or one record that is larger."""
MAX_FRAME_BYTES = 64 * 1024 * 1024
"""No sender makes a larger one: a length beyond it means that the channel is damaged."""
PIPE_BYTES = 256 * 1024
_READ = 64 * 1024

# Callers write 50 times a second, and 50 times at once after a calm time; the thread comes later than they
# do: a write that wakes the engine, and a thread that wakes, cost tens of microseconds each.
_WRITE_INTERVAL = 0.02
_WRITE_BURST = 1.0
_FLUSH_DELAY = 0.08
_BUSY_RECORDS = 100
"""After so many at once the flusher looks again by itself."""
_RECORD_OVERHEAD = 64
"""Bytes a record is taken to need beside its text."""

_LENGTH = struct.Struct("!I")


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
    cut: int = 0
    """Characters of the text that were too many and are missing at its end."""


class LogBatch(msgspec.Struct, array_like=True):
    """Records in columns, as they travel: many hundreds cost what a few objects do."""

    kinds: list[tuple[int, str, str]]
    """Level, stream and logger, each that occurs once."""
    numbers: bytes
    """Of each record, the place of its kind."""
    times: list[float]
    texts: list[str]
    cuts: dict[int, int]
    """Place in `texts` -> characters missing at its end, for those that were cut."""

    def __post_init__(self) -> None:
        if not len(self.numbers) == len(self.times) == len(self.texts):
            raise ValueError("columns of different lengths")
        if self.numbers and max(self.numbers) >= len(self.kinds):
            raise ValueError("a kind that is not there")

    def records(self) -> Iterator[LogRecord]:
        columns = zip(self.numbers, self.times, self.texts, strict=True)
        for place, (number, at, text) in enumerate(columns):
            yield LogRecord(at, *self.kinds[number], text, self.cuts.get(place, 0))


_MOST_KINDS = 256
_HIGHEST = 2**31
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[list[LogBatch]] = msgspec.msgpack.Decoder(list[LogBatch])


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
        self._frame_bytes = min(FRAME_BYTES, capacity_bytes // 8)
        self._record_limit = min(RECORD_LIMIT, capacity_bytes // 4)
        self._inbox_limit = capacity_bytes // 16
        self._on_drop = on_drop
        self._inbox: deque[LogRecord] = deque()
        self._inbox_bytes = 0  # only a hint: threads may lose an addition
        self._backlog: deque[tuple[bytes, int]] = deque()
        self._backlog_bytes = 0
        self._frame = memoryview(b"")
        self._frame_records = 0
        self._lock = threading.Lock()
        self._due = 0.0
        self._stalled = False
        self._broken = False
        self._closed = False
        self._flushing = False
        self._wake: SimpleQueue[bool] = SimpleQueue()  # the C one: its put() is reentrant
        os.set_blocking(self._fd, False)
        with contextlib.suppress(
            OSError, AttributeError
        ):  # Linux only; refused beyond the user's pipe budget
            fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        threading.Thread(target=self._flush_batches, name="routemq-logs", daemon=True).start()

    def put_nowait(self, record: LogRecord) -> None:
        """Take a record; it is dropped, and counted, when the reader is too far behind."""
        self._inbox.append(record)
        self._inbox_bytes += len(record.text) + _RECORD_OVERHEAD
        now = time.monotonic()
        if now >= self._due and not self._stalled:
            self._due = max(self._due, now - _WRITE_BURST) + _WRITE_INTERVAL
            if self._pump(wait=False):
                return
        elif self._inbox_bytes > self._inbox_limit:
            self._pump(wait=False)
        if not self._flushing:
            self._flushing = True
            self._wake.put(True)

    def close(self, timeout: float = 1.0) -> None:
        """Write what is there, for at most `timeout` seconds, and close the pipe; the rest is dropped."""
        deadline = time.monotonic() + timeout
        self._closed = True
        self._wake.put(False)
        while not self._pump(wait=True) and not self._broken and time.monotonic() < deadline:
            _wait_writable(self._fd, 0.05)
        with self._lock:
            self._take_inbox()
            self._break()
            self._connection.close()

    def abandon(self) -> None:
        """In a forked child: the pipe is its parent's, and so is a frame that was begun."""
        self._lock = threading.Lock()  # another thread, which is not there now, may have held it
        self._on_drop = None
        self._flushing = True
        self._inbox.clear()
        self._break()

    # -- under the lock ----------------------------------------------------------------------------------

    def _pump(self, wait: bool) -> bool:
        """Write as much as the pipe takes; True when nothing is left. Does nothing when the lock is taken."""
        if not self._lock.acquire(blocking=wait):
            return False
        try:
            self._take_inbox()
            if self._broken:
                self._break()
                return True
            self._stalled = not self._write_frames()
            return not self._stalled and not self._inbox
        finally:
            self._lock.release()

    def _take_inbox(self) -> None:
        """Make frames of the records that are there; the oldest frames go when they are too many."""
        self._inbox_bytes = 0
        taken: list[LogRecord] = []
        size = 0
        for _ in range(len(self._inbox)):
            record = self._inbox.popleft()
            if len(record.text) > LINE_LIMIT or len(record.text) > self._record_limit:
                record = _shortened(record, self._record_limit)
            taken.append(record)
            size += len(record.text) + _RECORD_OVERHEAD
            if size >= self._frame_bytes:
                self._append_frame(taken)
                taken, size = [], 0
        if taken:
            self._append_frame(taken)
        while self._backlog_bytes > self._capacity:
            frame, count = self._backlog.popleft()
            self._backlog_bytes -= len(frame)
            self._count_dropped(count)

    def _append_frame(self, records: list[LogRecord]) -> None:
        try:
            frame = _frame_of(records)
        except Exception:  # noqa: BLE001 - a logging call never raises
            self._count_dropped(len(records))
            return
        self._backlog.append((frame, len(records)))
        self._backlog_bytes += len(frame)

    def _count_dropped(self, count: int) -> None:
        self.dropped += count
        if self._on_drop is not None:
            self._on_drop(count)

    def _write_frames(self) -> bool:
        try:
            while self._frame or self._backlog:
                if not self._frame:
                    frame, self._frame_records = self._backlog.popleft()
                    self._backlog_bytes -= len(frame)
                    self._frame = memoryview(frame)
                self._frame = self._frame[os.write(self._fd, self._frame) :]
        except BlockingIOError:
            return False
        except OSError:  # the engine is gone: nobody will read this any more
            self._break()
        return True

    def _break(self) -> None:
        """Nothing can be written any more; what is left is dropped, a frame begun as well."""
        self._broken, self._stalled = True, False
        left = sum(count for _, count in self._backlog) + (self._frame_records if self._frame else 0)
        self._frame = memoryview(b"")
        self._backlog.clear()
        self._backlog_bytes = 0
        if left:
            self._count_dropped(left)

    # -- the flusher thread ------------------------------------------------------------------------------

    def _flush_batches(self) -> None:
        while self._wake.get():
            while not self._closed:
                if self._stalled:
                    _wait_writable(self._fd, _FLUSH_DELAY)
                else:
                    time.sleep(_FLUSH_DELAY)  # so that a batch gathers
                many = len(self._inbox) > _BUSY_RECORDS
                self._flushing = many  # False before the look: who comes after it wakes us again
                if self._pump(wait=True) and not many:
                    break
                self._flushing = True


def _wait_writable(fd: int, timeout: float) -> None:
    poller = select.poll()
    poller.register(fd, select.POLLOUT)
    poller.poll(timeout * 1000)


def _shortened(record: LogRecord, limit: int) -> LogRecord:
    text = record.text
    if len(text) <= limit and "\n" in text:
        return record  # its lines are cut one by one where they are stored
    text = text[: min(limit, LINE_LIMIT) if "\n" not in text else limit]
    return msgspec.structs.replace(record, text=text, cut=record.cut + len(record.text) - len(text))


def _frame_of(records: list[LogRecord]) -> bytes:
    batches = _batches_of(records)
    try:
        data = _encoder.encode(batches)
    except (UnicodeEncodeError, OverflowError, TypeError):
        # Lone surrogates, as in the name of an undecodable file, a level that no 64 bits hold, and subclasses
        # of str and int, which `str()` of them may give.
        for batch in batches:
            batch.texts = [_valid(text) for text in batch.texts]
            batch.kinds = [
                (min(max(int(level), 0), _HIGHEST), stream, _valid(logger))
                for level, stream, logger in batch.kinds
            ]
        data = _encoder.encode(batches)
    return _LENGTH.pack(len(data)) + data


def _batches_of(records: list[LogRecord]) -> list[LogBatch]:
    """One batch, unless there are very many kinds."""
    kinds: dict[tuple[int, str, str], int] = {}
    numbers = [
        kinds.setdefault((record.level, record.stream, record.logger), len(kinds)) for record in records
    ]
    if len(kinds) > _MOST_KINDS:
        half = len(records) // 2
        return _batches_of(records[:half]) + _batches_of(records[half:])
    return [
        LogBatch(
            list(kinds),
            bytes(numbers),
            [record.time for record in records],
            [record.text for record in records],
            {place: record.cut for place, record in enumerate(records) if record.cut},
        )
    ]


def _valid(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


class LogReceiver:
    """The reading end. `closed` is True once the writer is gone; a half-written last frame is discarded."""

    def __init__(self, connection: Connection[Any, Any]) -> None:
        self.closed = False
        self.last_read = 0
        """Bytes that the last batch took."""
        self._connection = connection
        self._fd = connection.fileno()
        self._buffer = bytearray()
        os.set_blocking(self._fd, False)

    def fileno(self) -> int:
        return self._fd

    def get_batch(self, limit_bytes: int = 1024 * 1024) -> list[LogRecord]:
        """The records that are there now, after reading about `limit_bytes` at most; never blocks."""
        return [record for batch in self.get_batches(limit_bytes) for record in batch.records()]

    def get_batches(self, limit_bytes: int = 1024 * 1024) -> list[LogBatch]:
        """The same in columns, as they were sent."""
        self.last_read = 0
        while not self.closed and self.last_read < limit_bytes:
            try:
                chunk = os.read(self._fd, _READ)
            except BlockingIOError:
                break
            except OSError:
                chunk = b""
            if not chunk:
                self.closed = True
            self._buffer += chunk
            self.last_read += len(chunk)
            if len(chunk) < _READ:
                break  # that was all: no need to be told that nothing more is there
        return self._take_batches()

    def close(self) -> None:
        self.closed = True
        self._connection.close()

    def _take_batches(self) -> list[LogBatch]:
        batches: list[LogBatch] = []
        start = 0
        buffer = self._buffer
        while len(buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, start)
            end = start + _LENGTH.size + length
            if length > MAX_FRAME_BYTES:
                return self._damaged(batches)
            if end > len(buffer):
                break
            try:
                with memoryview(buffer) as view:
                    batches += _decoder.decode(view[start + _LENGTH.size : end])
            except (msgspec.DecodeError, ValueError):  # of text that is no UTF-8
                return self._damaged(batches)
            start = end
        del buffer[:start]
        return batches

    def _damaged(self, batches: list[LogBatch]) -> list[LogBatch]:
        """Bytes that no LogQueue wrote: without a frame to trust there is no way back into step."""
        self.closed = True
        self._buffer.clear()
        text = "the log channel of this worker is damaged"
        batches.append(LogBatch([(40, "stderr", "")], b"\0", [time.time()], [text], {}))
        return batches
