"""The program as a user starts it: `python -m routemq_tui`, in a folder, without a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "routemq_tui", *words]


def environment(**variables: str) -> dict[str, str]:
    """Ours, without what would change the configuration; the package is found from any folder."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("MQTT_")
        and key not in ("WORKER_COUNT", "MIN_WORKERS", "MAX_WORKERS", "LOG_LEVEL")
    }
    return {**kept, "PYTHONPATH": str(REPOSITORY), **variables}


def run(
    *words: str, cwd: Path, stdin: str | None = None, timeout: float = 30, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words),
        cwd=cwd,
        input=stdin if stdin is not None else "",
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment(**variables),
        check=False,
    )
