"""Dead letters: messages given up by policy, kept in SQLite under `.routemq/` until replayed or purged.

Workers add, one transaction a letter, committed before the message is acknowledged; the engine counts; the
command line lists, replays, exports and purges. All of them may have the file open at once (WAL).
"""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from routemq_tui import wal
from routemq_tui.errors import RoutemqError

FILE_NAME = "dead-letters.sqlite3"
CLAIM_EXPIRES = 60.0
"""Seconds after which a replay that never ended no longer holds its letter."""

PATIENCE = 2.0
"""Seconds to wait for another process that writes."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time REAL NOT NULL,
    route TEXT NOT NULL,
    worker TEXT NOT NULL,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    qos INTEGER NOT NULL,
    retain INTEGER NOT NULL,
    properties TEXT NOT NULL,
    cause TEXT NOT NULL,
    error TEXT NOT NULL,
    traceback TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    claimed REAL
);
CREATE INDEX IF NOT EXISTS dead_letters_route ON dead_letters (route);
"""


class StoreUnavailableError(RoutemqError):
    """The store cannot be read or written: the disk is full, it is locked, or it is no database."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    route: str
    worker: str
    topic: str
    payload: bytes
    qos: int
    error: str
    """`ValueError: bad reading`, or in words what happened to the process."""
    cause: str = "handler"
    """`handler` (it raised), `timeout`, `poison` (it killed its process) or `payload` (it did not decode)."""
    traceback: str = ""
    attempts: int = 1
    retain: bool = False
    properties: dict[str, Any] = field(default_factory=dict)
    """MQTT 5 properties worth keeping, as JSON values."""
    time: float = 0.0
    """Unix time."""
    id: int = 0


class Heading(NamedTuple):
    letter: DeadLetter
    """Without payload and traceback."""
    size: int
    """Bytes of the payload."""
    claimed: bool
    """It is being replayed."""


class DeadLetterStore:
    """One connection to the store of a project; not to be shared between threads.

    The folder is made with mode 0700 and the file with 0600: payloads may be private. Every method raises
    StoreUnavailableError when the store cannot do it; with `read_only` only the looking ones can.
    """

    def __init__(self, folder: Path, read_only: bool = False) -> None:
        self.path = folder / FILE_NAME
        self._read_only = read_only
        self.patience = PATIENCE
        """For connections opened from now on."""
        self._connection: sqlite3.Connection | None = None
        self._inode = 0

    def add(self, letter: DeadLetter) -> int:
        """Store one letter and return its id; when this returns, the letter is on the disk."""
        row = _row_of(letter)
        names = ", ".join(row)
        marks = ", ".join(f":{name}" for name in row)
        with _told(self.path), self._open(make=True) as connection:
            cursor = connection.execute(f"INSERT INTO dead_letters ({names}) VALUES ({marks})", row)
            return int(cursor.lastrowid or 0)

    def count(self, route: str | None = None) -> int:
        if not self.path.exists():
            return 0
        with _told(self.path), self._open() as connection:
            where, values = _where(route, ())
            return int(connection.execute(f"SELECT count(*) FROM dead_letters{where}", values).fetchone()[0])

    def read(
        self, route: str | None = None, ids: tuple[int, ...] = (), limit: int = -1
    ) -> Iterator[DeadLetter]:
        """Letters, oldest first."""
        if not self.path.exists():
            return
        with _told(self.path), self._open() as connection:
            where, values = _where(route, ids)
            sql = f"SELECT * FROM dead_letters{where} ORDER BY id LIMIT ?"
            for row in connection.execute(sql, (*values, limit)):
                yield _letter_of(row)

    def headings(
        self, route: str | None = None, ids: tuple[int, ...] = (), after: int = 0, limit: int = -1
    ) -> list[Heading]:
        """Letters with `id > after`, newest first."""
        if not self.path.exists():
            return []
        names = ", ".join(f"'' AS {each}" if each in _LONG else each for each in _FIELDS)
        where, values = _where(route, ids, after)
        chosen = f"{names}, length(payload) AS size, claimed"
        sql = f"SELECT {chosen} FROM dead_letters{where} ORDER BY id DESC LIMIT ?"
        expired = time.time() - CLAIM_EXPIRES
        with _told(self.path), self._open() as connection:
            rows = connection.execute(sql, (*values, limit)).fetchall()
        return [
            Heading(_letter_of(row), row["size"], row["claimed"] is not None and row["claimed"] >= expired)
            for row in rows
        ]

    def claim(self, letter_id: int) -> DeadLetter | None:
        """Take a letter for replay; None when it is gone or another replay has it."""
        now = time.time()
        with _told(self.path), self._open() as connection:
            row = connection.execute(
                "UPDATE dead_letters SET claimed = ?"
                " WHERE id = ? AND (claimed IS NULL OR claimed < ?) RETURNING *",
                (now, letter_id, now - CLAIM_EXPIRES),
            ).fetchone()
        return None if row is None else _letter_of(row)

    def release(self, letter_id: int) -> None:
        """Give a claimed letter back: its replay failed."""
        with _told(self.path), self._open() as connection:
            connection.execute("UPDATE dead_letters SET claimed = NULL WHERE id = ?", (letter_id,))

    def remove(self, route: str | None = None, ids: tuple[int, ...] = ()) -> int:
        """Delete letters and return how many; without a route or ids, all of them."""
        if not self.path.exists():
            return 0
        with _told(self.path), self._open() as connection:
            where, values = _where(route, ids)
            return connection.execute(f"DELETE FROM dead_letters{where}", values).rowcount

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _open(self, make: bool = False) -> sqlite3.Connection:
        """The connection, as a context that commits, or rolls back when something is raised."""
        if self._connection is not None and make and not self._still_there():
            self.close()
        if self._connection is None:
            if make:
                _make_private(self.path)
            if self._read_only:
                address = f"file:{quote(str(self.path))}?mode=ro"
                self._connection = sqlite3.connect(address, timeout=self.patience, uri=True)
                self._connection.row_factory = sqlite3.Row
                return self._connection
            connection = wal.connect(self.path, self.patience)
            connection.row_factory = sqlite3.Row
            try:
                connection.execute("PRAGMA synchronous = FULL")
                connection.executescript(_SCHEMA)
            except sqlite3.Error:
                connection.close()
                raise
            self._connection = connection
            self._inode = self.path.stat().st_ino
        return self._connection

    def _still_there(self) -> bool:
        """A letter written to a file that was deleted meanwhile would be gone."""
        try:
            return self.path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turns the errors of SQLite and of the file system into the one that callers know."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreUnavailableError(f"dead letters: {path}: {error}") from error


def sent_properties(letter: DeadLetter) -> dict[str, Any]:
    """The MQTT 5 properties as they came: correlation data is kept in base64."""
    properties = dict(letter.properties)
    if "correlation_data" in properties:
        properties["correlation_data"] = base64.b64decode(properties["correlation_data"])
    return properties


def export_json_line(letter: DeadLetter) -> str:
    """One letter as a line of JSON; a payload that is not UTF-8 stands in base64 under `payload_base64`."""
    values = asdict(letter)
    payload: bytes = values.pop("payload")
    try:
        values["payload"] = payload.decode()
    except UnicodeDecodeError:
        values["payload_base64"] = base64.b64encode(payload).decode()
    return json.dumps(values, ensure_ascii=False)


def _make_private(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = path.parent.stat()
    if about.st_uid == os.geteuid() and about.st_mode & 0o077:  # a mounted volume is somebody else's
        path.parent.chmod(0o700)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _where(route: str | None, ids: tuple[int, ...], after: int = 0) -> tuple[str, tuple[Any, ...]]:
    conditions: list[str] = []
    values: list[Any] = []
    if route is not None:
        conditions.append("route = ?")
        values.append(route)
    if ids:
        conditions.append(f"id IN ({', '.join('?' * len(ids))})")
        values.extend(ids)
    if after:
        conditions.append("id > ?")
        values.append(after)
    return (f" WHERE {' AND '.join(conditions)}" if conditions else ""), tuple(values)


def _row_of(letter: DeadLetter) -> dict[str, Any]:
    row = asdict(letter)
    del row["id"]
    row["time"] = letter.time or time.time()
    row["properties"] = json.dumps(letter.properties, ensure_ascii=False)
    row["retain"] = int(letter.retain)
    return row


_FIELDS = tuple(each.name for each in fields(DeadLetter))


_LONG = ("payload", "traceback")


def _letter_of(row: sqlite3.Row) -> DeadLetter:
    values = {name: row[name] for name in _FIELDS}
    values["properties"] = json.loads(values["properties"])
    values["retain"] = bool(values["retain"])
    return DeadLetter(**values)
