"""What a front end sees of the engine: one immutable value a tick. Knows no process, pipe or widget.

Rates are per second over a sliding window, latencies and ages seconds, memory bytes, ratios 0 to 1.
None means "not known", never zero.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from routemq_tui.engine.states import WorkerState


class Health(StrEnum):
    """Healthy from 90 % of the desired workers running, degraded from 70 %, else unhealthy."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


class EngineState(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Mark:
    """An event to be marked on a sparkline: a scale, restart, kill or crash."""

    time: float
    """Unix time."""
    label: str
    """"+1 worker", "killed", "restarted"."""
    effect: str = ""
    """What followed, from the 10 s before and after: "rate +31 %, p95 -12 ms". Empty until 15 s have passed,
    when nothing was to be measured, and when another mark came in between: that one tells of both."""


@dataclass(frozen=True, slots=True)
class History:
    """One point a `step`, oldest first, the last one just now; at most 60 points, all of the same length."""

    rate: tuple[float, ...] = ()
    p95: tuple[float, ...] = ()
    error_rate: tuple[float, ...] = ()
    cpu_percent: tuple[float, ...] = ()
    marks: tuple[Mark, ...] = ()
    step: float = 1.0
    """Seconds from one point to the next."""
    until: float = 0.0
    """Unix time at which the last point ends (it may be in the making); 0 when that is not known."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a worker, a route and the whole engine have in common. Counts are since the slot was made."""

    received: int = 0
    ok: int = 0
    failed: int = 0
    retried: int = 0
    dead_lettered: int = 0
    dropped: int = 0
    duplicates: int = 0
    in_flight: int = 0
    log_dropped: int = 0
    rate: float = 0.0
    """Messages finished a second (ok and failed)."""
    error_rate: float | None = None
    """Failed of finished in the window; None when nothing was finished."""
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    utilisation: float = 0.0
    """Time in handlers of time passed, 0 to 1 for a worker, the mean of the running workers for a route."""
    cpu_percent: float | None = None
    """100 is one core."""
    rss_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of a process."""

    time: float
    """Unix time."""
    words: str
    ran_for: float
    """Seconds from its start."""


@dataclass(frozen=True, slots=True)
class WorkerSnapshot:
    route: str
    slot: int
    state: WorkerState
    client_id: str
    at_rest: bool = False
    """It stopped by itself, as its policy says, and waits for a person."""
    reason: str = ""
    """Why it is in this state, in words: "exited by SIGSEGV while handling sensors/7/data"."""
    pid: int | None = None
    connected: bool = False
    metrics: Metrics = Metrics()
    share: float | None = None
    """Its part of the route's message rate; None while the route is idle."""
    window: int = 0
    """Receive Maximum: in flight of window."""
    restarts: int = 0
    crashes: int = 0
    """Deaths in the last minute that nobody asked for."""
    uptime: float | None = None
    retry_in: float | None = None
    """Seconds until the next start, in back-off."""
    last_exit: str | None = None
    exits: tuple[Exit, ...] = ()
    """How its processes ended, the last eight, oldest first."""
    memory_limit: int | None = None
    """Bytes it may have (`limits.memory`); it is restarted beyond."""
    last_error: str | None = None
    current_topic: str | None = None
    current_for: float | None = None
    history: History = History()

    @property
    def name(self) -> str:
        return f"{self.route}/{self.slot}"


@dataclass(frozen=True, slots=True)
class ScalingSnapshot:
    """A route's autoscale."""

    switch: str
    """`on`, `off`, or `paused`: somebody scaled by hand."""
    policy: str
    """`utilisation` or `rate`."""
    low: int
    high: int
    target: float | None = None
    """Utilisation it aims at, 0 to 1; None for a policy without one."""
    why: str = ""
    """Of a pause: "you set 4"."""
    found: str = ""
    """What the last look found, or what it waits for, in words."""
    decision: str = ""
    """The last change: "3 -> 5: 96% busy of 70% target, windows full 80% of 5 s"; empty: none yet."""
    decided: float | None = None
    """Unix time of it."""
    next_look: float | None = None
    """Seconds until the next look; None while it is not on."""


@dataclass(frozen=True, slots=True)
class RouteSnapshot:
    name: str
    topic: str
    filter: str
    subscription: str
    handler: str
    qos: int
    shared: bool
    desired: int
    running: int
    paused: bool
    max_workers: int
    metrics: Metrics = Metrics()
    history: History = History()
    workers: tuple[WorkerSnapshot, ...] = ()
    """By slot number. A stopped, failed or crashed worker keeps its row."""

    def log_sources(self) -> frozenset[str]:
        """Names its workers have, had or may have: what is logged before a worker is first seen, and after
        its row went, is the route's too."""
        slots = range(1, min(self.max_workers, _LOG_SLOTS) + 1)
        return frozenset((*(f"{self.name}/{slot}" for slot in slots), *(each.name for each in self.workers)))

    reason: str = ""
    """What holds it up, in words: "jobs/2 holds a message: the disk is full"."""
    tapped: bool = False
    """Its messages are told one by one (`SetTap`). Those that fail are told in any case."""
    sampled: float | None = None
    """Share of the messages that the tap shows lately, 0 to 1; None: all."""
    scaling: ScalingSnapshot | None = None
    """None: it cannot be scaled."""
    min_workers: int = 0


_LOG_SLOTS = 64


class BrokerState(StrEnum):
    STARTING = "starting"
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class BrokerSnapshot:
    kind: str
    """`embedded`, `mosquitto` or `external`."""
    address: str
    state: BrokerState
    version: str | None = None
    reason: str = ""
    """Why it is down, in words; of one that is up, what is odd about it."""
    dropped: int | None = None
    """Messages the broker says it dropped; None where it does not say."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that happened and that a user wants told once (a toast, a line in the plain front end)."""

    number: int
    """Rises by one; a front end shows those it has not shown."""
    time: float
    severity: str
    """`information`, `warning` or `error`."""
    text: str


class Outcome(StrEnum):
    """What became of a message that was in hand when its worker died."""

    AWAITED = "awaited"
    """Not seen again yet; in a settled ledger: not seen in the time it was looked for."""
    REDELIVERED = "redelivered"
    """A worker has it; its handler has not ended yet."""
    HANDLED = "handled"
    HANDLED_TWICE = "handled twice"
    """Its handler had ended before the death, the broker had no acknowledgement: it ran again."""
    DEAD_LETTERED = "dead-lettered"
    """It failed for good, and is kept in the store."""
    PUBLISHED = "published"
    """It failed for good, and was published to the dead-letter topic."""
    DROPPED = "dropped"
    """It failed for good and is gone: `on_error = "drop"`."""
    STOPPED = "stopped"
    """It failed for good, its worker stops and the broker keeps it: `on_error = "stop"`."""
    UNKNOWABLE = "unknowable"
    """QoS 0: no broker sends it again."""


FAILED = (Outcome.DEAD_LETTERED, Outcome.PUBLISHED, Outcome.DROPPED, Outcome.STOPPED)


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One message of a ledger."""

    fingerprint: int
    topic: str | None
    """Known once the message was seen again, or when its handler was running."""
    outcome: Outcome
    slot: int | None = None
    """The slot it came to."""
    after: float | None = None
    """Seconds from the death to the redelivery."""
    unrun: str = ""
    """Of one that failed, why its handler was not called: `poison`, `timeout` or `payload`."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """What was in hand at a kill or crash, and what became of it. Nothing in hand: no entries, settled."""

    worker: str
    pid: int
    time: float
    """Unix time of the death."""
    reason: str
    in_flight: int
    entries: tuple[LedgerEntry, ...] = ()
    """In order of receipt; of very many only the first are followed."""
    settled: bool = False
    qos: int = 1
    """Of the route."""
    handled_before: int = 0
    """So many had been handled when it died, and it is not known which of them."""

    @property
    def counts(self) -> Counter[Outcome]:
        return Counter(each.outcome for each in self.entries)

    @property
    def lost(self) -> int:
        """At QoS 0: at least so many. What the broker had sent and was not read yet nobody can count."""
        if self.qos:
            return 0
        return max(self.in_flight - self.counts[Outcome.HANDLED] - self.handled_before, 0)

    def fate_words(self) -> list[str]:
        """What became of those in hand beyond their redelivery: "1 handled twice", "2 dead letters" …"""
        counts = self.counts
        if not self.qos:
            handled = counts[Outcome.HANDLED] + self.handled_before
            told = [f"{handled} handled before"] if handled else []
            unread = "what it had not read yet is not known (QoS 0: never sent again)"
            return [*told, f"at least {self.lost} lost; {unread}" if self.in_flight else unread]
        told = [f"{self.handled_before} handled before, not known which"] if self.handled_before else []
        if counts[Outcome.HANDLED_TWICE]:
            told.append(f"{counts[Outcome.HANDLED_TWICE]} handled twice")
        failed = Counter((each.outcome, each.unrun) for each in self.entries if each.outcome in FAILED)
        for (outcome, unrun), count in sorted(failed.items()):
            told.append(f"{count} {_FATES[outcome][count > 1]}{f' (not run: {unrun})' * bool(unrun)}")
        return told

    def span_words(self) -> str:
        """How long the redeliveries took: `0.1-0.3 s`, `12-40 ms`, `40 ms-1.2 s`; empty without any."""
        times = [each.after for each in self.entries if each.after is not None]
        if not times:
            return ""
        (low, low_unit), (high, high_unit) = _in_unit(min(times)), _in_unit(max(times))
        if low_unit != high_unit:
            return f"{low} {low_unit}-{high} {high_unit}"
        return f"{low if low == high else f'{low}-{high}'} {high_unit}"


_FATES = {
    Outcome.DEAD_LETTERED: ("dead letter", "dead letters"),
    Outcome.PUBLISHED: ("published as a dead letter", "published as dead letters"),
    Outcome.DROPPED: ("dropped", "dropped"),
    Outcome.STOPPED: ("stopped its worker", "stopped their workers"),
}


def _in_unit(seconds: float) -> tuple[str, str]:
    if seconds >= 0.095:
        return f"{seconds:.1f}", "s"
    return f"{seconds * 1000:.0f}" if seconds >= 0.001 else "<1", "ms"


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Messages that failed for good at the same place of the user's code, or in the same way.

    The counts of all groups add up to the failed counters of the workers: what a killed worker could not
    tell any more is the group `unknown`, groups that were let go are summed up in `others`.
    """

    fingerprint: str
    """In hexadecimal digits; or `unknown`, `others`."""
    kind: str
    """`ValueError`; `poison` and `timeout` for messages that cost a process; `payload` for what does not
    decode."""
    text: str
    """Of the last one, a line."""
    where: str
    """`routes/sensors.py:12 in temperature`; the topic of poison and timeouts."""
    count: int
    """Messages given up; 0 while a message only has cost processes."""
    first_seen: float
    last_seen: float
    """Unix times."""
    routes: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()
    """`temperature/2`, at most 64 of them."""
    trend: tuple[int, ...] = ()
    """Counts every 10 s, the last 30, oldest first."""
    example: int = 0
    """`seq` of a message that is kept (`port.MessageReader.get`); 0: none."""
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    sequence: int
    time: float
    """Unix time."""
    state: EngineState
    group: str
    node: str
    broker: BrokerSnapshot
    routes: tuple[RouteSnapshot, ...] = ()
    metrics: Metrics = Metrics()
    history: History = History()
    health: Health = Health.HEALTHY
    health_percent: int = 100
    running: int = 0
    desired: int = 0
    dead_letters: int = 0
    """In the project's store, of this run and of earlier ones."""
    notices: tuple[Notice, ...] = field(default=())
    """The last 50, oldest first."""
    ledgers: tuple[Ledger, ...] = ()
    """Of the last 20 deaths with messages in hand, and of workers whose last death left none; newest last."""
    errors: tuple[ErrorGroup, ...] = ()
    """Newest `last_seen` first, at most 100."""
