"""Workers by messages a second, as RouteMQ's page on shared subscriptions has it.

A worker for each 100 messages/s (`per_worker`); half as many again above 80 % CPU, 0.7 of them below 30 %;
1.3 times as many when more than 1,000 messages are in flight or known to wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from routemq_tui.config.model import ScalingConfig
from routemq_tui.engine.autoscale.need import Need
from routemq_tui.engine.autoscale.readings import Figures, Reading, without_chance
from routemq_tui.units import format_rate

HIGH_CPU, HIGH_CPU_FACTOR = 80.0, 1.5
LOW_CPU, LOW_CPU_FACTOR = 30.0, 0.7
DEEP, DEEP_FACTOR = 1000, 1.3
BAND = 0.1
"""Part of the present number that must be missing before workers are added: rates are never quite still."""


class ByRate:
    """The policy of one route; it remembers nothing."""

    def __init__(self, scaling: ScalingConfig) -> None:
        self._per_worker = scaling.per_worker

    def forget(self) -> None:
        """There is nothing to forget."""

    def need(self, figures: Figures, readings: Sequence[Reading], count: int) -> Need:
        workers, words = workers_by_rule(figures, self._per_worker)
        enough = max(ceil(workers - 1e-6), 1)
        sure = workers * without_chance(figures.came) if figures.seen else workers
        return Need(max(ceil(sure - 1e-6), count) if sure > count * (1 + BAND) else count, enough, words)


def workers_by_rule(figures: Figures, per_worker: float) -> tuple[float, str]:
    """The rule's number, not rounded, and its arithmetic in words."""
    workers = figures.rate / per_worker
    words = f"{format_rate(figures.rate)}/s / {per_worker:g}"
    cpu = figures.cpu_percent
    if cpu is not None and cpu > HIGH_CPU:
        workers *= HIGH_CPU_FACTOR
        words += f" x {HIGH_CPU_FACTOR} (CPU {cpu:.0f} %)"
    elif cpu is not None and cpu < LOW_CPU:
        workers *= LOW_CPU_FACTOR
        words += f" x {LOW_CPU_FACTOR} (CPU {cpu:.0f} %)"
    if figures.depth > DEEP:
        workers *= DEEP_FACTOR
        words += f" x {DEEP_FACTOR} ({figures.depth} in flight or waiting)"
    return workers, f"{words} = {workers:.1f} workers"
