"""Which notices of the engine are told, each once, and what is being told now, the newest first. Pure.

The line lies over the bottom line of keys, so that it never covers the table, a log line or a prompt. It goes
after some seconds: what matters stands in the log or the table as well.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, cast

from routemq_tui.engine.snapshot import Notice, Snapshot

Severity = Literal["information", "warning", "error"]
FRESH = 10.0
"""Seconds: at the start, older notices are no news any more."""
AT_ONCE = 3
SEE_LOGS = "see the logs"
SECONDS = {"information": 3.0, "warning": 5.0, "error": 8.0}


class Toast(NamedTuple):
    text: str
    severity: Severity
    seconds: float


class Toasts:
    """Remembers the number of the last notice that was shown."""

    def __init__(self) -> None:
        self._last: int | None = None

    def take(self, snapshot: Snapshot) -> list[Toast]:
        """The toasts for what is new; the last of many, and how many more there were."""
        new = [notice for notice in snapshot.notices if self._is_new(notice, snapshot.time)]
        if snapshot.notices:
            self._last = max(self._last or 0, snapshot.notices[-1].number)
        elif self._last is None:
            self._last = 0
        toasts = [_toast(notice) for notice in new[-AT_ONCE:]]
        if len(new) > AT_ONCE:
            toasts[0] = Toast(f"{len(new) - AT_ONCE + 1} more events: {SEE_LOGS}", "warning", 5.0)
        return toasts

    def _is_new(self, notice: Notice, now: float) -> bool:
        if self._last is None:
            return now - notice.time <= FRESH
        return notice.number > self._last


class Sayings:
    """What is being told: the newest, for its time; and how many others have time left."""

    def __init__(self) -> None:
        self._live: list[tuple[Toast, float]] = []

    def add(self, toast: Toast, now: float) -> None:
        self._live = [each for each in self._live if each[0].text != toast.text]
        self._live.append((toast, now + toast.seconds))

    def current(self, now: float) -> tuple[Toast, ...]:
        """Newest first; empty when nothing is told."""
        self._live = [each for each in self._live if each[1] > now]
        return tuple(toast for toast, _ in reversed(self._live))

    def clear(self) -> None:
        self._live.clear()


def _toast(notice: Notice) -> Toast:
    severity = notice.severity if notice.severity in SECONDS else "information"
    return Toast(notice.text, cast(Severity, severity), SECONDS[severity])
