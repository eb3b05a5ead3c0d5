"""One route's autoscale: a switch, looks at fixed times, and decisions within bounds and cool-downs."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from routemq_tui.config.model import ScalingConfig, ScalingPolicy
from routemq_tui.engine.autoscale.need import Need
from routemq_tui.engine.autoscale.rate import ByRate
from routemq_tui.engine.autoscale.readings import Figures, Reading, figures_of
from routemq_tui.engine.autoscale.utilisation import ByUtilisation

LEAST = 0.5
"""Part of an interval that must have been measured before a look says anything."""
KEPT = 3
"""Intervals of readings that a policy may look back on."""
_TICK = 1e-3
"""Seconds that clocks may differ by."""


class Switch(StrEnum):
    OFF = "off"
    ON = "on"
    PAUSED = "paused"
    """Somebody scaled by hand; on again when asked."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A change of the number of workers, and why."""

    time: float
    """On the clock that was passed in."""
    before: int
    after: int
    reason: str

    def __str__(self) -> str:
        return f"{self.before} -> {self.after}: {self.reason}"


class Policy(Protocol):
    def need(self, figures: Figures, readings: Sequence[Reading], count: int) -> Need: ...
    def forget(self) -> None: ...


_POLICIES: dict[ScalingPolicy, type[ByUtilisation] | type[ByRate]] = {
    ScalingPolicy.UTILISATION: ByUtilisation,
    ScalingPolicy.RATE: ByRate,
}


class Scaler:
    """Give it a `reading` often, or say what `hinders` one; ask `look` as often. Times only rise."""

    def __init__(self, scaling: ScalingConfig, low: int, high: int, on: bool, now: float) -> None:
        self.scaling = scaling
        self.low, self.high = max(low, 1), high
        self.switch = Switch.ON if on else Switch.OFF
        self.why = ""
        """Of a pause, in words."""
        self.decision: Decision | None = None
        """The last one."""
        self.thought = ""
        """What the last look found, in words."""
        self.next_look = now + scaling.interval
        self._policy: Policy = _POLICIES[scaling.policy](scaling)
        self._readings: deque[tuple[float, Reading]] = deque()
        self._enough: deque[tuple[float, int]] = deque()
        """Of the looks whose figures lie within a cool-down."""
        self._changed = now
        """When the number last changed, or looking began."""
        self._from = now
        """Readings before do not count: other workers, or not all of them at work."""
        self._hindrance = ""

    @property
    def is_on(self) -> bool:
        return self.switch is Switch.ON

    # -- the switch --------------------------------------------------------------------------------------

    def turn(self, on: bool, now: float) -> None:
        self.switch = Switch.ON if on else Switch.OFF
        self.why = self.thought = ""
        self._begin(now)

    def pause(self, why: str) -> bool:
        """Somebody knows better. Whether that changes anything: only what is on can be paused."""
        was_on = self.is_on
        if self.switch is not Switch.OFF:
            self.switch, self.why, self.thought = Switch.PAUSED, why, ""
        return was_on

    def _begin(self, now: float) -> None:
        self._readings.clear()
        self._enough.clear()
        self._policy.forget()
        self._changed = self._from = now
        self.next_look = now + self.scaling.interval

    # -- what is measured --------------------------------------------------------------------------------

    def reading(self, now: float, reading: Reading) -> None:
        self._hindrance = ""
        self._readings.append((now, reading))
        while self._readings[0][0] < now - KEPT * self.scaling.interval:
            self._readings.popleft()

    def hinders(self, now: float, why: str) -> None:
        """The workers are not all at work: what they do now says nothing of what is needed."""
        self._hindrance = why
        self._from = now

    # -- a look ------------------------------------------------------------------------------------------

    def look(self, now: float, count: int) -> Decision | None:
        """What to change `count` to, when it is time and enough is known. Taken as done."""
        if not self.is_on or now < self.next_look - _TICK:
            return None
        while self.next_look <= now + _TICK:
            self.next_look += self.scaling.interval
        if not self.low <= count <= self.high:
            name, bound = ("least", self.low) if count < self.low else ("most", self.high)
            return self._decide(now, count, bound, f"{name} {bound} while autoscale is on")
        need = self._need(now, count)
        if need is None:
            return None
        self.thought = need.words
        self._enough.append((now, need.enough))
        while self._enough[0][0] <= now - self.scaling.cooldown + _TICK:
            self._enough.popleft()
        return self._more(now, count, need) if need.wanted > count else self._fewer(now, count, need)

    def _need(self, now: float, count: int) -> Need | None:
        if self._hindrance:
            self.thought = f"waits: {self._hindrance}"
            self._enough.clear()
            return None
        begin = max(self._from, now - self.scaling.interval) + _TICK
        recent = [each for at, each in self._readings if at > begin]
        if sum(each.seconds for each in recent) < LEAST * self.scaling.interval - _TICK:
            self.thought = "waits: too little is measured yet"
            return None
        return self._policy.need(figures_of(recent), [each for _, each in self._readings], count)

    def _more(self, now: float, count: int, need: Need) -> Decision | None:
        after = min(need.wanted, count + self.scaling.step, self.high)
        if after == count:
            self.thought += f"; {self.high} is the most (max_workers)"
            return None
        rest = self._changed + self.scaling.rest_up - now
        if rest > _TICK:
            self.thought += f"; {after} after a rest of {rest:.0f} s"
            return None
        return self._decide(now, count, after, need.words)

    def _fewer(self, now: float, count: int, need: Need) -> Decision | None:
        """Down to what was enough all through the cool-down."""
        after = max(*(each for _, each in self._enough), need.enough, count - self.scaling.step, self.low)
        if max(need.enough, self.low) >= count:
            return None
        measured = now - self._enough[0][0] + self.scaling.interval
        rest = max(self._changed, now - measured) + self.scaling.cooldown - now
        if rest > _TICK:
            fewer = max(need.enough, self.low)
            self.thought += f"; {fewer} would do, if so for {rest:.0f} s more"
            return None
        return self._decide(now, count, after, need.words) if after < count else None

    def _decide(self, now: float, before: int, after: int, reason: str) -> Decision:
        self.decision = Decision(now, before, after, reason)
        self._changed = self._from = now
        if after < before:
            self._enough.clear()
        return self.decision
