"""The traffic generator: runs while there is a broker, and again when it dies."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from routemq_tui.config.model import TrafficConfig
from routemq_tui.engine.journal import Journal
from routemq_tui.engine.policy import RestartPolicy
from routemq_tui.errors import ExitCode
from routemq_tui.publisher.process import TrafficProcess
from routemq_tui.units import format_seconds
from routemq_tui.worker.spec import BrokerAddress

SOURCE = "traffic"


class TrafficHost:
    def __init__(
        self, traffic: Sequence[TrafficConfig], journal: Journal, watch_log: Callable[[str, int], None]
    ) -> None:
        self._traffic = traffic
        self._journal = journal
        self._watch_log = watch_log
        self._policy = RestartPolicy()
        self._deaths: list[float] = []
        self._process: TrafficProcess | None = None
        self._retry_at: float | None = 0.0 if traffic else None

    def reconcile(self, now: float, address: BrokerAddress | None) -> None:
        """Start it when it should run and does not. Returns at once."""
        process = self._process
        if process is not None and not process.alive():
            self._bury(process, now)
        if (
            self._process is None
            and address is not None
            and self._retry_at is not None
            and now >= self._retry_at
        ):
            self._start(address, now)

    def stop(self, timeout: float = 2.0) -> None:
        self._retry_at = None
        process, self._process = self._process, None
        if process is not None:
            process.stop(timeout)
            process.close()

    def _start(self, address: BrokerAddress, now: float) -> None:
        try:
            process = TrafficProcess.start(self._traffic, address)
        except OSError as error:
            self._retry_at = now + self._policy.longest
            self._journal.notice("error", f"the traffic generator could not be started: {error}", SOURCE)
            return
        self._process = process
        self._watch_log(SOURCE, os.dup(process.log_fd))
        self._journal.event(SOURCE, f"started, pid {process.pid}, for {len(self._traffic)} topics")

    def _bury(self, process: TrafficProcess, now: float) -> None:
        code = process.exit_code
        process.close()
        self._process = None
        self._deaths = [death for death in self._deaths if now - death < self._policy.window] + [now]
        hopeless = code in (ExitCode.CONFIGURATION, ExitCode.BROKER_REFUSED)
        if hopeless or self._policy.is_crash_loop(self._deaths, now):
            self._retry_at = None
            text = f"the traffic generator ended (code {code}) and is given up; see the log of {SOURCE}"
        else:
            delay = self._policy.delay(self._deaths, now, lambda: 0.5)
            self._retry_at = now + delay
            text = f"the traffic generator ended (code {code}); restart in {format_seconds(delay)}"
        self._journal.notice("error", text, SOURCE)
