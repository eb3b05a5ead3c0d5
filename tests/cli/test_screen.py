"""In a terminal `run` shows the screen; whatever ends it, the terminal is given back and the code is 0."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from routemq_tui.errors import ExitCode
from tests.cli.program import command, environment

_ENTER, _LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"
"""Sequences for the alternate screen."""


class Terminal:
    """The other side of a pseudo-terminal, and what the program wrote to it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.output = b""

    def wait_for(self, part: bytes, timeout: float = 15.0) -> None:
        deadline = time.monotonic() + timeout
        while part not in self.output:
            left = deadline - time.monotonic()
            assert left > 0, f"{part!r} did not come; the end was {self.output[-500:]!r}"
            if select.select([self.fd], [], [], left)[0]:
                self.output += os.read(self.fd, 65536)


@contextmanager
def demo_in_terminal(folder: Path, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], Terminal]]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        command("demo", *words),
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(TERM="xterm-256color", TMPDIR=str(folder)),
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield process, Terminal(ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, b"q"])
def test_the_screen_comes_and_goes(end: signal.Signals | bytes, tmp_path: Path) -> None:
    with demo_in_terminal(tmp_path) as (process, terminal):
        terminal.wait_for(_ENTER)
        terminal.wait_for(b"7/7")
        if isinstance(end, bytes):
            os.write(terminal.fd, end)
        else:
            process.send_signal(end)
        terminal.wait_for(_LEAVE)
        assert process.wait(10) == ExitCode.OK
    assert b"Traceback" not in terminal.output
    assert list(tmp_path.glob("routemq-demo-*")) == []


def test_headless_shows_no_screen_in_a_terminal_either(tmp_path: Path) -> None:
    with demo_in_terminal(tmp_path, "--headless", "--duration", "0.5s") as (process, terminal):
        terminal.wait_for(b"plain lines instead of the screen (--headless)")
        terminal.wait_for(b"total")
        process.wait(10)
    assert _ENTER not in terminal.output
