"""The starter project: example routes and a configuration that explains itself. Not a command itself."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tomli_w

import routemq_tui

CONFIG_NAME = "routemq.toml"
_ROUTES = "routes"


def starter_files(settings: Mapping[str, Mapping[str, Any]] | None = None) -> dict[Path, bytes]:
    """Relative path and contents of every file of the starter; `settings` replace values of its tables."""
    folder = _folder()
    files = {Path(CONFIG_NAME): _configuration(folder / CONFIG_NAME, settings or {})}
    for path in sorted((folder / _ROUTES).rglob("*.py")):
        files[path.relative_to(folder)] = path.read_bytes()
    return files


def write_files(folder: Path, files: Mapping[Path, bytes]) -> None:
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:  # Never over a file, not even one that appeared just now.
            file.write(content)


def _folder() -> Path:
    """Where an installed package has them; in a checkout they are the repository's own."""
    package = Path(routemq_tui.__file__).resolve().parent
    installed = package / "starter"
    return installed if installed.is_dir() else package.parent


def _configuration(path: Path, settings: Mapping[str, Mapping[str, Any]]) -> bytes:
    """The configuration with `settings` in it, written by tomli-w; the comments above its tables are kept."""
    text = path.read_text(encoding="utf-8")
    values = tomllib.loads(text)
    for table, changes in settings.items():
        values[table] = {**values.get(table, {}), **changes}
    return "".join(_with_comments(tomli_w.dumps(values), _comments(text))).encode()


def _comments(text: str) -> dict[tuple[str, int], list[str]]:
    """The comment lines above each table, by its header and how often that header came before."""
    found: dict[tuple[str, int], list[str]] = {}
    seen: Counter[str] = Counter()
    block: list[str] = []
    for line in text.splitlines():
        if line.startswith("["):
            found[line, seen[line]] = block
            seen[line] += 1
        if line.startswith("#") or (not line and block):
            block.append(line)
        else:
            block = []
    return found


def _with_comments(toml: str, comments: Mapping[tuple[str, int], list[str]]) -> Iterator[str]:
    seen: Counter[str] = Counter()
    for line in toml.splitlines():
        if line.startswith("["):
            for comment in comments.get((line, seen[line]), ()):
                yield f"{comment}\n"
            seen[line] += 1
        yield f"{line}\n"
