"""Where a copied text goes: the system's clipboard, the buffer of tmux, the terminal. Knows no screen.

A terminal that is sent a text (OSC 52) never says whether it took it: no more is told than that it was sent.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import NamedTuple

from routemq_tui.tui.notices import Severity

PATIENCE = 2.0
"""Seconds for a program that takes the text; one whose display is gone may wait for ever."""
MUCH_TO_SEND = 75_000
"""Bytes that every terminal takes by OSC 52; some take no more."""
TMUX_HINT = "tmux: set -g set-clipboard on"


class Way(NamedTuple):
    """A program that takes a text from its standard input."""

    command: tuple[str, ...]
    into_tmux: bool = False

    def take(self, text: str) -> bool:
        """Whether it took it. In a session of its own: xclip keeps the text after the screen is gone."""
        try:
            done = subprocess.run(
                self.command,
                input=text.encode("utf-8", "replace"),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=PATIENCE,
                start_new_session=True,
                check=False,
            )
        except (OSError, subprocess.SubprocessError):
            return False
        return done.returncode == 0


class Clipboard:
    def __init__(self, environ: Mapping[str, str], which: Callable[[str], str | None] = shutil.which) -> None:
        self.ways = [way for way in _ways(environ) if which(way.command[0])]
        self._hint = TMUX_HINT if environ.get("TMUX") else ""

    def copy(self, text: str) -> tuple[str, Severity]:
        """Give it to the first program of each kind that takes it; what is to be told. May take seconds."""
        system = any(way.take(text) for way in self.ways if not way.into_tmux)
        tmux = any(way.take(text) for way in self.ways if way.into_tmux)
        much = amount(text)
        if system:
            return f"Copied {much}", "information"
        if tmux:
            return f"Copied {much} (tmux: prefix ] pastes)", "information"
        if len(text.encode("utf-8", "replace")) > MUCH_TO_SEND:
            return f"Sent {much}: more than some terminals take; «export» writes a file", "warning"
        if self._hint:
            hint, self._hint = self._hint, ""
            return f"Sent to the terminal's clipboard (OSC 52) · {hint}", "information"
        return f"Sent {much} to the terminal's clipboard (OSC 52)", "information"


def amount(text: str) -> str:
    lines = text.count("\n") + 1
    return f"{'1 line' if lines == 1 else f'{lines} lines'}, {len(text)} characters"


def _ways(environ: Mapping[str, str]) -> list[Way]:
    """Those that make sense here, the best first."""
    found: list[Way] = []
    if environ.get("WAYLAND_DISPLAY"):
        found.append(Way(("wl-copy",)))
    if environ.get("DISPLAY"):
        found += [Way(("xclip", "-selection", "clipboard")), Way(("xsel", "--clipboard", "--input"))]
    if sys.platform == "darwin" and not environ.get("SSH_CONNECTION"):
        found.append(Way(("pbcopy",)))
    if environ.get("TMUX"):
        # -w hands it on to the terminal, whatever set-clipboard says; tmux before 3.2 does not know it.
        found += [Way(("tmux", "load-buffer", "-w", "-"), True), Way(("tmux", "load-buffer", "-"), True)]
    return found
