"""With several async handlers in flight: which of them has the processor, told each time it goes on.

A process that dies is blamed on the message that is named then; so it must be the one whose code ran.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any

from routemq_tui.worker.forks import leave_if_child_waits


class Stepped:
    """Awaits `awaited` and calls `going_on` before each of its steps."""

    __slots__ = ("_awaited", "_going_on")

    def __init__(self, awaited: Awaitable[Any], going_on: Callable[[], None]) -> None:
        self._awaited = awaited
        self._going_on = going_on

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = _run(self._awaited)
        error: BaseException | None = None
        try:
            while True:
                self._going_on()
                signal = steps.send(None) if error is None else steps.throw(error)
                leave_if_child_waits()
                error = None
                try:
                    yield signal
                except GeneratorExit:
                    raise
                except BaseException as thrown:  # noqa: BLE001 - a cancellation, mostly: it is for the handler
                    error = thrown
        except StopIteration as end:
            return end.value
        finally:
            steps.close()


async def _run(awaited: Awaitable[Any]) -> Any:
    """Anything that can be awaited, as a coroutine."""
    return await awaited
