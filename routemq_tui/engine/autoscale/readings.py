"""What a policy sees: short readings of all workers of a route, and the figures of an interval of them.

Work is counted in worker-seconds: a worker that is busy all of a second has done one. With `concurrency` it
is busy by the part of its handlers in flight, so that one figure means the same for every route.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import sqrt
from statistics import median


@dataclass(frozen=True, slots=True)
class Reading:
    """What the workers of a route did since the reading before it."""

    seconds: float
    workers: int
    busy: float
    """Worker-seconds in handlers."""
    received: int
    finished: int
    in_flight: int
    """Received and not acknowledged, at its end."""
    window: int
    """Receive windows of all workers together."""
    full: int = 0
    """Workers whose window was as good as full at its end (`is_full`)."""
    arrived: float | None = None
    """Messages that came to the broker for the route; None when that could not be seen."""
    queued: int | None = None
    """Messages that wait in the broker, where it tells."""
    cpu_percent: float | None = None
    """Mean of the workers; 100 is one core."""


AS_GOOD_AS_FULL = 0.9
"""Of a window: acknowledgements go out a few at a time, and the broker refills it after that."""


def is_full(in_flight: int, prefetch: int, concurrency: int = 1) -> bool:
    """Whether a worker's window says that more waits in the broker. What is in handlers says nothing."""
    return in_flight > concurrency and in_flight >= AS_GOOD_AS_FULL * prefetch


def arrivals(received: int, workers: int, roomy: int, queues: tuple[int | None, int | None]) -> float | None:
    """Messages that arrived while `received` were handed out; None when that cannot be known.

    `queues` is the broker's queue before and after, where it tells. Otherwise it is what was received, as
    long as `roomy` workers, half of all, had room in their windows at both ends: nothing was held back.
    """
    before, after = queues
    if before is not None and after is not None:
        return float(received + after - before)
    return float(received) if roomy and 2 * roomy >= workers else None


@dataclass(frozen=True, slots=True)
class Figures:
    """An interval of readings."""

    seconds: float
    workers: float
    """Mean number."""
    utilisation: float
    """Worker-seconds in handlers of those passed, 0 to 1."""
    hidden_utilisation: float
    """The same, while full windows hid what came."""
    hidden_for: float
    """Seconds at the end through which full windows hid it."""
    full: float
    """Part of the time of all workers with a full window, 0 to 1."""
    rate: float
    """Messages a second that came, without what came all at once; those finished, where that was not seen."""
    seen: bool
    """Whether all that came could be seen: no full windows hid it, or the broker told."""
    came: float
    """Messages that `rate` was seen from."""
    finished: int
    time: float | None
    """Worker-seconds a message; None when too few were finished to tell."""
    in_flight: int
    queued: int | None
    cpu_percent: float | None

    @property
    def depth(self) -> int:
        """Messages in flight, and those that are known to wait."""
        return self.in_flight + (self.queued or 0)


ENOUGH = 5
"""Messages finished from which on a mean time says something."""


def figures_of(readings: Sequence[Reading]) -> Figures:
    """Of at least one reading."""
    seconds = sum(each.seconds for each in readings)
    capacity = sum(each.seconds * each.workers for each in readings)
    busy = sum(each.busy for each in readings)
    finished = sum(each.finished for each in readings)
    members = sum(each.workers for each in readings)
    usage = [each.cpu_percent for each in readings if each.cpu_percent is not None]
    known = [each for each in readings if each.arrived is not None]
    hidden = [each for each in readings if each.arrived is None]
    seen = 2 * len(known) > len(readings)
    last = readings[-1]
    return Figures(
        seconds=seconds,
        workers=capacity / seconds if seconds else float(last.workers),
        utilisation=_utilisation(readings),
        hidden_utilisation=_utilisation(hidden),
        hidden_for=sum(each.seconds for each in takewhile(lambda it: it.arrived is None, reversed(readings))),
        full=sum(each.full for each in readings) / members if members else 0.0,
        rate=_rate(known) if seen else finished / seconds,
        seen=seen,
        came=sum(each.arrived or 0.0 for each in known) if seen else 0.0,
        finished=finished,
        time=busy / finished if finished >= ENOUGH else None,
        in_flight=last.in_flight,
        queued=last.queued,
        cpu_percent=sum(usage) / len(usage) if usage else None,
    )


def without_chance(messages: float, deviations: float = 0.8) -> float:
    """What of a count is left if chance made it so high: so many standard deviations of a Poisson process."""
    return max(1 - deviations / sqrt(messages), 0.5) if messages > 1 else 0.5


def _utilisation(readings: Sequence[Reading]) -> float:
    capacity = sum(each.seconds * each.workers for each in readings)
    return min(sum(each.busy for each in readings) / capacity, 1.0) if capacity else 0.0


def _rate(readings: Sequence[Reading]) -> float:
    """The mean, with what came all at once cut down to what chance allows: that is work, but no rate."""
    rates = [(each.arrived or 0.0) / each.seconds for each in readings]
    step = sum(each.seconds for each in readings) / len(readings)
    usual = max(median(rates), 0.0) * step
    most = (2 * usual + 4 * sqrt(usual + 1)) / step
    return max(sum(min(each, most) for each in rates) / len(rates), 0.0)
