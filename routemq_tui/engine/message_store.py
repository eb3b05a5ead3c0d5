"""The last messages that workers told of, bounded in number and bytes; failed ones are kept longest."""

from __future__ import annotations

import heapq
import threading
from bisect import bisect_right
from collections import deque
from itertools import islice
from operator import attrgetter

from routemq_tui.engine.messages import MessageBatch, TappedMessage

MESSAGES_MOST = 2000
BYTES_MOST = 16 * 1024 * 1024
_OVERHEAD = 600
"""Bytes that a message takes beside its texts."""
_SEQ = attrgetter("seq")


class _Shelf:
    """Messages of one kind, oldest first."""

    def __init__(self) -> None:
        self.messages: deque[TappedMessage] = deque()
        self.bytes = 0

    def add(self, message: TappedMessage) -> None:
        self.messages.append(message)
        self.bytes += _bytes_of(message)

    def drop_oldest(self) -> TappedMessage:
        message = self.messages.popleft()
        self.bytes -= _bytes_of(message)
        return message

    def after(self, seq: int) -> list[TappedMessage]:
        first = bisect_right(self.messages, seq, key=_SEQ)
        return list(islice(self.messages, first, None))


class MessageStore:
    """Implements `port.MessageReader`. Thread-safe."""

    def __init__(self, messages_most: int = MESSAGES_MOST, bytes_most: int = BYTES_MOST) -> None:
        self._messages_most, self._bytes_most = messages_most, bytes_most
        self._lock = threading.Lock()
        self._ordinary, self._failed = _Shelf(), _Shelf()
        self._by_seq: dict[int, TappedMessage] = {}
        self._last_seq = 0

    @property
    def last_seq(self) -> int:
        return self._last_seq

    @property
    def next_seq(self) -> int:
        """For the message that is added next."""
        return self._last_seq + 1

    def add(self, message: TappedMessage) -> None:
        """Keep it; its `seq` is `next_seq`."""
        with self._lock:
            self._last_seq = message.seq
            self._by_seq[message.seq] = message
            (self._ordinary if message.outcome == "ok" else self._failed).add(message)
            self._make_room()

    def _make_room(self) -> None:
        ordinary, failed = self._ordinary, self._failed
        # A quarter stays for the others: a tap must show what goes well among failures, too.
        while len(failed.messages) > self._messages_most * 3 // 4 or failed.bytes > self._bytes_most * 3 // 4:
            del self._by_seq[failed.drop_oldest().seq]
        while (
            len(self._by_seq) > self._messages_most or ordinary.bytes + failed.bytes > self._bytes_most
        ) and ordinary.messages:
            del self._by_seq[ordinary.drop_oldest().seq]

    def read(self, route: str | None = None, after: int = 0, limit: int = 1000) -> MessageBatch:
        with self._lock:
            last = self._last_seq
            held = list(heapq.merge(self._ordinary.after(after), self._failed.after(after), key=_SEQ))
        missed = last - after - len(held) if after else 0
        found = held if route is None else [each for each in held if each.route == route]
        kept = found[:limit]
        next_seq = kept[-1].seq if len(found) > limit else max(after, last)
        return MessageBatch(tuple(kept), next_seq, max(missed, 0))

    def get(self, seq: int) -> TappedMessage | None:
        with self._lock:
            return self._by_seq.get(seq)


def _bytes_of(message: TappedMessage) -> int:
    properties = sum(len(str(each)) for each in message.properties.values())
    return len(message.payload) + len(message.traceback) + len(message.topic) + properties + _OVERHEAD
