"""The handle of a process and the log pump, against targets that behave badly."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from routemq_tui.engine import fork_server
from routemq_tui.engine.log_pump import LogPump
from routemq_tui.engine.log_store import LogStore
from routemq_tui.engine.process import ControlError, Target, WorkerProcess, exit_words
from routemq_tui.worker import cells
from routemq_tui.worker.spec import BrokerAddress, Subscribed, WorkerReport, WorkerSpec
from tests.engine import stand_ins
from tests.waiting import wait_until

SPEC = WorkerSpec("jobs", 1, "id", "jobs/#", "jobs/#", 1, "m:f", "/", BrokerAddress("127.0.0.1", 1))


@pytest.fixture
def store() -> Iterator[LogStore]:
    """What the fork server's children said, read by a pump that runs."""
    store = LogStore(1_000_000)
    output = fork_server.start()
    if output is not None:
        os.close(output)
    yield store
    fork_server.stop()


@contextmanager
def started(target: Target, store: LogStore) -> Iterator[WorkerProcess]:
    pump = LogPump(store)
    pump.start()
    process = WorkerProcess(SPEC, cells.allocate(fork_server.CONTEXT), target)
    pump.watch_worker("jobs/1", process.outputs)
    try:
        yield process
    finally:
        process.kill()
        wait_until(process.has_ended)
        process.close()
        pump.stop(2.0)


def texts(store: LogStore) -> list[tuple[str, str]]:
    return [(line.stream, line.text) for line in store.read().lines]


def test_half_a_report_is_not_waited_for(store: LogStore) -> None:
    with started(stand_ins.half_a_report, store) as process:
        got: list[WorkerReport] = []

        def arrived() -> list[WorkerReport]:
            got.extend(process.reports())
            return got

        wait_until(arrived)
        start = time.monotonic()
        assert process.reports() == []
        assert time.monotonic() - start < 1
        assert got == [Subscribed(granted_qos=1)]


def test_a_worker_has_the_environment_of_its_start(store: LogStore, monkeypatch: pytest.MonkeyPatch) -> None:
    # given a fork server that runs already
    monkeypatch.setenv("SET_LATER", "here")
    monkeypatch.delenv("HOME")
    with started(stand_ins.says_its_environment, store):
        wait_until(lambda: texts(store))
    assert texts(store) == [("stdout", "SET_LATER=here HOME=None")]


def test_rubbish_is_told_from_a_report(store: LogStore) -> None:
    with started(stand_ins.rubbish, store) as process, pytest.raises(ControlError):
        wait_until(process.reports)


def test_killing_one_that_leads_no_group_yet_spares_the_others(store: LogStore) -> None:
    with started(stand_ins.prompt, store) as process, started(stand_ins.prompt, store) as other:
        process.kill()
        wait_until(process.has_ended)
        assert process.exit_code == -signal.SIGKILL
        assert not other.has_ended()


def test_the_last_words_of_a_dead_process_are_read(store: LogStore) -> None:
    with started(stand_ins.talker, store) as process:
        wait_until(process.has_ended)
        assert process.exit_code == 7
    assert sorted(texts(store)) == [("stderr", "bad ␛[2J"), ("stdout", "no end"), ("stdout", "whole line")]


def test_a_line_without_an_end_is_shown_after_a_while(store: LogStore) -> None:
    with started(stand_ins.prompt, store):
        wait_until(lambda: texts(store) == [("stdout", "password: ")])


def test_levels_that_are_told_are_taken(store: LogStore) -> None:
    pump = LogPump(store)
    pump.start()
    reader, writer = os.pipe()
    pump.watch_fd("broker", reader)
    os.write(writer, b"WARNING queue is full\nINFO:listens\nno level here\nERRORS are not a level\n")
    os.write(writer, b"WARNING:routemq_tui.broker:dropped 3\nERROR routemq_tuition: no\n")
    os.close(writer)
    pump.stop(5.0)
    assert [(line.level, line.text) for line in store.read().lines] == [
        (30, "queue is full"),
        (20, "listens"),
        (20, "no level here"),
        (20, "ERRORS are not a level"),
        (30, "dropped 3"),
        (40, "routemq_tuition: no"),
    ]


@pytest.mark.parametrize(
    ("code", "topic", "killed", "words"),
    [
        (-11, "sensors/7/data", "", "exited by SIGSEGV while handling sensors/7/data"),
        (-9, None, "", "exited by SIGKILL (out of memory, or killed from outside)"),
        (-9, "a/b", "killed by hand", "killed by hand while handling a/b"),
        (3, "a/b", "", "exited with code 3 while handling a/b"),
        (0, None, "", "left by itself"),
        (42, "a/b", "", "exited with code 42 while handling a/b"),
        (-99, None, "", "exited by signal 99"),
    ],
)
def test_an_end_in_words(code: int, topic: str | None, killed: str, words: str) -> None:
    assert exit_words(code, topic, killed) == words
