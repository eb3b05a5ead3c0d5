"""Topic templates: `sensors/{device_id:int}/data` as a filter to subscribe to and a matcher for what comes.

A level is a literal, `{name}`, `{name:str}`, `{name:int}`, `{name:float}`, or a raw `+`; the last one may be
`{name:path}` or `#`. Literals are literal; a brace in one is written twice.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite
from typing import Literal, NamedTuple

from routemq_tui.errors import ExitCode, RoutemqError
from routemq_tui.routing.topics import SHARE, filter_fault

Kind = Literal["str", "int", "float", "path"]
Convert = Callable[[str], object]

RESERVED = ("payload", "message", "client")
"""Names a handler's parameters have a meaning for already."""

_PARAMETER = re.compile(r"\{([^{}:]*)(?::([^{}]*))?\}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


class TemplateError(RoutemqError, ValueError):
    """Not a topic template. `position` counts characters from 0."""

    exit_code = ExitCode.CONFIGURATION

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(f"{reason} (at column {position + 1})")
        self.reason = reason
        self.position = position


def read_int(text: str) -> int:
    """An optional sign and decimal digits, nothing else; else ValueError."""
    digits = text[1:] if text[:1] in ("-", "+") else text
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError("not a whole number")
    return int(text)


def read_float(text: str) -> float:
    """A finite decimal number such as `21.5`, `-3` or `1e3`; else ValueError."""
    if _NUMBER.fullmatch(text) is None or not isfinite(number := float(text)):
        raise ValueError("not a number")
    return number


_CONVERTERS: dict[Kind, Convert | None] = {"str": None, "int": read_int, "float": read_float, "path": None}


class Param(NamedTuple):
    """A named level of a template."""

    name: str
    kind: Kind
    typed: bool = True
    """False when the template names no kind: the handler's annotation then decides."""


class _Level(NamedTuple):
    filter: str
    literal: str | None = None
    param: Param | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A parsed topic template. Make one with `Template.parse`."""

    text: str
    filter: str
    params: tuple[Param, ...]
    _levels: int
    """Levels a topic must have; with `_open` at least so many (`a/#` also matches `a`)."""
    _open: bool
    _rest: str | None
    """Name of the parameter that takes the levels under `#`."""
    _literals: tuple[tuple[int, str], ...]
    _captures: tuple[tuple[str, int, Convert | None], ...]
    _wild_first: bool

    @classmethod
    def parse(cls, text: str) -> Template:
        """The template as written in `topic`; raises TemplateError."""
        if text.startswith(SHARE):
            raise TemplateError("a template holds no $share/: set shared = true and group instead", 0)
        levels = _parse_levels(text)
        topic_filter = "/".join(level.filter for level in levels)
        fault = filter_fault(topic_filter)
        if fault is not None:
            raise TemplateError(fault, 0)
        last = levels[-1]
        is_open = last.filter == "#"
        fixed = levels[:-1] if is_open else levels
        return cls(
            text=text,
            filter=topic_filter,
            params=tuple(level.param for level in levels if level.param),
            _levels=len(fixed),
            _open=is_open,
            _rest=last.param.name if is_open and last.param else None,
            _literals=tuple((i, level.literal) for i, level in enumerate(fixed) if level.literal is not None),
            _captures=tuple(
                (level.param.name, i, _CONVERTERS[level.param.kind])
                for i, level in enumerate(fixed)
                if level.param
            ),
            _wild_first=levels[0].literal is None,
        )

    def match(self, topic: str) -> dict[str, object] | None:
        """The parameters of a topic that matches, else None.

        A level that does not convert (`{id:int}` and `x`) is no match, although the filter, which is wider,
        receives it. `{rest:path}` is the text of all levels left, without the leading slash.
        """
        levels = topic.split("/")
        if len(levels) != self._levels and not (self._open and len(levels) > self._levels):
            return None
        for index, literal in self._literals:
            if levels[index] != literal:
                return None
        if self._wild_first and topic[:1] == "$":
            return None
        params: dict[str, object] = {}
        for name, index, convert in self._captures:
            if convert is None:
                params[name] = levels[index]
            else:
                try:
                    params[name] = convert(levels[index])
                except ValueError:
                    return None
        if self._rest is not None:
            params[self._rest] = "/".join(levels[self._levels :])
        return params


def _parse_levels(text: str) -> list[_Level]:
    levels: list[_Level] = []
    names: set[str] = set()
    position = 0
    parts = text.split("/")
    for index, part in enumerate(parts):
        level = _parse_level(part, position, last=index == len(parts) - 1)
        if level.param is not None:
            if level.param.name in names:
                raise TemplateError(f"the parameter {level.param.name!r} is there twice", position)
            names.add(level.param.name)
        levels.append(level)
        position += len(part) + 1
    return levels


def _parse_level(part: str, position: int, *, last: bool) -> _Level:
    parameter = _PARAMETER.fullmatch(part)
    if parameter is not None:
        param = _parse_param(parameter[1], parameter[2], position)
        if param.kind == "path" and not last:
            raise TemplateError("a path parameter takes all levels left, so it comes last", position)
        return _Level("#" if param.kind == "path" else "+", param=param)
    if part == "+":
        return _Level("+")
    if part == "#" and last:
        return _Level("#")
    for wildcard, reason in (("#", "# stands alone, as the last level"), ("+", "+ takes a whole level")):
        if wildcard in part:
            raise TemplateError(reason, position + part.index(wildcard))
    literal = part.replace("{{", "").replace("}}", "")
    for brace in "{}":
        if brace in literal:
            reason = "a parameter takes a whole level, as in a/{name}/b; a brace in a literal is doubled"
            raise TemplateError(reason, position + part.index(brace))
    literal = part.replace("{{", "{").replace("}}", "}")
    return _Level(literal, literal=literal)


def _parse_param(name: str, kind: str | None, position: int) -> Param:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise TemplateError(f"{name!r} cannot be the name of a parameter in Python", position + 1)
    if name in RESERVED:
        raise TemplateError(
            f"{name!r} is what a handler calls something else already: rename it", position + 1
        )
    if kind is not None and kind not in _CONVERTERS:
        close = get_close_matches(kind, _CONVERTERS, 1)
        hint = f'did you mean "{close[0]}"?' if close else f"there are {', '.join(_CONVERTERS)}"
        raise TemplateError(f"unknown kind {kind!r}: {hint}", position + len(name) + 2)
    return Param(name, kind or "str", typed=kind is not None)
