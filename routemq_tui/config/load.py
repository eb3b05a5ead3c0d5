"""`routemq.toml` to a `Config`: every error at once, or values that need no further check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from routemq_tui.config.environment import environment_layer, override_layer
from routemq_tui.config.model import Config, Problem
from routemq_tui.config.reader import Layer, Reader
from routemq_tui.config.resolve import (
    Layers,
    resolve_app,
    resolve_broker,
    resolve_routes,
    resolve_traffic,
    resolve_ui,
    sort_key,
)
from routemq_tui.config.source import LOCAL_FILE, SourceError, read_source
from routemq_tui.errors import ExitCode, RoutemqError


class ConfigError(RoutemqError):
    """The configuration is wrong; its text has one line for each problem."""

    exit_code = ExitCode.CONFIGURATION

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def load(
    path: Path,
    *,
    overrides: Mapping[str, object] = MappingProxyType({}),
    environment: Mapping[str, str] | None = None,
    local: bool = True,
) -> Config:
    """Read a configuration file and what overlays it; raises ConfigError with all problems.

    `overrides` come from the command line, by dotted keys (`broker.url`, `defaults.workers`). `environment`
    stands for `os.environ` and `.env`. Without `local`, `routemq.local.toml` is not read.
    """
    reader = Reader()
    files = _file_layers(reader, path, local)
    root = path.parent.resolve()
    forced = (environment_layer(reader, root, environment), override_layer(reader, overrides))
    layers = Layers(files, forced)
    app = resolve_app(layers)
    config = Config(
        root=root,
        file=root / path.name,
        app=app,
        broker=resolve_broker(reader, layers, root),
        routes=resolve_routes(reader, layers, app),
        traffic=resolve_traffic(layers),
        ui=resolve_ui(layers),
        warnings=tuple(sorted(reader.warnings, key=sort_key)),
    )
    if reader.problems:
        # A problem of [defaults] or of the command line is found once for every route.
        found = sorted(dict.fromkeys(reader.problems), key=sort_key)
        raise ConfigError(_with_way_out(each, path.with_name(LOCAL_FILE)) for each in found)
    return config


def counts_of_file(path: Path) -> dict[str, int]:
    """The worker counts that the hand-written file alone says, by route; raises ConfigError."""
    reader = Reader()
    layers = Layers(_file_layers(reader, path, local=False), ())
    routes = resolve_routes(reader, layers, resolve_app(layers))
    if reader.problems:
        raise ConfigError(sorted(dict.fromkeys(reader.problems), key=sort_key))
    return {route.name: route.workers for route in routes}


def _file_layers(reader: Reader, path: Path, local: bool) -> list[Layer]:
    try:
        layers = [reader.layer(read_source(path))]
    except SourceError as error:
        raise ConfigError([error.problem]) from None
    overlay = path.with_name(LOCAL_FILE)
    if local and overlay != path and overlay.exists():
        try:
            layers.append(reader.layer(read_source(overlay)))
        except SourceError as error:
            reader.problems.append(error.problem)
    return layers


def _with_way_out(problem: Problem, local: Path) -> Problem:
    """The local file was written by the program: whoever meets a mistake in it can start without it."""
    if problem.place.file != local:
        return problem
    way_out = "--no-local starts without this file"
    return replace(problem, hint=f"{problem.hint}; {way_out}" if problem.hint else way_out)
