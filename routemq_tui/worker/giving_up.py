"""What becomes of a message that failed: when it is tried again, and how it is given up.

A dead letter is stored before its message may be acknowledged; while it cannot be stored the message is held.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Protocol

from routemq_tui.worker import cells
from routemq_tui.worker.dead_letters import DeadLetter, StoreUnavailableError
from routemq_tui.worker.delivery import Delivery
from routemq_tui.worker.error_tally import ErrorTally
from routemq_tui.worker.failure import Failure
from routemq_tui.worker.letters import Kept, letter_of
from routemq_tui.worker.spec import (
    Fate,
    GivenUp,
    Stopped,
    StoreFailed,
    StoreRecovered,
    WorkerReport,
    WorkerSpec,
)
from routemq_tui.worker.tap import Tap

LONGEST_DELAY = 30.0
STORE_RETRY_SECONDS = 1.0
REPORT_SECONDS = 0.5

_log = logging.getLogger("routemq.worker")


class Outlet(Protocol):
    """Where dead letters go."""

    async def put(self, letter: DeadLetter) -> Kept:
        """When this returns the letter is safe. StoreUnavailableError when it cannot be now."""


class FailurePolicy:
    def __init__(
        self,
        spec: WorkerSpec,
        words: memoryview,
        outlet: Outlet,
        tally: ErrorTally,
        tap: Tap,
        report: Callable[[WorkerReport], None],
        stop: Callable[[], None],
    ) -> None:
        self.holding = False
        """A message is held because its dead letter cannot be stored."""
        self.storing = 0
        """Messages whose dead letter is being stored, or waits for that."""
        self._spec = spec
        self._words = words
        self._outlet = outlet
        self._tally = tally
        self._tap = tap
        self._report = report
        self._stop = stop
        self._one_at_a_time = asyncio.Lock()
        self._reported_at = 0.0

    def delay(self, attempts: int) -> float:
        """Seconds to wait after so many attempts: doubling, shortened by up to a half at random."""
        longest = min(self._spec.retry_delay * 2.0 ** min(attempts - 1, 32), LONGEST_DELAY)
        return longest * random.uniform(0.5, 1.0)

    async def give_up(self, delivery: Delivery, failure: Failure) -> Fate:
        """Settle a message by the route's `on_error`. One that is `stopped` must stay unacknowledged."""
        words = self._words
        words[cells.FAILED] += 1
        self._tally.count(failure, delivery.topic.text)
        if self._spec.on_error == "stop":
            self._tap.failed(delivery, failure, "stopped")
            self._tell(delivery, failure, "stopped", always=True)
            self._report(Stopped(delivery.topic.text, failure.error))
            self._stop()
            return "stopped"
        if self._spec.on_error == "drop":
            words[cells.DROPPED] += 1
            self._tap.failed(delivery, failure, "dropped")
            self._tell(delivery, failure, "dropped")
            return "dropped"
        kept = await self._keep(delivery, failure)
        words[cells.DEAD_LETTERED] += 1
        self._tap.failed(delivery, failure, "dead-lettered", kept.number)
        self._tell(delivery, failure, kept.outcome)
        return "published" if kept.outcome == "published" else "dead-lettered"

    async def _keep(self, delivery: Delivery, failure: Failure) -> Kept:
        self.storing += 1
        try:
            async with self._one_at_a_time:
                return await self._keep_trying(delivery, failure)
        finally:
            self.storing -= 1

    async def _keep_trying(self, delivery: Delivery, failure: Failure) -> Kept:
        letter = letter_of(self._spec, delivery, failure)
        reason = ""
        try:
            while True:
                try:
                    kept = await self._outlet.put(letter)
                    break
                except StoreUnavailableError as error:
                    self.holding = True
                    self._words[cells.HOLDING] = 1
                    if not reason:
                        self._tap.failed(delivery, failure, "failed")
                    if str(error) != reason:
                        reason = str(error)
                        self._report(StoreFailed(reason))
                        _log.error("%s; holding the message of %s, unacknowledged", reason, letter.topic)
                await asyncio.sleep(STORE_RETRY_SECONDS)
        finally:
            self.holding = False
            self._words[cells.HOLDING] = 0
        if reason:
            self._report(StoreRecovered())
            _log.warning("the dead letter of %s is %s: going on", letter.topic, kept.outcome)
        return kept

    def _tell(self, delivery: Delivery, failure: Failure, outcome: str, always: bool = False) -> None:
        now = time.monotonic()
        if always or now - self._reported_at >= REPORT_SECONDS:
            self._reported_at = now
            self._report(
                GivenUp(delivery.topic.text, failure.error, failure.cause, failure.attempts, outcome)
            )
