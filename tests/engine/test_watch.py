"""Waiting for workers: who is told of, and who no more. The fork server that they come from."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from routemq_tui.engine import fork_server
from routemq_tui.engine.process import Target, WorkerProcess
from routemq_tui.engine.wake import Wake
from routemq_tui.engine.watch import WorkerWatch
from routemq_tui.worker import cells
from tests.engine import stand_ins
from tests.engine.test_process import SPEC
from tests.waiting import wait_until


class Slot(SimpleNamespace):
    """As far as a watch knows one."""

    __hash__ = object.__hash__


@contextmanager
def slot_of(target: Target) -> Iterator[Any]:
    process = WorkerProcess(SPEC, cells.allocate(fork_server.CONTEXT), target)
    slot = Slot(process=process)
    try:
        yield slot
    finally:
        process = slot.process  # a test may have put another one in its place
        process.kill()
        wait_until(process.has_ended)
        process.close()
        for connection in (process.outputs.logs, process.outputs.stdout, process.outputs.stderr):
            connection.close()


@contextmanager
def watching() -> Iterator[tuple[WorkerWatch, Wake]]:
    wake = Wake()
    wake.open()
    watch = WorkerWatch(wake)
    try:
        yield watch, wake
    finally:
        watch.close()
        wake.close()


def test_a_report_is_told_until_it_is_read() -> None:
    with watching() as (watch, _), slot_of(stand_ins.half_a_report) as slot:
        assert watch.wait([slot], 10.0) == (True, [slot])
        assert watch.wait([slot], 10.0) == (True, [slot])
        wait_until(slot.process.reports)
        assert watch.wait([slot], 0.0) == (False, [])


def test_a_closed_control_pipe_is_told_once_it_is_read_no_more_and_the_end_still_is() -> None:
    with watching() as (watch, _), slot_of(stand_ins.silent) as slot:
        assert watch.wait([slot], 10.0) == (True, [slot])
        slot.process.reports()
        assert slot.process.control is None
        assert watch.wait([slot], 0.0) == (False, [])
        slot.process.kill()
        assert watch.wait([slot], 10.0) == (True, [slot])
        assert slot.process.has_ended()


def test_the_next_process_of_a_slot_is_watched_in_the_place_of_the_last() -> None:
    with watching() as (watch, _), slot_of(stand_ins.silent) as slot:
        watch.wait([slot], 10.0)
        last = slot.process
        last.kill()
        wait_until(last.has_ended)
        last.close()  # its descriptors' numbers are free, and taken by the next
        with slot_of(stand_ins.half_a_report) as other:
            assert watch.wait([other], 10.0) == (True, [other])
            wait_until(other.process.reports)
            assert watch.wait([other], 0.0) == (False, [])
        slot.process = SimpleNamespace(
            kill=lambda: None, has_ended=lambda: True, close=lambda: None, outputs=last.outputs
        )
        for connection in (last.outputs.logs, last.outputs.stdout, last.outputs.stderr):
            connection.close()


def test_being_woken_is_told_once() -> None:
    with watching() as (watch, wake):
        wake.set()
        assert watch.wait([], 10.0) == (True, [])
        assert watch.wait([], 0.0) == (False, [])


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30
    ).stdout


def test_the_engine_imports_nothing_that_speaks_mqtt() -> None:
    names = "{'paho.mqtt.client', 'asyncio', 'textual'}"
    assert (
        run(f"import sys, routemq_tui.engine.engine; print(sorted({names} & sys.modules.keys()))") == "[]\n"
    )


def test_a_fork_server_begun_early_is_the_one_that_is_started_and_its_output_is_handed_over_once() -> None:
    code = """
from multiprocessing import forkserver
from routemq_tui.engine import fork_server
fork_server.begin()
fork_server.begin()
pid = forkserver._forkserver._forkserver_pid
print(fork_server.start() is not None, fork_server.start() is None)
print(forkserver._forkserver._forkserver_pid == pid)
fork_server.stop()
fork_server.stop()
print(forkserver._forkserver._forkserver_pid)
"""
    assert run(code).split() == ["True", "True", "True", "None"]
