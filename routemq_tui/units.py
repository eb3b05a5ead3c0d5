"""Durations, sizes and counts: how people write them and how the screen shows them. Pure text."""

from __future__ import annotations

import re

_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE_UNITS = {
    "B": 1,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KIB": 1024,
    "MIB": 1024**2,
    "GIB": 1024**3,
}
_NUMBER_AND_UNIT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")


def parse_duration(text: str | float) -> float:
    """Seconds in `30`, `"30s"`, `"500ms"`, `"2m"`, `"1h"` or `"1d"`; a bare number is seconds.

    Raises ValueError when the text is none of these or the duration is negative.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        if text < 0:
            raise ValueError("a duration cannot be negative")
        return float(text)
    match = _NUMBER_AND_UNIT.fullmatch(str(text))
    if match is None or (match[2] and match[2] not in _DURATION_UNITS):
        raise ValueError('a duration is written as "500ms", "30s", "2m", "1h" or "1d"')
    return float(match[1]) * _DURATION_UNITS.get(match[2], 1.0)


def parse_size(text: str | int) -> int:
    """Bytes in `1024`, `"512MB"`, `"1GiB"`; a bare number is bytes.

    Raises ValueError when the text is none of these or the size is negative.
    """
    if isinstance(text, int) and not isinstance(text, bool):
        if text < 0:
            raise ValueError("a size cannot be negative")
        return text
    match = _NUMBER_AND_UNIT.fullmatch(str(text))
    if match is None or (match[2] and match[2].upper() not in _SIZE_UNITS):
        raise ValueError('a size is written as "512MB", "1GiB" or a number of bytes')
    return int(float(match[1]) * _SIZE_UNITS.get(match[2].upper(), 1))


def format_count(value: float) -> str:
    """At most five characters: `0`, `999`, `1.2k`, `12.3k`, `123k`, `1.2M`."""
    for limit, divisor, suffix in ((1e3, 1, ""), (1e6, 1e3, "k"), (1e9, 1e6, "M"), (1e12, 1e9, "G")):
        if value < limit:
            return _short(value / divisor, suffix) if suffix else str(int(value))
    return _short(value / 1e12, "T")


def format_rate(value: float) -> str:
    """A rate per second with one decimal below ten: `0`, `0.4`, `9.8`, `120`, `1.2k`."""
    if 0 < value < 9.95:
        return f"{value:.1f}"
    return format_count(round(value))


def format_seconds(value: float | None) -> str:
    """A latency: `-`, `85us`, `1.2ms`, `320ms`, `2.1s`, `3m20s`."""
    if value is None:
        return "-"
    if value < 0.0009995:
        return f"{value * 1e6:.0f}us"
    if value < 0.00995:
        return f"{value * 1e3:.1f}ms"
    if value < 0.9995:
        return f"{value * 1e3:.0f}ms"
    if value < 59.95:
        return f"{value:.1f}s"
    return format_age(value)


def format_age(seconds: float) -> str:
    """An uptime: `5s`, `3m20s`, `2h05m`, `3d04h`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def format_bytes(value: float | None) -> str:
    """A memory size in binary units, at most five characters: `-`, `512B`, `48M`, `1.2G`."""
    if value is None:
        return "-"
    for suffix in "BKMG":
        if value < 1024:
            return _short(value, suffix) if suffix in "MG" and value < 10 else f"{value:.0f}{suffix}"
        value /= 1024
    return _short(value, "T")


def format_percent(ratio: float | None) -> str:
    """A ratio of 0 to 1 as a percentage: `-`, `0%`, `0.4%`, `12%`; more than nothing is never `0%`."""
    if ratio is None:
        return "-"
    if 0 < ratio < 0.0995:
        return "<0.1%" if ratio < 0.0005 else f"{ratio * 100:.1f}%"
    return f"{ratio * 100:.0f}%"


def _short(value: float, suffix: str) -> str:
    return f"{value:.1f}{suffix}" if value < 99.95 else f"{value:.0f}{suffix}"


def printable(text: str) -> str:
    """Somebody else's text (a payload, an error) for a terminal: nothing of it may move the cursor."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
