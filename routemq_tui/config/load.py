"""`routemq.toml` to a `Config`: every error at once, or values that need no further check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from routemq_tui.config.environment import environment_layer, override_layer
from routemq_tui.config.model import AppConfig, Config, Place, Problem, RouteConfig
from routemq_tui.config.reader import Layer, Reader
from routemq_tui.config.resolve import (
    Layers,
    resolve_app,
    resolve_broker,
    resolve_http,
    resolve_routes,
    resolve_traffic,
    resolve_ui,
    sort_key,
)
from routemq_tui.config.source import LOCAL_FILE, SourceError, printable, read_source
from routemq_tui.errors import ExitCode, RoutemqError
from routemq_tui.routing.found import Discovery, discover

Discover = Callable[[Sequence[str], Path], Discovery]
NOTHING = Discovery()


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
    discover: Discover | None = discover,
) -> Config:
    """Read a configuration file and what overlays it; raises ConfigError with all problems.

    `overrides` come from the command line, by dotted keys (`broker.url`, `defaults.workers`). `environment`
    stands for `os.environ` and `.env`. Without `local`, `routemq.local.toml` is not read. Routers are found
    by `discover`; None leaves them and their routes out.
    """
    reader = Reader()
    files = _file_layers(reader, path, local)
    root = path.parent.resolve()
    layers = _with_forced(reader, files, root, environment, overrides)
    app = resolve_app(layers)
    found = _discovered(reader, layers, app, root, discover)
    return _checked(reader, layers, app, root, root / path.name, found, path.with_name(LOCAL_FILE))


def config_of(
    routers: Discovery,
    root: Path,
    *,
    overrides: Mapping[str, object] = MappingProxyType({}),
    environment: Mapping[str, str] | None = None,
) -> Config:
    """The configuration of routers alone, without a file; raises ConfigError with all problems.

    What `overrides` do not say comes from the environment, and from `.env` in `root`.
    """
    reader = Reader()
    layers = _with_forced(reader, [Layer()], root, environment, overrides)
    for problem in routers.problems:
        reader.report(Place(root, None), problem.package, printable(problem.reason), printable(problem.hint))
    return _checked(reader, layers, resolve_app(layers), root, root, routers)


def _with_forced(
    reader: Reader,
    files: Sequence[Layer],
    root: Path,
    environment: Mapping[str, str] | None,
    overrides: Mapping[str, object],
) -> Layers:
    return Layers(files, (environment_layer(reader, root, environment), override_layer(reader, overrides)))


def _checked(
    reader: Reader,
    layers: Layers,
    app: AppConfig,
    root: Path,
    file: Path,
    found: Discovery | None,
    local_file: Path | None = None,
) -> Config:
    config = Config(
        root=root,
        file=file,
        app=app,
        broker=resolve_broker(reader, layers, root),
        routes=resolve_routes(reader, layers, app, None if found is None else found.routes),
        routers=() if found is None else found.routers,
        traffic=resolve_traffic(layers),
        http=resolve_http(layers),
        ui=resolve_ui(layers),
        warnings=tuple(sorted(reader.warnings, key=sort_key)),
    )
    if reader.problems:
        # A problem of [defaults] or of the command line is found once for every route.
        problems = sorted(dict.fromkeys(reader.problems), key=sort_key)
        raise ConfigError(_with_way_out(each, local_file) for each in problems)
    return replace(config, overlaid=_overlaid(layers, app, found, config.routes))


def _overlaid(
    layers: Layers, app: AppConfig, found: Discovery | None, routes: Sequence[RouteConfig]
) -> tuple[str, ...]:
    """A line for each route whose count of workers the local file has set to another one."""
    if len(layers.files) < 2:
        return ()
    by_hand = resolve_routes(
        Reader(), replace(layers, files=layers.files[:1]), app, None if found is None else found.routes
    )
    written = {route.name: route for route in by_hand}
    lines = []
    for route in routes:
        before = written.get(route.name)
        if _count_file(route) == LOCAL_FILE and before is not None and before.workers != route.workers:
            file = _count_file(before)
            otherwise = f"{file} says {before.workers}" if file else f"{before.workers} by default"
            workers = "1 worker" if route.workers == 1 else f"{route.workers} workers"
            lines.append(f"{route.name}: {workers} from {LOCAL_FILE} ({otherwise})")
    return tuple(lines)


def _count_file(route: RouteConfig) -> str:
    """The name of the file that says the route's workers; empty when none does."""
    place = route.written.get("workers")
    return "" if place is None or place.file is None else place.file.name


def _discovered(
    reader: Reader, layers: Layers, app: AppConfig, root: Path, discover: Discover | None
) -> Discovery | None:
    """What the packages of `app.routers` hold; None when that is not known, and reported why."""
    if not app.routers:
        return Discovery()
    if discover is None:
        return None
    found = discover(app.routers, root)
    setting = next(layer.app["routers"] for layer in reversed(layers.all) if "routers" in layer.app)
    for problem in found.problems:
        message = f"{printable(problem.package)}: {printable(problem.reason)}"
        reader.report(setting.place, setting.key, message, printable(problem.hint))
    return None if found.problems else found


def counts_of_file(path: Path, routers: Discovery = NOTHING) -> dict[str, int]:
    """The worker counts that the hand-written file and the routers say, by route; raises ConfigError."""
    reader = Reader()
    layers = Layers(_file_layers(reader, path, local=False), ())
    routes = resolve_routes(reader, layers, resolve_app(layers), routers.routes)
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


def _with_way_out(problem: Problem, local: Path | None) -> Problem:
    """The local file was written by the program: whoever meets a mistake in it can start without it."""
    if local is None or problem.place.file != local:
        return problem
    way_out = "--no-local starts without this file"
    return replace(problem, hint=f"{problem.hint}; {way_out}" if problem.hint else way_out)
