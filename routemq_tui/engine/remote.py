"""The engine's port for a screen in another process: calls over a unix socket, one after the other.

The serving side knows the engine only by its port; `remote_screen` has the other. Values go through pickle,
so the socket lies in a folder of its own that only its owner can enter, as multiprocessing's do.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

from routemq_tui.engine.commands import Stop
from routemq_tui.engine.port import EnginePort

ROOMS = ("logs", "messages", "letters")
"""Parts of the port that are asked by name, such as `logs.read`."""
CALLS = ("snapshot", "send", "history", "last_notice")


class EngineServer:
    """Serves one engine from `start` to `stop`, a thread for each caller; each is told `greeting` first."""

    def __init__(self, engine: EnginePort, greeting: object = None, read_only: bool = False) -> None:
        self._engine, self._greeting, self._read_only = engine, greeting, read_only
        self._folder: Path | None = None
        self._listener: Listener | None = None
        self.address = ""
        """What a `RemoteEngine` is made with, from `start` on."""

    def start(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="routemq-"))  # mode 0700
        self.address = str(self._folder / "engine")
        self._listener = Listener(self.address, family="AF_UNIX")
        threading.Thread(
            target=self._accept, args=(self._listener,), name="routemq-screens", daemon=True
        ).start()

    def stop(self) -> None:
        if self._listener is not None:
            self._listener.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _accept(self, listener: Listener) -> None:
        while True:
            try:
                connection = listener.accept()
            except OSError:
                return  # closed by `stop`
            threading.Thread(
                target=self._serve, args=(connection,), name="routemq-screen", daemon=True
            ).start()

    def _serve(self, connection: Connection[Any, Any]) -> None:
        with connection, suppress(EOFError, OSError):
            connection.send(self._greeting)
            while True:
                name, args, kwargs = connection.recv()
                answer: tuple[object, str]
                try:
                    answer = self._perform(name, args, kwargs), ""
                except Exception:  # noqa: BLE001 - its traceback is the answer; other screens go on
                    answer = None, traceback.format_exc()
                connection.send(answer)

    def _perform(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        room, _, part = name.rpartition(".")
        if part.startswith("_") or not (room in ROOMS or (not room and part in CALLS)):
            raise AttributeError(f"no part of the engine's port: {name}")
        if name == "send" and self._read_only and not isinstance(args[0], Stop):
            return None
        found = getattr(getattr(self._engine, room) if room else self._engine, part)
        return found(*args, **kwargs) if callable(found) else found
