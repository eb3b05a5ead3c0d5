"""What a handler must be for the settings of its route."""

from __future__ import annotations

from routemq_tui.routing.binding import Bound


def concurrency_fault(concurrency: int, bound: Bound) -> tuple[str, str] | None:
    """What is wrong with so many of this handler at once, and what would be right; None when nothing is."""
    if concurrency == 1 or bound.is_async:
        return None
    return (
        f"found {concurrency} with a handler that is not async ({bound.location})",
        "it handles one message at a time: add workers, or write it as async def",
    )
