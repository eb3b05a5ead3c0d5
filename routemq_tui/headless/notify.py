"""Tells systemd how the program is (`Type=notify`): ready, reloading, stopping, and alive for a watchdog.

Ready is an engine that runs. How its workers and the broker do is in the status: systemd would kill a healthy
program for a broker that is away.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

from routemq_tui.engine.snapshot import BrokerState, EngineState, Snapshot

STATUS_EVERY = 5.0
FRESH = 5.0
"""Seconds: an engine whose snapshot is older does not go round, and the watchdog is to know."""


class SystemdNotifier:
    """Sends datagrams to $NOTIFY_SOCKET; without one, and on any failure, it does nothing."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        own = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        period = environment.get("WATCHDOG_USEC", "")
        self._watchdog = int(period) / 2e6 if own and period.isdecimal() and int(period) else None
        self._ready = self._stopping = False
        self._told_at = self._alive_at = float("-inf")
        self._socket = None if self._address is None else socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    @property
    def is_used(self) -> bool:
        return self._socket is not None

    def look(self, snapshot: Snapshot) -> None:
        """Tell what has changed; called several times a second."""
        if self._socket is None:
            return
        now = time.monotonic()
        lines = []
        if not self._ready and snapshot.state is EngineState.RUNNING:
            self._ready = True
            lines.append("READY=1")
        if not self._stopping and snapshot.state in (EngineState.STOPPING, EngineState.STOPPED):
            self._stopping = True
            lines.append("STOPPING=1")
        if lines or now - self._told_at >= STATUS_EVERY:
            self._told_at = now
            lines.append(f"STATUS={_words(snapshot)}")
        alive = abs(time.time() - snapshot.time) < FRESH
        if self._watchdog is not None and alive and now - self._alive_at >= self._watchdog:
            self._alive_at = now
            lines.append("WATCHDOG=1")
        self._send(lines)

    def reloading(self) -> None:
        """The configuration is read anew; it counts as done with the next look."""
        self._send(["RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}"])
        self._ready = False

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, lines: list[str]) -> None:
        if self._socket is None or not lines or self._address is None:
            return
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            self.close()  # whoever listened is gone


def _address(text: str) -> str | None:
    """A path, or with an @ an address of Linux's abstract namespace; None for anything else."""
    if text.startswith("@"):
        return "\0" + text[1:]
    return text if text.startswith("/") else None


def _words(snapshot: Snapshot) -> str:
    broker = snapshot.broker
    why = " ".join(broker.reason.split()) if broker.state is not BrokerState.UP else ""  # it is one line
    return (
        f"{snapshot.state}, {snapshot.health}: {snapshot.running} of {snapshot.desired} workers, "
        f"broker {broker.state}{f': {why}' if why else ''}"
    )
