"""A running engine's control socket: JSON lines over a unix socket in `.routemq/run/`, for the owner only.

A request is one line, `{"do": "scale", "route": "temperature", "count": 4}`; an answer is one line,
`{"ok": true, …}` or `{"ok": false, "error": "…"}`; `logs` with `follow` answers with a line a batch until the
client hangs up. It knows the engine only by its port, so it serves any front end's engine.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import socket
import socketserver
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from routemq_tui.engine.commands import (
    AddWorker,
    Command,
    DrainWorker,
    KillWorker,
    PauseRoute,
    PurgeLetters,
    Reload,
    ReplayLetters,
    RestartWorker,
    ResumeRoute,
    RollingRestart,
    SaveCounts,
    SetAutoscale,
    SetTap,
    SetWorkers,
    StartWorker,
    Stop,
)
from routemq_tui.engine.lock import STATE_FOLDER
from routemq_tui.engine.message_store import MESSAGES_MOST
from routemq_tui.engine.messages_json import message_values
from routemq_tui.engine.port import EnginePort, LogBatch
from routemq_tui.engine.refusals import refusal
from routemq_tui.engine.snapshot import EngineState, Snapshot
from routemq_tui.engine.snapshot_json import snapshot_values

MAX_REQUEST = 64 * 1024
_MAX_PATH = 100
"""sun_path holds 104 bytes on macOS and 108 on Linux, with the NUL."""
_LONGEST_NUMBER = 18
"""Digits: as many as fit in 64 bits."""
_FOLLOW_EVERY = 0.1


def socket_path(root: Path, node: str) -> Path:
    """Where the engine of this project and node listens; in the temporary folder when that is too long.

    The folder is one of our own: `.routemq/` itself may be a mounted volume, which is somebody else's.
    """
    # The engine's root has no links in it; whoever looks for it may come by one.
    path = root.resolve() / STATE_FOLDER / "run" / f"{node}.sock"
    if len(os.fsencode(path)) <= _MAX_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"routemq-{os.getuid()}" / f"{digest}.sock"


class RequestError(ValueError):
    """A request that cannot be carried out, told to the client in words."""


class ControlServer:
    """Listens from `start` to `stop`; a thread of its own, and one for each client."""

    def __init__(self, engine: EnginePort, path: Path) -> None:
        self.path = path
        self._engine = engine
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Raises OSError when the socket cannot be made. The caller holds the project's lock, so a socket
        file that lies there is a dead engine's."""
        _make_private(self.path.parent)
        self.path.unlink(missing_ok=True)
        # The folder keeps others out, also before the mode is set.
        self._server = _Server(str(self.path), self._engine)
        self.path.chmod(0o600)
        self._thread = threading.Thread(target=self._server.serve, name="routemq-control", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        server, self._server = self._server, None
        if server is None or self._thread is None:
            return
        server.stopping.set()
        with suppress(OSError), socket.socket(socket.AF_UNIX) as last:
            last.connect(str(self.path))  # wakes the thread that waits for clients
        self._thread.join(1.0)
        server.server_close()
        self.path.unlink(missing_ok=True)


def _make_private(folder: Path) -> None:
    """A folder that only we may enter; raises PermissionError when it is somebody else's."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    known = folder.lstat()
    if known.st_uid != os.geteuid() or not stat.S_ISDIR(known.st_mode):
        raise PermissionError(errno.EPERM, "its folder is not ours", str(folder))
    if known.st_mode & 0o077:  # Kubernetes opens a volume to `fsGroup` anew at each start of a pod
        folder.chmod(0o700)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, path: str, engine: EnginePort) -> None:
        super().__init__(path, _Conversation)
        self.engine = engine
        self.stopping = threading.Event()

    def serve(self) -> None:
        while not self.stopping.is_set():
            self.handle_request()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up in mid-answer is no news, and stderr is the screen's."""


class _Conversation(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        while line := self.rfile.readline(MAX_REQUEST + 1):
            if len(line) > MAX_REQUEST:
                self._answer({"ok": False, "error": f"a request has at most {MAX_REQUEST} bytes"})
                return
            for answer in self._answers(line):
                self._answer(answer)

    def _answer(self, answer: dict[str, Any]) -> None:
        self.wfile.write(json.dumps(answer, separators=(",", ":")).encode() + b"\n")

    def _answers(self, line: bytes) -> Iterator[dict[str, Any]]:
        try:
            request = json.loads(line, parse_int=_integer)
            if not isinstance(request, dict):
                raise RequestError("a request is a JSON object")
            if request.get("do") == "logs":
                yield from self._logs(request)
            else:
                yield {"ok": True, **perform(self.server.engine, request)}
        except (RequestError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
            yield {"ok": False, "error": str(error)}

    def _logs(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        logs = self.server.engine.logs
        sources = _sources(self.server.engine.snapshot(), request.get("of"))
        follow = bool(request.get("follow"))
        batch = logs.read(sources, limit=_count(request, "lines", 100), newest=True)
        yield {"ok": True, "lines": _lines(batch), "missed": 0}
        while follow and not self.server.stopping.is_set():
            after = batch.next_seq
            if logs.last_seq <= after:
                time.sleep(_FOLLOW_EVERY)
                continue
            batch = logs.read(sources, after=after, limit=1000)
            if batch.lines or batch.missed:
                yield {"ok": True, "lines": _lines(batch), "missed": batch.missed}


def _integer(text: str) -> int:
    """Python itself refuses numbers of some thousands of digits."""
    if len(text) > _LONGEST_NUMBER:
        raise RequestError(f"a number has at most {_LONGEST_NUMBER} digits")
    return int(text)


def perform(engine: EnginePort, request: dict[str, Any]) -> dict[str, Any]:
    """Carry out one request and return what to answer. Raises RequestError in words."""
    do = request.get("do")
    if do == "snapshot":
        return {"snapshot": snapshot_values(engine.snapshot())}
    if do == "messages":
        return _messages(engine, request)
    make = _COMMANDS.get(str(do))
    if make is None:
        known = ", ".join(["snapshot", "logs", "messages", *_COMMANDS])
        raise RequestError(f"unknown request {do!r}; there are {known}")
    snapshot = engine.snapshot()
    if snapshot.state is EngineState.STOPPED:
        raise RequestError("the engine has stopped")
    command = make(snapshot, request)
    if refused := refusal(command, snapshot):
        raise RequestError(refused)
    notice = engine.last_notice()
    engine.send(command)
    return {"after_notice": notice}


def _messages(engine: EnginePort, request: dict[str, Any]) -> dict[str, Any]:
    """The last ones that were told, or, with `after`, the first ones after that `seq`."""
    route = None if request.get("route") is None else _route(engine.snapshot(), request)
    most, after = _count(request, "lines", 100), _count(request, "after", 0)
    if after:
        batch = engine.messages.read(route, after, most)
        found = batch.messages
    else:
        batch = engine.messages.read(route, limit=MESSAGES_MOST)
        found = batch.messages[-most:] if most else ()
    payloads = bool(request.get("payloads"))
    return {
        "messages": [message_values(each, payloads) for each in found],
        "next_seq": batch.next_seq,
        "missed": batch.missed,
    }


def _on(request: dict[str, Any]) -> bool:
    on = request.get("on")
    if not isinstance(on, bool):
        raise RequestError(f"on is true or false, not {on!r}")
    return on


def _ids(request: dict[str, Any]) -> tuple[int, ...]:
    ids = request.get("ids")
    if not isinstance(ids, list) or not ids or not all(type(each) is int and each > 0 for each in ids):
        raise RequestError("ids are a list of ids of dead letters")
    return tuple(ids)


def _scale(snapshot: Snapshot, request: dict[str, Any]) -> Command:
    route = _route(snapshot, request)
    change = request.get("change")
    if change == 1:
        return AddWorker(route)
    if change == -1:
        return DrainWorker(route)
    return SetWorkers(route, _count(request, "count"))


def _drain(snapshot: Snapshot, request: dict[str, Any]) -> Command:
    return DrainWorker(*_slot(snapshot, request))


def _restart(snapshot: Snapshot, request: dict[str, Any]) -> Command:
    if "/" in str(request.get("worker") or ""):
        return RestartWorker(*_slot(snapshot, request))
    return RollingRestart(_route(snapshot, request))


_COMMANDS: dict[str, Callable[[Snapshot, dict[str, Any]], Command]] = {
    "scale": _scale,
    "start": lambda snapshot, request: StartWorker(*_slot(snapshot, request)),
    "drain": _drain,
    "kill": lambda snapshot, request: KillWorker(*_slot(snapshot, request)),
    "restart": _restart,
    "pause": lambda snapshot, request: PauseRoute(_route(snapshot, request)),
    "resume": lambda snapshot, request: ResumeRoute(_route(snapshot, request)),
    "tap": lambda snapshot, request: SetTap(_route(snapshot, request), _on(request)),
    "autoscale": lambda snapshot, request: SetAutoscale(_route(snapshot, request), _on(request)),
    "replay": lambda _snapshot, request: ReplayLetters(_ids(request)),
    "purge": lambda _snapshot, request: PurgeLetters(_ids(request)),
    "save": lambda _snapshot, _request: SaveCounts(),
    "reload": lambda _snapshot, _request: Reload(),
    "stop": lambda _snapshot, request: Stop(force=bool(request.get("force"))),
}


def _route(snapshot: Snapshot, request: dict[str, Any]) -> str:
    name = request.get("route") or request.get("worker")
    names = [each.name for each in snapshot.routes]
    if name not in names:
        raise RequestError(f"no route {name!r}; there are {', '.join(names) or 'none'}")
    return str(name)


def _slot(snapshot: Snapshot, request: dict[str, Any]) -> tuple[str, int]:
    """The `worker` of a request, written `temperature/2`."""
    name = request.get("worker")
    for route in snapshot.routes:
        for worker in route.workers:
            if worker.name == name:
                return worker.route, worker.slot
    names = [worker.name for route in snapshot.routes for worker in route.workers]
    raise RequestError(f"no worker {name!r}; there are {', '.join(names) or 'none'}")


def _sources(snapshot: Snapshot, of: object) -> frozenset[str] | None:
    if of is None:
        return None
    for route in snapshot.routes:
        workers = [each.name for each in route.workers]
        if of == route.name:
            return route.log_sources()
        if of in workers:
            return frozenset((str(of),))
    if of in ("engine", "broker", "traffic"):
        return frozenset((str(of),))
    raise RequestError(f"no route or worker {of!r}")


def _count(request: dict[str, Any], key: str, default: int | None = None) -> int:
    value = request.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise RequestError(f"{key} is a number from 0, not {value!r}")
    return value


def _lines(batch: LogBatch) -> list[dict[str, Any]]:
    return [
        {
            "seq": each.seq,
            "time": each.time,
            "source": each.source,
            "level": each.level,
            "stream": each.stream,
            "logger": each.logger,
            "text": each.text,
        }
        for each in batch.lines
    ]
