"""At most so many messages a second in a worker: a token bucket."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Literal

from routemq_tui.routing.middleware import Context, Middleware, NextHandler

_log = logging.getLogger("routemq.rate_limit")
_TELL_EVERY = 10.0
_BUCKETS_MOST = 10_000
_LATE_SECONDS = 0.05
"""A sleep that ends later than it should is made up for, up to so much."""


class _Bucket:
    """Of one key: tokens, when they were so many, and whose turn it is. Those that wait come in order."""

    __slots__ = ("since", "tokens", "turn")

    def __init__(self, tokens: float, now: float) -> None:
        self.tokens, self.since = tokens, now
        self.turn = asyncio.Lock()

    def fill(self, now: float, rate: float, most: float) -> None:
        self.tokens = max(self.tokens, min(most, self.tokens + (now - self.since) * rate))
        self.since = now


class RateLimit(Middleware):
    """`rate` messages a second on the long run, `burst` at once (as many, by default), in each worker.

    `excess`: "wait" handles the others later, so that they wait at the broker once the window is full; "drop"
    handles them never: they count as handled. `key`, a function of the context, gives each value a bucket of
    its own, for the last 10,000 values: `lambda context: context["params"]["device_id"]`.

    The wait counts against the route's `timeout`: give it more than `concurrency / rate` seconds. A message
    that times out before its turn takes nothing from those behind it.
    """

    def __init__(
        self,
        rate: float,
        burst: float | None = None,
        excess: Literal["wait", "drop"] = "wait",
        key: Callable[[Context], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if rate <= 0 or (burst is not None and burst < 1):
            raise ValueError("rate is above 0, and burst 1 or more")
        if excess not in ("wait", "drop"):
            raise ValueError(f'excess is "wait" or "drop", not {excess!r}')
        self.rate, self.burst = rate, max(1.0, rate) if burst is None else burst
        self.dropped = 0
        self._drops, self._key, self._clock = excess == "drop", key, clock
        self._buckets: dict[object, _Bucket] = {}
        self._told = float("-inf")

    async def handle(self, context: Context, next_handler: NextHandler) -> Any:
        bucket = self._bucket(None if self._key is None else self._key(context))
        if not self._drops:
            await self._take_in_turn(bucket)
        elif not self._take_at_once(bucket):
            self._drop(context)
            return None
        return await next_handler(context)

    def _take_at_once(self, bucket: _Bucket) -> bool:
        bucket.fill(self._clock(), self.rate, self.burst)
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    async def _take_in_turn(self, bucket: _Bucket) -> None:
        """Only the first in the queue waits for a token: whoever is cancelled has not taken one."""
        async with bucket.turn:
            bucket.fill(self._clock(), self.rate, self.burst)
            if bucket.tokens < 1:
                await asyncio.sleep((1 - bucket.tokens) / self.rate)
                bucket.fill(self._clock(), self.rate, max(self.burst, 1 + _LATE_SECONDS * self.rate))
            bucket.tokens -= 1

    def _bucket(self, key: object) -> _Bucket:
        bucket = self._buckets.pop(key, None)
        if bucket is None:
            if len(self._buckets) >= _BUCKETS_MOST:
                self._forget_one()
            bucket = _Bucket(self.burst, self._clock())
        self._buckets[key] = bucket
        return bucket

    def _forget_one(self) -> None:
        """The one used longest ago, as each use puts it at the end, for which nobody waits."""
        for key, bucket in self._buckets.items():
            if not bucket.turn.locked():
                del self._buckets[key]
                return

    def _drop(self, context: Context) -> None:
        self.dropped += 1
        now = self._clock()
        if now - self._told >= _TELL_EVERY:
            self._told = now
            _log.warning(
                "over %g messages/s: %s dropped, %d so far", self.rate, context["topic"], self.dropped
            )
