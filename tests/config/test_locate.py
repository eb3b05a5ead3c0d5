from __future__ import annotations

import tomllib
from typing import Any

import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from routemq_tui.config.locate import Lines

TEXT = '''\
# a comment with [brackets] and "quotes
title = "a # b"
[app]
name = """
[not.a.header]
""\\""""
list = [  # of
  1, [2, "]"],
  { a = 1 },
]
"quoted.key" = 'x'
a.b.c = 1
point = { x = 1, y = { z = 2 } }

[[traffic]]
topic = "a"
[traffic.burst]
size = 1
[[traffic]]
topic = 'b'
[traffic.burst]
size = 2
[ routes . "a b" ]
raw = \'\'\'
'''
TEXT += "it's''''\nlast = 1 # end"


def test_every_key_is_found_where_it_is_written() -> None:
    lines = Lines(TEXT)
    tomllib.loads(TEXT)
    expected: dict[tuple[str | int, ...], int] = {
        ("title",): 2,
        ("app",): 3,
        ("app", "name"): 4,
        ("app", "list"): 7,
        ("app", "list", 2, "a"): 7,
        ("app", "quoted.key"): 11,
        ("app", "a", "b", "c"): 12,
        ("app", "point", "y", "z"): 13,
        ("traffic", 0): 15,
        ("traffic", 0, "topic"): 16,
        ("traffic", 0, "burst", "size"): 18,
        ("traffic", 1): 19,
        ("traffic", 1, "topic"): 20,
        ("traffic", 1, "burst"): 21,
        ("traffic", 1, "burst", "size"): 22,
        ("routes", "a b"): 23,
        ("routes", "a b", "raw"): 24,
        ("routes", "a b", "last"): 26,
        ("routes", "a b", "missing"): 23,
        ("nothing",): 0,
    }
    assert {path: lines.find(path) or 0 for path in expected} == expected


KEYS = st.text(min_size=1, max_size=4)
VALUES = st.recursive(
    st.integers(-9, 9) | st.text(max_size=6) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_every_key_of_any_document_has_the_line_that_holds_it(document: dict[str, Any]) -> None:
    # given any document, written out with a line for each key
    text = tomli_w.dumps(document)
    lines, written = Lines(text), text.split("\n")

    # then each key's line names it, in an assignment or in a header
    def check(table: dict[str, Any], path: tuple[str | int, ...]) -> None:
        for key, value in table.items():
            line = lines.find((*path, key))
            if line is None:
                assert value == {} or isinstance(value, list | dict)
                continue
            inner = tomllib.loads(text)
            for step in (*path, key):
                inner = inner[step]  # type: ignore[index]
            assert 1 <= line <= len(written)
            if not isinstance(value, list | dict):
                assert tomli_w.dumps({key: value}).split("\n")[0] in written[line - 1]
            elif isinstance(value, dict):
                check(value, (*path, key))

    check(document, ())
