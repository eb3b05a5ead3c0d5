"""Projects with handlers, and publishers, on the mosquitto of the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Mosquitto
from tests.worker.harness import Project, Publisher
from tests.worker.proxy import Proxy


@pytest.fixture
def project(tmp_path: Path, mosquitto: Mosquitto) -> Iterator[Callable[[str], Project]]:
    """Make a project with this code as its module of handlers; its workers end with the test."""
    made: list[Project] = []

    def make(code: str) -> Project:
        root = tmp_path / f"project{len(made)}"
        root.mkdir()
        made.append(Project(root, mosquitto.port, code))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def proxy(mosquitto: Mosquitto) -> Iterator[Proxy]:
    one = Proxy(mosquitto.port)
    yield one
    one.close()


@pytest.fixture
def publisher(mosquitto: Mosquitto) -> Iterator[Publisher]:
    one = Publisher(mosquitto.port)
    yield one
    one.close()
