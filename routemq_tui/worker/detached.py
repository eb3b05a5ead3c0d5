"""Imported by the fork server, and only for what it does then: leave the terminal.

A closed terminal or a Ctrl-C must not end the process all workers come from: they would be gone before they
could drain. The library gives no other place to do this in that process.
"""

from __future__ import annotations

import contextlib
import os

with contextlib.suppress(OSError):  # it leads a group already, so no terminal reaches it
    os.setsid()
