"""The broker's stdin, stdout and stderr: none of them may ever make it wait for who is at the other end."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import traceback
from collections import deque
from collections.abc import Callable

READ_BYTES = 65536
PENDING_BYTES = 64 * 1024 * 1024


def _is_pipe(fd: int) -> bool:
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def read_lines(fd: int, on_line: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
    """Call `on_line` for each line and `on_end` at the end of the stream; that of a file comes at once."""
    loop = asyncio.get_running_loop()
    rest = bytearray()

    def read() -> None:
        data = os.read(fd, READ_BYTES)
        if not data:
            loop.remove_reader(fd)
            on_end()
            return
        rest.extend(data)
        *lines, last = rest.split(b"\n")
        rest[:] = last[-READ_BYTES:]
        for line in lines:
            on_line(bytes(line))

    try:
        loop.add_reader(fd, read)
    except PermissionError:
        # Regular files cannot be waited for; the stream is not one that stays open, so it is over.
        logging.getLogger(__name__).error(
            "stdin is neither a pipe nor a terminal: keep it open to keep the broker"
        )
        on_end()


class LineWriter:
    """Writes lines to a descriptor as its reader takes them."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._pipe = _is_pipe(fd)
        self._pending: deque[bytes] = deque()
        self._bytes = 0
        if self._pipe:
            os.set_blocking(fd, False)

    def write(self, line: str) -> None:
        """Dropped when 64 MiB wait already: then nobody reads."""
        data = line.encode() + b"\n"
        if self._bytes + len(data) > PENDING_BYTES:
            return
        if not self._pipe:
            os.write(self._fd, data)
            return
        self._pending.append(data)
        self._bytes += len(data)
        if len(self._pending) == 1:
            self._write()

    def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._pending:
            data = self._pending[0]
            try:
                written = os.write(self._fd, data)
            except BlockingIOError:
                loop.add_writer(self._fd, self._write)
                return
            except BrokenPipeError:
                self._pending.clear()
                self._bytes = 0
                break
            self._bytes -= written
            if written == len(data):
                self._pending.popleft()
            else:
                self._pending[0] = data[written:]
        loop.remove_writer(self._fd)


def _harmless(text: str) -> str:
    """One line without control characters: client ids and topics are whatever a client sends."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _traceback(record: logging.LogRecord) -> list[str]:
    if record.exc_info is None or record.exc_info[0] is None:
        return []
    return "".join(traceback.format_exception(*record.exc_info)).splitlines()


class LogWriter(logging.Handler):
    """Log lines to stderr; those an idle reader leaves no place for are dropped and their number is said."""

    LONGEST = 4000
    """Below PIPE_BUF, so that a line is written whole or not at all."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._dropped = 0
        if _is_pipe(fd):
            os.set_blocking(fd, False)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self._dropped:
                self._put(f"WARNING {self._dropped} log lines dropped here: nobody read them")
                self._dropped = 0
            for line in (_harmless(record.getMessage()), *_traceback(record)):
                self._put(f"{record.levelname} {line}")
        except BlockingIOError:
            self._dropped += 1
        except OSError:
            # The reader is gone, and stdin will say the same in a moment.
            self._dropped += 1

    def _put(self, line: str) -> None:
        os.write(self._fd, line.encode("utf-8", "backslashreplace")[: self.LONGEST] + b"\n")
