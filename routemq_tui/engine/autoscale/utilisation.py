"""Workers by how busy they are: arrivals times the time of a message, against a target.

What arrives can be seen as long as the receive windows have room. Once they are full, no broker tells how
much waits; then the last that was seen while they filled is believed, and where even that is missing the
workers are doubled. A belief says how long its backlog takes: so long nothing more is added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from routemq_tui.config.model import ScalingConfig
from routemq_tui.engine.autoscale.need import Need
from routemq_tui.engine.autoscale.readings import Figures, Reading, without_chance
from routemq_tui.units import format_rate, format_seconds

SATURATED = 0.95
"""Utilisation from which on workers count as busy all the time."""
BACKLOG = 0.5
"""Part of the time with full windows from which on messages wait in the broker."""
LASTS = 2.0
"""Seconds of full windows that are no chance: small ones are full now and then."""
_ALMOST = 1e-6
_FILLING = 0.15
_QUICK = 0.4
"""A window that was less full than this one reading before it was full hid what came."""


@dataclass(slots=True)
class _Belief:
    """What is thought to arrive while full windows hide it."""

    demand: float
    """Workers kept busy by what arrives."""
    backlog: float
    """Worker-seconds of what waits."""


class ByUtilisation:
    """The policy of one route. It remembers what it believes from one look to the next."""

    def __init__(self, scaling: ScalingConfig) -> None:
        self._scaling = scaling
        self._belief: _Belief | None = None

    def forget(self) -> None:
        """What was believed is of another time."""
        self._belief = None

    def need(self, figures: Figures, readings: Sequence[Reading], count: int) -> Need:
        """What `count` workers should be; `readings` may begin before the figures' interval."""
        if figures.seen or figures.full < BACKLOG:
            self._belief = None
            return self._of_what_is_seen(figures, count)
        scaling = self._scaling
        lasts = figures.hidden_for >= LASTS or figures.utilisation > scaling.target + scaling.band
        if figures.hidden_utilisation >= SATURATED and not lasts:
            words = f"{_busy(figures)} of {scaling.target:.0%} target, {_windows(figures)}"
            return Need(count, count, words)
        if figures.hidden_utilisation < SATURATED:
            self._belief = None
            words = f"{_busy(figures)} with {_windows(figures)}: they wait for something else than handlers"
            return Need(count, count, words)
        return self._of_what_is_hidden(figures, readings, count)

    def _of_what_is_seen(self, figures: Figures, count: int) -> Need:
        scaling = self._scaling
        demand, how = demand_of(figures)
        enough = max(ceil(demand / scaling.target - _ALMOST), 1)
        words = f"{_busy(figures)} of {scaling.target:.0%} target{how}"
        if figures.full >= 0.05:
            words += f", {_windows(figures)}"
        waiting = max(figures.depth - figures.workers, 0) * (figures.time or 0.0)
        clearing = demand + waiting / scaling.drain
        if figures.queued and clearing > enough:
            words += f", {figures.depth} wait: {clearing:.1f} workers clear them in {scaling.drain:g} s"
            return Need(max(ceil(clearing), count), ceil(clearing), words)
        sure = demand if figures.time is None else demand * without_chance(figures.came)
        band = scaling.band if figures.utilisation < SATURATED else 0.0
        if sure <= count * (scaling.target + band):
            return Need(count, enough, words)
        return Need(max(ceil(sure / scaling.target - _ALMOST), count + 1), enough, words)

    def _of_what_is_hidden(self, figures: Figures, readings: Sequence[Reading], count: int) -> Need:
        scaling, belief = self._scaling, self._belief
        words = f"{_busy(figures)} of {scaling.target:.0%} target, {_windows(figures)}"
        least = max(ceil(count / scaling.target - _ALMOST), count + 1)
        if belief is None:
            demand = _before_it_was_hidden(readings, figures)
            hidden = figures.full * figures.seconds
            if demand is None or demand <= count:
                self._belief = _Belief(2 * count * scaling.target, 0.0)
                return Need(2 * count, 2 * count, f"{words}: what waits is not known, so twice as many")
            self._belief = _Belief(demand, (demand - count) * hidden)
            enough = max(ceil(demand / scaling.target - _ALMOST), least)
            return Need(enough, enough, f"{words}, as it filled {demand:.1f} workers' work came")
        belief.backlog += (belief.demand - count) * figures.seconds
        enough = ceil(belief.demand / scaling.target - _ALMOST)
        if enough > count:
            return Need(enough, enough, f"{words}, {belief.demand:.1f} workers' work comes")
        left = belief.backlog / max(count - belief.demand, 0.1)
        if left > -figures.seconds:  # beliefs are not exact: an interval more
            return Need(count, count, f"{words}: the backlog clears in about {max(left, 1):.0f} s")
        self._belief = _Belief(float(count), 0.0)
        return Need(least, least, f"{words}: the backlog has not cleared")


def demand_of(figures: Figures) -> tuple[float, str]:
    """Workers that what arrives keeps busy, and how that was worked out; rises with rate, time and busy time.

    Messages that take so long that few end in an interval count by the time they were in handlers.
    """
    busy = figures.utilisation * figures.workers
    if figures.time is None:
        return busy, ""
    demand = figures.rate * figures.time
    each = format_seconds(figures.time)
    return demand, f", {format_rate(figures.rate)}/s x {each} = {demand:.1f} workers' work"


def _before_it_was_hidden(readings: Sequence[Reading], figures: Figures) -> float | None:
    """Workers that were kept busy by what came while the windows filled; None if they filled at once."""
    if figures.time is None:
        return None
    end = len(readings)
    while end and readings[end - 1].arrived is None:
        end -= 1
    if not end or readings[end - 1].in_flight < _QUICK * readings[end - 1].window:
        return None
    first = end
    while first and readings[first - 1].in_flight >= _FILLING * readings[first - 1].window:
        first -= 1
    filling = readings[first:end]
    seconds = sum(each.seconds for each in filling)
    came = sum(each.arrived or 0.0 for each in filling)
    return came * without_chance(came, 0.4) / seconds * figures.time


def _busy(figures: Figures) -> str:
    return f"{figures.utilisation:.0%} busy"


def _windows(figures: Figures) -> str:
    return f"windows full {figures.full:.0%} of {figures.seconds:.2g} s"
