"""Fixtures every room uses: real brokers on free loopback ports; the mark for what needs mosquitto."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.waiting import free_port, listens, wait_until

# A loaded machine makes examples slowly; how long one takes says nothing about the code.
settings.register_profile("routemq", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("routemq")

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = pytest.mark.skip(reason="mosquitto is not installed (apt-get install mosquitto)")
    for item in items:
        if "mosquitto" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.mosquitto)
        if item.get_closest_marker("mosquitto") and MOSQUITTO is None:
            item.add_marker(missing)


class Mosquitto:
    """The system's mosquitto on a loopback port of its own."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        assert MOSQUITTO is not None
        self.port = free_port()
        self._command = [MOSQUITTO, "-c", str(folder / "mosquitto.conf")]
        (folder / "mosquitto.conf").write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n"
            f"persistence_location {folder}/\nuser root\n{settings}\n"
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: listens(self.port), what="mosquitto listens")

    def stop(self, kill: bool = False) -> None:
        if self.process is not None:
            self.process.kill() if kill else self.process.terminate()
            self.process.wait(10)
            self.process = None


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A mosquitto with unbounded queues; `stop` and `start` it as the test needs."""
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    broker = Mosquitto(folder)
    broker.start()
    yield broker
    broker.stop(kill=True)
