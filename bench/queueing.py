"""A queueing model of one route: arrivals by a seed, a broker's queue, workers with receive windows.

It stands in for broker and processes only; what decides is the product's own `Scaler`, or a peer.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from math import ceil, exp
from typing import Protocol

from routemq_tui.config.model import ScalingConfig
from routemq_tui.engine.autoscale.readings import Reading, arrivals, is_full
from routemq_tui.engine.autoscale.scaler import Scaler

EVERY = 0.5
"""Seconds of a reading, as in the engine."""
Rate = Callable[[float], float]
"""Messages a second at a time."""


@dataclass(frozen=True, slots=True)
class Load:
    rate: Rate
    bursts: Callable[[float], int] = lambda at: 0
    """Messages that come at once within the reading that begins at a time."""
    service: float = 0.1
    """Mean seconds a message takes."""
    spread: float = 0.3
    """Standard deviation of it, of the mean."""
    cpu: float = 0.5
    """Part of a busy worker's time that is CPU."""


@dataclass(frozen=True, slots=True)
class Shop:
    """What does not change during a run."""

    workers: int = 2
    prefetch: int = 20
    start_delay: float = 0.5
    low: int = 1
    high: int = 32
    queue_known: bool = False
    """Whether the broker tells how much waits, as the embedded one does."""
    queue_most: int = 100_000


@dataclass(slots=True, eq=False)
class _Worker:
    from_time: float
    held: deque[float] = field(default_factory=deque)
    """Times that its messages will take, the one under way first."""
    began: float | None = None
    leaving: bool = False
    received: int = 0
    had_room: bool = True


class Decides(Protocol):
    def reading(self, now: float, reading: Reading) -> None: ...
    def hinders(self, now: float, why: str) -> None: ...
    def after(self, now: float, count: int) -> int: ...


class Ours:
    """The product's own scaler."""

    def __init__(self, scaling: ScalingConfig, shop: Shop) -> None:
        self.scaler = Scaler(scaling, shop.low, shop.high, True, 0.0)
        self.reading, self.hinders = self.scaler.reading, self.scaler.hinders

    def after(self, now: float, count: int) -> int:
        decision = self.scaler.look(now, count)
        return count if decision is None else decision.after


class Naive:
    """Proportional to utilisation at each interval: no band, no cool-down, no thought of what waits."""

    def __init__(self, scaling: ScalingConfig, shop: Shop) -> None:
        self._scaling, self._shop = scaling, shop
        self._next = scaling.interval
        self._readings: list[Reading] = []

    def reading(self, now: float, reading: Reading) -> None:
        self._readings.append(reading)

    def hinders(self, now: float, why: str) -> None:
        pass

    def after(self, now: float, count: int) -> int:
        if now < self._next - 1e-6:
            return count
        self._next += self._scaling.interval
        busy = sum(each.busy for each in self._readings)
        seconds = sum(each.seconds for each in self._readings)
        self._readings.clear()
        wanted = ceil(busy / seconds / self._scaling.target) if seconds else count
        return min(max(wanted, self._shop.low), self._shop.high)


@dataclass(slots=True)
class Run:
    """What happened: the number of workers over time, and what it cost."""

    changes: list[tuple[float, int]]
    """Times and the number from then on; the first at 0."""
    seconds: float
    backlog_peak: int = 0
    worker_seconds: float = 0.0
    waits: list[float] = field(default_factory=list)

    def count_at(self, at: float) -> int:
        return [number for when, number in self.changes if when <= at][-1]

    def between(self, begin: float, end: float) -> list[int]:
        """All numbers from `begin` on."""
        return [self.count_at(begin), *(number for when, number in self.changes if begin < when <= end)]

    def changes_a_minute(self, begin: float = 0.0) -> float:
        return sum(when > begin for when, _ in self.changes) / (self.seconds - begin) * 60

    def settled(self, begin: float, end: float, need: int, near: int = 1) -> float | None:
        """Seconds from `begin` until the number is and stays within `near` of `need`; None if it does not."""
        late = [when for when, number in self.changes if begin < when <= end and abs(number - need) <= near]
        if abs(self.count_at(end) - need) > near:
            return None
        points = [(begin, self.count_at(begin)), *(each for each in self.changes if begin < each[0] <= end)]
        outside = [index for index, (_, number) in enumerate(points) if abs(number - need) > near]
        if not outside:
            return 0.0
        return points[outside[-1] + 1][0] - begin if late else None


class Model:
    def __init__(self, load: Load, shop: Shop, seed: int) -> None:
        self._load, self._shop = load, shop
        self._random = random.Random(seed)
        self._workers = [_Worker(0.0) for _ in range(shop.workers)]
        self._queue: deque[float] = deque()
        self._ends: list[tuple[float, int, _Worker]] = []
        self._numbers = count()
        self._finished = 0
        self._next_member = 0
        self._queued_before = 0
        self._busy = 0.0
        self.now = 0.0

    @property
    def backlog(self) -> int:
        return len(self._queue) + sum(len(each.held) for each in self._workers)

    def scale(self, wanted: int) -> None:
        members = [each for each in self._workers if not each.leaving]
        for worker in members[wanted:]:
            worker.leaving = True
        for _ in range(wanted - len(members)):
            self._workers.append(_Worker(self.now + self._shop.start_delay))

    def step(self) -> Reading | None:
        """Half a second; None while a worker is starting."""
        end = self.now + EVERY
        self._finished, self._busy = 0, 0.0
        starting = any(not each.leaving and each.from_time > self.now for each in self._workers)
        for worker in self._workers:
            worker.received = 0
            worker.had_room = worker.from_time < self.now and not is_full(
                len(worker.held), self._shop.prefetch
            )
            if self.now < worker.from_time < end:
                heapq.heappush(self._ends, (worker.from_time, next(self._numbers), worker))
        self._fill()
        for at in self._arrivals(end):
            self._run_until(at)
            if len(self._queue) < self._shop.queue_most:
                self._queue.append(self._service())
            self._fill()
        self._run_until(end)
        self._workers = [each for each in self._workers if each.held or not each.leaving]
        reading = self._reading()
        return None if starting else reading

    def _arrivals(self, end: float) -> list[float]:
        mean = max(self._load.rate((self.now + end) / 2), 0.0) * EVERY
        found = sorted(self.now + self._random.random() * EVERY for _ in range(self._poisson(mean)))
        return sorted([*found, *[self.now] * self._load.bursts(self.now)])

    def _poisson(self, mean: float) -> int:
        if mean > 50:
            return max(round(self._random.gauss(mean, mean**0.5)), 0)
        limit, number, product = exp(-mean), 0, self._random.random()
        while product > limit:
            number += 1
            product *= self._random.random()
        return number

    def _service(self) -> float:
        spread = self._load.spread
        if not spread:
            return self._load.service
        shape = 1 / spread**2
        return self._random.gammavariate(shape, self._load.service / shape)

    def _fill(self) -> None:
        """Hand the queue out, one each in turn, to those with room."""
        ready = [each for each in self._workers if not each.leaving and each.from_time <= self.now]
        full = 0
        while self._queue and ready and full < len(ready):
            worker = ready[self._next_member % len(ready)]
            self._next_member += 1
            if len(worker.held) >= self._shop.prefetch:
                full += 1
                continue
            full = 0
            worker.held.append(self._queue.popleft())
            worker.received += 1
            self._begin(worker)

    def _begin(self, worker: _Worker) -> None:
        if worker.began is None and worker.held:
            worker.began = self.now
            heapq.heappush(self._ends, (self.now + worker.held[0], next(self._numbers), worker))

    def _run_until(self, end: float) -> None:
        while self._ends and self._ends[0][0] <= end:
            at, _, worker = heapq.heappop(self._ends)
            self._pass(at)
            if worker.began is not None:
                worker.held.popleft()
                worker.began = None
                self._finished += not worker.leaving
            self._begin(worker)
            if self._queue:
                self._fill()
        self._pass(end)

    def _pass(self, until: float) -> None:
        busy = sum(1 for each in self._workers if each.began is not None and not each.leaving)
        self._busy += busy * (until - self.now)
        self.now = until

    def _reading(self) -> Reading:
        members = [each for each in self._workers if not each.leaving]
        prefetch = self._shop.prefetch
        full = [each for each in members if is_full(len(each.held), prefetch)]
        roomy = [each for each in members if each.had_room and each not in full]
        received = sum(each.received for each in members)
        before, self._queued_before = self._queued_before, len(self._queue)
        queues = (before, len(self._queue)) if self._shop.queue_known else (None, None)
        used = self._busy / EVERY / len(members) if members else 0.0
        return Reading(
            seconds=EVERY,
            workers=len(members),
            busy=self._busy,
            received=received,
            finished=self._finished,
            in_flight=sum(len(each.held) for each in members),
            window=prefetch * len(members),
            full=len(full),
            arrived=arrivals(received, len(members), len(roomy), queues),
            queued=len(self._queue) if self._shop.queue_known else None,
            cpu_percent=100 * used * self._load.cpu,
        )


def simulate(load: Load, shop: Shop, decides: Decides, seconds: float, seed: int) -> Run:
    """Run the model for so many seconds."""
    model = Model(load, shop, seed)
    number = shop.workers
    run = Run([(0.0, number)], seconds)
    for tick in range(1, round(seconds / EVERY) + 1):
        reading = model.step()
        model.now = now = tick * EVERY
        run.backlog_peak = max(run.backlog_peak, model.backlog)
        run.worker_seconds += number * EVERY
        if reading is None:
            decides.hinders(now, "a worker is starting")
        else:
            decides.reading(now, reading)
        wanted = decides.after(now, number)
        if wanted != number:
            number = wanted
            model.scale(number)
            run.changes.append((now, number))
    return run


def workers_needed(rate: float, service: float, target: float) -> int:
    """The fewest workers that are not busier than the target."""
    return max(ceil(rate * service / target - 1e-9), 1)
