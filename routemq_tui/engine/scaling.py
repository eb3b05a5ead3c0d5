"""Autoscale at work: takes readings of each route's workers, and has decisions carried out.

Scaling by itself goes the way of a key: it sets the route's desired count, and says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from routemq_tui.config.model import ScalingPolicy
from routemq_tui.engine.autoscale.readings import Reading, arrivals, is_full
from routemq_tui.engine.autoscale.scaler import Scaler
from routemq_tui.engine.crew import Crew
from routemq_tui.engine.journal import Journal
from routemq_tui.engine.slot import Slot
from routemq_tui.engine.snapshot import ScalingSnapshot
from routemq_tui.engine.states import WorkerState
from routemq_tui.worker import cells

Queued = Callable[[str, str], int | None]
"""Messages that wait in the broker for a share group's filter; None where it does not tell."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A slot at the last reading."""

    received: int
    finished: int
    busy_ns: int
    had_room: bool


class CrewReader:
    """What the workers of one route did since it was last asked."""

    def __init__(self, crew: Crew) -> None:
        self.crew = crew
        self._seen: dict[Slot, _Seen] = {}
        self._at: float | None = None
        self._queued: int | None = None

    def take(self, now: float, now_ns: int, queued: int | None) -> Reading | str:
        """A reading, or why there is none: a route that is not all at work says nothing of its need."""
        why = hindrance(self.crew)
        members = [] if why else self.crew.members
        before, self._seen = self._seen, {each: self._look(each, now_ns) for each in members}
        seconds = 0.0 if self._at is None else now - self._at
        queues, self._queued = (self._queued, queued), queued
        self._at = now
        if why:
            return why
        if seconds <= 0 or before.keys() != self._seen.keys():
            return "workers have just come or gone"
        return self._reading(seconds, before, queues)

    def _reading(
        self, seconds: float, before: dict[Slot, _Seen], queues: tuple[int | None, int | None]
    ) -> Reading:
        after, route = self._seen, self.crew.route
        count = len(after)
        received = sum(new.received - before[slot].received for slot, new in after.items())
        roomy = sum(new.had_room and before[slot].had_room for slot, new in after.items())
        in_flight = [slot.words[cells.IN_FLIGHT] for slot in after]
        usage = [
            slot.usage.cpu_percent for slot in after if slot.usage and slot.usage.cpu_percent is not None
        ]
        if route.concurrency > 1:  # handlers that overlap: what is in flight tells how many there are
            busy = seconds * sum(min(each, route.concurrency) for each in in_flight) / route.concurrency
        else:
            busy = sum(new.busy_ns - before[slot].busy_ns for slot, new in after.items()) / 1e9
        return Reading(
            seconds=seconds,
            workers=count,
            busy=min(max(busy, 0.0), seconds * count),
            received=received,
            finished=sum(new.finished - before[slot].finished for slot, new in after.items()),
            in_flight=sum(in_flight),
            window=count * route.prefetch,
            full=sum(not new.had_room for new in after.values()),
            arrived=arrivals(received, count, roomy, queues),
            queued=queues[1],
            cpu_percent=sum(usage) / len(usage) if usage else None,
        )

    def _look(self, slot: Slot, now_ns: int) -> _Seen:
        words, route = slot.words, self.crew.route
        since = words[cells.CURRENT_SINCE_NS]
        return _Seen(
            words[cells.RECEIVED],
            words[cells.OK] + words[cells.FAILED],
            words[cells.BUSY_NS] + (max(now_ns - since, 0) if since else 0),
            not is_full(words[cells.IN_FLIGHT], route.prefetch, route.concurrency),
        )


def hindrance(crew: Crew) -> str:
    """Why the workers' figures say nothing of what is needed; empty when they do."""
    if crew.paused:
        return "the route is paused"
    if crew.is_rolling:
        return "a rolling restart is under way"
    members = crew.members
    if len(members) != crew.desired:
        return "workers come or go"
    for slot in members:
        if slot.state is not WorkerState.RUNNING:
            return f"{slot.name} is {slot.state}"
        if not slot.connected:
            return f"{slot.name} is not connected"
        if slot.holding:
            return f"{slot.name} {slot.holding}"
    return ""


class Autoscaler:
    """Ask it twice a second, on the engine's thread."""

    def __init__(self, crews: dict[str, Crew], journal: Journal, queued: Queued) -> None:
        self._crews, self._journal, self._queued = crews, journal, queued
        self._readers: dict[str, CrewReader] = {}

    @property
    def is_active(self) -> bool:
        return any(crew.scaler is not None and crew.scaler.is_on for crew in self._crews.values())

    def look(self, now: float, now_ns: int) -> None:
        """Readings of all routes that autoscale, and what follows from them."""
        for name in self._readers.keys() - self._crews.keys():
            del self._readers[name]
        for name, crew in self._crews.items():
            scaler = crew.scaler
            if scaler is None or not scaler.is_on:
                self._readers.pop(name, None)
                continue
            reader = self._readers.get(name)
            if reader is None or reader.crew is not crew:  # a route replaced keeps its name
                reader = self._readers[name] = CrewReader(crew)
            found = reader.take(now, now_ns, self._queued(crew.route.group, crew.filter))
            if isinstance(found, str):
                scaler.hinders(now, found)
            else:
                scaler.reading(now, found)
            self._decide(crew, scaler, now)

    def _decide(self, crew: Crew, scaler: Scaler, now: float) -> None:
        decision = scaler.look(now, crew.desired)
        if decision is None:
            return
        crew.desired = decision.after
        crew.mark(f"autoscale {decision.before} → {decision.after}")
        self._journal.event("engine", f"{crew.route.name}: autoscale {decision}")


def scaling_snapshot(crew: Crew, now: float, unix_now: float) -> ScalingSnapshot | None:
    """What a front end sees of a route's autoscale; None for a route that cannot be scaled."""
    scaler = crew.scaler
    if scaler is None:
        return None
    decision, policy = scaler.decision, scaler.scaling.policy
    return ScalingSnapshot(
        switch=scaler.switch.value,
        policy=policy.value,
        low=scaler.low,
        high=scaler.high,
        target=scaler.scaling.target if policy is ScalingPolicy.UTILISATION else None,
        why=scaler.why,
        found=scaler.thought,
        decision=str(decision) if decision else "",
        decided=unix_now - (now - decision.time) if decision else None,
        next_look=max(scaler.next_look - now, 0.0) if scaler.is_on else None,
    )
