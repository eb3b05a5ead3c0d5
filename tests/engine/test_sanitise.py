"""Hostile log text comes out harmless, and nothing of it is lost silently."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routemq_tui.engine.sanitise import LINE_LIMIT, LineAssembler, clean_bytes, clean_lines

SGR = re.compile(r"\x1b\[[0-9;:]*m")


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain [markup] text", "plain [markup] text"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("\x1b[2J\x1b[Hgone", "␛[2J␛[Hgone"),
        ("\x9b31mred", "\\x9b31mred"),
        ("over\rwritten\x08", "over␍written␈"),
        ("user\u202etxt.exe", "user\\u202etxt.exe"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("half \ud800 pair", "half \ufffd pair"),
        ("\x7f", "␡"),
        ("a\tb", "a       b"),
        ("größe 温度 🌡️", "größe 温度 🌡️"),
    ],
)
def test_what_is_shown(raw: str, shown: str) -> None:
    assert [line.text for line in clean_lines(raw)] == [shown]


def test_colours_are_kept_apart_and_never_leak_into_the_next_line() -> None:
    (line,) = clean_lines("\x1b[31mred\x1b[0m and \x1b[1mbold\x1b[5Ablink")
    assert line.text == "red and bold␛[5Ablink"
    assert line.ansi == "\x1b[31mred\x1b[0m and \x1b[1mbold␛[5Ablink\x1b[0m"


def test_tabs_count_columns_not_colour_codes() -> None:
    (line,) = clean_lines("ab\x1b[32mcd\te\x1b[0m")
    assert line.text == "abcd    e"


def test_a_record_of_many_lines_is_split() -> None:
    assert [line.text for line in clean_lines("one\r\ntwo\n\nfour\n")] == ["one", "two", "", "four"]


def test_a_long_line_is_cut_and_says_by_how_much() -> None:
    (line,) = clean_lines("x" * 2**20)
    assert line.text.startswith("x" * LINE_LIMIT)
    assert line.text.endswith(f" … [{2**20 - LINE_LIMIT:,} more characters cut]")


def test_invalid_utf8_is_replaced() -> None:
    assert clean_bytes(b"caf\xe9 \xff\xfe").text == "caf\ufffd \ufffd\ufffd"


@given(st.text(st.characters(codec=None), max_size=200))
def test_whatever_comes_only_colours_stay_in_ansi_and_nothing_in_text(raw: str) -> None:
    for line in clean_lines(raw):
        for shown in (line.text, SGR.sub("", line.ansi or "")):
            assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]
            assert not [
                c for c in shown if unicodedata.bidirectional(c) in ("RLO", "LRO", "RLE", "LRE", "PDF")
            ]
        assert line.ansi is None or SGR.sub("", line.ansi) == line.text


@given(st.binary(max_size=300), st.lists(st.integers(1, 40)))
def test_lines_do_not_depend_on_how_the_bytes_were_cut_up(data: bytes, cuts: list[int]) -> None:
    pieces, rest = [], data
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    assembler = LineAssembler()
    got = [line for piece in (*pieces, rest) for line in assembler.feed(piece)]
    got += assembler.flush()

    wanted = data.split(b"\n")
    if not wanted[-1]:
        wanted.pop()
    assert got == [clean_bytes(line.removesuffix(b"\r")) for line in wanted]


def test_an_endless_line_takes_bounded_memory() -> None:
    assembler = LineAssembler()
    for _ in range(32):
        assert assembler.feed(b"y" * 65536) == []
    (line,) = assembler.feed(b"end\nnext")
    assert line.text.endswith(f"[{32 * 65536 + 3 - LINE_LIMIT:,} more characters cut]")
    assert [line.text for line in assembler.flush()] == ["next"]
