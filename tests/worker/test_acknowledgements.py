"""Acknowledgements in batches, and the window of QoS 2 that outlives a process."""

from __future__ import annotations

import multiprocessing
import os
import signal
from typing import Any

import pytest

from routemq_tui.worker.acknowledgements import Qos2Window, pubacks, pubcomps, pubrecs


def test_a_batch_is_the_packets_one_after_the_other() -> None:
    assert pubacks([1, 0x1234, 65535]) == bytes.fromhex("40020001 40021234 4002ffff")
    assert pubrecs(iter([2])) == bytes.fromhex("50020002")
    assert pubcomps(range(3, 5)) == bytes.fromhex("70020003 70020004")
    assert pubacks([]) == b""


def test_marks_are_kept_apart() -> None:
    window = Qos2Window(memoryview(bytearray(8192)))
    for packet_id in (1, 8, 9, 65535):
        window.mark(packet_id)
        window.mark(packet_id)
    assert [number for number in range(65536) if window.seen(number)] == [1, 8, 9, 65535]
    window.release(8)
    window.release(10)
    assert [number for number in range(65536) if window.seen(number)] == [1, 9, 65535]
    window.clear()
    assert not any(window.seen(number) for number in range(65536))


def mark_and_die(memory: Any) -> None:
    Qos2Window(memoryview(memory)).mark(77)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("code", ["Q", "B"])
def test_marks_outlive_the_process_that_made_them(code: str) -> None:
    # given shared memory as a slot has it, of any item size
    context = multiprocessing.get_context("spawn")
    memory = context.RawArray(code, 8192 // (8 if code == "Q" else 1))
    # when a process marks an id and is killed
    process = context.Process(target=mark_and_die, args=(memory,))
    process.start()
    process.join(20)
    # then the next one finds it
    window = Qos2Window(memoryview(memory).cast("B"))
    assert process.exitcode == -9
    assert window.seen(77)
    assert not window.seen(78)


def test_memory_of_the_wrong_size_or_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(ValueError, match="8192 writable bytes"):
        Qos2Window(memoryview(bytearray(8191)))
    with pytest.raises(ValueError, match="8192 writable bytes"):
        Qos2Window(memoryview(bytes(8192)))
