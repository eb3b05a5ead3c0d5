"""A project folder for configuration tests: handlers in a package of their own name, and files as given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

from routemq_tui.config.load import ConfigError, load
from routemq_tui.config.model import Config, Problem

HANDLERS = """
def temperature(device_id, payload: dict):
    pass


async def waits(payload):
    pass


def needs_more(device_id, humidity):
    pass
"""
ROUTE = """
[routes.temperature]
topic = "sensors/{device_id}/temperature"
handler = "checked.sensors:temperature"
"""


def write(folder: Path, text: str, name: str = "routemq.toml") -> Path:
    file = folder / name
    file.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    return file


def write_handlers(folder: Path) -> None:
    package = folder / "checked"
    package.mkdir()
    (package / "sensors.py").write_text(HANDLERS.lstrip("\n"))
    (package / "raises.py").write_text("x = 1\nraise RuntimeError('no database')\n")


def loaded(
    folder: Path, text: str = ROUTE, environment: Mapping[str, str] | None = None, **options: object
) -> Config:
    return load(write(folder, text), environment=environment or {}, **options)  # type: ignore[arg-type]


def problems(folder: Path, text: str, environment: Mapping[str, str] | None = None) -> tuple[Problem, ...]:
    """What is wrong with this configuration; something must be."""
    try:
        config = loaded(folder, text, environment)
    except ConfigError as error:
        return error.problems
    raise AssertionError(f"nothing is wrong with it: {config}")
