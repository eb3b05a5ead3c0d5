"""Blocks are filtered as if each line were looked at by itself; what a match must hold is found safely."""

from __future__ import annotations

import re
import warnings

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from routemq_tui.engine.log_block import LogBlock
from routemq_tui.engine.log_filter import LogFilter, expression_of, has_case, needed_texts
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


# Everything that an expression may hold, of few letters, so that lines match.
PIECES = [
    "a", "b", "k", "A", "B", "é", " ", "ab", "ba",
    r"\x61", r"\x41", r"\u0062", r"\U0000004b", r"\141", r"\0", r"\07", r"\xe9",
    r"\N{LATIN SMALL LETTER A}", r"\N{KELVIN SIGN}", r"\t", r"\n", r"\a", r"\\", r"\.", r"\-", r"\ ",
    r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", r"\b", r"\B", r"\A", r"\Z", "^", "$", ".",
    "[ab]", "[^a]", r"[\x61]", r"[^\x61]", "[]a]", "[a-k]", r"[\d\]]", "#a", "(?#a)", r"\1", "(?P=n)",
    "(?(1)a|b)", "\n",
]  # fmt: skip
GROUPS = [
    "({})", "(?:{})", "(?P<n>{})", "(?>{})", "(?i:{})", "(?-i:{})", "(?a:{})", "(?x:{})", "(?s-i:{})",
    "(?={})", "(?!{})", "(?<={})", "(?<!{})",
]  # fmt: skip
QUANTITIES = ["*", "+", "?", "*?", "+?", "??", "*+", "++", "?+", "{2}", "{0}", "{1}", "{,1}", "{1,}", "{,}"]
pieces = st.recursive(
    st.sampled_from(PIECES),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(QUANTITIES)).map("".join),
        st.lists(inner, max_size=4).map("".join),
        st.lists(inner, min_size=1, max_size=3).map("|".join),
        st.tuples(st.sampled_from(GROUPS), inner).map(lambda made: made[0].format(made[1])),
    ),
    max_leaves=8,
)
flags = st.lists(st.sampled_from("ixsmau"), max_size=2, unique=True).map(
    lambda letters: f"(?{''.join(letters)})" if letters else ""
)
EXPRESSIONS = st.tuples(flags, pieces).map("".join).filter(bool)
HELD = st.lists(
    st.text("aabbABkK\u212aéÉ \\.-#1\t\0", max_size=6) | st.sampled_from(["ab ab", "Abc", "caf\xe9 au"]),
    min_size=1,
    max_size=12,
)


@settings(max_examples=400)
@given(EXPRESSIONS, HELD, st.booleans(), st.booleans())
@example(r"\x41bc", ["Abc", "abc", "41bc"], False, False)
@example(r"caf\xe9 au", ["caf\xe9 au", "xe9 au"], True, True)
@example(r"\101bc", ["Abc"], False, False)
@example(r"\N{LATIN SMALL LETTER E WITH ACUTE} au", ["caf\xe9 au"], True, False)
@example("a\nb", ["a", "b", "xa"], False, True)
def test_a_filter_says_what_python_says(pattern: str, held: list[str], inverted: bool, sealed: bool) -> None:
    """Whatever is looked for before the expression decides."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            chosen = LogFilter.parse("!" * inverted + pattern)
        except ValueError:
            return
        plain = re.compile(pattern, re.IGNORECASE * (pattern == pattern.lower() and has_case(pattern)))
    block = block_of([(text, 20) for text in held])
    if sealed:
        block.seal()
    expected = [place for place, text in enumerate(held) if bool(plain.search(text)) is not inverted]
    assert list(chosen.places(block, 0, len(held))) == expected


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
        (r"\x41\u0062c", [b"Abc"]),
        (r"(?i)\N{LATIN CAPITAL LETTER A}bc", [b"abc"]),
        ("error|event", [b"error", b"event"]),
        (
            "(?:stored|sent) (?P<what>reading|state)[s]?",
            [b"stored reading", b"stored state", b"sent reading", b"sent state"],
        ),
        (r"(?x) timed \  out  # of time", [b"timed out"]),
        (r"\btimed\b (?=out)out", [b"timed out"]),
        ("(?:timed out )+after", [b"timed out "]),
    ],
)
def test_the_longest_text_is_looked_for(pattern: str, anyof: list[bytes]) -> None:
    found = needed_texts(re.compile(pattern))
    assert found is not None
    assert list(found.anyof) == anyof


@pytest.mark.parametrize("pattern", [r"\d+", "a|b", "(ab)?", "[abc]", "a?", "ab|", "é", "a\nb"])
def test_where_no_text_is_sure_each_line_is_looked_at(pattern: str) -> None:
    assert needed_texts(re.compile(pattern, re.IGNORECASE)) is None


def test_a_parser_that_is_not_known_leaves_it_to_the_expression(monkeypatch: pytest.MonkeyPatch) -> None:
    class Kind:
        name = "NEW"

    for surprise in ([(Kind, None)], [(None, None)], [3], 3):
        monkeypatch.setattr("re._parser.parse", lambda *given, surprise=surprise: surprise)
        assert needed_texts(re.compile("timed out")) is None


@pytest.mark.parametrize("pattern", ["(", "a{99999999999}", "(" * 3_000 + ")" * 3_000, "(?a)(?u)x"], ids=len)
def test_what_is_no_expression_is_said_in_words(pattern: str) -> None:
    with pytest.raises(ValueError, match="Not a regular expression"):
        LogFilter.parse(pattern)


def test_lower_case_matches_any_case_and_upper_case_itself() -> None:
    block = block_of([("Error", 20), ("error", 20), ("ERROR", 20)])
    assert list(LogFilter.parse("error").places(block, 0, 3)) == [0, 1, 2]
    assert list(LogFilter.parse("Error").places(block, 0, 3)) == [0]
