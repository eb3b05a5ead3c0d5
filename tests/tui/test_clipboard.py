"""Copying: what is told is what is known, and no program that takes the text holds the screen up."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from routemq_tui.tui.clipboard import TMUX_HINT, Clipboard
from tests.tui.conftest import Sit
from tests.tui.test_load import PROGRAM, start
from tests.tui.tmux import Tmux, terminal
from tests.waiting import wait_until

IN_TMUX = {"TMUX": "/tmp/tmux-0/default,1,0"}
ON_X = {"DISPLAY": ":0"}


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that alone is on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_without_a_program_it_is_sent_and_no_more_is_claimed(programs: Path) -> None:
    words, _ = Clipboard(ON_X).copy("one\ntwo")
    assert words == "Sent 2 lines, 7 characters to the terminal's clipboard (OSC 52)"


def test_in_tmux_without_its_program_the_setting_is_named_once(programs: Path) -> None:
    clipboard = Clipboard(IN_TMUX)
    assert clipboard.copy("a")[0] == f"Sent to the terminal's clipboard (OSC 52) · {TMUX_HINT}"
    assert TMUX_HINT not in clipboard.copy("a")[0]


def test_the_systems_clipboard_comes_first(programs: Path, tmp_path: Path) -> None:
    program(programs, "xclip", f"/bin/cat > {tmp_path}/got")
    words, severity = Clipboard(ON_X).copy("käse\n漢字")
    assert (words, severity) == ("Copied 2 lines, 7 characters", "information")
    assert (tmp_path / "got").read_text() == "käse\n漢字"


def test_the_next_program_is_tried_when_one_fails(programs: Path, tmp_path: Path) -> None:
    program(programs, "xclip", "exit 1")
    program(programs, "tmux", f'[ "$2" = -w ] && exit 1; /bin/cat > {tmp_path}/got')
    words, _ = Clipboard({**ON_X, **IN_TMUX}).copy("text")
    assert words == "Copied 1 line, 4 characters (tmux: prefix ] pastes)"
    assert (tmp_path / "got").read_text() == "text"


def test_a_program_that_ends_before_it_reads_does_no_harm(programs: Path) -> None:
    program(programs, "xclip", "exit 3")
    words, severity = Clipboard(ON_X).copy("x" * 200_000)
    assert words.startswith("Sent 1 line")
    assert severity == "warning"


async def test_the_screen_goes_on_while_a_program_hangs(
    sit: Sit, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("routemq_tui.tui.clipboard.PATIENCE", 2.0)
    program(programs, "xclip", "exec /bin/sleep 20")
    async with sit() as seat:
        begun = time.monotonic()
        await seat.press("3", "k", "y")
        assert not seat.toasts()  # which comes at the end of its patience: nobody has waited for it
        while not seat.toasts():
            assert time.monotonic() - begun < 10
            await seat.pilot.pause(0.05)
        assert seat.toasts()[0].startswith("Sent 1 line")


def test_a_tmux_as_it_comes_can_paste_a_copy(tmp_path: Path) -> None:
    # given set-clipboard as it is by default: what a program sends by OSC 52 is not taken
    lines = "engine.store.add_text(engine._sources[0], 'copy me: käse', 20, 'stdout')"
    (tmp_path / "program.py").write_text(PROGRAM.replace("    engine.start()\n", f"    {lines}\n"))
    with terminal(tmp_path) as tmux:
        start(tmux, tmp_path / "report", 80, 24)
        tmux.wait_for("copy me")
        tmux.keys("3", "f", "y")
        tmux.wait_for("prefix ] pastes")
        wait_until(lambda: buffer_of(tmux) == "copy me: käse", what="tmux has the copy")


def buffer_of(tmux: Tmux) -> str:
    return tmux.run("show-buffer") if tmux.run("list-buffers").strip() else ""


def test_the_environment_of_tests_has_no_clipboard() -> None:
    assert not Clipboard(os.environ).ways
