"""`--headless` as a service runs it: probed, scraped, told to reload and to end."""

from __future__ import annotations

import http.client
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.program import command, environment, run
from tests.waiting import free_port, wait_until

PROJECT = """
[broker]
url = "embedded"
port = {broker}
[http]
listen = "127.0.0.1:{http}"
[routes.jobs]
topic = "jobs/{{id}}"
handler = "handlers:count"
qos = 1
workers = {workers}
"""


class Service:
    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.broker = folder, free_port(), free_port()
        (folder / "handlers.py").write_text("def count(id): pass\n")
        self.write(2)
        self.output = folder / "output"
        with self.output.open("w") as out:
            self.process = subprocess.Popen(
                command("--headless"), cwd=folder, env=environment(), stdout=out, stderr=subprocess.STDOUT
            )

    def write(self, workers: int | str) -> None:
        text = PROJECT.format(broker=self.broker, http=self.port, workers=workers)
        (self.folder / "routemq.toml").write_text(text)

    def get(self, path: str) -> tuple[int, str]:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)) as connection:
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read().decode()
        except OSError:
            return 0, ""

    def until_said(self, text: str) -> None:
        wait_until(lambda: text in self.output.read_text(), what=f"{text!r} is said")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    wait_until(lambda: service.get("/readyz")[0] == 200, what="it is ready")
    yield service
    service.process.kill()
    service.process.wait()


def test_a_service_from_start_to_end(service: Service) -> None:
    assert service.get("/healthz")[0] == 200
    assert 'routemq_workers_desired{route="jobs"} 2.0' in service.get("/metrics")[1]
    assert f"/healthz, /readyz and /metrics at http://127.0.0.1:{service.port}" in service.output.read_text()
    # when the file says another number, and a hangup says to look
    service.write(3)
    service.process.send_signal(signal.SIGHUP)
    service.until_said("reloaded: jobs 2 -> 3 workers")
    wait_until(lambda: '{route="jobs",state="running"} 3.0' in service.get("/metrics")[1])
    # when it is broken, then nothing changes, and it is told as at a start
    service.write('"many"')
    service.process.send_signal(signal.SIGHUP)
    service.until_said("not reloaded: routemq.toml:")
    assert "routes.jobs.workers" in service.output.read_text()
    assert '{route="jobs",state="running"} 3.0' in service.get("/metrics")[1]
    # and from elsewhere the same
    refused = run("ctl", "reload", cwd=service.folder)
    assert refused.returncode != 0
    assert "not reloaded" in refused.stderr
    service.write(1)
    asked = run("ctl", "reload", cwd=service.folder)
    assert "reloaded: jobs 3 -> 1 workers" in asked.stdout
    # and it ends as asked
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(15) == 0


def test_a_port_in_use_stops_the_start(service: Service, tmp_path: Path) -> None:
    done = run("run", "--headless", "--node", "other", cwd=service.folder)
    assert done.returncode == 2
    assert "http.listen: 127.0.0.1:" in done.stderr
