"""`logging` into the log channel: one handler at the root, and the doubles of it taken away."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterator

from routemq_tui.worker.log_queue import LogQueue, LogRecord

_tracebacks = logging.Formatter()


class LogQueueHandler(logging.Handler):
    """Turns logging's records into ours. Takes no lock: the queue needs none."""

    def __init__(self, queue: LogQueue, level: int) -> None:
        super().__init__(level)
        self._put = queue.put_nowait

    def write_to(self, descriptor: int) -> None:
        """From now on as text, past the queue."""

        def put(record: LogRecord) -> None:
            line = f"{logging.getLevelName(record.level)}:{record.logger}:{record.text}\n"
            os.write(descriptor, line.encode("utf-8", "backslashreplace"))

        self._put = put

    def createLock(self) -> None:  # noqa: N802 - logging's name
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool | logging.LogRecord:  # type: ignore[override]
        if not self.filters:
            self.emit(record)
            return True
        passed = self.filter(record)
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage() if record.args else str(record.msg)
        except Exception:  # noqa: BLE001 - a format that does not fit is shown, not raised at the caller
            text = f"{record.msg!r} % {record.args!r}\n{traceback.format_exc()}"
        if record.exc_info:
            text = f"{text}\n{_tracebacks.formatException(record.exc_info)}"
        elif record.exc_text:
            text = f"{text}\n{record.exc_text}"
        if record.stack_info:
            text = f"{text}\n{record.stack_info}"
        self._put(LogRecord(record.created, record.levelno, "log", record.name, text))


def install(queue: LogQueue, level: int) -> LogQueueHandler:
    """Make the queue the only destination of the root logger."""
    handler = LogQueueHandler(queue, level)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(True)
    return handler


def tidy(handler: LogQueueHandler) -> None:
    """Undo what a handler's module did to `logging` that would lose lines or show them twice.

    `basicConfig(force=True)` or `dictConfig` may have thrown our handler out, or added one that writes to
    `sys.stderr`, which is captured as well. Handlers that write elsewhere (a file, a socket) are kept.
    """
    root = logging.getLogger()
    root.handlers[:] = [each for each in root.handlers if each is not handler and not _writes_here(each)]
    root.addHandler(handler)
    root.setLevel(min(root.level or handler.level, handler.level))
    for logger in _loggers():
        if logger.propagate and logger.handlers:
            logger.handlers[:] = [each for each in logger.handlers if not _writes_here(each)]


def _writes_here(handler: logging.Handler) -> bool:
    """Whether it is a console handler, whose lines would come a second time through the captured stream."""
    stream = getattr(handler, "stream", None)
    return (
        isinstance(handler, logging.StreamHandler)
        and not isinstance(handler, logging.FileHandler)
        and stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    )


def _loggers() -> Iterator[logging.Logger]:
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            yield logger
