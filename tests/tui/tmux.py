"""A program in a real terminal, tmux's: keys go in, what is on the screen comes out."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.waiting import wait_until


class Tmux:
    def __init__(self, folder: Path) -> None:
        self._base = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]

    def start(self, command: str, folder: Path, width: int, height: int) -> None:
        # pytest says COLUMNS, which would fix the size.
        whole = f"cd '{folder}' && exec env -u COLUMNS -u LINES {command}"
        self.run("new-session", "-d", "-x", str(width), "-y", str(height), whole)
        self.run("set-option", "-g", "status", "off")

    def run(self, *command: str) -> str:
        done = subprocess.run([*self._base, *command], check=True, capture_output=True, text=True)
        return done.stdout

    def keys(self, *names: str) -> None:
        for name in names:
            # One with more characters that tmux has no key for is typed; a semicolon would end the command.
            self.run("send-keys", "\\;" if name == ";" else name)

    def resize(self, width: int, height: int) -> None:
        self.run("resize-window", "-x", str(width), "-y", str(height))

    def close(self) -> None:
        if subprocess.run([*self._base, "has-session"], capture_output=True, check=False).returncode:
            return  # the program has ended, and with it the terminal
        pid = self.pid
        self.run("kill-server")
        # A program that has lost its terminal ends, even when it hangs at a write that nobody takes.
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), what="the program has ended")

    @property
    def screen(self) -> str:
        return self.run("capture-pane", "-p")

    @property
    def pid(self) -> str:
        return self.run("display", "-p", "#{pane_pid}").strip()

    def wait_for(self, text: str) -> None:
        self._wait(re.escape(text))

    def wait_for_match(self, pattern: str) -> None:
        """An expression that matches something on the screen; with `!` before it, nothing any more."""
        self._wait(pattern)

    def _wait(self, pattern: str) -> None:
        shown = ""

        def there() -> bool:
            nonlocal shown
            shown = self.screen
            return is_on(shown, pattern)

        try:
            wait_until(there)
        except AssertionError:
            raise AssertionError(f"{pattern!r} is not so in:\n{shown}") from None


def is_on(shown: str, pattern: str) -> bool:
    found = re.search(pattern.removeprefix("!"), shown, re.MULTILINE) is not None
    return found is not pattern.startswith("!")


@contextmanager
def terminal(folder: Path) -> Iterator[Tmux]:
    """Until the end of the block, and the program's end."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    tmux = Tmux(folder)
    try:
        yield tmux
    finally:
        tmux.close()
