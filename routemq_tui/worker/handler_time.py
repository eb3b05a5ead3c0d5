"""The time an async handler may take: beyond it is cancelled, and that is the failure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from routemq_tui.units import format_seconds
from routemq_tui.worker.failure import Failure, failed


async def within(seconds: float | None, result: Awaitable[Any], attempt: int) -> Failure | None:
    """Await it for so long at most; raises what it raises within its time."""
    if seconds is None:
        await result
        return None
    try:
        async with asyncio.timeout(seconds) as bound:
            await result
    except Exception as error:
        if not bound.expired():
            raise
        if isinstance(error, TimeoutError):
            where = (error.__cause__ or error).__traceback__
            text = f"not done within {format_seconds(seconds)}"
            return failed(TimeoutError(text).with_traceback(where), attempt, "timeout")
        return failed(error, attempt, "timeout")
    return None
