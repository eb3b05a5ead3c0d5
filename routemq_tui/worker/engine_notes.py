"""What the engine writes into a slot's cells for its worker: suspects, and messages that it waits for.

Both cost one look at a count while there are none.
"""

from __future__ import annotations

import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable

from routemq_tui.worker import cells
from routemq_tui.worker.delivery import Delivery
from routemq_tui.worker.failure import Failure
from routemq_tui.worker.spec import Fate, Seen, WorkerReport

_MOMENT = 3.0
"""A broker may give a dead member's messages to others before the engine has noticed: those that came again
and ended so many seconds ago are told all the same."""


class Suspects:
    """Messages that were being handled when their process died."""

    def __init__(self, words: memoryview) -> None:
        self._words = words
        self._raw = b""
        self._deaths: dict[int, int] = {}

    def deaths(self, fingerprint: int) -> int:
        words = self._words
        if not words[cells.SUSPECTS]:
            return 0
        raw = _region(words, cells.SUSPECTS, 2)
        if raw != self._raw:
            while raw != (again := _region(words, cells.SUSPECTS, 2)):  # it is being written
                raw = again
            self._raw = raw
            numbers = array("Q", raw)
            self._deaths = dict(zip(numbers[::2], numbers[1::2], strict=True))
        return self._deaths.get(fingerprint, 0)


class Watched:
    """Reports when a message comes that a killed process had in hand, and when its handling has ended."""

    def __init__(
        self, words: memoryview, in_hand: Iterable[Delivery], report: Callable[[WorkerReport], None]
    ) -> None:
        self.active = False
        """`came` needs to be called only while this is True."""
        self._words = words
        self._in_hand = in_hand
        self._report = report
        self._raw = b""
        # How often each may still be told: messages that are the same to the byte could come for ever.
        self._to_come: Counter[int] = Counter()
        self._to_end: Counter[int] = Counter()
        self._again: deque[tuple[Delivery, Fate, str, float]] = deque(maxlen=64)

    def look(self) -> None:
        """Once a batch: take what the engine has written since; what it asks for may be in hand already."""
        words = self._words
        if not words[cells.WATCHED] and not self.active:
            return
        raw = _region(words, cells.WATCHED, 1)
        if raw == self._raw:
            return
        self._raw = raw
        numbers = array("Q", raw)
        self._to_come, self._to_end = Counter(numbers), Counter(numbers)
        self.active = bool(numbers)
        for delivery in self._in_hand:
            self.came(delivery)
        now = time.monotonic()
        for delivery, fate, unrun, ended in self._again:
            if now - ended < _MOMENT:
                self.came(delivery)
                self._tell_end(delivery, fate, unrun)

    def came(self, delivery: Delivery) -> None:
        if self._to_come[delivery.fingerprint] > 0 and not delivery.announced:
            self._to_come[delivery.fingerprint] -= 1
            delivery.announced = True
            self._tell(delivery, "came")

    def ended(self, delivery: Delivery, fate: Fate, failure: Failure | None) -> None:
        """To be called for every message, while it is still in hand; with why it was given up, if it was."""
        unrun = failure.cause if failure and (failure.final or failure.cause == "payload") else ""
        self.look()
        if self.active:
            self._tell_end(delivery, fate, unrun)
        if delivery.duplicate:
            self._again.append((delivery.without_payload(), fate, unrun, time.monotonic()))

    def ended_all(self, deliveries: Iterable[Delivery], fate: Fate = "handled before") -> None:
        """The same for messages that are done already, when they may not have been told to have come."""
        self.look()
        if self.active:
            for delivery in deliveries:
                self.came(delivery)
                self._tell_end(delivery, fate)

    def _tell_end(self, delivery: Delivery, fate: Fate, unrun: str = "") -> None:
        if self._to_end[delivery.fingerprint] > 0:
            self._to_end[delivery.fingerprint] -= 1
            self._tell(delivery, fate, unrun)

    def _tell(self, delivery: Delivery, fate: Fate, unrun: str = "") -> None:
        self._report(Seen(delivery.fingerprint, delivery.topic.text, delivery.duplicate, fate, unrun))


def _region(words: memoryview, first: int, entry_words: int) -> bytes:
    """A count and so many entries, without the count."""
    count: int = words[first]
    return words[first + 1 : first + 1 + count * entry_words].tobytes()
