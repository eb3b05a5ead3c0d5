"""What the screen remembers from one start to the next, in `.routemq/layout.json`: small values by name.

A file that is broken, cannot be read or cannot be written does no harm: defaults are used, and `problem` says
so once. Nothing is read from or written to the disk with `LayoutMemory(None)`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from routemq_tui.engine.instance_file import write_whole

_TOO_LARGE = 256 * 1024

Remembered = bool | int | float | str | list[str]
Value = TypeVar("Value", bool, int, float, str, list[str])


class LayoutMemory:
    """`get` and `set` by a dotted name, such as `table.sort`; every screen has names of its own."""

    def __init__(self, file: Path | None = None) -> None:
        self.problem = ""
        """What was wrong with the file, in words; empty when nothing was."""
        self._file = file
        self._values: dict[str, object] = {}
        self.is_new = file is not None and not file.exists()
        """There is no file yet: nobody has used the screen in this folder."""
        if file is not None and not self.is_new:
            self._values = self._read(file)

    @property
    def lasts(self) -> bool:
        """Whether what is set is there at the next start."""
        return self._file is not None

    def get(self, name: str, default: Value) -> Value:
        """What was set under the name; the default where nothing was, or a value of another type."""
        found = self._values.get(name)
        if type(found) is not type(default):
            return default
        if isinstance(found, list) and not all(isinstance(each, str) for each in found):
            return default
        return found

    def set(self, name: str, value: Remembered) -> None:
        self.update({name: value})

    def update(self, values: Mapping[str, Remembered]) -> None:
        """Set several at once; written at once, and only when one of them is new."""
        changed = {**self._values, **values}
        if changed == self._values:
            return
        self._values = changed
        if self._file is not None:
            self._write(self._file)

    def _read(self, file: Path) -> dict[str, object]:
        try:
            if file.stat().st_size > _TOO_LARGE:
                raise ValueError("it is too large")
            values = json.loads(file.read_bytes())
            if not isinstance(values, dict):
                raise ValueError("it holds no object")
        except OSError as error:
            self.problem = f"The remembered layout cannot be read: {error.strerror} ({file})"
        except (ValueError, RecursionError):
            self.problem = f"The remembered layout is broken and not used ({file})"
        else:
            return values
        return {}

    def _write(self, file: Path) -> None:
        try:
            write_whole(file, json.dumps(self._values, indent=1, sort_keys=True) + "\n")
        except OSError as error:
            self.problem = f"The layout cannot be remembered: {error.strerror} ({file})"
            self._file = None  # Told once, and not tried again.
