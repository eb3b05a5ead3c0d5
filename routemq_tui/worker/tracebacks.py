"""Tracebacks as the author of a handler wants them: their frames and those of libraries, none of ours.

Our frames stand between theirs: a middleware calls its handler through us.
"""

from __future__ import annotations

import importlib
import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import routemq_tui

_PACKAGE = f"{Path(routemq_tui.__file__).parent}{os.sep}"
_SHIPPED = f"{_PACKAGE}middleware{os.sep}"
_LIBRARY = ("<", sysconfig.get_path("stdlib"))
_IMPORTING = ("<frozen importlib", importlib.__file__)


def without_our_frames(error: BaseException) -> BaseException:
    """The same exception. It, and what it came of, have no frame of this package any more.

    The frames stay where there are no others: then the mistake is ours. So do those of a middleware we ship,
    when it is what failed.
    """
    for each in _chain(error):
        each.__traceback__ = _cut(each.__traceback__, (_PACKAGE,)) or each.__traceback__
    return error


def of_their_code(error: BaseException) -> BaseException | None:
    """The same exception from the user's frames on, also without those of Python's import.

    None when no line of theirs was run: then there is nothing to look at.
    """
    for each in _chain(error):
        each.__traceback__ = _cut(each.__traceback__, (_PACKAGE, *_IMPORTING))
    return error if error.__traceback__ is not None or isinstance(error, SyntaxError) else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception, what it came of, and what is in its groups; each once."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        left += (each.__cause__, each.__context__)
        if isinstance(each, BaseExceptionGroup):
            left += each.exceptions


def _cut(where: TracebackType | None, ours: tuple[str, ...]) -> TracebackType | None:
    steps = list(_steps(where))
    last = next((at for at in reversed(range(len(steps))) if _file(steps[at]).startswith(ours)), None)
    if last is None:
        return where
    kept = steps[last].tb_next
    # A middleware of ours failed if nobody else's code came after it.
    in_shipped = all(_file(step).startswith(_LIBRARY) for step in steps[last + 1 :])
    for step in reversed(steps[: last + 1]):
        if _file(step).startswith(ours):
            in_shipped = in_shipped and _file(step).startswith(_SHIPPED)
            if not in_shipped:
                continue
        kept = TracebackType(kept, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return kept


def _steps(where: TracebackType | None) -> Iterator[TracebackType]:
    while where is not None:
        yield where
        where = where.tb_next


def _file(step: TracebackType) -> str:
    return step.tb_frame.f_code.co_filename
