"""Handlers that take long are told of; how long all of them take is counted."""

from __future__ import annotations

import logging
import time
from typing import Any

from routemq_tui.routing.middleware import Context, Middleware, NextHandler
from routemq_tui.units import format_seconds

_log = logging.getLogger("routemq.timing")


class Timing(Middleware):
    """Logs a warning for each message that takes longer than `slower_than` seconds, all inside included.

    `count`, `total` and `longest` (seconds) are of this worker, for code of yours that wants them.
    """

    def __init__(self, slower_than: float = 1.0) -> None:
        if slower_than < 0:
            raise ValueError("slower_than is in seconds, from 0 on")
        self.slower_than = slower_than
        self.count = 0
        self.total = self.longest = 0.0

    async def handle(self, context: Context, next_handler: NextHandler) -> Any:
        begun = time.perf_counter()
        try:
            return await next_handler(context)
        finally:
            took = time.perf_counter() - begun
            self.count += 1
            self.total += took
            self.longest = max(self.longest, took)
            if took > self.slower_than:
                _log.warning("%s took %s", context["topic"], format_seconds(took))
