"""Projects with handlers, and publishers, on the mosquitto of the test."""

from __future__ import annotations

import subprocess
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


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1, and its key beside it."""
    file = tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-keyout", str(tmp_path / "key.pem"), "-out", str(file), "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    return file
