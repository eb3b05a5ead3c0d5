"""`ctl` as a script uses it: it finds the instance by the configuration, and a refusal is an error."""

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
[app]
node = "site-{{hostname}}"

[broker]
port = {port}

[routes.jobs]
topic = "jobs/{{n}}"
handler = "handlers:handle"
workers = 2
min_workers = 1
max_workers = 3

[routes.orders]
topic = "orders/{{n}}"
handler = "handlers:handle"
shared = false

[routes.steady]
topic = "steady/{{n}}"
handler = "handlers:handle"
min_workers = 1
max_workers = 1
"""


def write(folder: Path) -> None:
    (folder / "routemq.toml").write_text(TEXT.format(port=free_port()))
    (folder / "handlers.py").write_text("def handle(n):\n    pass\n")


@contextmanager
def instance(folder: Path, *words: str, **variables: str) -> Iterator[None]:
    process = subprocess.Popen(
        command("run", "--headless", *words),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(**variables),
    )
    try:
        wait_until(lambda: "running  healthy" in said(folder, *words, **variables), 20, "the workers run")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def said(folder: Path, *words: str, **variables: str) -> str:
    return run("ctl", *words, "snapshot", cwd=folder, **variables).stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with an instance for all that changes nothing."""
    folder = tmp_path_factory.mktemp("ctl")
    write(folder)
    with instance(folder):
        yield folder


# Which instance


def test_the_node_of_the_configuration_is_found(folder: Path) -> None:
    assert "/site-" in said(folder)
    assert run("plan", cwd=folder).returncode == 0
    assert run("publish", "jobs/1", "x", cwd=folder).returncode == 0


def test_what_else_is_wrong_with_the_file_does_not_matter(folder: Path) -> None:
    text = (folder / "routemq.toml").read_text()
    try:
        (folder / "routemq.toml").write_text(text.replace("workers = 2", 'workers = "many"'))
        assert "/site-" in said(folder)
        refused = run("ctl", "reload", cwd=folder)
        assert refused.returncode == 2
        assert "not reloaded" in refused.stderr
        # what it cannot do while it runs is refused, and nothing is wrong with the file
        (folder / "routemq.toml").write_text(text.replace("[broker]", "[broker]\nkeepalive = 10"))
        refused = run("ctl", "reload", cwd=folder)
        assert refused.returncode == 1
        assert "restart to apply broker.keepalive" in refused.stderr
        (folder / "routemq.toml").write_text("[[[")
        # then the environment is all there is
        nobody = run("ctl", "snapshot", cwd=folder, ROUTEMQ_NODE="elsewhere")
        assert "run/elsewhere.sock" in nobody.stderr
        assert "; there is --node site-" in nobody.stderr
    finally:
        (folder / "routemq.toml").write_text(text)


@pytest.mark.parametrize("words", [("ctl", "--node", "other", "snapshot"), ("plan", "--node", "other")])
def test_when_nobody_is_there_those_that_are_get_named(folder: Path, words: tuple[str, ...]) -> None:
    nobody = run(*words, cwd=folder)
    assert nobody.returncode == 1
    assert "no instance runs here" in nobody.stderr
    assert "; there is --node site-" in nobody.stderr
    assert "Traceback" not in nobody.stderr


def test_the_environment_and_its_file_win_over_the_configuration(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / ".env").write_text("ROUTEMQ_NODE=of-file\n")
    with instance(tmp_path):
        assert "/of-file " in said(tmp_path)
        for words in (("ctl", "snapshot"), ("plan",)):
            other = run(*words, cwd=tmp_path, ROUTEMQ_NODE="of-shell")
            assert "run/of-shell.sock" in other.stderr
            assert "there is --node of-file" in other.stderr
        assert "/of-file " in said(tmp_path, "--node", "of-file", ROUTEMQ_NODE="of-shell")


# What is refused


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("scale orders 3", "orders is not shared: its one worker keeps the messages in order"),
        ("scale orders +1", "orders is not shared: its one worker"),
        ("scale jobs 999", "jobs has at most 3 (max_workers)"),
        ("scale jobs 0", "jobs keeps at least 1 (min_workers)"),
        ("scale steady -1", "steady keeps at least 1 (min_workers)"),
        ("drain steady/1", "steady keeps at least 1 (min_workers)"),
        ("scale nowhere 1", "no route 'nowhere'; there are jobs, orders, steady"),
        ("kill jobs/9", "no worker 'jobs/9'; there are jobs/1, jobs/2"),
        ("autoscale orders on", "orders is not shared: it has exactly one worker, so there is nothing"),
        ("autoscale steady on", "steady: nothing to scale: min_workers and max_workers are both 1"),
    ],
)
def test_a_refusal_is_an_error_in_words_and_in_json(folder: Path, words: str, why: str) -> None:
    before = said(folder).splitlines()[0]
    verb, *rest = words.split()
    done = run("ctl", verb, "--json", "--", *rest, cwd=folder)
    assert done.returncode == 1
    assert why in done.stderr
    answer = json.loads(done.stdout)
    assert answer["ok"] is False
    assert why in answer["error"]
    assert said(folder).splitlines()[0] == before


@pytest.mark.parametrize("count", ["²", "9" * 5000, "-2", "+x"], ids=["square", "long", "-2", "+x"])
def test_a_count_that_is_no_number(folder: Path, count: str) -> None:
    done = run("ctl", "scale", "--", "jobs", count, cwd=folder)
    assert done.returncode == 2
    assert "scale takes a number, +1 or -1" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_done_is_no_error(folder: Path) -> None:
    for words in (
        ("scale", "jobs", "3"),
        ("scale", "orders", "1"),
        ("start", "jobs/1"),
        ("scale", "jobs", "2"),
    ):
        done = run("ctl", *words, "--json", cwd=folder)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["ok"] is True
