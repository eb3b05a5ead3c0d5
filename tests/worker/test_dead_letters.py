"""The dead-letter store: private, durable, and each letter replayed by one replay only."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import stat
import time
from pathlib import Path

import pytest

from routemq_tui.worker.dead_letters import (
    CLAIM_EXPIRES,
    FILE_NAME,
    DeadLetter,
    DeadLetterStore,
    StoreUnavailableError,
    export_json_line,
)


def letter(route: str = "orders", payload: bytes = b'{"id": 1}', **changes: object) -> DeadLetter:
    values = {
        "route": route,
        "worker": f"{route}/1",
        "topic": "orders/7",
        "payload": payload,
        "qos": 1,
        "error": "ValueError: no such item",
        "properties": {"content_type": "application/json"},
        **changes,
    }
    return DeadLetter(**values)  # type: ignore[arg-type]


def test_a_letter_comes_back_as_it_was_put(tmp_path: Path) -> None:
    store = DeadLetterStore(tmp_path / ".routemq")
    number = store.add(letter(payload=b"\x00\xff", traceback="line 1\nline 2", attempts=3, retain=True))
    store.close()

    [found] = DeadLetterStore(tmp_path / ".routemq").read()

    assert found.id == number
    assert found.payload == b"\x00\xff"
    assert found.properties == {"content_type": "application/json"}
    assert (found.attempts, found.retain, found.traceback) == (3, True, "line 1\nline 2")
    assert found.time > 1_600_000_000


def test_folder_and_files_are_private(tmp_path: Path) -> None:
    store = DeadLetterStore(tmp_path / ".routemq")
    store.add(letter())

    assert stat.S_IMODE((tmp_path / ".routemq").stat().st_mode) == 0o700
    for file in (tmp_path / ".routemq").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_a_folder_of_somebody_else_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # given a mounted volume, which cannot be changed and is written through its group
    tmp_path.chmod(0o2775)
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    DeadLetterStore(tmp_path).add(letter())
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o2775
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


def test_read_count_and_remove_go_by_route_and_id(tmp_path: Path) -> None:
    store = DeadLetterStore(tmp_path)
    ids = [store.add(letter("orders")) for _ in range(3)]
    store.add(letter("alarms"))

    assert (store.count(), store.count("orders"), store.count("nothing")) == (4, 3, 0)
    assert [each.id for each in store.read(ids=(ids[0], ids[2]))] == [ids[0], ids[2]]
    assert store.remove("orders", ids=(ids[1],)) == 1
    assert store.remove("orders") == 2
    assert [each.route for each in store.read()] == ["alarms"]


def test_nothing_is_made_by_looking(tmp_path: Path) -> None:
    store = DeadLetterStore(tmp_path / ".routemq")

    assert store.count() == 0
    assert list(store.read()) == []
    assert store.remove() == 0
    assert not (tmp_path / ".routemq").exists()


def _claim_all(folder: Path, ids: list[int], taken: multiprocessing.queues.Queue[list[int]]) -> None:
    store = DeadLetterStore(folder)
    taken.put([each for each in ids if store.claim(each) is not None])


def test_two_replays_at_once_share_the_letters_without_a_double(tmp_path: Path) -> None:
    store = DeadLetterStore(tmp_path)
    ids = [store.add(letter()) for _ in range(60)]
    store.close()
    context = multiprocessing.get_context("spawn")
    taken = context.Queue()
    replays = [context.Process(target=_claim_all, args=(tmp_path, ids, taken)) for _ in range(2)]
    for each in replays:
        each.start()

    both = [taken.get(timeout=30), taken.get(timeout=30)]

    for each in replays:
        each.join(10)
    taken.close()
    taken.join_thread()
    assert sorted(both[0] + both[1]) == ids


def test_a_claim_is_given_back_or_expires(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DeadLetterStore(tmp_path)
    number = store.add(letter())

    assert store.claim(number) is not None
    assert store.claim(number) is None
    store.release(number)
    assert store.claim(number) is not None
    later = time.time() + CLAIM_EXPIRES + 1
    monkeypatch.setattr("routemq_tui.worker.dead_letters.time.time", lambda: later)
    assert store.claim(number) is not None
    assert store.claim(number + 1) is None


def test_a_locked_store_says_so_and_recovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routemq_tui.worker.dead_letters.PATIENCE", 0.05)
    store = DeadLetterStore(tmp_path)
    store.add(letter())
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreUnavailableError, match="locked"):
        store.add(letter())
    other.execute("ROLLBACK")
    other.close()

    store.add(letter())
    assert store.count() == 2


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    store = DeadLetterStore(tmp_path)
    store.path.write_bytes(b"this is text, and enough of it that SQLite looks at the header" * 20)

    with pytest.raises(StoreUnavailableError, match=r"dead-letters\.sqlite3.*not a database"):
        store.add(letter())


def test_export_keeps_every_payload() -> None:
    assert '"payload": "{\\"id\\": 1}"' in export_json_line(letter())
    assert '"payload_base64": "AP8="' in export_json_line(letter(payload=b"\x00\xff"))


def test_a_look_changes_nothing_and_sees_what_is_being_replayed(tmp_path: Path) -> None:
    # given no store at all
    look = DeadLetterStore(tmp_path, read_only=True)
    assert (look.count(), look.headings()) == (0, [])
    assert not look.path.exists()
    # when letters are written and one is claimed, while the look goes on
    store = DeadLetterStore(tmp_path)
    ids = [store.add(letter(payload=b"x" * size)) for size in (1, 2, 3)]
    store.claim(ids[1])
    found = look.headings()
    assert [(each.letter.id, each.size, each.claimed) for each in found] == [
        (ids[2], 3, False),
        (ids[1], 2, True),
        (ids[0], 1, False),
    ]
    assert {(each.letter.payload, each.letter.traceback) for each in found} == {("", "")}
    assert [each.letter.id for each in look.headings(after=ids[0], limit=1)] == [ids[2]]
    with pytest.raises(StoreUnavailableError, match="readonly"):
        look.remove(ids=(ids[0],))
    # then it sees the same after the writers have gone
    look.close()
    store.close()
    assert len(look.headings(ids=tuple(ids[:2]))) == 2
    look.close()
