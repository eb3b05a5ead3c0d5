"""What the engine has to say: lines in the log under the source they are about, and notices for people."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable

from routemq_tui.engine.log_store import LogStore
from routemq_tui.engine.sanitise import harmless
from routemq_tui.engine.snapshot import Notice

ENGINE = "engine"
_KEPT = 50
_LEVELS = {"information": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Journal:
    """Thread-safe."""

    def __init__(self, store: LogStore) -> None:
        self._store = store
        self._notices: deque[Notice] = deque(maxlen=_KEPT)
        self._number = 0
        self._lock = threading.Lock()
        self.pass_on: Callable[[str, str, int], None] | None = None
        """Takes events about workers, in place of the store: `LogPump.event`, while it runs."""

    @property
    def notices(self) -> tuple[Notice, ...]:
        """The last ones, oldest first."""
        with self._lock:
            return tuple(self._notices)

    @property
    def last_notice(self) -> int:
        """Its number."""
        return self._number

    def event(self, source: str, text: str, level: int = logging.INFO) -> None:
        """A line in the log, said by the engine about `source`."""
        if self.pass_on is not None and source != ENGINE:
            self.pass_on(source, text, level)
        else:
            self._store.add_text(source, text, level, "event")

    def notice(self, severity: str, text: str, source: str = ENGINE) -> None:
        """Something a user wants told once; it is in the log too."""
        with self._lock:
            self._number += 1
            text = harmless(text)
            self._notices.append(Notice(self._number, time.time(), severity, text))
        self.event(source, text.removeprefix(source).lstrip(": "), _LEVELS[severity])

    def failure(self, what: str, error: BaseException) -> None:
        """An exception nobody expected, with its traceback."""
        trace = "".join(traceback.format_exception(error))
        self._store.add_text(ENGINE, f"{what}: {error!r}\n{trace}", logging.ERROR, "event")
