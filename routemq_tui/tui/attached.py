"""A screen of its own for an engine in another process: `python -m routemq_tui.tui.attached ADDRESS`.

Started once for each browser; leaving it leaves the engine alone.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from routemq_tui.config.model import UiConfig
from routemq_tui.engine.remote_screen import RemoteEngine
from routemq_tui.errors import RoutemqError
from routemq_tui.tui.app import run
from routemq_tui.tui.layout_memory import LayoutMemory


class Welcome(NamedTuple):
    """What the process that owns the engine tells each screen first."""

    ui: UiConfig
    layout: Path | None
    """Where the layout is remembered."""
    log_memory: int
    """Bytes of log text that a screen keeps."""


def main(address: str) -> int:
    try:
        engine = RemoteEngine(address)
        welcome: Welcome = engine.greeting
        engine.copy_logs(welcome.log_memory)
        return run(engine, welcome.ui, LayoutMemory(welcome.layout), owns_engine=False)
    except RoutemqError as error:
        print(f"routemq-tui: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
