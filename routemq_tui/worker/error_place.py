"""Where a message failed: what makes two failures the same one, whatever their messages were.

That is the exception's type and the lines of the user's own code that it came through. Not our frames; the
standard library's and installed packages' only if there are no others.
"""

from __future__ import annotations

import hashlib
import linecache
import re
import sysconfig
from pathlib import Path
from types import CodeType
from typing import NamedTuple

import routemq_tui
from routemq_tui.worker import cells
from routemq_tui.worker.failure import Failure

_PACKAGE = str(Path(routemq_tui.__file__).parent)
_FOREIGN = ("site-packages", "dist-packages")
_LIBRARY = sysconfig.get_path("stdlib")
_FRAMES_MOST = 20
_KNOWN_MOST = 500
_TEXT_MOST = 300
_TOPIC_MOST = cells.CURRENT_TOPIC_BYTES // 4 - 1
_NUMBERS = re.compile(r"\d+")

Step = tuple[CodeType, int]


class Place(NamedTuple):
    fingerprint: str
    """In hexadecimal digits."""
    kind: str
    where: str


def place_of_death(cause: str, topic: str) -> Place:
    """Of a message that cost its process: `poison`, or `timeout`. The engine knows the begin of its topic."""
    begin = topic if len(topic) <= _TOPIC_MOST else f"{topic[:_TOPIC_MOST]}…"
    return Place(_digest(cause, begin), cause, begin)


class Places:
    """Of one worker. Each place is worked out once."""

    def __init__(self, root: str, handler: str) -> None:
        self._root = Path(root)
        self._handler = handler
        self._known: dict[tuple[type[BaseException], tuple[tuple[int, int], ...]], tuple[Place, object]] = {}
        """With what keeps the code objects where they are."""

    def of(self, failure: Failure, topic: str) -> Place:
        error = failure.exception
        if error is None:
            if failure.cause in ("poison", "timeout"):
                return place_of_death(failure.cause, topic)
            # What was wrong with a payload varies with its data in numbers only.
            reason = "topic" if not failure.attempts else _NUMBERS.sub("0", failure.error)
            return Place(_digest("payload", self._handler, reason), "payload", self._handler)
        steps = _steps_of(error)
        key = type(error), tuple(steps)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _KNOWN_MOST:
                self._known.clear()
            path = [(code, line) for (_, line), code in steps.items()][-_FRAMES_MOST:]
            known = self._known[key] = self._work_out(type(error), path), steps
        return known[0]

    def _work_out(self, kind: type[BaseException], steps: list[Step]) -> Place:
        real = [step for step in steps if not _is_ours(step[0].co_filename)] or steps
        own = [step for step in real if not _is_foreign(step[0].co_filename)] or real
        parts = [f"{kind.__module__}.{kind.__qualname__}"]
        for code, line in own:
            text = linecache.getline(code.co_filename, line).strip()
            parts += [self._file(code), code.co_qualname, text or str(line)]
        if not own:
            return Place(_digest(*parts, self._handler), kind.__name__, self._handler)
        code, line = own[-1]
        where = f"{self._file(code)}:{line} in {code.co_name}"
        return Place(_digest(*parts), kind.__name__, _cut(where))

    def _file(self, code: CodeType) -> str:
        """Relative to the project: two machines have it in two places."""
        path = Path(code.co_filename)
        return str(path.relative_to(self._root)) if path.is_relative_to(self._root) else code.co_filename


def _steps_of(error: BaseException) -> dict[tuple[int, int], CodeType]:
    """The lines the exception came through, each once: a recursion is the same one however deep.

    By the address of the code object and the line: to hash a code object takes a microsecond.
    """
    steps: dict[tuple[int, int], CodeType] = {}
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        steps[id(code), trace.tb_lineno] = code
        trace = trace.tb_next
    return steps


def _is_ours(file: str) -> bool:
    return file.startswith((_PACKAGE, "<call of "))


def _is_foreign(file: str) -> bool:
    return file.startswith(("<", _LIBRARY)) or any(name in file for name in _FOREIGN)


def _digest(*parts: str) -> str:
    joined = "\0".join(parts).encode("utf-8", "surrogateescape")
    return hashlib.blake2b(joined, digest_size=8).hexdigest()


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT_MOST else f"{text[:_TEXT_MOST]}…"
