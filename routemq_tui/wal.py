"""SQLite files that several processes write."""

from __future__ import annotations

import random
import sqlite3
import time
from pathlib import Path


def connect(path: Path, patience: float) -> sqlite3.Connection:
    """Open `path`, made when missing, in write-ahead mode; waits up to `patience` seconds for others.

    Raises sqlite3.Error when it cannot be opened or stays locked.
    """
    until = time.monotonic() + patience
    connection = sqlite3.connect(path, timeout=patience)
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return connection
        except sqlite3.Error as error:
            # Two that change a new file's mode at once are told BUSY without a wait: a deadlock, to SQLite.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                connection.close()
                raise
        time.sleep(random.uniform(0.002, 0.02))
