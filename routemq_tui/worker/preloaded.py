"""Imported last in the fork server: makes what its children inherit cheap to inherit.

What a child would import anyhow is imported once, here: what its arguments are unpickled with, and what its
first connection needs. A child shares each page with all others until somebody writes to it, and the
collector writes to every object it looks at: so what is there at the fork is taken out of its sight.
"""

from __future__ import annotations

import encodings.idna  # noqa: F401 - by getaddrinfo, for any host name
import gc
import multiprocessing.heap
import multiprocessing.popen_forkserver
import multiprocessing.sharedctypes  # noqa: F401

gc.freeze()
gc.enable()
