"""One running program without a screen, as the benches use it: start, ask over its control socket, kill."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from routemq_tui.engine.control import socket_path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)


class Instance:
    def __init__(self, folder: Path, node: str = "local") -> None:
        self._folder = folder
        self._path = socket_path(folder, node)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        with (self._folder / "instance.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "routemq_tui", "run", "--headless"],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_for(self._answers, 20, "the control socket answers")

    def _answers(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise SystemExit(f"the program ended with {self._process.returncode}: see --keep")
        try:
            return bool(self.snapshot()["pid"] == self.pid)
        except (OSError, json.JSONDecodeError):
            return False

    def ask(self, **request: Any) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(self._path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as lines:
                answer: dict[str, Any] = json.loads(lines.readline())
        return answer

    def snapshot(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask(do="snapshot")["snapshot"]
        return found

    def broker_port(self) -> int:
        return int(self.snapshot()["broker"]["address"].rpartition(":")[2])

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None
