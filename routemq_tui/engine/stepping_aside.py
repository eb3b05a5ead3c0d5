"""A failed slot's session leaves the share group, so that the others get all of the work.

A process of its own does it, for a moment, under the slot's client id; it must be gone before the slot's
worker connects under that id again.
"""

from __future__ import annotations

import logging
import subprocess
import threading

from routemq_tui.engine.journal import Journal
from routemq_tui.worker.spec import WorkerSpec

_SECONDS = 10.0
"""The process gives up after half of that."""


class SteppingAside:
    """At most one process for a slot at a time."""

    def __init__(self, journal: Journal, name: str) -> None:
        self._journal = journal
        self._name = name
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, spec: WorkerSpec) -> None:
        from routemq_tui.worker import step_aside  # and with it paho, which an engine seldom needs

        self.end()
        try:
            self._process = step_aside.start(spec)
        except OSError as error:
            self._journal.event(self._name, f"its session keeps its share: {error}", logging.WARNING)
            return
        threading.Thread(target=self._await, args=(self._process,), daemon=True).start()

    def end(self) -> None:
        """The slot is to be started, or the engine ends."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(_SECONDS)

    def _await(self, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        if process is not self._process:
            return  # ended by us
        if code == 0:
            text = "unsubscribed: new messages go to the others, what its session holds waits for its start"
            self._journal.event(self._name, text)
        else:
            text = "could not unsubscribe: its session may go on collecting its share of the messages"
            self._journal.event(self._name, text, logging.WARNING)
