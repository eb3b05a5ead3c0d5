"""Cancellations by handlers: they run on tasks of ours, and that must not end the worker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any


class Cancellation:
    def __init__(self) -> None:
        self.leaving = False
        """The session ends: from now on a cancellation is its own, and no handler's."""

    def is_ours(self, error: BaseException) -> bool:
        """It ends the worker; any other is a failure of the handler it came out of."""
        kinds = (GeneratorExit, asyncio.CancelledError) if self.leaving else GeneratorExit
        return isinstance(error, kinds)

    async def undisturbed(self, pause: Awaitable[Any]) -> None:
        """Wait, though a handler cancels this task: the wait is shorter then, and that is all."""
        try:
            await pause
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self.leaving or task is None:
                raise
            _uncancel(task)

    async def settle(self) -> None:
        """At the end of a message: a cancellation of this task must not outlive the message it came from."""
        task = asyncio.current_task()
        if task is not None and task.cancelling() and not self.leaving:
            await self.undisturbed(asyncio.sleep(0))  # one that is still on its way arrives here
            _uncancel(task)


def _uncancel(task: asyncio.Task[Any]) -> None:
    while task.cancelling():
        task.uncancel()
