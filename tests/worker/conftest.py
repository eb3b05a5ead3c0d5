"""Projects with handlers, and publishers, on the mosquitto of the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.authority import Authority
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


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 with that of its authority, and its key beside it in `key.pem`."""
    authority = Authority(tmp_path / "authority")
    issued = authority.issue("127.0.0.1", "localhost")
    issued.key_file.rename(tmp_path / "key.pem")
    file = tmp_path / "certificate.pem"
    file.write_bytes(issued.cert_file.read_bytes() + authority.file.read_bytes())
    return file
