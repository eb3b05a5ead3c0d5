"""SQLite files opened by several at once."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Timer

import pytest

from routemq_tui import wal


def test_a_new_file_is_opened_by_several_at_once(tmp_path: Path) -> None:
    together = Barrier(8)

    def write(path: Path) -> str:
        together.wait(10)
        connection = wal.connect(path, 10)
        with connection:
            connection.execute("CREATE TABLE IF NOT EXISTS words (word TEXT)")
            connection.execute("INSERT INTO words VALUES ('a')")
        mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
        connection.close()
        return str(mode)

    with ThreadPoolExecutor(8) as threads:
        for number in range(20):
            path = tmp_path / f"{number}.sqlite3"
            assert set(threads.map(write, [path] * 8)) == {"wal"}
            with sqlite3.connect(path) as database:
                assert database.execute("SELECT count(*) FROM words").fetchone() == (8,)
            database.close()


def test_another_that_is_about_to_write_is_waited_for(tmp_path: Path) -> None:
    # SQLite itself says BUSY at once here, whatever the connection's timeout.
    path = tmp_path / "busy.sqlite3"
    holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    holder.execute("CREATE TABLE words (word TEXT)")
    holder.execute("BEGIN IMMEDIATE")
    Timer(0.2, holder.close).start()
    connection = wal.connect(path, 10)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_file_that_stays_locked_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "locked.sqlite3"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        wal.connect(path, 0.1)
    holder.close()


def test_what_is_no_database_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("no database at all, " * 100)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        wal.connect(path, 60)
