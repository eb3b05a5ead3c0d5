"""CPU and memory of one process, by psutil, at most once a second."""

from __future__ import annotations

import psutil


class Usage:
    """None until it is known, and again when the process is gone."""

    def __init__(self, pid: int) -> None:
        self.cpu_percent: float | None = None
        """100 is one core."""
        self.rss_bytes: int | None = None
        self._last: tuple[float, float] | None = None
        try:
            self._process: psutil.Process | None = psutil.Process(pid)
        except psutil.Error:
            self._process = None

    def sample(self, now: float) -> None:
        if self._process is None:
            return
        try:
            times = self._process.cpu_times()
            self.rss_bytes = self._process.memory_info().rss
        except psutil.Error:  # it has just died; its end is seen by its sentinel
            self._process = self.cpu_percent = self.rss_bytes = None
            return
        used = times.user + times.system
        if self._last is not None and now > self._last[0]:
            self.cpu_percent = max(used - self._last[1], 0.0) / (now - self._last[0]) * 100
        self._last = (now, used)
