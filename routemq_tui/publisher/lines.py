"""Lines of a file or pipe as they come, without ever waiting long: a connection is kept up meanwhile."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator

_AT_ONCE = 64 * 1024


def arriving_lines(descriptor: int, patience: float) -> Iterator[bytes | None]:
    """Each line without its end; None whenever none has come for `patience` seconds. Raises OSError.

    A last line without an end counts, as in any file.
    """
    rest: list[bytes] = []
    while True:
        if not select.select([descriptor], [], [], patience)[0]:
            yield None
            continue
        found = os.read(descriptor, _AT_ONCE)
        if not found:
            break
        first, *others = found.split(b"\n")
        rest.append(first)
        for other in others:
            yield b"".join(rest).rstrip(b"\r")
            rest = [other]
    if last := b"".join(rest):
        yield last.rstrip(b"\r")
