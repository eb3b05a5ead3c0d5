"""What is written to terminals of few colours, and for those who want none. In real pseudo-terminals."""

from __future__ import annotations

import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl
from pathlib import Path

import pytest

PROGRAM = """
from routemq_tui.tui.app import run
from tests.fakes import lines
from tests.fakes.engine import FakeEngine
from tests.fakes.snapshots import busy
engine = FakeEngine(busy())
lines.usual(engine.logs)
engine.stops_when_asked()
run(engine)
"""
SGR = re.compile(rb"\x1b\[([0-9;]*)m")
_COLOURS = ("NO_COLOR", "COLORTERM", "TERM", "TERM_PROGRAM", "FORCE_COLOR", "CLICOLOR_FORCE")


def written(**variables: str) -> bytes:
    """Everything it writes from its start to `q`, some keys between."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in _COLOURS}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        cwd=Path(__file__).parents[2],
        env={**environment, **variables},
    )
    os.close(theirs)
    output = b""
    waiting = [(b"temperature/1", b"j"), (b"temperature", b"?"), (b"Esc closes", b"qq")]
    deadline = time.monotonic() + 20
    try:
        while time.monotonic() < deadline:
            if waiting and waiting[0][0] in output:
                os.write(ours, waiting.pop(0)[1])
            if select.select([ours], [], [], 0.05)[0]:
                try:
                    output += os.read(ours, 65_536)
                except OSError:
                    break
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert not waiting
    return output


def attributes(output: bytes) -> set[str]:
    """The SGR sequences, without the ones that set nothing."""
    return {found.decode() for found in SGR.findall(output)} - {"", "0"}


def parameters(output: bytes) -> set[int]:
    return {int(number) for each in attributes(output) for number in each.split(";")}


def test_no_color_leaves_no_colour_but_bold_dim_and_reverse() -> None:
    found = parameters(written(TERM="xterm-256color", COLORTERM="truecolor", NO_COLOR="1"))
    assert found <= {0, 1, 2, 3, 4, 7, 9, 22, 24, 27}, found
    assert {1, 2, 7} <= found


def test_no_color_that_is_empty_is_not_set() -> None:
    found = attributes(written(TERM="xterm-256color", COLORTERM="truecolor", NO_COLOR=""))
    assert any(";2;" in each for each in found)


@pytest.mark.parametrize("term", ["xterm", "linux", "screen"])
def test_terminals_of_16_colours_get_their_own(term: str) -> None:
    found = attributes(written(TERM=term))
    assert not any(each.startswith(("38", "48")) or ";38;" in each or ";48;" in each for each in found), found
    assert "32" in found or any("32" in each.split(";") for each in found), "green is there"


def test_terminals_of_256_colours_get_no_more() -> None:
    found = attributes(written(TERM="screen-256color"))
    assert any("38;5;" in each for each in found)
    assert not any("38;2;" in each for each in found)
