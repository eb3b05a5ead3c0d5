"""The engine's figures as Prometheus metrics, made anew from one snapshot at each scrape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from routemq_tui.engine.latencies import Latencies
from routemq_tui.engine.port import LetterReader
from routemq_tui.engine.snapshot import BrokerState, Health, RouteSnapshot, Snapshot, WorkerSnapshot
from routemq_tui.engine.states import WorkerState

BOUNDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
"""Upper bounds of the latency histogram, in seconds."""
PREFIX = "routemq"
_RESULTS = ("ok", "failed", "retried", "dead_lettered", "dropped")
_HEALTH = (Health.UNHEALTHY, Health.DEGRADED, Health.HEALTHY)


class Observed(Protocol):
    """An engine, as far as metrics need one."""

    @property
    def letters(self) -> LetterReader: ...
    def snapshot(self) -> Snapshot: ...
    def latencies(self) -> Mapping[str, Latencies]: ...


class EngineMetrics(Collector):
    """Counts are by route: those of a worker that was scaled away stay in them. What is of one worker is a
    gauge, and goes with it."""

    def __init__(self, engine: Observed) -> None:
        self._engine = engine
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        return ()  # else all is collected once for its names

    def collect(self) -> Iterator[Metric]:
        # First the histograms: a message in between is in the counts, never the other way round.
        latencies = self._engine.latencies()
        snapshot = self._engine.snapshot()
        yield from _of_engine(snapshot, self._engine.letters.count())
        yield from _of_routes(snapshot.routes)
        yield from _of_workers([worker for route in snapshot.routes for worker in route.workers])
        yield _histogram(latencies)


def _gauge(name: str, text: str, labels: Iterable[str] = ()) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=list(labels))


def _counter(name: str, text: str, labels: Iterable[str] = ("route",)) -> CounterMetricFamily:
    return CounterMetricFamily(f"{PREFIX}_{name}", text, labels=list(labels))


def _single(name: str, text: str, value: float) -> GaugeMetricFamily:
    found = _gauge(name, text)
    found.add_metric([], value)
    return found


def _of_engine(snapshot: Snapshot, letters: int) -> Iterator[Metric]:
    up = snapshot.broker.state is BrokerState.UP
    yield _single("broker_connected", "Whether the broker can be reached.", up)
    yield _single("health", "2 healthy, 1 degraded, 0 unhealthy.", _HEALTH.index(snapshot.health))
    yield _single("health_ratio", "Running of desired workers.", snapshot.health_percent / 100)
    yield _single("dead_letters", "Dead letters in the store.", letters)
    if snapshot.broker.dropped is not None:
        dropped = _counter("broker_dropped", "Messages the broker says it dropped.", ())
        dropped.add_metric([], snapshot.broker.dropped)
        yield dropped


def _of_routes(routes: Iterable[RouteSnapshot]) -> Iterator[Metric]:
    routes = list(routes)
    messages = _counter(
        "messages", "Messages by what became of them; retried counts attempts.", ("route", "result")
    )
    received = _counter("messages_received", "Messages that came from the broker, duplicates too.")
    logs = _counter("log_lines_dropped", "Log lines that workers dropped.")
    states = _gauge("workers", "Workers by state.", ("route", "state"))
    desired = _gauge("workers_desired", "Workers that are wanted.", ("route",))
    scaling = _gauge("autoscale", "Whether autoscale acts.", ("route",))
    for route in routes:
        metrics = route.metrics
        for result in _RESULTS:
            messages.add_metric([route.name, result], getattr(metrics, result))
        received.add_metric([route.name], metrics.received)
        logs.add_metric([route.name], metrics.log_dropped)
        desired.add_metric([route.name], route.desired)
        for state in WorkerState:
            states.add_metric([route.name, state.value], sum(each.state is state for each in route.workers))
        if route.scaling is not None:
            scaling.add_metric([route.name], route.scaling.switch == "on")
    yield from (messages, received, logs, states, desired, scaling)


def _of_workers(workers: list[WorkerSnapshot]) -> Iterator[Metric]:
    labels = ("route", "worker")
    families: tuple[tuple[str, str, list[tuple[WorkerSnapshot, float | None]]], ...] = (
        ("worker_in_flight", "Messages in hand.", [(each, each.metrics.in_flight) for each in workers]),
        ("worker_window", "Receive Maximum.", [(each, each.window) for each in workers]),
        (
            "worker_utilisation_ratio",
            "Time in handlers of time passed.",
            [(each, each.metrics.utilisation) for each in workers],
        ),
        (
            "worker_cpu_ratio",
            "CPU used; 1 is a core.",
            [
                (each, None if each.metrics.cpu_percent is None else each.metrics.cpu_percent / 100)
                for each in workers
            ],
        ),
        (
            "worker_resident_memory_bytes",
            "Resident memory.",
            [(each, each.metrics.rss_bytes) for each in workers],
        ),
        ("worker_restarts", "Starts after the first.", [(each, each.restarts) for each in workers]),
        ("worker_connected", "Whether it is connected.", [(each, each.connected) for each in workers]),
    )
    for name, text, values in families:
        family = _gauge(name, text, labels)
        for worker, value in values:
            if value is not None:
                family.add_metric([worker.route, worker.name], value)
        yield family


def _histogram(latencies: Mapping[str, Latencies]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(
        f"{PREFIX}_handler_seconds", "Time in the handler, each attempt.", labels=["route"]
    )
    for route, found in latencies.items():
        counts = found.cumulative(BOUNDS)
        buckets = [(str(bound), float(count)) for bound, count in zip(BOUNDS, counts, strict=True)]
        family.add_metric([route], [*buckets, ("+Inf", float(found.count))], found.seconds)
    return family
