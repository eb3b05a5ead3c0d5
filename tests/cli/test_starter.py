"""`init` and `demo`: the starter project is written whole or not at all, and works where there is nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tomllib
from pathlib import Path

import pytest

from routemq_tui.errors import ExitCode
from tests.cli.program import REPOSITORY, command, environment, run
from tests.waiting import wait_until

STARTER = [
    "routemq.toml",
    *sorted(str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "routes").glob("*.py")),
]


def written(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_init_writes_a_project_that_checks_and_keeps_what_the_file_teaches(tmp_path: Path) -> None:
    done = run("init", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert written(tmp_path) == sorted([".gitignore", *STARTER])
    ours, theirs = ((folder / "routemq.toml").read_text() for folder in (REPOSITORY, tmp_path))
    assert tomllib.loads(theirs) == tomllib.loads(ours)
    comments = [[line for line in text.splitlines() if line.startswith("#")] for text in (ours, theirs)]
    assert comments[0] == comments[1]
    assert run("check", cwd=tmp_path).returncode == 0


def test_init_takes_group_and_broker(tmp_path: Path) -> None:
    done = run("init", "new/farm", "--group", "farm", "--broker", "mqtt://h:1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    settings = tomllib.loads((tmp_path / "new/farm/routemq.toml").read_text())
    assert (settings["app"]["group"], settings["broker"]["url"]) == ("farm", "mqtt://h:1")
    assert "routemq-tui -c new/farm/routemq.toml" in done.stdout


def test_git_is_told_what_is_no_part_of_the_project(tmp_path: Path) -> None:
    done = run("init", "new", cwd=tmp_path)
    assert (tmp_path / "new/.gitignore").read_text() == ".routemq/\n.env\nroutemq.local.toml\n"
    assert "wrote new/.gitignore" in done.stdout
    # but one that exists is its owner's
    (tmp_path / ".gitignore").write_text("/.routemq\n*.pyc\n")
    done = run("init", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "left .gitignore as it is; add to it: .env routemq.local.toml" in done.stdout
    assert (tmp_path / ".gitignore").read_text() == "/.routemq\n*.pyc\n"


@pytest.mark.parametrize("existing", ["routemq.toml", "routes/orders.py"])
def test_init_writes_nothing_where_a_file_is_in_the_way(existing: str, tmp_path: Path) -> None:
    path = tmp_path / existing
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    done = run("init", cwd=tmp_path)
    assert done.returncode == ExitCode.CONFIGURATION
    assert existing in done.stderr
    assert written(tmp_path) == [existing]
    assert path.read_text() == "mine"


@pytest.mark.parametrize("words", [["--broker", "nonsense"], ["--group", "a/b"]])
def test_init_writes_nothing_for_settings_that_would_not_check(words: list[str], tmp_path: Path) -> None:
    done = run("init", *words, cwd=tmp_path)
    assert done.returncode == ExitCode.CONFIGURATION
    assert written(tmp_path) == []


def test_demo_runs_everything_without_a_terminal_and_leaves_nothing(tmp_path: Path) -> None:
    here, temporary = tmp_path / "here", tmp_path / "tmp"
    here.mkdir()
    temporary.mkdir()
    done = run("demo", "--duration", "6s", cwd=here, TMPDIR=str(temporary))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "plain lines instead of the screen (no terminal)" in lines[0]
    table = [line.split() for line in lines[lines.index(_summary(lines)) + 2 :]]
    ok = {row[0]: int(row[2]) for row in table}
    assert set(ok) == {*WORKERS, "total"}
    assert all(count > 0 for count in ok.values()), ok
    assert {row[1] for row in table[:-1]} == {"running"}
    assert written(here) == []
    assert not list(temporary.glob("routemq-demo-*"))


WORKERS = [
    *(f"temperature/{slot}" for slot in (1, 2, 3)),
    "consumption/1",
    "position/1",
    "position/2",
    "orders/1",
]


def test_a_signal_drains_the_demo_and_a_closed_pipe_ends_it_quietly(tmp_path: Path) -> None:
    for end in ("signal", "pipe"):
        process = subprocess.Popen(
            command("demo"),
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(TMPDIR=str(tmp_path)),
        )
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            for line in process.stdout:
                if "orders/1" in line and "subscribed" in line:
                    break
            if end == "signal":
                process.send_signal(signal.SIGTERM)
                rest = process.stdout.read()
                assert "SIGTERM: draining the workers" in rest
            process.stdout.close()
            complaints = process.stderr.read()
            code = process.wait(15)
        finally:
            process.kill()
            process.wait()
            process.stderr.close()
        assert complaints == ""
        assert code == (ExitCode.OK if end == "signal" else 141)
        wait_until(lambda: not _children_of(tmp_path), what="no process is left")
    assert not list(tmp_path.glob("routemq-demo-*"))


def _summary(lines: list[str]) -> str:
    return next(line for line in lines if re.fullmatch(r"summary of \d+\.\d s", line))


def _children_of(folder: Path) -> list[str]:
    """Processes whose environment holds this test's temporary folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"TMPDIR={folder}".encode() in path.read_bytes().split(b"\0"):
                found.append(path.parent.name)
        except OSError:
            continue
    return [pid for pid in found if int(pid) != os.getpid()]
