"""`run`: the exit code, an engine seen to its end, a terminal given back. In a real pseudo-terminal."""

from __future__ import annotations

import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path

import pytest

from routemq_tui.engine.commands import Stop
from routemq_tui.tui.app import stop_engine
from tests.fakes.engine import FakeEngine
from tests.fakes.snapshots import busy

PROGRAM = """
import sys
from routemq_tui.tui.app import run
from tests.fakes.engine import FakeEngine
from tests.fakes.snapshots import busy
engine = FakeEngine(busy())
engine.stops_only_by_force() if "stubborn" in sys.argv else engine.stops_when_asked()
def fail(self, snapshot): raise RuntimeError("it is broken")
if "broken" in sys.argv:
    from routemq_tui.tui.screens.leaving import Leaving
    Leaving.show_snapshot = fail
if "faulty" in sys.argv:
    from routemq_tui.tui.widgets.header import Header
    Header.show_snapshot = fail
code = run(engine)
print("commands", engine.commands, flush=True)
sys.exit(code)
"""
LEAVE_SCREEN = b"\x1b[?1049l"
SHOW_CURSOR = b"\x1b[?25h"
MOUSE_OFF = b"\x1b[?1000l"


@dataclass
class Terminal:
    process: subprocess.Popen[bytes]
    descriptor: int
    before: list[object]
    output: bytes = b""

    def read_until(self, wanted: bytes, timeout: float = 15.0) -> None:
        deadline = time.monotonic() + timeout
        while wanted not in self.output:
            assert time.monotonic() < deadline, self.output[-2_000:]
            self._read(0.1)

    def wait(self) -> int:
        deadline = time.monotonic() + 15
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.output[-2_000:]
            self._read(0.05)
        self._read(0.05)
        return self.process.returncode

    def _read(self, timeout: float) -> None:
        if select.select([self.descriptor], [], [], timeout)[0]:
            try:
                self.output += os.read(self.descriptor, 65_536)
            except OSError:
                return

    def given_back(self) -> bool:
        return (
            LEAVE_SCREEN in self.output
            and SHOW_CURSOR in self.output
            and MOUSE_OFF in self.output
            and termios.tcgetattr(self.descriptor) == self.before
        )


@pytest.fixture
def terminal(request: pytest.FixtureRequest) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    before = termios.tcgetattr(ours)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *getattr(request, "param", [])],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TERM": "xterm-256color"},
    )
    os.close(theirs)
    yield Terminal(process, ours, before)
    process.kill()
    process.wait()
    os.close(ours)


@pytest.mark.parametrize("how", ["key", "signal"])
def test_the_terminal_is_given_back_at_the_end(terminal: Terminal, how: str) -> None:
    terminal.read_until(b"temperature/1")
    if how == "key":
        os.write(terminal.descriptor, b"q")
    else:
        terminal.process.send_signal(signal.SIGTERM)
    assert terminal.wait() == 0
    assert b"commands [Stop(force=False, timeout=None)]" in terminal.output
    assert terminal.given_back()


@pytest.mark.parametrize("terminal", [["stubborn"]], indirect=True)
def test_a_second_signal_forces(terminal: Terminal) -> None:
    terminal.read_until(b"temperature/1")
    terminal.process.send_signal(signal.SIGTERM)
    terminal.read_until(b"Stopping")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.wait() == 0
    assert b"commands [Stop(force=False, timeout=None), Stop(force=True, timeout=None)]" in terminal.output


@pytest.mark.parametrize("terminal", [["broken"]], indirect=True)
def test_the_terminal_is_given_back_after_an_error_and_the_engine_is_stopped(terminal: Terminal) -> None:
    assert terminal.wait() == 1
    assert b"it is broken" in terminal.output
    assert b"commands [Stop(force=False, timeout=None)]" in terminal.output
    assert terminal.given_back()


@pytest.mark.parametrize("terminal", [["faulty"]], indirect=True)
def test_an_error_that_the_screen_goes_on_after_is_told_again_at_the_end(terminal: Terminal) -> None:
    terminal.read_until(b"temperature/1")
    terminal.read_until(b"please report it")
    os.write(terminal.descriptor, b"q")
    assert terminal.wait() == 0
    assert terminal.given_back()
    told = terminal.output.partition(LEAVE_SCREEN)[2]
    assert b"Traceback" in told
    assert b"RuntimeError: it is broken" in told


def test_an_engine_that_does_not_stop_is_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routemq_tui.tui.app.STOP_TIME", 0.1)
    engine = FakeEngine(busy())
    engine.stops_only_by_force()
    stop_engine(engine)
    assert engine.commands == [Stop(), Stop(force=True)]
