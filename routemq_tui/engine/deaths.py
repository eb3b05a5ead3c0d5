"""Which messages were being handled when their worker died: how a message that kills is found.

One table a route, since a message may come to another slot next time. It is written into the shared memory
of every slot of the route; a worker gives a message up that has been there too often. Brokers give messages
no id that lasts, so a message is known by its fingerprint (`worker.cells`).
"""

from __future__ import annotations

from dataclasses import dataclass

from routemq_tui.worker import cells

FORGET_AFTER = 3600.0
"""Seconds without a death after which a message is no longer suspected: the next like it may be harmless."""


@dataclass(slots=True)
class _Suspect:
    deaths: int
    last: float
    timed_out: bool


class DeathTable:
    """`most` is the route's `max_deliveries`. Times are `time.monotonic` seconds."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._suspects: dict[int, _Suspect] = {}
        self._boards: list[memoryview] = []

    def join(self, words: memoryview) -> None:
        """From now on the table is written into this slot's memory."""
        self._boards.append(words)
        self._write()

    def leave(self, words: memoryview) -> None:
        self._boards = [each for each in self._boards if each is not words]

    def add(self, fingerprint: int, now: float, timed_out: bool = False) -> int:
        """A worker died while it handled this message; returns how often that has happened now.

        `timed_out`: it was killed because its handler was beyond the route's timeout.
        """
        self.expire(now)
        known = self._suspects.pop(fingerprint, None)
        deaths = known.deaths + 1 if known else 1
        self._suspects[fingerprint] = _Suspect(deaths, now, timed_out)  # the newest at the end
        while len(self._suspects) > cells.SUSPECTS_MOST:
            del self._suspects[next(iter(self._suspects))]
        self._write()
        return deaths

    def withdraw(self, fingerprint: int) -> None:
        """It was added before a death in which it had no part after all."""
        known = self._suspects.get(fingerprint)
        if known is None:
            return
        known.deaths -= 1
        if not known.deaths:
            del self._suspects[fingerprint]
        self._write()

    def deaths_of(self, fingerprint: int) -> int:
        known = self._suspects.get(fingerprint)
        return known.deaths if known else 0

    def explains(self, fingerprint: int) -> bool:
        """Whether the deaths with this message have their cause found and removed: it is not run again."""
        return bool(fingerprint) and self.deaths_of(fingerprint) == self.most

    def survived(self, fingerprint: int) -> None:
        """The message came again and its worker lives: it is no longer suspected, unless it was given up."""
        if 0 < self.deaths_of(fingerprint) < self.most:
            del self._suspects[fingerprint]
            self._write()

    def clear(self) -> None:
        """Every message gets a new chance: the route was started again by hand, its code may be mended."""
        self._suspects.clear()
        self._write()

    def expire(self, now: float) -> None:
        """Forget what is old. Cheap; call it often: workers with a suspect do without their hot path."""
        old = [which for which, known in self._suspects.items() if now - known.last > FORGET_AFTER]
        for fingerprint in old:
            del self._suspects[fingerprint]
        if old:
            self._write()

    def _write(self) -> None:
        deaths = {
            fingerprint: known.deaths | (cells.TIMED_OUT if known.timed_out else 0)
            for fingerprint, known in self._suspects.items()
        }
        for words in self._boards:
            cells.write_suspects(words, deaths)
