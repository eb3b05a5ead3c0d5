"""Which messages are in hand, told in the slot's shared memory: what a kill leaves behind can be named.

Those in hand are the last ones received, without a gap: the numbers from ACKNOWLEDGED to RECEIVED, each with
a fingerprint in the ring or in the record of the hot path (`black_box`). Usually the oldest goes first; when
not, the rest is numbered anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from routemq_tui.worker import black_box, cells
from routemq_tui.worker.delivery import Delivery


class Receipts:
    def __init__(self, words: memoryview) -> None:
        self._words = words
        first, end = words[cells.DONE_FROM], words[cells.DONE_TO]
        self._done_before = Counter(black_box.fingerprints(words, range(first, end)))
        """Handled by a process of this slot that died before it could acknowledge them."""
        words[cells.DONE_FROM] = words[cells.DONE_TO] = words[cells.RECORD_COUNT] = 0

    @property
    def in_hand(self) -> int:
        return int(self._words[cells.RECEIVED] - self._words[cells.ACKNOWLEDGED])

    def take(self, delivery: Delivery) -> None:
        """Count a message and give it its number."""
        words = self._words
        number = words[cells.RECEIVED]
        self.enter(delivery, number)
        words[cells.RECEIVED] = number + 1  # after its entry: a kill may come between
        words[cells.IN_FLIGHT] = number + 1 - words[cells.ACKNOWLEDGED]

    def enter(self, delivery: Delivery, number: int) -> None:
        """Give a message its number, and make its fingerprint known under it."""
        mark = cells.fingerprint(delivery.topic.raw, delivery.payload)
        delivery.number, delivery.fingerprint = number, mark
        self._words[cells.IN_HAND + number % cells.IN_HAND_RING] = mark

    def end_record(self) -> None:
        """All in hand are entered one by one."""
        self._words[cells.RECORD_COUNT] = 0

    def was_done(self, delivery: Delivery) -> bool:
        """The slot's last process handled it: it comes again only because its acknowledgement did not go."""
        if not (self._done_before and delivery.duplicate and self._done_before[delivery.fingerprint] > 0):
            return False
        self._done_before[delivery.fingerprint] -= 1
        self._words[cells.OK] += 1  # the one that handled it could not count it any more
        return True

    @property
    def awaits_done(self) -> bool:
        """Some that the last process handled have not come again yet."""
        return bool(self._done_before)

    def forget_done(self) -> None:
        """What comes with DUP from now on is nothing that the last process had."""
        self._done_before.clear()

    def leave(self, delivery: Delivery) -> bool:
        """The oldest is no longer in hand. False when this is not the oldest: then `renumber` is due."""
        words = self._words
        oldest = words[cells.ACKNOWLEDGED]
        if delivery.number != oldest:
            return False
        words[cells.ACKNOWLEDGED] = oldest + 1
        words[cells.IN_FLIGHT] = words[cells.RECEIVED] - oldest - 1
        return True

    @property
    def received(self) -> int:
        return int(self._words[cells.RECEIVED])

    def leave_all(self, count: int) -> None:
        """The oldest `count` are no longer in hand."""
        words = self._words
        words[cells.ACKNOWLEDGED] += count
        words[cells.IN_FLIGHT] = words[cells.RECEIVED] - words[cells.ACKNOWLEDGED]
        self.settle()

    def settle(self) -> None:
        """What the hot path has done is acknowledged, or is another's to acknowledge."""
        self._words[cells.DONE_FROM] = self._words[cells.DONE_TO]

    def renumber(self, in_hand: Iterable[Delivery]) -> None:
        """These are in hand, and no others."""
        words = self._words
        held = sorted(in_hand, key=lambda delivery: delivery.number)
        first = words[cells.RECEIVED] - len(held)
        for number, delivery in enumerate(held, first):
            delivery.number = number
            words[cells.IN_HAND + number % cells.IN_HAND_RING] = delivery.fingerprint
        words[cells.ACKNOWLEDGED] = first
        words[cells.IN_FLIGHT] = len(held)
