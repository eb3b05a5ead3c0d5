"""Events of the engine stand in the log where they belong among the worker's own lines."""

from __future__ import annotations

import time

import pytest

from routemq_tui.engine import held_events
from routemq_tui.engine.held_events import HeldEvents
from routemq_tui.engine.log_store import LogStore
from routemq_tui.engine.sanitise import clean_batch
from routemq_tui.worker.log_queue import LogBatch


class Log:
    def __init__(self) -> None:
        self.store = LogStore(1_000_000)
        self.events = HeldEvents(self.store)

    def read(self, *lines: tuple[float, str], cut: int | None = None) -> None:
        """A batch of the worker's, as the pump stores it."""
        times, texts = [at for at, _ in lines], [text for _, text in lines]
        cuts = {} if cut is None else {cut: 7}
        for part in self.events.parts(
            "jobs/1", LogBatch([(20, "log", "")], bytes(len(lines)), times, texts, cuts)
        ):
            run, numbers = clean_batch(part)
            self.store.add_mixed("jobs/1", run, part.kinds, numbers)

    @property
    def texts(self) -> list[str]:
        return [line.text for line in self.store.read().lines]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    made = Log()
    made.events.put("jobs/1", "gave up", 30)
    return made


def test_an_event_comes_after_what_was_said_before_it(log: Log) -> None:
    now = time.time()
    log.read((now - 2, "one"), (now - 1, "two"), (now + 1, "three"), cut=2)
    assert log.texts == ["one", "two", "gave up", "three … 7 characters more were cut"]


def test_an_event_waits_for_lines_that_are_on_their_way(log: Log) -> None:
    log.read((time.time() - 2, "one"))
    assert log.texts == ["one"]
    log.read((time.time() + 1, "two"))
    assert log.texts == ["one", "gave up", "two"]


def test_several_events_in_a_batch_keep_their_order(log: Log) -> None:
    log.events.put("jobs/1", "restarted", 30)
    log.events.put("jobs/2", "somebody else's", 30)
    now = time.time()
    log.read((now - 1, "one"), (now + 1, "two"), (now + 2, "three"))
    assert log.texts == ["one", "gave up", "restarted", "two", "three"]


def test_an_event_that_nothing_follows_is_there_after_a_moment(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = log.events.release_due()
    assert due is not None
    assert log.texts == []
    monkeypatch.setattr(held_events.time, "monotonic", lambda: due)
    assert log.events.release_due() is None
    assert log.texts == ["gave up"]


def test_at_the_end_nothing_is_held(log: Log) -> None:
    log.events.close()
    assert log.texts == ["gave up"]
    assert not log.events.put("jobs/1", "stopped", 20)
    assert log.texts == ["gave up", "stopped"]
