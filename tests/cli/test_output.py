"""What commands write goes where nobody reads, where no room is, or into an encoding without the letters."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from routemq_tui.commands import session
from routemq_tui.commands.output import OUTPUT_LOST
from routemq_tui.engine.commands import Command, Stop
from routemq_tui.worker.dead_letters import DeadLetter, DeadLetterStore
from tests.cli.program import command, environment, run
from tests.waiting import free_port, wait_until

PROJECT = """
[broker]
url = "embedded"
port = {port}
[routes.jobs]
topic = "jobs/{{id}}"
handler = "handlers:count"
{more}
"""
LETTERS = "ü€😀"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "routemq.toml").write_text(PROJECT.format(port=free_port(), more=""))
    (tmp_path / "handlers.py").write_text(
        f'print("{LETTERS}")\ndef count(id): print("x" * 1000, flush=True)\n'
    )
    return tmp_path


def test_nobody_reads_and_it_ends_all_the_same(project: Path) -> None:
    # given a pipe that is full soon
    with (project / "routemq.toml").open("a") as more:
        more.write('[[traffic]]\ntopic = "jobs/1"\nrate = 500\n')
    process = subprocess.Popen(
        command("--headless"), cwd=project, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        first = process.stdout.readline()
        assert b"plain lines" in first
        asked = threading.Event()
        asked.wait(3.0)  # 64 KiB at 500 kB a second, and the start
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
        _, complaints = process.communicate()
        assert b"lines were not written: nobody read them" in complaints
    finally:
        process.kill()
        process.wait()


def test_a_full_disk_drains_the_workers_and_has_a_code_of_its_own(project: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("--headless"),
            cwd=project,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == OUTPUT_LOST
    assert done.stderr == (
        "routemq-tui: standard output cannot be written: No space left on device; draining the workers\n"
    )


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", ["check", "dead-letters list", "--version", "--help"])
def test_any_command_says_that_it_cannot_write(words: str, unbuffered: str, project: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command(*words.split()),
            cwd=project,
            env=environment(PYTHONUNBUFFERED=unbuffered),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == OUTPUT_LOST
    assert "routemq-tui: the output cannot be written: No space left on device\n" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_letter_that_the_encoding_lacks_ends_nothing(form: str, project: Path) -> None:
    words = ("--log-format", form, "--duration", "1.5s")
    done = run(*words, cwd=project, PYTHONIOENCODING="ascii:strict")
    assert done.returncode == 0, done.stderr
    if form == "text":
        assert r"\u00fc\u20ac\ud83d\ude00" in done.stdout
    else:
        assert LETTERS in [json.loads(line).get("message") for line in done.stdout.splitlines()]


def test_nor_does_it_in_another_command_and_json_stays_json(tmp_path: Path) -> None:
    store = DeadLetterStore(tmp_path / ".routemq")
    store.add(DeadLetter("jobs", "jobs/1", f"jobs/{LETTERS}", b"", 1, "ValueError: no", "", 1))
    store.close()
    done = run("dead-letters", "list", cwd=tmp_path, PYTHONIOENCODING="ascii:strict")
    assert done.returncode == 0, done.stderr
    assert r"jobs/\u00fc\u20ac\ud83d\ude00" in done.stdout
    exported = run("dead-letters", "export", cwd=tmp_path, PYTHONIOENCODING="ascii:strict").stdout
    assert json.loads(exported)["topic"] == f"jobs/{LETTERS}"


def test_a_hangup_of_a_screen_drains_and_never_forces(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Command] = []

    class Engine:
        send: Callable[[Command], None] = staticmethod(sent.append)

    engine: Any = Engine()
    with session._stopping_on_signals(engine):
        for count, number in enumerate([signal.SIGHUP, signal.SIGHUP, signal.SIGTERM], 1):
            os.kill(os.getpid(), number)
            wait_until(lambda: len(sent) >= count)  # noqa: B023
    assert sent == [Stop(), Stop(), Stop(force=True)]
