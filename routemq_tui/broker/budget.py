"""What waits and what was dropped: bytes charged against the bounds, and drops counted and said."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from routemq_tui.broker.limits import Limits

log = logging.getLogger("routemq_tui.broker")

SWEEP_EVERY = 1.0
"""Seconds between two looks for expired messages: each looks at all that wait."""


@dataclass(slots=True)
class Totals:
    """Counters since the start."""

    received: int = 0
    sent: int = 0
    dropped: int = 0
    expired: int = 0
    redelivered: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0
    connections: int = 0
    refused: int = 0
    violations: int = 0
    internal_errors: int = 0


class Ledger:
    """The broker's one account of bytes held for delivery and of messages it had to drop."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.totals = Totals()
        self.bytes = 0
        self.state = 0
        """Bytes kept for clients that are no messages on their way."""
        self.unsent = 0
        """Bytes written to clients that have not left, as of the last look."""
        self.crowded = False
        """Whether these are more than they may be."""
        self.forget_expired: Callable[[float], None] = lambda now: None
        """Set by who knows all queues: drops what has expired while it waited."""
        self._unsaid: dict[str, int] = {}
        self._sweep_at = 0.0

    def drop(self, cause: str, count: int = 1) -> None:
        """Count dropped messages; the log says them at the next `report`."""
        self.totals.dropped += count
        self._unsaid[cause] = self._unsaid.get(cause, 0) + count

    def has_place(self, size: int) -> bool:
        """Whether state of that size can be kept for a client."""
        return not size or self.state + size <= self.limits.state_bytes

    def keep(self, size: int) -> bool:
        """Account for it; False when there is no place for it."""
        if not self.has_place(size):
            return False
        self.state += size
        return True

    def let_go(self, size: int) -> None:
        self.state -= size

    def count_unsent(self, change: int) -> None:
        self.unsent += change
        self.crowded = self.unsent > self.limits.unsent_bytes

    def make_room(self) -> bool:
        """Have the expired messages of all queues dropped; False when that was done a moment ago."""
        now = time.monotonic()
        if now < self._sweep_at:
            return False
        self._sweep_at = now + SWEEP_EVERY
        self.forget_expired(now)
        return True

    def report(self) -> None:
        """Say what was dropped since the last call, a line a cause; call it once a second."""
        unsaid, self._unsaid = self._unsaid, {}
        for cause, count in list(unsaid.items())[:20]:
            log.warning("dropped %d message%s: %s", count, "" if count == 1 else "s", cause)
        if len(unsaid) > 20:
            log.warning(
                "dropped %d messages more, %d causes", sum(list(unsaid.values())[20:]), len(unsaid) - 20
            )


class Budget:
    """The messages held for one session or group: waiting and unacknowledged."""

    __slots__ = ("bytes", "ledger", "messages")

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.messages = 0
        self.bytes = 0

    def charge(self, size: int) -> bool:
        """Take a message of that size on; False when a bound is reached and nothing was taken."""
        ledger = self.ledger
        limits = ledger.limits
        if (
            self.messages >= limits.queue_messages
            or self.bytes + size > limits.queue_bytes
            or ledger.bytes + size > limits.total_bytes
        ):
            return ledger.make_room() and self.charge(size)
        self.messages += 1
        self.bytes += size
        ledger.bytes += size
        return True

    def take(self, size: int) -> None:
        """Take a message on whatever the bounds say: it was accepted before."""
        self.messages += 1
        self.bytes += size
        self.ledger.bytes += size

    def release(self, size: int) -> None:
        self.messages -= 1
        self.bytes -= size
        self.ledger.bytes -= size
