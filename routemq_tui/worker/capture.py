"""Everything a worker process may say, into its log channel: streams, warnings, tracebacks, raw descriptors.

Nothing here knows MQTT. `take_descriptors` comes first in the process, before anything can write; what native
code, `os.write(1, …)` and faulthandler write then goes down two pipes to the engine as it is.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from routemq_tui.worker.log_queue import LogQueue, LogRecord

PARTIAL_BYTES = 8192
"""A line without an end that grows longer than this is sent as it is."""
PARTIAL_SECONDS = 0.1
"""A line without an end that is older than this, or up to twice as old, is sent as it is."""


def take_descriptors(stdout: Connection[Any, Any], stderr: Connection[Any, Any]) -> None:
    """Make the pipes the process's descriptors 1 and 2, and /dev/null its 0."""
    for connection, descriptor in ((stdout, 1), (stderr, 2)):
        os.dup2(connection.fileno(), descriptor)
        connection.close()
    null = os.open(os.devnull, os.O_RDONLY)
    if null != 0:
        os.dup2(null, 0)
        os.close(null)
    faulthandler.enable(file=2, all_threads=True)


class LineWriter(io.TextIOBase):
    """A text stream that sends whole lines to the queue; `sys.stdout` and `sys.stderr` of a worker."""

    def __init__(self, queue: LogQueue, stream: str, level: int, descriptor: int) -> None:
        super().__init__()
        self.buffer = _BytesSide(self)
        self._put = queue.put_nowait
        self._stream = stream
        self._level = level
        self._descriptor = descriptor
        self._partial = ""
        self._fresh = False
        """The line begun has not been seen by `flush_older` yet."""
        self._continued = False
        """The beginning of this line has been sent already."""
        # Reentrant, since a signal handler or a finaliser may print in the middle of a write.
        self._lock = threading.RLock()
        self._watch: PartialLines | None = None

    encoding = "utf-8"
    errors = "backslashreplace"
    newlines = None

    @property
    def name(self) -> str:
        return f"<{self._stream}>"

    def watch(self, watch: PartialLines) -> None:
        self._watch = watch

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        with self._lock:
            if text == "\n":  # the end of a line of `print`
                whole, self._partial = self._partial, ""
                self._send_lines(whole)
            else:
                whole, newline, self._partial = (self._partial + text).rpartition("\n")
                if newline:
                    self._send_lines(whole)
                if self._partial:
                    self._begin()
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:  # type: ignore[override]
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Send the line begun as well: who flushes wants it seen."""
        with self._lock:
            self._flush_partial()

    def flush_older(self) -> bool:
        """Send a line begun before the last call; True when one is still waiting."""
        with self._lock:
            if not self._fresh:
                self._flush_partial()
            self._fresh = False
            return bool(self._partial)

    def _begin(self) -> None:
        if len(self._partial) > PARTIAL_BYTES:
            self._flush_partial()
            return
        self._fresh = True
        watch = self._watch
        if watch is not None and not watch.armed:
            watch.arm()

    def _flush_partial(self) -> None:
        if self._partial:
            text, self._partial = self._partial, ""
            self._continued = True
            self._send(text)

    def _send_lines(self, whole: str) -> None:
        """Lines without the last one's newline, as one record; a record's own last newline makes no line."""
        if self._continued:
            self._continued = False
            if not whole:  # the end of a line whose text is out already
                return
            whole = whole.removeprefix("\n")
        self._send(f"{whole}\n" if whole.endswith("\n") else whole)

    def _send(self, text: str) -> None:
        self._put(LogRecord(time.time(), self._level, self._stream, "", text))


class _BytesSide(io.RawIOBase):
    """`sys.stdout.buffer`."""

    def __init__(self, text: LineWriter) -> None:
        super().__init__()
        self._text = text

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._text.fileno()

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._text.write(bytes(view).decode("utf-8", "backslashreplace"))
        return len(view)

    def flush(self) -> None:
        if not self.closed:
            self._text.flush()


class PartialLines:
    """Sends lines that were begun and not ended, a tenth of a second later. Sleeps while there are none."""

    def __init__(self, writers: tuple[LineWriter, ...]) -> None:
        self._writers = writers
        self.armed = False
        # A semaphore built on a bare lock: a threading.Event is not safe to set in a signal handler.
        self._signal = threading.Lock()
        self._signal.acquire()
        threading.Thread(target=self._run, name="routemq-lines", daemon=True).start()

    def arm(self) -> None:
        if not self.armed:
            self.armed = True
            with contextlib.suppress(RuntimeError):  # another thread armed it at the same moment
                self._signal.release()

    def _run(self) -> None:
        while True:
            self._signal.acquire()
            waiting = True
            while waiting:
                time.sleep(PARTIAL_SECONDS)
                self.armed = False
                waiting = sum(writer.flush_older() for writer in self._writers) > 0


def capture_streams(queue: LogQueue) -> None:
    """Replace `sys.stdout` and `sys.stderr`, and send uncaught tracebacks of threads to `logging`."""
    stdout = LineWriter(queue, "stdout", logging.INFO, 1)
    stderr = LineWriter(queue, "stderr", logging.WARNING, 2)
    watch = PartialLines((stdout, stderr))
    stdout.watch(watch)
    stderr.watch(watch)
    sys.stdout = sys.__stdout__ = stdout  # type: ignore[assignment,misc]
    sys.stderr = sys.__stderr__ = stderr  # type: ignore[assignment,misc]
    threading.excepthook = _log_thread_exception
    sys.unraisablehook = _log_unraisable
    sys.excepthook = _log_uncaught


def flush_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def _log_thread_exception(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit or args.exc_value is None:
        return
    name = args.thread.name if args.thread is not None else "?"
    logging.getLogger("routemq.thread").error(
        "uncaught exception in thread %s", name, exc_info=(args.exc_type, args.exc_value, args.exc_traceback)
    )


def _log_unraisable(args: sys.UnraisableHookArgs) -> None:
    text = "".join(traceback.format_exception(args.exc_type, args.exc_value, args.exc_traceback)).rstrip()
    where = args.err_msg or "exception ignored in"
    logging.getLogger("routemq.unraisable").error("%s %r\n%s", where, args.object, text)


def _log_uncaught(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    logging.getLogger("routemq.worker").critical("uncaught exception", exc_info=(kind, error, where))
