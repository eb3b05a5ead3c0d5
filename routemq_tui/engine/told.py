"""What workers tell of single messages: the messages kept, the error groups, the share that a tap shows.

One a program, used on the engine's thread; the message store may be read by anybody.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass

from routemq_tui.engine.error_groups import ErrorGroups
from routemq_tui.engine.message_store import MessageStore
from routemq_tui.engine.messages import TappedMessage
from routemq_tui.worker.error_place import place_of_death
from routemq_tui.worker.spec import PAYLOAD_MOST, ErrorsCounted, MessageTold

SHARE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Current:
    """The message that was in a handler when its process died."""

    topic: str
    fingerprint: int
    running: float
    """Seconds since its handler was called."""
    payload: bytes | None

    @property
    def size(self) -> int:
        """Of the payload, which the fingerprint tells when it is not known itself."""
        return self.fingerprint & 0xFFFFFFFF if self.payload is None else len(self.payload)


class _Share:
    def __init__(self) -> None:
        self._told: deque[tuple[float, bool, int]] = deque(maxlen=5000)
        """When a message was told, whether it had finished, and how many had since the one before."""

    def add(self, finished: bool, passed: int, now: float) -> None:
        self._told.append((now, finished, passed))

    def value(self, now: float) -> float | None:
        told = self._told
        while told and told[0][0] < now - SHARE_SECONDS:
            told.popleft()
        shown = sum(finished for _, finished, _ in told)
        passed = sum(passed for _, _, passed in told)
        return shown / passed if passed > shown else None


class ToldMessages:
    def __init__(self) -> None:
        self.messages = MessageStore()
        self.errors = ErrorGroups(lambda seq: self.messages.get(seq) is not None)
        self._shares: dict[str, _Share] = {}
        self._counted: Counter[str] = Counter()
        """Failed messages that are in a group, by worker."""

    def take(self, worker: str, told: MessageTold, now: float) -> None:
        message = TappedMessage(
            seq=self.messages.next_seq,
            time=told.time,
            worker=worker,
            route=worker.rpartition("/")[0],
            topic=told.topic,
            outcome=told.outcome,
            duration=told.duration,
            payload=told.payload,
            size=told.size,
            qos=told.qos,
            retain=told.retain,
            duplicate=told.duplicate,
            properties=told.properties,
            attempts=told.attempts,
            error=told.error,
            traceback=told.traceback,
            group=told.group,
            letter=told.letter,
            fingerprint=told.fingerprint,
        )
        self.messages.add(message)
        share = self._shares.setdefault(message.route, _Share())
        share.add(told.outcome != "retried", told.passed, now)
        if message.group:
            self.errors.show(message.group, message.seq, message.traceback)

    def count(self, worker: str, counted: ErrorsCounted) -> None:
        self._counted[worker] += sum(each.count for each in counted.groups)
        for each in counted.groups:
            self.errors.count(
                each.fingerprint, each.kind, each.where, each.text, each.count, each.time, worker
            )

    def ended(self, worker: str, failed: int) -> None:
        """A process of this worker ended, all its reports are taken, and its failed counter says so much."""
        self.errors.untold(failed - self._counted[worker], time.time(), worker)
        self._counted[worker] = failed

    def forget(self, worker: str) -> None:
        """Its slot went: the next one of this name begins at nothing."""
        self._counted.pop(worker, None)

    def died(self, worker: str, current: Current, words: str, deaths: int, timed_out: bool) -> None:
        """The worker's process ended with this message in its handler; no counter of messages has it yet."""
        cause = "timeout" if timed_out else "poison"
        place, at = place_of_death(cause, current.topic), time.time()
        self.errors.count(place.fingerprint, place.kind, place.where, words, 0, at, worker)
        message = TappedMessage(
            seq=self.messages.next_seq,
            time=at,
            worker=worker,
            route=worker.rpartition("/")[0],
            topic=current.topic,
            outcome=cause,
            duration=current.running,
            payload=(current.payload or b"")[:PAYLOAD_MOST],
            size=current.size,
            attempts=deaths,
            error=words,
            group=place.fingerprint,
            fingerprint=current.fingerprint,
        )
        self.messages.add(message)
        self.errors.show(place.fingerprint, message.seq, "")

    # -- the tap -----------------------------------------------------------------------------------------

    def tap_turned(self, route: str) -> None:
        self._shares.pop(route, None)

    def share(self, route: str, now: float) -> float | None:
        """How much of a route's messages its tap shows lately; None for all."""
        share = self._shares.get(route)
        return None if share is None else share.value(now)
