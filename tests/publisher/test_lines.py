"""Lines as they come from a pipe or a file."""

from __future__ import annotations

import os
from pathlib import Path

from routemq_tui.publisher.lines import arriving_lines


def test_lines_come_whole_and_quiet_times_are_told() -> None:
    reading, writing = os.pipe()
    lines = arriving_lines(reading, 0.01)
    assert next(lines) is None
    os.write(writing, b"one\r\n\nthr")
    assert [next(lines), next(lines), next(lines)] == [b"one", b"", None]
    os.write(writing, b"ee\nfour")
    assert [next(lines), next(lines)] == [b"three", None]
    os.close(writing)
    assert list(lines) == [b"four"]
    os.close(reading)


def test_a_file_is_read_to_its_end(tmp_path: Path) -> None:
    wanted = [b"%d" % number * 1000 for number in range(300)]
    (tmp_path / "file").write_bytes(b"\n".join(wanted) + b"\n")
    with (tmp_path / "file").open("rb") as file:
        assert list(arriving_lines(file.fileno(), 1)) == wanted
