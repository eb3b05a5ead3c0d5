"""Workers from Python: a script, a notebook or a test runs the routes of a router without any screen.

The same engine, processes and figures as under the screen. Worker processes import the router anew, so it has
to be at the top level of a module, or in a package that is named.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from routemq_tui.config.load import config_of
from routemq_tui.config.model import Config
from routemq_tui.engine.commands import SetWorkers, Stop
from routemq_tui.engine.engine import Engine
from routemq_tui.engine.snapshot import BrokerState, RouteSnapshot, Snapshot, WorkerSnapshot
from routemq_tui.engine.states import WorkerState
from routemq_tui.errors import ExitCode, RoutemqError
from routemq_tui.routing.discovery import found_router, home_of
from routemq_tui.routing.found import IN_WORKER, Discovery, discover
from routemq_tui.routing.router import Router
from routemq_tui.routing.template import Template

START_TIME = 30.0
_LOOK = 0.02
_GIVEN_UP = (WorkerState.FAILED,)


class RouterPlaceError(RoutemqError):
    """Worker processes cannot import the router."""

    exit_code = ExitCode.CONFIGURATION


class StartError(RoutemqError):
    """Not all workers run; the text says which and why."""

    exit_code = ExitCode.WORKERS_FAILED


@dataclass(frozen=True)
class Worker:
    """One worker as it was when it was asked for; `is_alive` looks anew."""

    name: str
    """`sensors/2`."""
    route: str
    slot: int
    pid: int | None
    state: str
    _manager: WorkerManager

    def is_alive(self) -> bool:
        """Whether this very process lives."""
        return self.pid is not None and any(each.pid == self.pid for each in self._manager.workers)


class WorkerManager:
    """Starts, scales and stops the workers of a router's routes. Also a context manager.

    `router`: one at the top level of a module. `router_directory`: a package in which all routers are looked
    for instead, `app.routers`. `group_name`: the share name, by default MQTT_GROUP_NAME or `workers`;
    managers of different groups do not touch each other. `broker`: a URL as in `routemq.toml`, by default
    MQTT_BROKER or the embedded one. `root`: the folder that modules are imported from and `.routemq/` is made
    in. `settings`: others by dotted keys, such as `{"app.log_level": "DEBUG", "defaults.prefetch": 5}`.

    Raises RouterPlaceError, or ConfigError with all that is wrong.
    """

    def __init__(
        self,
        router: Router | None = None,
        group_name: str | None = None,
        router_directory: str | None = None,
        *,
        broker: str | None = None,
        root: Path | str | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self._settings = {**(settings or {}), "app.group": group_name, "broker.url": broker}
        self._settings.setdefault("app.node", _node_of(group_name))
        self._root, self._routers = _look(router, router_directory, None if root is None else Path(root))
        self._config = self._configured(None)
        self._engine: Engine | None = None

    # What there is to run

    def get_shared_routes_info(self) -> list[dict[str, Any]]:
        """Of each shared route `topic`, `mqtt_topic` (its filter), `qos` and `worker_count`."""
        return [
            {
                "topic": route.topic,
                "mqtt_topic": Template.parse(route.topic).filter,
                "qos": route.qos,
                "worker_count": route.workers,
            }
            for route in self._config.routes
            if route.shared
        ]

    # Starting, scaling, stopping

    def start_workers(self, num_workers: int | None = None, timeout: float = START_TIME) -> None:
        """Start all workers, and wait until they have subscribed, for at most `timeout` seconds.

        `num_workers`: of each shared route, instead of what the routes say. When they run already, it only
        scales to that. Raises StartError when a worker was given up or the time is over; with a `timeout` of
        0 it does not wait.
        """
        if os.environ.get(IN_WORKER):
            raise RuntimeError(
                "workers are started while a worker process imports this module: put the start under "
                'if __name__ == "__main__":'
            )
        if self._engine is not None:
            if num_workers is not None:
                for route in self.snapshot().routes:
                    if route.shared:
                        self.scale(route.name, num_workers)
            return
        self._config = self._configured(num_workers)
        engine = Engine(self._config)
        engine.start()
        self._engine = engine
        if timeout > 0:
            self._wait_until_up(timeout)

    def scale(self, route: str, count: int) -> None:
        """Set how many workers a route has. Raises KeyError for one that is not there, ValueError for a count
        it cannot have, RuntimeError when nothing runs."""
        found = self._route(route)
        most = found.max_workers
        if not 0 <= count <= most:
            reason = "" if found.shared else ": it is not shared, and one worker keeps the order"
            raise ValueError(f"{route} can have 0 to {most} workers, not {count}{reason}")
        self._running().send(SetWorkers(route, count))

    def wait_for(self, route: str, count: int, timeout: float = START_TIME) -> None:
        """Until so many workers of a route run; raises TimeoutError."""
        deadline = time.monotonic() + timeout
        while (found := self._route(route)).running != count or len(found.workers) != count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{route} has {found.running} of {count} workers after {timeout:g} s")
            time.sleep(_LOOK)

    def stop_workers(self, timeout: float | None = None) -> None:
        """Drain all workers and end; those that still run after `timeout` seconds (by default what
        `app.shutdown_timeout` says) are killed then. Does nothing when none runs."""
        engine, self._engine = self._engine, None
        if engine is None:
            return
        grace = self._config.app.shutdown_timeout if timeout is None else timeout
        engine.send(Stop(timeout=timeout))
        if not engine.wait(grace + 3.0):
            engine.send(Stop(force=True))
            engine.wait(5.0)

    def __enter__(self) -> WorkerManager:
        self.start_workers()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop_workers()

    # How they are

    @property
    def is_running(self) -> bool:
        return self._engine is not None

    @property
    def workers(self) -> list[Worker]:
        """Those there are now, the ones that wait for a restart too; none when nothing runs."""
        if self._engine is None:
            return []
        return [
            Worker(each.name, each.route, each.slot, each.pid, each.state.value, self)
            for route in self._engine.snapshot().routes
            for each in route.workers
        ]

    def get_worker_count(self) -> int:
        """Processes that live."""
        return sum(1 for worker in self.workers if worker.pid is not None)

    def snapshot(self) -> Snapshot:
        """All that the engine knows, as one immutable value. Raises RuntimeError when nothing runs."""
        return self._running().snapshot()

    def get_dashboard_data(self) -> dict[str, Any]:
        """`overview`, `workers` (with CPU and memory), `routes` and `health`, as plain values for a page."""
        snapshot = self.snapshot()
        metrics = snapshot.metrics
        return {
            "overview": {
                "group": snapshot.group,
                "broker": snapshot.broker.address,
                "broker_connected": snapshot.broker.state == "up",
                "total_workers": snapshot.desired,
                "active_workers": snapshot.running,
                "total_routes": len(snapshot.routes),
                "messages": metrics.ok + metrics.failed,
                "messages_per_second": metrics.rate,
                "failed": metrics.failed,
                "error_rate": metrics.error_rate,
                "in_flight": metrics.in_flight,
            },
            "workers": [_worker_data(each) for route in snapshot.routes for each in route.workers],
            "routes": [_route_data(route) for route in snapshot.routes],
            "health": {
                "status": snapshot.health.value,
                "percentage": snapshot.health_percent,
                "running": snapshot.running,
                "desired": snapshot.desired,
            },
        }

    # -- its own -----------------------------------------------------------------------------------------

    def _configured(self, num_workers: int | None) -> Config:
        settings = dict(self._settings)
        if num_workers is not None:
            settings["defaults.workers"] = num_workers
        return config_of(self._routers, self._root, overrides=settings)

    def _running(self) -> Engine:
        if self._engine is None:
            raise RuntimeError("no workers run: call start_workers first")
        return self._engine

    def _route(self, name: str) -> RouteSnapshot:
        routes = {route.name: route for route in self.snapshot().routes}
        if name not in routes:
            raise KeyError(f"there is no route {name!r}: there are {', '.join(routes) or 'none'}")
        return routes[name]

    def _wait_until_up(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while True:
            snapshot = self.snapshot()
            workers = [each for route in snapshot.routes for each in route.workers]
            bad = [each for each in workers if each.state in _GIVEN_UP]
            if bad or time.monotonic() > deadline:
                why = _why_not(snapshot, bad or [each for each in workers if each.state not in _UP])
                with suppress(RoutemqError):
                    self.stop_workers()
                raise StartError(why)
            if snapshot.desired and snapshot.running == snapshot.desired:
                return
            time.sleep(_LOOK)


_UP = (WorkerState.RUNNING, WorkerState.PAUSED)


def _why_not(snapshot: Snapshot, workers: list[WorkerSnapshot]) -> str:
    if snapshot.broker.reason and snapshot.broker.state is not BrokerState.UP:
        return f"the broker {snapshot.broker.address}: {snapshot.broker.reason}"
    told = [f"{each.name} is {each.state}{f': {each.reason}' if each.reason else ''}" for each in workers[:5]]
    return "; ".join(told) or "no route has a worker"


def _worker_data(worker: WorkerSnapshot) -> dict[str, Any]:
    metrics = worker.metrics
    return {
        "name": worker.name,
        "pid": worker.pid,
        "state": worker.state.value,
        "is_alive": worker.pid is not None,
        "connected": worker.connected,
        "messages": metrics.ok + metrics.failed,
        "failed": metrics.failed,
        "messages_per_second": metrics.rate,
        "p95_seconds": metrics.p95,
        "in_flight": metrics.in_flight,
        "cpu_percent": metrics.cpu_percent,
        "memory_mb": None if metrics.rss_bytes is None else metrics.rss_bytes / 1024**2,
        "restarts": worker.restarts,
        "uptime_seconds": worker.uptime,
        "last_error": worker.last_error,
    }


def _route_data(route: RouteSnapshot) -> dict[str, Any]:
    metrics = route.metrics
    return {
        "name": route.name,
        "topic": route.topic,
        "mqtt_topic": route.filter,
        "subscription": route.subscription,
        "qos": route.qos,
        "shared": route.shared,
        "worker_count": route.desired,
        "active_workers": route.running,
        "messages": metrics.ok + metrics.failed,
        "failed": metrics.failed,
        "messages_per_second": metrics.rate,
        "p95_seconds": metrics.p95,
        "utilisation": metrics.utilisation,
    }


def _node_of(group_name: str | None) -> str:
    """A node of its own for each group, so that several managers of a folder do not meet."""
    words = re.sub(r"[^A-Za-z0-9_-]+", "-", group_name or "").strip("-")[:50]
    return f"manager-{words}" if words else "manager"


def _look(router: Router | None, directory: str | None, root: Path | None) -> tuple[Path, Discovery]:
    """The folder to import from, and what is to be run."""
    if router is not None:
        place = _place_of(router)
        if place is not None:
            module, name = place
            home = root or _home_of(module)
            reference, file = f"{_importable_name(module)}:{name}", getattr(module, "__file__", None) or ""
            return home, Discovery((found_router(router, reference, home, file, _name_elsewhere),))
        if directory is None:
            raise RouterPlaceError(
                "worker processes import the router anew, and this one is at the top level of no module: "
                "write router = Router() there, or name the package of your routers as router_directory"
            )
    if directory is None:
        raise RouterPlaceError("give a router, or the package of your routers as router_directory")
    home = root or Path.cwd()
    return home, discover([directory.strip("/").replace("/", ".")], home)


def _place_of(router: Router) -> tuple[ModuleType, str] | None:
    """The module that has it at the top level, and its name there."""
    # Modules of a kind of their own may import a lot as soon as they are looked into.
    modules = [each for each in list(sys.modules.values()) if type(each) is ModuleType]
    modules.sort(key=lambda each: each.__name__ == "__main__")
    maker = sys.modules.get(router.module)
    return home_of(router, modules if maker is None else [maker, *modules])


def _name_elsewhere(module: str) -> str | None:
    found = sys.modules.get(module)
    return None if found is None else _importable_name(found)


def _importable_name(module: ModuleType) -> str:
    """The name that another process imports it by."""
    if module.__name__ != "__main__":
        return module.__name__
    spec = getattr(module, "__spec__", None)
    if spec is not None and spec.name:  # python -m package.module
        return str(spec.name)
    file = getattr(module, "__file__", None)
    if file is None or not Path(file).stem.isidentifier():
        what = (
            "a notebook or an interactive session" if file is None else f"{file}, which is no module's name"
        )
        raise RouterPlaceError(
            f"worker processes cannot import {what}: put router and handlers into a module and import it"
        )
    return Path(file).stem


def _home_of(module: ModuleType) -> Path:
    """The folder that holds the module's top package; the working folder for one that is installed."""
    file = getattr(module, "__file__", None)
    if file is None:
        return Path.cwd()
    depth = _importable_name(module).count(".") + (Path(file).stem == "__init__")
    home = Path(file).resolve().parents[depth]
    return Path.cwd() if "site-packages" in home.parts or "dist-packages" in home.parts else home
