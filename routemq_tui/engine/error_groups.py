"""Failed messages by what failed: the groups that workers count, as a front end gets them.

Used on the engine's thread. Workers tell counts by fingerprint (`worker.error_tally`); what one could not
tell any more is known from its failed counter, and is a group of its own: all counts add up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from routemq_tui.engine.snapshot import ErrorGroup

GROUPS_MOST = 100
STEP = 10.0
STEPS = 30
UNKNOWN, OTHERS = "unknown", "others"
_TEXTS = {
    UNKNOWN: "the worker was killed before it told",
    OTHERS: "the groups that failed least lately, summed up",
}
_NAMES_MOST = 64


@dataclass(slots=True)
class _Group:
    fingerprint: str
    kind: str
    where: str
    first: float
    text: str = ""
    count: int = 0
    last: float = 0.0
    example: int = 0
    traceback: str = ""
    routes: dict[str, None] = field(default_factory=dict)
    workers: dict[str, None] = field(default_factory=dict)
    steps: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=STEPS))
    """Number of the step and count in it."""

    def add(self, count: int, at: float) -> None:
        self.count += count
        self.last = max(self.last, at)
        step = int(at // STEP)
        if self.steps and self.steps[-1][0] >= step:
            step, before = self.steps.pop()
            count += before
        self.steps.append((step, count))

    def seen_by(self, route: str, worker: str) -> None:
        for names, name in ((self.routes, route), (self.workers, worker)):
            if name and len(names) < _NAMES_MOST:
                names[name] = None

    def value(self, newest_step: int) -> ErrorGroup:
        counts = dict(self.steps)
        return ErrorGroup(
            fingerprint=self.fingerprint,
            kind=self.kind,
            text=self.text,
            where=self.where,
            count=self.count,
            first_seen=self.first,
            last_seen=self.last,
            routes=tuple(self.routes),
            workers=tuple(self.workers),
            trend=tuple(counts.get(newest_step - back, 0) for back in range(STEPS - 1, -1, -1)),
            example=self.example,
            traceback=self.traceback,
        )


class ErrorGroups:
    """All routes'. Times are Unix times."""

    def __init__(self, is_kept: Callable[[int], object]) -> None:
        self._is_kept = is_kept
        self._groups: dict[str, _Group] = {}
        self._examples: dict[str, tuple[int, str]] = {}
        """Message and traceback of those that were told and not counted yet."""
        self._dirty = True
        self._step = -1
        self._values: tuple[ErrorGroup, ...] = ()

    def count(
        self, fingerprint: str, kind: str, where: str, text: str, count: int, at: float, worker: str
    ) -> None:
        """`worker` told of so many more messages that failed for good; 0 for one that only cost a process."""
        group = self._group(fingerprint, kind, where, at)
        group.text = text
        group.seen_by(worker.rpartition("/")[0], worker)
        group.add(count, at)
        self._dirty = True
        self._let_go()

    def untold(self, count: int, at: float, worker: str) -> None:
        """So many more messages of the worker failed than it told before it ended."""
        if count > 0:
            self.count(UNKNOWN, UNKNOWN, "", _TEXTS[UNKNOWN], count, at, worker)

    def show(self, fingerprint: str, seq: int, traceback: str) -> None:
        """A message of the group that is kept."""
        group = self._groups.get(fingerprint)
        if group is None:
            self._examples[fingerprint] = seq, traceback
            if len(self._examples) > GROUPS_MOST:
                del self._examples[next(iter(self._examples))]
            return
        group.example = seq
        group.traceback = traceback or group.traceback
        self._dirty = True

    def values(self, now: float) -> tuple[ErrorGroup, ...]:
        """The newest `last_seen` first; the same value until something changed."""
        step = int(now // STEP)
        if self._dirty or (step != self._step and self._groups):
            self._dirty, self._step = False, step
            for each in self._groups.values():
                if each.example and not self._is_kept(each.example):
                    each.example = 0
            groups = sorted(self._groups.values(), key=lambda each: each.last, reverse=True)
            self._values = tuple(each.value(step) for each in groups)
        return self._values

    def _group(self, fingerprint: str, kind: str, where: str, at: float) -> _Group:
        group = self._groups.get(fingerprint)
        if group is None:
            group = self._groups[fingerprint] = _Group(fingerprint, kind, where, at)
            group.example, group.traceback = self._examples.pop(fingerprint, (0, ""))
        return group

    def _let_go(self) -> None:
        """The one that was seen last the longest ago goes, its count stays."""
        while len(self._groups) > GROUPS_MOST:
            ours = (UNKNOWN, OTHERS)
            oldest = min(
                (each for each in self._groups.values() if each.fingerprint not in ours),
                key=lambda each: each.last,
            )
            others = self._group(OTHERS, OTHERS, "", oldest.first)
            others.text = _TEXTS[OTHERS]
            others.first = min(others.first, oldest.first)
            others.count += oldest.count
            others.last = max(others.last, oldest.last)
            for route in oldest.routes:
                others.seen_by(route, "")
            del self._groups[oldest.fingerprint]
