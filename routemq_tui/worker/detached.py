"""Imported by the fork server first of all, and only for what it does then: leave the terminal.

A closed terminal or a Ctrl-C must not end the process all workers come from: they would be gone before they
could drain. The library gives no other place to do this in that process. The collector is off until all is
imported (`preloaded`): nothing of that is garbage.
"""

from __future__ import annotations

import contextlib
import gc
import os

gc.disable()

with contextlib.suppress(OSError):  # it leads a group already, so no terminal reaches it
    os.setsid()
