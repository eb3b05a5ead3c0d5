"""A program in a pseudo-terminal of 120x36 of its own: keys go in, what it draws comes out with its time.

Nothing lies between: a key's time ends when the bytes that show its effect are read.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path

WIDTH, HEIGHT = 120, 36
LIMIT = 30.0
WARM = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""With it every worker would compile the handlers anew, and the program itself, after a change."""
_TERMINAL = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
_SEQUENCE = re.compile(
    rb"\x1b(?:\[[0-9;:?<>=]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|.)"
)


class OwnPty:
    def __init__(self, words: Sequence[str], folder: Path) -> None:
        """Start Python with these words."""
        self.begun = time.perf_counter()
        self.pid, self._end = pty.fork()
        if not self.pid:
            os.chdir(folder)
            os.execve(sys.executable, [sys.executable, *words], {**WARM, **_TERMINAL})
        fcntl.ioctl(self._end, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
        self._ended = False

    def press(self, keys: str) -> None:
        os.write(self._end, keys.encode())

    def wait_for(self, pattern: str, seconds: float = LIMIT) -> re.Match[bytes]:
        """Until what is drawn from now on has it, without its colours and movements."""
        wanted = re.compile(pattern.encode())
        drawn = b""
        deadline = time.monotonic() + seconds
        while (found := wanted.search(_SEQUENCE.sub(b"", drawn))) is None:
            if not select.select([self._end], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise SystemExit(f"not drawn within {seconds:g} s: {pattern}\n{drawn[-2000:]!r}")
            try:
                drawn = drawn[-65536:] + os.read(self._end, 65536)
            except OSError:
                raise SystemExit(f"the program has ended: {drawn[-2000:].decode(errors='replace')}") from None
        return found

    def drain(self, seconds: float) -> None:
        """Take what it draws, as a terminal does, for so long."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._end], [], [], left)[0]:
                try:
                    os.read(self._end, 65536)
                except OSError:
                    return

    def cpu(self) -> float:
        """Seconds of CPU of the process until now, all threads."""
        tasks = Path(f"/proc/{self.pid}/task")
        return sum(int((each / "schedstat").read_text().split()[0]) for each in tasks.iterdir()) / 1e9

    def share(self, seconds: float) -> float:
        """Per cent of a core over so long."""
        begun, used = time.monotonic(), self.cpu()
        self.drain(seconds)
        return 100 * (self.cpu() - used) / (time.monotonic() - begun)

    def stop(self, keys: str = "q", seconds: float = 15.0) -> None:
        """Let it end by these keys, and kill it when it does not."""
        with contextlib.suppress(OSError):
            self.press(keys)
        deadline = time.monotonic() + seconds
        while not os.waitpid(self.pid, os.WNOHANG)[0]:
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                break
            self.drain(0.05)
            time.sleep(0.01)
        os.close(self._end)
