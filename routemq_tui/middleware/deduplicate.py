"""Messages that were handled already are let go, told apart by something in them."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from routemq_tui import wal
from routemq_tui.routing.middleware import Context, Middleware, NextHandler

Key = Callable[[Context], object]
_TRIM_EVERY = 500


def whole_message(context: Context) -> object:
    """Topic and payload: what a broker sends again is the same in both."""
    return context["topic"], context["message"].payload


class Deduplicate(Middleware):
    """Handles each key once. `key` is a function of the context, by default the whole message.

    A key counts from the moment its handler has returned: one that fails is tried again. The last `keep` keys
    are remembered, in this worker alone, or with `file` in an SQLite database that all workers of the machine
    share and that outlives them. Routes that share a file have keys of their own there; `keep` counts all of
    them. Two that have the same key in hand at one moment may both be handled: in two workers, or in one with
    `concurrency` above 1.
    """

    def __init__(self, key: Key = whole_message, keep: int = 100_000, file: Path | str | None = None) -> None:
        if keep < 1:
            raise ValueError("keep is 1 or more")
        self._key = key
        self._by_route = file is not None
        self._seen: _InMemory | _InFile = _InMemory(keep) if file is None else _InFile(Path(file), keep)
        self.dropped = 0

    async def handle(self, context: Context, next_handler: NextHandler) -> Any:
        digest = self._digest(context)
        if digest in self._seen:
            self.dropped += 1
            self.logger.debug("%s was handled before", context["topic"])
            return None
        result = await next_handler(context)
        self._seen.add(digest)
        return result

    def _digest(self, context: Context) -> bytes:
        key = self._key(context)
        if self._by_route:
            key = context["message"].worker.rpartition("/")[0], key
        return hashlib.blake2b(msgspec.msgpack.encode(key), digest_size=16).digest()


class _InMemory:
    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._digests: OrderedDict[bytes, None] = OrderedDict()

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._digests

    def add(self, digest: bytes) -> None:
        self._digests[digest] = None
        if len(self._digests) > self._keep:
            self._digests.popitem(last=False)


class _InFile:
    """Opened by the first message, in the worker itself: a connection must not go through a fork."""

    def __init__(self, file: Path, keep: int) -> None:
        self._file, self._keep = file, keep
        self._database: sqlite3.Connection | None = None
        self._added = 0

    @property
    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            database = wal.connect(self._file, patience=10.0)
            database.isolation_level = None
            database.execute("PRAGMA synchronous=NORMAL")
            database.execute(
                "CREATE TABLE IF NOT EXISTS seen (digest BLOB PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID"
            )
            database.execute("CREATE INDEX IF NOT EXISTS seen_at ON seen (at)")
            self._database = database
        return self._database

    def __contains__(self, digest: bytes) -> bool:
        return self._open.execute("SELECT 1 FROM seen WHERE digest = ?", (digest,)).fetchone() is not None

    def add(self, digest: bytes) -> None:
        self._open.execute("INSERT OR REPLACE INTO seen VALUES (?, ?)", (digest, time.time()))
        self._added += 1
        if self._added % min(_TRIM_EVERY, self._keep) == 0:
            self._open.execute(
                "DELETE FROM seen WHERE at < (SELECT at FROM seen ORDER BY at DESC LIMIT 1 OFFSET ?)",
                (self._keep - 1,),
            )
