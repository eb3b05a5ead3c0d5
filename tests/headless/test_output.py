"""Lines on their way out: a reader that does not read, an encoding without the letter, a full disk."""

from __future__ import annotations

import errno
import io
import os
import re
import threading
import time
from pathlib import Path
from typing import TextIO

import pytest

from routemq_tui.headless import output
from routemq_tui.headless.output import Output
from tests.waiting import wait_until


def pipe() -> tuple[int, TextIO]:
    """A reading end nobody reads from yet, and a writing end."""
    reading, writing = os.pipe()
    return reading, os.fdopen(writing, "w", encoding="utf-8")


def dropped(count: int) -> str:
    return f"({count} dropped)"


def all_of(reading: int) -> list[str]:
    with os.fdopen(reading, encoding="utf-8") as text:
        return text.read().splitlines()


def test_lines_come_out_in_order_and_whole(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as out:
        lines = Output(out, dropped)
        for first in range(0, 100_000, 10_000):
            lines.put([f"line {number} ü" for number in range(first, first + 10_000)])
            wait_until(lambda: not lines._lines)
        assert lines.close(5.0) == 0
    assert (tmp_path / "out").read_text() == "".join(f"line {number} ü\n" for number in range(100_000))


@pytest.mark.parametrize("bound", ["lines", "characters"])
def test_a_reader_that_does_not_read_holds_up_nobody_and_what_is_dropped_is_counted(
    bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given memory for few lines, and a reader that waits
    monkeypatch.setattr(output, "MOST_LINES" if bound == "lines" else "MOST_CHARACTERS", 3000)
    reading, out = pipe()
    lines = Output(out, dropped)
    total = 0
    began = time.monotonic()
    for _ in range(100):
        lines.put([f"line {number:06}" for number in range(total, total + 500)])
        total += 500
    assert time.monotonic() - began < 5.0
    assert len(lines._lines) <= 3000
    # when it reads on, after some were dropped while it had a few in hand
    os.set_blocking(reading, False)
    got = b""

    def read_on() -> bool:
        nonlocal got
        try:
            got += os.read(reading, 65536)
        except BlockingIOError:
            return not lines._lines
        return False

    wait_until(read_on)
    assert lines.close(5.0) == 0
    out.close()
    with os.fdopen(reading, "rb") as rest:
        told = (got + rest.read()).decode().splitlines()
    # then every line is there or counted, in its place
    expected, gaps = 0, 0
    for line in told:
        gap = re.fullmatch(r"\((\d+) dropped\)", line)
        if gap is None:
            assert line == f"line {expected:06}"
            expected += 1
        else:
            expected += int(gap[1])
            gaps += 1
    assert expected == total
    assert gaps >= 1


def test_the_end_waits_for_a_slow_reader_but_not_for_ever() -> None:
    reading, out = pipe()
    lines = Output(out, dropped)
    lines.put(["x" * 100] * 5000)
    began = time.monotonic()
    left = lines.close(0.3)
    assert 0.3 <= time.monotonic() - began < 3.0
    assert 4000 < left <= 5000
    # and a signal cuts that short
    began = time.monotonic()
    lines.close(30.0, hurry=lambda: True)
    assert time.monotonic() - began < 3.0
    os.close(reading)
    wait_until(lambda: not lines._thread.is_alive())
    out.close()


def test_what_the_encoding_has_no_letters_for_is_escaped(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w", encoding="latin-1", errors="strict") as out:
        lines = Output(out, dropped)
        lines.put(["café 10 € 😀", "lone \udc80"])
        assert lines.close(5.0) == 0
    assert (tmp_path / "out").read_text("latin-1") == "café 10 \\u20ac \\ud83d\\ude00\nlone \\udc80\n"


def test_an_output_without_a_file_is_written_to_as_text() -> None:
    out = io.StringIO()
    lines = Output(out, dropped)
    lines.put(["one", "two"])
    assert lines.close(5.0) == 0
    assert out.getvalue() == "one\ntwo\n"


def test_an_output_that_does_not_block_is_waited_for() -> None:
    reading, out = pipe()
    os.set_blocking(out.fileno(), False)
    lines = Output(out, dropped)
    lines.put([f"line {number}" for number in range(20_000)])
    wait_until(lambda: len(lines._lines) < 20_000)
    told: list[str] = []
    reader = threading.Thread(target=lambda: told.extend(all_of(reading)))
    reader.start()
    assert lines.close(10.0) == 0
    out.close()
    reader.join()
    assert told == [f"line {number}" for number in range(20_000)]


def test_a_full_disk_is_an_error_that_is_kept_and_memory_stays_empty() -> None:
    with open("/dev/full", "w") as out:  # noqa: PTH123
        lines = Output(out, dropped)
        lines.put(["one"])
        wait_until(lambda: lines.error is not None)
        lines.put(["two"])
        assert lines.error is not None
        assert lines.error.errno == errno.ENOSPC
        assert not lines._lines
        assert lines.close(5.0) == 0
