"""Which lines of a log belong to a traceback, so that a view can fold it. Pure text, knows no store."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum, auto

_BEGINS = re.compile(r"\s*(?:\+ )?(?:Exception Group )?Traceback \(most recent call last\):$")
_GROUP_ENDS = re.compile(r"\s+\+-+$")
_GROUP_GOES_ON = re.compile(r"\s+[|+]")
_LINKS = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)


def traceback_places(lines: list[str]) -> range:
    """Which lines of a record are the traceback at its end, the first line of the record never being one."""
    for place, text in enumerate(lines):
        if _BEGINS.match(text):
            return range(max(1, place), len(lines))
    return range(0)


class _Inside(Enum):
    NOTHING = auto()
    FRAMES = auto()
    """Between the first line and that of the exception."""
    ENDED = auto()
    """After the line of the exception: another may follow that this one led to."""
    BETWEEN = auto()
    """After an empty line that follows the exception."""


class TracebackLines:
    """The same where there are no records but only lines, as on stderr, one after the other."""

    def __init__(self) -> None:
        self._inside = _Inside.NOTHING

    def places(self, lines: Iterable[str]) -> list[int]:
        """Which of the next lines belong to a traceback that a line before them begins."""
        return [place for place, text in enumerate(lines) if self._goes_on(text)]

    def _goes_on(self, text: str) -> bool:
        was = self._inside
        if was is not _Inside.FRAMES and _BEGINS.match(text):
            self._inside = _Inside.FRAMES
            return was is _Inside.BETWEEN
        if was is _Inside.FRAMES:
            if not text.startswith(" ") or _GROUP_ENDS.match(text):
                self._inside = _Inside.ENDED
            return True
        if was is _Inside.ENDED and _GROUP_GOES_ON.match(text):
            self._inside = _Inside.FRAMES
            return True
        if was in (_Inside.ENDED, _Inside.BETWEEN) and (not text.strip() or text in _LINKS):
            self._inside = _Inside.BETWEEN
            return True
        self._inside = _Inside.NOTHING
        return False
