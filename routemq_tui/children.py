"""How another Python of ours is started: it finds this very package, and nothing else that lies around."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

MODULE = (sys.executable, "-P", "-m")
"""Without -P a file of the project named queue.py would be what our own code imports as `queue`."""
SAFE_PATH = "PYTHONSAFEPATH"
"""The same as -P, for a Python whose command line is not ours."""


def environment() -> dict[str, str]:
    """That of a child which is to find this package."""
    path = own_path()
    return dict(os.environ) if path is None else {**os.environ, "PYTHONPATH": path}


def own_path() -> str | None:
    """The PYTHONPATH on which this package is found wherever it lies; None when it is installed."""
    root = str(Path(__file__).resolve().parents[1])
    if root in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        return None
    known = os.environ.get("PYTHONPATH")
    return f"{root}{os.pathsep}{known}" if known else root
