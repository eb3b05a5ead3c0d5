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


class RateLimit(Middleware):
    """`rate` messages a second on the long run, `burst` at once (as many, by default), in each worker.

    `excess`: "wait" handles the others later, so that they wait at the broker once the window is full; "drop"
    handles them never: they count as handled. `key`, a function of the context, gives each value a bucket of
    its own, for the last 10,000 values: `lambda context: context["params"]["device_id"]`.
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
        self._buckets: dict[object, tuple[float, float]] = {}
        """Of each key its tokens, which may be owed, and when they were so many."""
        self._told = float("-inf")

    async def handle(self, context: Context, next_handler: NextHandler) -> Any:
        wait = self.take(None if self._key is None else self._key(context))
        if wait is None:
            self._drop(context)
            return None
        if wait > 0:
            await asyncio.sleep(wait)
        return await next_handler(context)

    def take(self, key: object = None) -> float | None:
        """Seconds until it is this message's turn; None when it is dropped."""
        now = self._clock()
        tokens, since = self._buckets.pop(key, (self.burst, now))
        tokens = min(self.burst, tokens + (now - since) * self.rate)
        if tokens < 1 and self._drops:
            self._keep(key, tokens, now)
            return None
        self._keep(key, tokens - 1, now)
        return max(0.0, (1 - tokens) / self.rate)

    def _keep(self, key: object, tokens: float, now: float) -> None:
        if len(self._buckets) >= _BUCKETS_MOST:
            del self._buckets[next(iter(self._buckets))]  # used longest ago: each use puts it at the end
        self._buckets[key] = tokens, now

    def _drop(self, context: Context) -> None:
        self.dropped += 1
        now = self._clock()
        if now - self._told >= _TELL_EVERY:
            self._told = now
            _log.warning(
                "over %g messages/s: %s dropped, %d so far", self.rate, context["topic"], self.dropped
            )
