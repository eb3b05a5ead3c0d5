"""A program in a real terminal of 120x36 (tmux), driven over one tmux control client.

A look at the screen is one line to a process that is there already: about 0.2 ms, where starting `tmux
capture-pane` takes 5 to 10 on a busy machine. So the time from a key to its effect is the program's, nearly.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

WIDTH, HEIGHT = 120, 36
POLL = 0.001
GIVE_UP = 5.0


class Terminal:
    def __init__(self, folder: Path, command: str, environment: Mapping[str, str] | None = None) -> None:
        self._base = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]
        size = ["-x", str(WIDTH), "-y", str(HEIGHT)]
        subprocess.run(
            [*self._base, "new-session", "-d", *size, command],
            check=True,
            env={**os.environ, **(environment or {})},
            cwd=folder,
        )
        self._run("set-option", "-g", "status", "off")
        self._run("resize-window", *size)
        self.pid = int(self._run("display", "-p", "#{pane_pid}"))
        self._client = subprocess.Popen(
            [*self._base, "-C", "attach-session", "-f", "no-output,ignore-size"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reply()

    def keys(self, *names: str) -> None:
        self._ask(f"send-keys {' '.join(names)}")

    def screen(self) -> list[str]:
        """The lines that are shown now."""
        return self._ask("capture-pane -p")

    def until_changed(self, look: Callable[[list[str]], str], *keys: str) -> float:
        """Seconds from the keys until what `look` finds on the screen is another; GIVE_UP if it never is."""
        before = look(self.screen())
        begun = time.perf_counter()
        self.keys(*keys)
        while look(self.screen()) == before:
            taken = time.perf_counter() - begun
            if taken > GIVE_UP:
                return GIVE_UP
            time.sleep(POLL)
        return time.perf_counter() - begun

    def wait_for(self, text: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not any(text in line for line in self.screen()):
            if time.monotonic() > deadline:
                raise SystemExit(
                    f"not on the screen within {seconds:g} s: {text!r}\n" + "\n".join(self.screen())
                )
            time.sleep(0.05)

    def close(self) -> None:
        subprocess.run([*self._base, "kill-server"], check=False, capture_output=True)
        self._client.wait()

    def _run(self, *command: str) -> str:
        return subprocess.run([*self._base, *command], check=True, capture_output=True, text=True).stdout

    def _ask(self, command: str) -> list[str]:
        assert self._client.stdin is not None
        self._client.stdin.write(command + "\n")
        self._client.stdin.flush()
        return self._reply()

    def _reply(self) -> list[str]:
        assert self._client.stdout is not None
        lines: list[str] | None = None
        for line in self._client.stdout:
            if line.startswith("%begin"):
                lines = []
            elif lines is not None and line.startswith(("%end", "%error")):
                return lines
            elif lines is not None:
                lines.append(line.rstrip("\n"))
        raise SystemExit("the terminal is gone")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
