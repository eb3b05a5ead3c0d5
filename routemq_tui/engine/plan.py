"""How many workers a load needs, and what stands against so many: arithmetic, each step in words.

Little's law: messages in hand at a time = messages a second x seconds that each is in hand. Knows no engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor, inf
from typing import Any

from routemq_tui.units import format_seconds

HEADROOM = 1.3
"""Room for a load that does not come evenly: workers that are busy all of the time let it pile up."""
SATURATED = 0.95
"""Mean utilisation from which on more messages may be waiting than the rate tells."""
_NOTHING = 1e-12
"""A part of computing that divides to no number."""


@dataclass(frozen=True, slots=True)
class Load:
    rate: float
    """Messages a second, above 0."""
    time: float
    """Seconds a handler takes with one, above 0."""
    cpu: float | None = None
    """Part of that time in which it computes, 0 to 1; None when it is not known: taken for waiting."""
    concurrency: int = 1
    """Messages one worker has in hand at once, at most."""
    memory: int | None = None
    """Bytes of one worker."""


@dataclass(frozen=True, slots=True)
class Machine:
    cores: float
    memory: int | None = None
    """Bytes that the workers may have together; None is no bound."""
    most: int | None = None
    """Workers there may be at all; None is no bound."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the arithmetic."""

    what: str
    text: str


@dataclass(frozen=True, slots=True)
class Advice:
    workers: int
    """At least 1, unless not even one fits the memory."""
    wanted: int
    """For the load with its headroom, if nothing stood against it."""
    bound: str
    """What keeps it from `wanted`: `cores`, `memory`, `most`, or empty."""
    capacity: float
    """Messages a second that so many workers can do, all of them busy all of the time."""
    steps: tuple[Step, ...]

    def enough(self, load: Load) -> bool:
        """Whether the load can be done at all."""
        return self.capacity >= load.rate * (1 - 1e-9)


def advise(load: Load, machine: Machine, headroom: float = HEADROOM) -> Advice:
    """Workers for a load on a machine; `headroom` is at least 1."""
    cpu = load.cpu or 0.0
    in_hand = load.rate * load.time
    # A process computes on one core at a time, however many messages it has in hand.
    wanted = max(_up(in_hand * headroom / load.concurrency), _up(in_hand * cpu * headroom), 1)
    steps = [_in_hand_step(load), _headroom_step(load, headroom, wanted)]
    bounds = {"cores": inf, "memory": inf, "most": inf if machine.most is None else machine.most}
    core_step, bounds["cores"] = _cores(load, machine)
    steps.append(core_step)
    if load.memory is not None:
        memory_step, bounds["memory"] = _memory(load.memory, machine, wanted)
        steps.append(memory_step)
    if machine.most is not None and machine.most < wanted:
        steps.append(Step("bound", f"there may be {machine.most} at most"))
    bound, least = min(bounds.items(), key=lambda each: each[1])
    workers = int(min(least, wanted))
    capacity = _capacity(load, machine, workers)
    steps.append(
        Step("capacity", f"{_workers(workers)}: at most {_number(capacity)}/s, all busy all the time")
    )
    return Advice(workers, wanted, bound if least < wanted else "", capacity, tuple(steps))


def answer(load: Load, advice: Advice) -> str:
    """The advice in a line."""
    count = _workers(advice.workers)
    if not advice.bound:
        return f"{count} for {_number(load.rate)}/s, up to {_number(advice.capacity)}/s"
    why, mend = _BOUNDS[advice.bound]
    if not advice.workers:
        return f"no worker at all: the memory does not hold one; {mend}"
    if advice.enough(load):
        return f"{count} for {_number(load.rate)}/s, {why}: the headroom would take {advice.wanted}"
    return f"{count}, {why}: at most {_number(advice.capacity)} of {_number(load.rate)}/s; {mend}"


_BOUNDS = {
    "cores": ("as many as keep the cores busy", "more cores or less computing for a message are needed"),
    "memory": ("as many as the memory holds", "more memory or smaller workers are needed"),
    "most": ("as many as there may be", "raise max_workers, or share the route if it is not"),
}


def measured_load(route: Mapping[str, Any], concurrency: int) -> Load | None:
    """The load of a route by a snapshot of it (`snapshot_json`); None while no message passes.

    Time in handlers of the workers, added up, is the messages in hand: Little's law gives the mean time.
    """
    rate = route["rate"]
    alive = [each for each in route["workers"] if each["pid"] is not None]
    busy = sum(each["utilisation"] for each in alive)
    if rate <= 0 or busy <= 0:
        return None
    computing = (route["cpu_percent"] or 0.0) / 100
    in_hand = max(busy, computing)  # for a quick handler the client computes longer than the handler
    if concurrency > 1 and busy > SATURATED * len(alive):
        in_hand = max(in_hand, (route["p50"] or 0.0) * rate)  # utilisation ends at 1
    sizes = [each["rss_bytes"] for each in alive if each["rss_bytes"] is not None]
    cpu = None if route["cpu_percent"] is None else min(computing / in_hand, 1.0)
    return Load(rate, in_hand / rate, cpu, concurrency, max(sizes, default=None))


def is_saturated(route: Mapping[str, Any]) -> bool:
    """Whether messages may be waiting that no rate tells of."""
    return bool(route["utilisation"] >= SATURATED)


def _in_hand_step(load: Load) -> Step:
    in_hand = load.rate * load.time
    text = f"{_number(load.rate)}/s x {format_seconds(load.time)} = {_number(in_hand)} messages at a time"
    return Step("in hand", f"{text} (Little's law)")


def _headroom_step(load: Load, headroom: float, wanted: int) -> Step:
    in_hand = load.rate * load.time
    text = f"{_number(in_hand)} x {headroom:g} = {_number(in_hand * headroom)}"
    if load.concurrency > 1:
        text += f", {load.concurrency} at a time in a worker"
    return Step("headroom", f"{text}: {_workers(wanted)}")


def _cores(load: Load, machine: Machine) -> tuple[Step, float]:
    """The workers that keep all cores busy: more of them would only wait for a core."""
    cores = "1 core" if machine.cores == 1 else f"{machine.cores:g} cores"
    if load.cpu is None:
        most = _number(machine.cores / load.time)
        text = f"no bound for handlers that wait; if they only computed, {cores} would do {most}/s"
        return Step("cores", text), inf
    if load.cpu < _NOTHING:
        return Step("cores", "no bound: the handlers only wait"), inf
    of_one = min(1.0, load.cpu * load.concurrency)
    bound = max(floor(round(machine.cores / of_one, 9)), 1)
    in_hand = load.rate * load.time
    wanted = (
        f"{_number(in_hand)} x {load.cpu:.3g} of computing = {_number(in_hand * load.cpu)} wanted of {cores}"
    )
    return Step(
        "cores", f"{wanted}; {machine.cores:g} / {of_one:.3g} = {_workers(bound)} keep them busy"
    ), bound


def _memory(each: int, machine: Machine, wanted: int) -> tuple[Step, float]:
    text = f"{wanted} x {_size(each)} = {_size(each * wanted)}"
    if machine.memory is None:
        return Step("memory", text), inf
    fit = machine.memory // each
    return Step(
        "memory", f"{text} wanted of {_size(machine.memory)}: {fit or 'not even one'} of them fit"
    ), fit


def _capacity(load: Load, machine: Machine, workers: int) -> float:
    by_time, cpu = workers * load.concurrency / load.time, load.cpu or 0.0
    if cpu < _NOTHING:
        return by_time
    computing = load.time * cpu
    return min(by_time, workers / computing, machine.cores / computing)


def _up(value: float) -> int:
    """Rounded up; 500 x 0.1 x 1.3 is 65 and not a hair above."""
    return ceil(round(value, 9))


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"


def _number(value: float) -> str:
    """Three digits at least, none that says nothing."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _size(value: float) -> str:
    """In the units that sizes are given in."""
    for limit, divisor, unit in ((1e6, 1e3, "kB"), (1e9, 1e6, "MB")):
        if value < limit:
            return f"{_number(value / divisor)} {unit}"
    return f"{_number(value / 1e9)} GB"
