"""A moment as somebody types it: a time of day, a date and a time, or how long ago. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from routemq_tui.units import parse_duration

HINT = "12:34, 12:34:56.789, 2026-01-31 12:34, or how long ago: 90s, 5m, 2h"
_DAY_FORMATS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f")
_DATE_FORMATS = ("%Y-%m-%d", *(f"%Y-%m-%d{between}{clock}" for between in " T" for clock in _DAY_FORMATS))


def parse_moment(text: str, now: float) -> float:
    """The Unix time of a text, in local time; a time of day that is still to come is yesterday's.

    Raises ValueError, in words.
    """
    word = text.strip()
    for pattern in _DAY_FORMATS:
        found = _parsed(word, pattern)
        if found is not None:
            moment = datetime.combine(datetime.fromtimestamp(now).date(), found.time())
            return (moment if moment.timestamp() <= now else moment - timedelta(days=1)).timestamp()
    for pattern in _DATE_FORMATS:
        found = _parsed(word, pattern)
        if found is not None:
            return found.timestamp()
    try:
        return now - parse_duration(word.removeprefix("-"))
    except ValueError:
        raise ValueError(f"Not a time: {HINT}") from None


def moment_problem(text: str, now: float) -> str:
    """What is wrong with it; empty when nothing is."""
    try:
        parse_moment(text, now)
    except (ValueError, OverflowError, OSError) as error:
        return str(error)
    return ""


def _parsed(text: str, pattern: str) -> datetime | None:
    try:
        return datetime.strptime(text, pattern)
    except ValueError:
        return None
