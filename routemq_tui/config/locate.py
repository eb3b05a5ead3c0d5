"""Where each key of a TOML text is written: tomllib gives values without lines. For texts that do parse."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

Path = tuple[str | int, ...]
"""Keys from the top; an element of a list by its index."""

# Strings and comments are taken whole, so that brackets and line ends in them count for nothing. Up to two
# quotes may stand right before the three that close a multi-line string.
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|[\[\]{}\n]",
    re.DOTALL,
)


class Lines:
    """Line numbers, from 1, by path."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        self._counts: dict[Path, int] = {}
        header: Path = ()
        for line, statement in _statements(text):
            try:
                parsed = tomllib.loads(statement)
            except (ValueError, RecursionError):
                continue
            if statement.lstrip().startswith("["):
                header = self._enter(parsed, line)
            else:
                self._record(header, parsed, line)

    def find(self, path: Path) -> int | None:
        """The line of this key, or of the nearest table around it that is written down."""
        while path:
            line = self._lines.get(path)
            if line is not None:
                return line
            path = path[:-1]
        return None

    def _enter(self, parsed: Any, line: int) -> Path:
        path: Path = ()
        while isinstance(parsed, dict) and parsed:
            key, parsed = next(iter(parsed.items()))
            path = (*path, key)
            if isinstance(parsed, list):
                self._lines.setdefault(path, line)
                self._counts[path] = self._counts.get(path, -1) + 1
                path = (*path, self._counts[path])
            elif parsed and path in self._counts:
                path = (*path, self._counts[path])
            self._lines.setdefault(path, line)
        return path

    def _record(self, path: Path, value: Any, line: int) -> None:
        if path:
            self._lines.setdefault(path, line)
        if isinstance(value, dict):
            for key, inner in value.items():
                self._record((*path, key), inner, line)
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                self._record((*path, index), inner, line)


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Header lines and assignments, each with the line it begins on."""
    begin, line, first, depth = 0, 1, 1, 0
    for token in _TOKEN.finditer(text):
        found = token[0]
        if found in "[{":
            depth += 1
        elif found in "]}":
            depth -= 1
        line += found.count("\n")
        if found == "\n" and depth <= 0:
            if text[begin : token.start()].strip():
                yield first, text[begin : token.start()]
            begin, first, depth = token.end(), line, 0
    if text[begin:].strip():
        yield first, text[begin:]
