"""One embedded broker and one fork server for all tests here; each test takes ids and topics of its own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from routemq_tui.broker.handle import EmbeddedBroker
from routemq_tui.config.model import AppConfig, RouteConfig
from routemq_tui.engine import fork_server
from tests.engine.rig import Rig, make_config, running

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def broker() -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker.start(0)
    yield broker
    broker.stop()


@pytest.fixture(scope="session", autouse=True)
def _one_fork_server() -> Iterator[None]:
    """Shared by all engines of the folder: starting one takes half a second of CPU."""
    reader = fork_server.start()
    yield
    fork_server.stop()
    if reader is not None:
        os.close(reader)


@pytest.fixture
def own_pace() -> None:
    """Leaves the engine its own pace."""


@pytest.fixture(autouse=True)
def _quick_snapshots(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests wait for snapshots most of the time: take them five times as often."""
    if "own_pace" not in request.fixturenames:
        monkeypatch.setattr("routemq_tui.engine.engine.PUBLISH_EVERY", 0.02)
        monkeypatch.setattr("routemq_tui.engine.engine.REFRESH_EVERY", 0.05)


StartRig = Callable[..., AbstractContextManager[Rig]]


def start(
    root: Path, port: int, *routes: RouteConfig, app: AppConfig | None = None, **more: Any
) -> AbstractContextManager[Rig]:
    group = f"g{next(_numbers)}"  # a group's queue would hand one test's messages to the next
    app = replace(app or AppConfig(), group=group)
    own = [replace(route, group=group) for route in routes]
    return running(make_config(root, port, *own, app=app, **more), port)


@pytest.fixture
def start_rig(broker: EmbeddedBroker, tmp_path: Path) -> StartRig:
    """`with start_rig(route(…), …) as rig`; other settings of the configuration by name."""
    return lambda *routes, **more: start(tmp_path, broker.port, *routes, **more)


@pytest.fixture(scope="module")
def start_shared_rig(
    broker: EmbeddedBroker, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., AbstractContextManager[tuple[Rig, Path]]]:
    """As `start_rig`, for a fixture of a whole module; gives the project's folder too."""

    @contextmanager
    def start_it(*routes: RouteConfig, **more: Any) -> Iterator[tuple[Rig, Path]]:
        root = tmp_path_factory.mktemp("shared")
        with start(root, broker.port, *routes, **more) as rig:
            yield rig, root

    return start_it
