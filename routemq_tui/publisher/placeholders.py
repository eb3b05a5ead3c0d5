"""Placeholders in the topics and payloads of published messages: text in, a function of a message out. Pure.

| written | stands for |
| --- | --- |
| `{name}` | a named value, the same everywhere in one message |
| `{int:1..20}` | an integer of the range, both ends included |
| `{float:15..30}` | a number of the range, with two decimals or as many as the bounds have |
| `{choice:on|off|}` | one of the texts; an empty one is allowed |
| `{seq}` | 1, 2, 3 … |
| `{time}` | Unix time in seconds, with milliseconds |
| `{uuid}` | a random UUID |

Every other brace is a brace, so JSON needs no escaping; `{{name}}` writes `{name}`.
"""

from __future__ import annotations

import difflib
import random
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

GENERATORS = ("int", "float", "choice")
MOMENTS = ("seq", "time", "uuid")
PARAM_KINDS = ("int", "float", "str", "path")
"""Kinds a topic template knows; `{id:int}` is the named value `id` here."""

_PLACEHOLDER = re.compile(r"\{\{[A-Za-z_]\w*(?::[^{}]*)?\}\}|\{([A-Za-z_]\w*)(?::([^{}]*))?\}")
_NUMBER = r"[+-]?\d+(?:\.\d+)?"
_RANGE = re.compile(rf"\s*({_NUMBER})\s*\.\.\s*({_NUMBER})\s*")


@dataclass(frozen=True, slots=True)
class Draw:
    """What the placeholders of one message are filled from."""

    seq: int
    time: float
    names: Mapping[str, Any]
    random: random.Random


Fill = Callable[[Draw], Any]


@dataclass(frozen=True, slots=True)
class Text:
    """A text with its placeholders found: constant pieces and what fills the gaps between them."""

    pieces: tuple[str | Fill, ...]
    names: frozenset[str]
    """The named values in it."""

    def text(self, draw: Draw) -> str:
        return "".join(piece if isinstance(piece, str) else str(piece(draw)) for piece in self.pieces)

    def value(self, draw: Draw) -> Any:
        """The text, or the value itself (a number stays one) where the whole text is one placeholder."""
        if len(self.pieces) == 1 and not isinstance(self.pieces[0], str):
            return self.pieces[0](draw)
        return self.text(draw)


def find_names(text: str) -> dict[str, str]:
    """The named placeholders of a topic template, each with its kind (`str` where none is written)."""
    found = {}
    for match in _PLACEHOLDER.finditer(text):
        name, arguments = match[1], match[2]
        is_named = name and (arguments in PARAM_KINDS or (arguments is None and name not in MOMENTS))
        if is_named:
            found[name] = arguments or "str"
    return found


def parse(text: str, names: frozenset[str], *, strict: bool = True) -> Text:
    """Find the placeholders of a text; `names` are the named values there are.

    A placeholder that is written wrongly raises ValueError, and so does an unknown one when `strict`;
    otherwise an unknown one is literal text.
    """
    pieces: list[str | Fill] = []
    used: set[str] = set()
    end = 0
    for match in _PLACEHOLDER.finditer(text):
        piece = _piece(match, names, strict)
        if match[1] in names and not isinstance(piece, str):
            used.add(match[1])
        pieces += [text[end : match.start()], piece]
        end = match.end()
    pieces.append(text[end:])
    return Text(tuple(piece for piece in pieces if piece != ""), frozenset(used))


def parse_range(text: str) -> Callable[[random.Random], int | float]:
    """`"1..20"` draws integers, `"0.5..2"` numbers. Raises ValueError for anything else."""
    match = _RANGE.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}" is not a range such as "1..20"')
    if "." in match[1] or "." in match[2]:
        return _float_range(text)
    return _int_range(text)


def _piece(match: re.Match[str], names: frozenset[str], strict: bool) -> str | Fill:
    whole, name, arguments = match[0], match[1], match[2]
    if name is None:
        return whole[1:-1]
    if name in names and (arguments is None or arguments in PARAM_KINDS):
        return lambda draw: draw.names[name]
    if arguments is None and name in MOMENTS:
        return _moment(name)
    if name in GENERATORS:
        return _generator(whole, name, arguments)
    if strict:
        known = [*names, *MOMENTS, *GENERATORS]
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {{{close[0]}…}}" if close else f"known: {', '.join(known)}"
        raise ValueError(f"unknown placeholder {whole} ({hint}; to send it as it is write {{{whole}}})")
    return whole


def _moment(name: str) -> Fill:
    if name == "seq":
        return lambda draw: draw.seq
    if name == "time":
        return lambda draw: round(draw.time, 3)
    return lambda draw: str(uuid.UUID(int=draw.random.getrandbits(128), version=4))


def _generator(whole: str, kind: str, arguments: str | None) -> Fill:
    if arguments is None:
        example = "{choice:on|off}" if kind == "choice" else f"{{{kind}:1..20}}"
        raise ValueError(f"{whole} lacks its values: write {example}")
    if kind == "choice":
        choices = arguments.split("|")
        return lambda draw: draw.random.choice(choices)
    try:
        pick = _int_range(arguments) if kind == "int" else _float_range(arguments)
    except ValueError as error:
        raise ValueError(f"{whole}: {error}") from None
    return lambda draw: pick(draw.random)


def _int_range(text: str) -> Callable[[random.Random], int]:
    match = _RANGE.fullmatch(text)
    if match is None or "." in match[1] or "." in match[2]:
        raise ValueError(f'"{text}" is not a range of integers such as 1..20')
    low, high = int(match[1]), int(match[2])
    _check_order(text, low, high)
    return lambda source: source.randint(low, high)


def _float_range(text: str) -> Callable[[random.Random], float]:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}" is not a range of numbers such as 15..30')
    low, high = float(match[1]), float(match[2])
    _check_order(text, low, high)
    decimals = max(2, *(len(bound.partition(".")[2]) for bound in (match[1], match[2])))
    return lambda source: round(source.uniform(low, high), decimals)


def _check_order(text: str, low: float, high: float) -> None:
    if low > high:
        raise ValueError(f'the range "{text}" ends before it starts')
