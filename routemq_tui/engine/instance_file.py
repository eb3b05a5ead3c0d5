"""`.routemq/<node>.json`: which process runs this node, and at which broker, for commands beside it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from routemq_tui.worker.spec import BrokerAddress


def write_whole(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace the file in one step, a new one for its owner only: a reader sees the old or the new one."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


class InstanceFile:
    """`write` once the broker is known, `remove` at the end; both may raise OSError."""

    def __init__(self, folder: Path, node: str) -> None:
        self._path = folder / f"{node}.json"
        self._written = False

    def write(self, broker: BrokerAddress | None) -> None:
        """Does nothing before the broker is known, and once it is written: the address never changes."""
        if broker is not None and not self._written:
            self._written = True
            write_whole(self._path, json.dumps({"pid": os.getpid(), "broker": str(broker)}) + "\n")

    def remove(self) -> None:
        if self._written:
            self._path.unlink(missing_ok=True)
            self._written = False
