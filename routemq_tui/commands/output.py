"""What commands say: harmless in any encoding, and in words when it cannot be written."""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from contextlib import suppress

from routemq_tui.escaping import ESCAPED

OUTPUT_LOST = 74
"""Exit code when standard output cannot be written (EX_IOERR of sysexits.h); a closed pipe has its own."""

_DEVICE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def write_anything() -> None:
    """Let standard output and error show what their encoding has no letters for instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ESCAPED)


def why_lost(error: OSError) -> str | None:
    """In words, when the error is that of output that cannot be written; None for any other."""
    try:
        sys.stdout.flush()  # what failed before is still there, and fails again
    except OSError as again:
        error = again
    else:
        # Not when nothing is kept (python -u): then the error itself tells, which names no file.
        if error.errno not in _DEVICE_ERRORS or error.filename is not None:
            return None
    return f"the output cannot be written: {error.strerror or error}"


def complain(text: str) -> None:
    """Say it on standard error if that takes it now: it may be the same pipe or disk that just failed."""
    with suppress(OSError, ValueError):
        if select.select([], [2], [], 0)[1]:
            os.write(2, f"routemq-tui: {text}\n".encode("utf-8", ESCAPED))


def silence_stdout() -> None:
    """Let the interpreter's last flush of what cannot be written go to nowhere instead of failing."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
