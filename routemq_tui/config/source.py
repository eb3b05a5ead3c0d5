"""Configuration files as read: text, tables and lines; and how values found in them are shown in messages."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from routemq_tui.config import locate
from routemq_tui.config.model import Place, Problem

LOCAL_FILE = "routemq.local.toml"
"""What the program itself saves, beside the file written by hand; it wins over that."""

_PASSWORD = re.compile(
    r"((?<=://)[^@:]*):.*@|^(?!(?:mqtts?|wss?|tcp|ssl|tls|https?)://)([^@:{]*):.*@", re.DOTALL
)
"""Of an address with or without a scheme; a `{` is that of a topic template."""
_AT_LINE = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Source:
    """One file that parsed."""

    file: Path
    data: dict[str, Any]
    lines: locate.Lines

    def place(self, path: locate.Path) -> Place:
        return Place(self.file, self.lines.find(path))


class SourceError(Exception):
    """The file cannot be used at all."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def read_source(file: Path) -> Source:
    """Read and parse one TOML file; raises SourceError."""
    text = read_text(file)
    try:
        data = tomllib.loads(text)
    except RecursionError:
        raise SourceError(Problem(Place(file, None), "", "not TOML: nested too deeply")) from None
    except ValueError as error:
        # ValueError as well as its TOMLDecodeError: a number of 5,000 digits is refused by int().
        raise SourceError(_syntax_problem(file, text, str(error))) from None
    return Source(file, data, locate.Lines(text.replace("\r\n", "\n")))


def read_text(file: Path) -> str:
    """The UTF-8 text of a file; raises SourceError."""
    where = Place(file, None)
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        hint = "name it with -c FILE, or make a starter project with: routemq-tui init"
        raise SourceError(Problem(where, "", "there is no such file", hint)) from None
    except IsADirectoryError:
        hint = f"name the file in it: {file / 'routemq.toml'}"
        raise SourceError(Problem(where, "", "this is a folder, not a file", hint)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SourceError(Problem(where, "", f"cannot be read: {reason}")) from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        found = f"not UTF-8: byte 0x{raw[error.start]:02x}"
        raise SourceError(Problem(Place(file, line), "", found, "save the file as UTF-8")) from None


def show(value: object) -> str:
    """A value as it is named in a message: `text "x"`, `number 5`, `true`, `a table`, `a list`."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {clip(_number_text(value))}"
        case str():
            return f"the text {clip(printable(json.dumps(without_password(value), ensure_ascii=False)))}"
        case dict():
            return "a table"
        case list():
            return "a list"
    return f"{type(value).__name__} {value}"


def without_password(text: str) -> str:
    """The text with `***` for the password of an address that it may be or hold."""
    return _PASSWORD.sub(r"\1\2:***@", text)


def dotted(path: locate.Path) -> str:
    """`("routes", "a b", 0)` as `routes."a b"[0]`."""
    parts: list[str] = []
    for key in path:
        if isinstance(key, int):
            parts.append(f"[{key + 1}]")
        else:
            bare = re.fullmatch(r"[A-Za-z0-9_-]+", key)
            parts.append(("." if parts else "") + (key if bare else printable(json.dumps(key))))
    return "".join(parts)


def printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def clip(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _number_text(value: float) -> str:
    try:
        return str(value)
    except ValueError:
        return hex(int(value))


def _syntax_problem(file: Path, text: str, said: str) -> Problem:
    found = _AT_LINE.search(said)
    if found is None:
        return Problem(Place(file, None), "", f"not TOML: {clip(said)}")
    line = int(found[1]) if found[1] else text.rstrip("\n").count("\n") + 1
    reason = printable(said[: found.start()])
    written = text.splitlines()[line - 1].strip() if line <= len(text.splitlines()) else ""
    shown = f": {clip(printable(without_password(written)))}" if written else ""
    return Problem(Place(file, line), "", f"not TOML: {reason}{shown}")
