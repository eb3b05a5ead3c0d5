"""When two failures are the same: by type and own lines, whatever they say and wherever the project lies."""

from __future__ import annotations

import linecache
import sys
import types
from pathlib import Path
from typing import Any

from routemq_tui.routing.payload import PayloadError
from routemq_tui.worker.error_place import Place, Places, place_of_death
from routemq_tui.worker.failure import Failure, failed, unfit

CODE = """
import json

def check(value):
    if value < 0:
        raise ValueError(f"negative: {value}")
    return 1 / value

def first(value):
    return check(value)

def second(value):
    return check(value)

def decode(text):
    return json.loads(text)

def recurse(n):
    return recurse(n + 1)
"""


def module(root: Path, code: str = CODE, name: str = "work.py") -> Any:
    root.mkdir(parents=True, exist_ok=True)
    file = root / name
    file.write_text(code)
    linecache.checkcache(str(file))
    made = types.ModuleType("work")
    exec(compile(code, str(file), "exec"), made.__dict__)
    return made


def place(root: Path, function: Any, *args: Any) -> Place:
    try:
        function(*args)
    except Exception as error:
        trace = error.__traceback__
        own = error.with_traceback(trace and trace.tb_next)  # without this test's own line
        return Places(str(root), "work:handle").of(failed(own, 1), "t/1")
    raise AssertionError("it did not fail")


def test_the_message_makes_no_difference_and_the_line_does(tmp_path: Path) -> None:
    work = module(tmp_path)
    one, other = place(tmp_path, work.first, -1), place(tmp_path, work.first, -2)
    assert one == other
    assert (one.kind, one.where) == ("ValueError", "work.py:6 in check")
    division = place(tmp_path, work.first, 0)
    assert (division.kind, division.where) == ("ZeroDivisionError", "work.py:7 in check")
    assert len({one.fingerprint, division.fingerprint, place(tmp_path, work.second, -1).fingerprint}) == 3


def test_it_is_the_same_in_another_folder_and_after_an_edit_elsewhere(tmp_path: Path) -> None:
    here = place(tmp_path / "a", module(tmp_path / "a").first, -1)
    there = place(tmp_path / "b", module(tmp_path / "b", f"# a comment\n{CODE}").first, -1)
    assert here.fingerprint == there.fingerprint
    assert there.where == "work.py:7 in check"


def test_frames_of_libraries_do_not_count_unless_there_are_no_others(tmp_path: Path) -> None:
    work = module(tmp_path)
    assert place(tmp_path, work.decode, "{").where == "work.py:16 in decode"
    installed = module(tmp_path / "lib" / "site-packages", name="vendor.py")
    only = place(tmp_path, installed.first, -1)
    assert only.where == "lib/site-packages/vendor.py:6 in check"


def test_a_recursion_is_one_place_however_deep(tmp_path: Path) -> None:
    work = module(tmp_path)
    limit = sys.getrecursionlimit()
    found = place(tmp_path, work.recurse, 0)
    try:
        sys.setrecursionlimit(limit + 50)
        assert place(tmp_path, work.recurse, 0) == found
    finally:
        sys.setrecursionlimit(limit)
    assert found.where == "work.py:19 in recurse"


def test_what_has_no_traceback_goes_by_its_cause() -> None:
    places = Places("/srv", "work:handle")
    poison = places.of(Failure("poison", "died 3 times", 3, final=True), "t/1")
    assert poison == place_of_death("poison", "t/1") != place_of_death("timeout", "t/1")
    assert (poison.kind, poison.where) == ("poison", "t/1")
    # a long topic, of which the engine knows only the begin, is the same place to both
    long = "t/" + "ü" * 400
    known = long.encode()[:512].decode("utf-8", "replace")
    assert place_of_death("poison", long) == place_of_death("poison", known)


def test_payloads_are_the_same_by_their_fault_not_by_their_data() -> None:
    places = Places("/srv", "work:handle")

    def of(text: str) -> Place:
        return places.of(unfit(PayloadError("t/1", "payload", text), 1), "t/1")

    assert of("malformed (byte 3)") == of("malformed (byte 71)")
    assert of("malformed (byte 3)") != of("missing field `a`")
    assert (of("x").kind, of("x").where) == ("payload", "work:handle")
