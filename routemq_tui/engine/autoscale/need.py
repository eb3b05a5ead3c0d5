"""What a policy says at a look."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Need:
    """Numbers of workers, not yet within the route's bounds."""

    wanted: int
    """To have at once; not above the present number when that is within the band."""
    enough: int
    """What would do for now; workers are only taken away down to the greatest of these in a cool-down."""
    words: str
    """The figures it follows from."""
