"""Write a starter project: routemq.toml, which explains itself, and example handlers in routes/.

Nothing that is there already is changed: when one of the files exists, none is written. A .gitignore that
exists is left as it is; what it lacks is said.

examples:
  routemq-tui init
  routemq-tui init farm --group farm --broker mqtt://broker.local:1883
"""

from __future__ import annotations

import argparse
from pathlib import Path

from routemq_tui.errors import ExitCode, RoutemqError

NAME = "init"
HELP = "write a starter project"

_IGNORED = (".routemq/", ".env", "routemq.local.toml")
"""What no repository should have: what the program keeps here, and passwords."""


class InitError(RoutemqError):
    """The starter project cannot be written."""

    exit_code = ExitCode.CONFIGURATION


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", metavar="DIR", nargs="?", type=Path, default=Path(), help="default: this one"
    )
    parser.add_argument("--group", metavar="NAME", help="the share name in it")
    parser.add_argument(
        "--broker", metavar="URL", help="the broker in it: embedded, mosquitto or mqtt://HOST"
    )


def run(arguments: argparse.Namespace) -> int:
    from routemq_tui.commands.starter import CONFIG_NAME, starter_files, write_files

    folder: Path = arguments.folder
    files = starter_files(_settings(arguments))
    existing = [str(folder / path) for path in files if (folder / path).exists()]
    if existing:
        raise InitError(f"nothing was written, since these exist: {', '.join(existing)}")
    try:
        write_files(folder, files)
        ignored = _write_gitignore(folder / ".gitignore")
    except OSError as error:
        raise InitError(f"{error.filename or folder}: cannot be written: {error.strerror}") from None
    for path in files:
        print(f"wrote {folder / path}")
    print(ignored)
    option = "" if folder == Path() else f" -c {folder / CONFIG_NAME}"
    print(f"\nnext: routemq-tui{option}\n      routemq-tui check{option}")
    return ExitCode.OK


def _write_gitignore(path: Path) -> str:
    """What to tell of it."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.writelines(f"{each}\n" for each in _IGNORED)
    except FileExistsError:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ()
        there = {line.strip().strip("/") for line in lines}
        missing = [each for each in _IGNORED if each.strip("/") not in there]
        return f"left {path} as it is" + (f"; add to it: {' '.join(missing)}" if missing else "")
    return f"wrote {path}"


def _settings(arguments: argparse.Namespace) -> dict[str, dict[str, str]]:
    """Checked by the configuration's own rules, before anything is written."""
    from routemq_tui.config.environment import override_layer
    from routemq_tui.config.load import ConfigError
    from routemq_tui.config.reader import Reader

    given = {("app", "group"): arguments.group, ("broker", "url"): arguments.broker}
    reader = Reader()
    override_layer(reader, {".".join(key): value for key, value in given.items()})
    if reader.problems:
        raise ConfigError(reader.problems)
    settings: dict[str, dict[str, str]] = {}
    for (table, key), value in given.items():
        if value is not None:
            settings.setdefault(table, {})[key] = value
    return settings
