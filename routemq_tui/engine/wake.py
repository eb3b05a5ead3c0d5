"""Waking a thread that waits for file descriptors, from any other thread."""

from __future__ import annotations

import socket
from contextlib import suppress


class Wake:
    """Sockets, not plain descriptors: writing to a closed one can never reach somebody else's file."""

    def __init__(self) -> None:
        self._ends: tuple[socket.socket, socket.socket] | None = None

    def open(self) -> None:
        """Before this, `set` does nothing: nobody waits yet."""
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        self._ends = (reader, writer)

    def fileno(self) -> int:
        """Readable once somebody has called `set`."""
        return self._ends[0].fileno() if self._ends else -1

    def set(self) -> None:
        if self._ends is not None:
            with suppress(OSError):  # full: it is awake; closed: nobody waits any more
                self._ends[1].send(b"\0")

    def clear(self) -> None:
        if self._ends is not None:
            with suppress(BlockingIOError):
                self._ends[0].recv(4096)

    def close(self) -> None:
        for end in self._ends or ():
            end.close()
