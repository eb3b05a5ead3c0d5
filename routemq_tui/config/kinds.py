"""Kinds of values a setting may have: each converts what was written, or says what is allowed instead.

A kind's `read` raises ValueError; text in it is said besides what is allowed.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from math import isfinite
from typing import Any

from routemq_tui.units import format_seconds, parse_duration, parse_size

Read = Callable[[Any], Any]

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_RANGE = re.compile(r"\s*(-?[0-9.]+)\s*\.\.\s*(-?[0-9.]+)\s*")

HOSTNAME = "{hostname}"


@dataclass(frozen=True, slots=True)
class Kind:
    read: Read
    allowed: str
    choices: tuple[str, ...] = ()
    """Words allowed, for "did you mean"."""
    secret: bool = False
    """A message never shows what was found."""

    def hint(self, found: object) -> str:
        """What is allowed, with the nearest word when one was meant."""
        words = {word.lower(): word for word in self.choices}
        close = get_close_matches(found.lower(), words, 1, 0.5) if isinstance(found, str) else []
        if close:
            return f'did you mean "{words[close[0]]}"? allowed: {self.allowed}'
        return f"allowed: {self.allowed}"


def from_text(text: str) -> object:
    """A value of the environment or the command line as TOML would give it: whole numbers, else text."""
    bare = text.strip()
    return int(bare) if _INTEGER.fullmatch(bare) else bare


def whole(low: int, high: int) -> Kind:
    def read(value: Any) -> int:
        if isinstance(value, str) and _INTEGER.fullmatch(value):
            raise ValueError("write the number without quotes")
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError
        return value

    return Kind(read, f"a whole number from {low} to {high}")


def number(above: float, most: float) -> Kind:
    def read(value: Any) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise ValueError
        # Compared before the conversion: a TOML number may be larger than any float.
        if not above < value <= most or not isfinite(value):
            raise ValueError
        return float(value)

    return Kind(read, f"a number above {above:g}, at most {most:.0f}")


def boolean() -> Kind:
    def read(value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError
        return value

    return Kind(read, "true or false", ("true", "false"))


def text(allowed: str = "text", fault: Callable[[str], str | None] = lambda value: None) -> Kind:
    """Text that is not empty and in which `fault` finds nothing."""

    def read(value: Any) -> str:
        if not isinstance(value, str) or not value.strip():
            raise ValueError
        if any("\ud800" <= c <= "\udfff" or c == "\0" for c in value):
            raise ValueError("it is not Unicode text, or holds a NUL")
        found = fault(value)
        if found is not None:
            raise ValueError(found)
        return value

    return Kind(read, allowed)


def secret() -> Kind:
    """Text that no message may show."""
    return replace(text("text that is not empty"), secret=True)


def choice(*words: str, fold: bool = False) -> Kind:
    """One of some words; with `fold` in any case, given as upper case."""

    def read(value: Any) -> str:
        word = value.upper() if fold and isinstance(value, str) else value
        if not isinstance(word, str) or word not in words:
            raise ValueError
        return word

    return Kind(read, ", ".join(f'"{word}"' for word in words), words)


def name() -> Kind:
    return text(
        "up to 64 letters, digits, _ and -",
        lambda value: None if _NAME.fullmatch(value) else "it holds something else, or is too long",
    )


def node() -> Kind:
    """A name in which `{hostname}` stands for that of the machine."""
    plain = name()

    def read(value: Any) -> str:
        if isinstance(value, str) and HOSTNAME in value:
            host = re.sub(r"[^A-Za-z0-9_-]+", "-", socket.gethostname())
            value = value.replace(HOSTNAME, host)[:64]
        return str(plain.read(value))

    return Kind(read, f"{plain.allowed}; {HOSTNAME} stands for the name of the machine")


def duration(low: float, high: float) -> Kind:
    """Seconds as a float."""

    def read(value: Any) -> float:
        if not isinstance(value, int | float | str) or isinstance(value, bool):
            raise ValueError
        if isinstance(value, int) and value > high:
            raise ValueError
        seconds = parse_duration(value)
        if not isfinite(seconds) or not low <= seconds <= high:
            raise ValueError
        return seconds

    most = f"{format_seconds(high)}" if high < 1e9 else f"{high:g} s"
    return Kind(read, f'a duration such as "500ms", "30s" or "2m", from {low:g} s to {most}')


def seconds(low: int, high: int) -> Kind:
    """A duration in whole seconds, as the protocol counts them."""
    inner = duration(low, high)

    def read(value: Any) -> int:
        found: float = inner.read(value)
        if found != int(found):
            raise ValueError("the protocol counts whole seconds")
        return int(found)

    return Kind(read, inner.allowed)


def size(low: int, shown: str) -> Kind:
    """Bytes."""

    def read(value: Any) -> int:
        if not isinstance(value, int | str) or isinstance(value, bool):
            raise ValueError
        found = parse_size(value)
        if not low <= found < 2**63:
            raise ValueError
        return found

    return Kind(read, f'a size such as "512MB" or "1GiB", at least {shown}')


def texts(allowed: str, fault: Callable[[str], str | None] = lambda _: None) -> Kind:
    """`fault` says what is wrong with one of them."""

    def read(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise ValueError
        wrong = next((found for item in value if (found := fault(item)) is not None), None)
        if wrong is not None:
            raise ValueError(wrong)
        return tuple(value)

    return Kind(read, allowed)


def one_or_more(allowed: str) -> Kind:
    """A text, or a list of some."""

    def read(value: Any) -> tuple[str, ...]:
        values = value if isinstance(value, list) else [value]
        if not values or not all(isinstance(item, str) and item for item in values):
            raise ValueError
        return tuple(values)

    return Kind(read, allowed)


def anything() -> Kind:
    return Kind(lambda value: value, "any value")


def placeholder_values() -> Kind:
    """A table of lists to choose from or `"a..b"` ranges, by placeholder."""

    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValueError
        for key, item in value.items():
            if not (isinstance(item, list) and item) and not _is_range(item):
                raise ValueError(f"{key!r} is neither")
        return value

    return Kind(read, 'a table of lists that are not empty, or ranges such as "1..9"')


def _is_range(value: object) -> bool:
    found = _RANGE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return False
    try:
        return float(found[1]) <= float(found[2])
    except ValueError:
        return False
