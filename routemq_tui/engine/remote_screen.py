"""An engine in another process, for the screen in this one: the port's calls, and a copy of the log.

The log view looks at whole blocks of the store, so the lines are copied into a store of this process as they
come, by a thread with a connection of its own; keys never wait for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from itertools import groupby
from multiprocessing.connection import Client
from operator import attrgetter
from typing import Any

from routemq_tui.engine.commands import Command
from routemq_tui.engine.log_store import LogStore
from routemq_tui.engine.port import LogLine
from routemq_tui.engine.remote import CALLS, ROOMS
from routemq_tui.engine.sanitise import CleanRun
from routemq_tui.engine.snapshot import EngineState, Snapshot
from routemq_tui.errors import RoutemqError

_PATIENCE = 10.0
"""Seconds that the engine's process may take to answer before it counts as gone."""
_COPY_EVERY = 0.1
_AT_FIRST = 50_000
"""Lines of the past that a new screen begins with."""
_AT_ONCE = 5_000


class EngineGoneError(RoutemqError):
    """The process of the engine does not answer, or has ended."""


class RemoteError(RoutemqError):
    """A call failed in the engine's process; the text is its traceback."""


class Line:
    """One connection; a call at a time."""

    def __init__(self, address: str) -> None:
        """Raises EngineGoneError when nobody serves there."""
        try:
            self._connection = Client(address, family="AF_UNIX")
            self.greeting: Any = self._connection.recv()
        except (OSError, EOFError) as error:
            raise EngineGoneError(f"no engine answers at {address}: it has ended") from error
        self._lock = threading.Lock()
        self._gone = False

    def ask(self, name: str, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            if self._gone:
                raise EngineGoneError("the engine has ended")
            try:
                self._connection.send((name, args, kwargs))
                if not self._connection.poll(_PATIENCE):
                    raise EOFError
                answer, failure = self._connection.recv()
            except (EOFError, OSError) as error:
                self._gone = True
                raise EngineGoneError("the engine has ended") from error
        if failure:
            raise RemoteError(failure)
        return answer


class RemoteEngine:
    """An `EnginePort` that asks an `EngineServer`. Once that is gone, its last snapshot is a stopped one."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._line = Line(address)
        self._last: Snapshot = self._line.ask("snapshot")
        self.greeting: Any = self._line.greeting
        self.logs = LogStore(0)

    @cached_property
    def _letters_line(self) -> Line:
        return Line(self._address)

    def copy_logs(self, limit_bytes: int) -> None:
        """Fill `logs` from now on."""
        self.logs = LogStore(limit_bytes)
        line = Line(self._address)
        threading.Thread(target=_copy, args=(line, self.logs), name="routemq-log-copy", daemon=True).start()

    def snapshot(self) -> Snapshot:
        try:
            self._last = self._line.ask("snapshot")
        except EngineGoneError:
            self._last = replace(self._last, state=EngineState.STOPPED)
        return self._last

    def send(self, command: Command) -> None:
        with suppress(EngineGoneError):
            self._line.ask("send", command)

    def __getattr__(self, name: str) -> Any:
        """Rooms and calls of the port that are asked for as they are."""
        if name == "letters":  # read in a thread, from a file: a snapshot must not wait for that
            return RemoteRoom(self._letters_line, name)
        if name in ROOMS:
            return RemoteRoom(self._line, name)
        if name in CALLS:
            return lambda *args, **kwargs: self._line.ask(name, *args, **kwargs)
        raise AttributeError(name)


class RemoteRoom:
    """A reader of the port, such as `letters`."""

    def __init__(self, line: Line, name: str) -> None:
        self._line, self._name = line, name

    @property
    def last_seq(self) -> Any:
        return self._line.ask(f"{self._name}.last_seq")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self._line.ask(f"{self._name}.{name}", *args, **kwargs)


def _copy(line: Line, store: LogStore) -> None:
    after = 0
    with suppress(EngineGoneError):
        while True:
            if line.ask("logs.last_seq") <= after:
                time.sleep(_COPY_EVERY)
                continue
            first = after == 0
            batch = line.ask("logs.read", after=after, limit=_AT_FIRST if first else _AT_ONCE, newest=first)
            if batch.missed and not first:
                text = f"{batch.missed} log lines came faster than this screen could take them"
                store.add_text("engine", text, 30, "event")
            copy_lines(batch.lines, store)
            after = batch.next_seq


def copy_lines(lines: Iterable[LogLine], store: LogStore) -> None:
    """Add lines of one store to another, those of one kind at once."""
    for (source, level, stream, logger), group in groupby(lines, _KIND):
        run = list(group)
        ansi = {place: each.ansi for place, each in enumerate(run) if each.ansi is not None}
        continued = [place for place, each in enumerate(run) if each.continued]
        clean = CleanRun([each.text for each in run], [each.time for each in run], ansi, continued)
        store.add_run(source, clean, level, stream, logger)


_KIND = attrgetter("source", "level", "stream", "logger")
