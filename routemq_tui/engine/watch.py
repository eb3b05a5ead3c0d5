"""Waits until a worker tells something, or ends, or the engine is woken.

A process is registered once, not at every turn of the engine: with 64 workers that alone took milliseconds.
"""

from __future__ import annotations

import selectors
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from routemq_tui.engine.process import WorkerProcess
from routemq_tui.engine.slot import Slot
from routemq_tui.engine.wake import Wake


@dataclass(slots=True)
class _Watched:
    slot: Slot
    sentinel: int
    control: int | None


class WorkerWatch:
    """`wake` is cleared when it was what ended the waiting."""

    def __init__(self, wake: Wake) -> None:
        self._wake = wake
        self._selector = selectors.DefaultSelector()
        self._selector.register(wake, selectors.EVENT_READ)
        self._watched: dict[WorkerProcess, _Watched] = {}

    def wait(self, slots: Iterable[Slot], timeout: float) -> tuple[bool, list[Slot]]:
        """Whether anything happened at all, and the slots whose processes have something to tell."""
        self._follow({slot.process: slot for slot in slots if slot.process is not None})
        ready = self._selector.select(timeout)
        found: dict[Slot, None] = {}
        for key, _ in ready:
            if key.data is None:
                self._wake.clear()
            else:
                found[key.data] = None
        return bool(ready), list(found)

    def close(self) -> None:
        self._selector.close()

    def _follow(self, present: dict[WorkerProcess, Slot]) -> None:
        """First those that have gone: the numbers of their descriptors may be in use again."""
        for process in self._watched.keys() - present.keys():
            watched = self._watched.pop(process)
            self._forget(watched.sentinel)
            self._forget(watched.control)
        for process, slot in present.items():
            known = self._watched.get(process)
            if known is None:
                self._watched[process] = self._take_up(process, slot)
            elif known.control is not None and process.control is None:  # it has closed its end
                self._forget(known.control)
                known.control = None

    def _take_up(self, process: WorkerProcess, slot: Slot) -> _Watched:
        control = process.control.fileno() if process.control is not None else None
        for descriptor in (process.sentinel, control):
            if descriptor is not None:
                self._selector.register(descriptor, selectors.EVENT_READ, slot)
        return _Watched(slot, process.sentinel, control)

    def _forget(self, descriptor: int | None) -> None:
        if descriptor is not None:
            with suppress(KeyError):
                self._selector.unregister(descriptor)
