"""`ctl save` against a running instance: scaled by hand, saved, started again."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.program import command, environment, run
from tests.waiting import free_port, wait_until

TEXT = """
[broker]
port = {port}

[routes.jobs]
topic = "jobs/{{n}}"
handler = "handlers:handle"
workers = 1
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "routemq.toml").write_text(TEXT.format(port=free_port()))
    (tmp_path / "handlers.py").write_text("def handle(n):\n    pass\n")
    return tmp_path


def desired(project: Path) -> int | None:
    done = run("ctl", "snapshot", "--json", cwd=project)
    values = json.loads(done.stdout) if done.returncode == 0 else {}
    if not values or values["running"] != values["desired"] or not values["running"]:
        return None
    count: int = values["desired"]
    return count


@contextmanager
def instance(project: Path, *words: str) -> Iterator[None]:
    with (project / "log").open("wb") as log:
        process = subprocess.Popen(
            command("run", "--headless", *words),
            cwd=project,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.DEVNULL,
            env=environment(),
        )
    try:
        wait_until(lambda: desired(project), 20, "the workers run")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def test_a_count_that_was_saved_is_there_at_the_next_start(project: Path) -> None:
    with instance(project):
        # when a route is scaled and the counts are saved at once
        assert run("ctl", "scale", "jobs", "3", cwd=project).returncode == 0
        saved = run("ctl", "save", cwd=project)
        assert saved.returncode == 0
        assert "saved to routemq.local.toml: jobs 3 (the file says 1)" in saved.stdout
        # and once more into a file that somebody has broken: that is refused
        local = project / "routemq.local.toml"
        good = local.read_text()
        local.write_text("[[[")
        refused = run("ctl", "save", cwd=project)
        assert refused.returncode == 1
        assert "routemq.local.toml cannot be read, so it is left as it is" in refused.stderr
    # then a start with the broken file says which file, and how to do without
    broken = run("run", "--headless", cwd=project)
    assert broken.returncode == 2
    assert "routemq.local.toml:1" in broken.stderr
    assert "--no-local" in broken.stderr
    # and one with the good file has the saved count, which `check` traces
    local.write_text(good)
    assert "routemq.local.toml:3" in run("check", cwd=project).stdout
    assert "routemq.toml:8" in run("check", "--no-local", cwd=project).stdout
    with instance(project):
        assert desired(project) == 3
    # and the log of the start says so
    assert "jobs: 3 workers from routemq.local.toml (routemq.toml says 1)" in (project / "log").read_text()
    with instance(project, "--no-local"):
        assert desired(project) == 1
