"""The lines of a log view as a file: its name, what is wrong with one, and the writing of it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from pathlib import Path

from routemq_tui.engine.port import LogLine
from routemq_tui.tui.logs.text import level_of, safe


def proposed_name(title: str, now: float) -> str:
    """A name that says whose lines these are and from when."""
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", title).strip("-")
    return f"{words or 'logs'}-{time.strftime('%Y%m%d-%H%M%S', time.localtime(now))}.log"


def name_problem(text: str) -> str:
    """What is wrong with the name of a new file; empty when nothing is."""
    if not text.isprintable():
        return "Not a name for a file: it holds a control character"
    try:
        path = Path(text).expanduser()
        if path.exists():
            return f"{path} exists already: choose another name"
        if not path.absolute().parent.is_dir():
            return f"There is no folder {path.absolute().parent}"
    except (OSError, RuntimeError) as error:
        return f"Not a name for a file: {error}"
    return ""


def write_lines(name: str, lines: Iterable[LogLine]) -> Path:
    """Write a new file; raises OSError, FileExistsError too: nothing is ever overwritten."""
    path = Path(name).expanduser()
    with path.open("x", encoding="utf-8") as file:
        file.writelines(_line(line) for line in lines)
    return path.absolute()


def _line(line: LogLine) -> str:
    clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(line.time))
    millis = int(line.time % 1 * 1000)
    return f"{clock}.{millis:03d} {level_of(line.level)[0]:<5} {line.source} {safe(line.text)}\n"
