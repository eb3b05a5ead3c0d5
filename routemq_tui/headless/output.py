"""Lines on their way out, through a thread: a reader that does not read holds up nothing but them.

They wait in bounded memory. When that is full the oldest go, and a line in their place says how many.
"""

from __future__ import annotations

import codecs
import io
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TextIO

from routemq_tui.escaping import ESCAPED

MOST_LINES = 50_000
MOST_CHARACTERS = 8 * 1024 * 1024
_BATCH = 64 * 1024
"""Characters written at once; that many lie outside the queue."""

_TICK = 0.05


class OutputLostError(Exception):
    """Nothing can be written any more; its cause says why."""


class Output:
    """`dropped_words` makes the line that stands for lines dropped, of their number."""

    def __init__(self, out: TextIO, dropped_words: Callable[[int], str]) -> None:
        self._out = out
        self._dropped_words = dropped_words
        self._changed = threading.Condition()
        self._lines: deque[str] = deque()
        self._characters = 0
        self._dropped = 0
        self._in_hand = 0
        self._closing = False
        self.error: OSError | None = None
        """Why nothing is written any more; what is put then goes nowhere."""
        self._thread = threading.Thread(target=self._run, name="output", daemon=True)
        self._thread.start()

    def put(self, lines: Sequence[str]) -> None:
        """Never waits for the reader."""
        if not lines or self.error is not None:
            return
        with self._changed:
            self._lines.extend(lines)
            self._characters += sum(map(len, lines))
            while self._characters > MOST_CHARACTERS or len(self._lines) > MOST_LINES:
                self._characters -= len(self._lines.popleft())
                self._dropped += 1
            self._changed.notify()

    def close(self, timeout: float, hurry: Callable[[], object] = bool) -> int:
        """Wait until all is written, for so many seconds or until `hurry`; returns how many lines were not.

        Those of the last write are counted whole. After an `error` it is 0: that says enough.
        """
        with self._changed:
            self._closing = True
            self._changed.notify()
        deadline = time.monotonic() + timeout
        while self._thread.is_alive() and time.monotonic() < deadline and not hurry():
            self._thread.join(_TICK)
        with self._changed:
            left = 0 if self.error else self._in_hand + self._dropped + len(self._lines)
            self._lines.clear()
        return left

    def _run(self) -> None:
        try:
            write = _writer(self._out)
            while (text := self._take()) is not None:
                write(text)
        except (OSError, ValueError) as error:  # ValueError: somebody has closed it
            self.error = error if isinstance(error, OSError) else OSError(str(error))

    def _take(self) -> str | None:
        """The next text to write, waited for; None at the end."""
        with self._changed:
            self._in_hand = 0
            while not self._lines:
                if self._closing:
                    return None
                self._changed.wait()
            taken = [self._dropped_words(self._dropped)] if self._dropped else []
            size, self._in_hand, self._dropped = 0, self._dropped, 0
            while self._lines and size < _BATCH:
                line = self._lines.popleft()
                size += len(line)
                taken.append(line)
                self._in_hand += 1
            self._characters -= size
        return "\n".join(taken) + "\n"


def _writer(out: TextIO) -> Callable[[str], object]:
    """Writes text and flushes it. A file is written past its buffer: a thread that waits in there holds the
    buffer's lock, and the interpreter could not end."""
    try:
        out.flush()
        descriptor = out.fileno()
    except (io.UnsupportedOperation, AttributeError):
        return lambda text: (out.write(text), out.flush())
    encode = codecs.getincrementalencoder(out.encoding or "utf-8")(ESCAPED).encode

    ready = select.poll()
    ready.register(descriptor, select.POLLOUT)

    def write(text: str) -> None:
        data = memoryview(encode(text))
        while data:
            try:
                data = data[os.write(descriptor, data) :]
            except BlockingIOError:  # whoever shares the terminal may have made it so
                ready.poll()

    return write
