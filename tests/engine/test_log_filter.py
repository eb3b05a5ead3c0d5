"""Blocks are filtered as if each line were looked at by itself; what a match must hold is found safely."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routemq_tui.engine.log_block import LogBlock
from routemq_tui.engine.log_filter import LogFilter, expression_of, needed_texts
from routemq_tui.engine.sanitise import CleanRun

LEVELS = (10, 20, 40)


def block_of(lines: list[tuple[str, int]]) -> LogBlock:
    block = LogBlock("jobs/1", 0)
    for seq, (text, level) in enumerate(lines, 1):
        block.append(seq, (level, "log", "app"), CleanRun([text], [0.0], {}), 0, 1)
    return block


ATOMS = [
    "a",
    "B",
    "k",
    "s",
    "i",
    "ab",
    "Ka",
    ".",
    r"\d",
    r"\s",
    r"\.",
    "[ab]",
    "[^a]",
    "(?:ab|k)",
    "(a|b)",
    "é",
    "^",
    "$",
    r"\b",
]
REPEATS = ["", "", "", "*", "+", "?", "{2}", "{0,1}", "*?"]
patterns = st.lists(
    st.lists(st.tuples(st.sampled_from(ATOMS), st.sampled_from(REPEATS)), max_size=4), min_size=1, max_size=2
).map(
    lambda branches: "|".join(
        "".join(a + (r if a not in "^$" and a != r"\b" else "") for a, r in each) for each in branches
    )
)
lines = st.lists(
    st.tuples(st.text("abkBKAsSiI1. éİıſ\u212a漢", max_size=8), st.sampled_from(LEVELS)),
    min_size=1,
    max_size=12,
)


@given(
    pattern=patterns,
    given_lines=lines,
    inverted=st.booleans(),
    level=st.sampled_from((0, 20, 50)),
    cut=st.integers(0, 12),
)
def test_a_block_is_filtered_as_its_lines_are(
    pattern: str, given_lines: list[tuple[str, int]], inverted: bool, level: int, cut: int
) -> None:
    chosen = LogFilter.parse("!" * inverted + pattern, level)
    block = block_of(given_lines)
    start = min(cut, len(block))
    expected = [place for place in range(start, len(block)) if chosen.passes(block.line(place))]
    assert list(chosen.places(block, start, len(block))) == expected
    # and when it is sealed
    block.seal()
    assert list(chosen.places(block, start, len(block))) == expected


@given(st.text("ab(|)[]^$.*+?{},\\1d k", max_size=12), st.text("abcABk1 d", max_size=8))
def test_what_is_needed_is_in_every_match(pattern: str, text: str) -> None:
    try:
        expression = expression_of(pattern)
    except (ValueError, FutureWarning):
        return
    needed = needed_texts(expression)
    found = expression.search(text)
    if needed is not None and found is not None:
        held = text.lower() if needed.fold else text
        assert any(each.decode() in held for each in needed.anyof)
    if needed is not None and needed.enough and found is None:
        held = text.lower() if needed.fold else text
        assert not any(each.decode() in held for each in needed.anyof)


@pytest.mark.parametrize(
    ("pattern", "anyof"),
    [
        ("timed out", [b"timed out"]),
        (r"timed out after \d+ s$", [b"timed out after "]),
        ("error|warn", [b"error", b"warn"]),
        (r"a\.b+c", [b"a.b"]),
        ("abx?cde", [b"cde"]),
        ("abx{0,2}cdef(ghijk)*", [b"cdef"]),
    ],
)
def test_the_longest_text_is_looked_for(pattern: str, anyof: list[bytes]) -> None:
    found = needed_texts(re.compile(pattern))
    assert found is not None
    assert list(found.anyof) == anyof


@pytest.mark.parametrize("pattern", [r"\d+", "a|b", "(ab)?", "[abc]", "(?i)error", "a?", "ab|"])
def test_where_no_text_is_sure_each_line_is_looked_at(pattern: str) -> None:
    assert needed_texts(re.compile(pattern)) is None


def test_lower_case_matches_any_case_and_upper_case_itself() -> None:
    block = block_of([("Error", 20), ("error", 20), ("ERROR", 20)])
    assert list(LogFilter.parse("error").places(block, 0, 3)) == [0, 1, 2]
    assert list(LogFilter.parse("Error").places(block, 0, 3)) == [0]
    with pytest.raises(ValueError, match="Not a regular expression"):
        LogFilter.parse("(")
