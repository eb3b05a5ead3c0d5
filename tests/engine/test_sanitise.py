"""Hostile log text comes out harmless, and nothing of it is lost silently."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routemq_tui.engine.sanitise import LineAssembler, clean_batch, clean_bytes, clean_lines
from routemq_tui.worker.log_queue import LINE_LIMIT, LogBatch

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


@pytest.mark.parametrize("cut", [0, 2_000_000])
def test_a_long_line_is_cut_and_says_by_how_much(cut: int) -> None:
    (line,) = clean_lines("x" * 2**20, cut)
    assert line.text.startswith("x" * LINE_LIMIT)
    assert line.text.endswith(f" … {2**20 - LINE_LIMIT + cut:,} characters more were cut")


def test_a_colour_that_the_cut_goes_through_is_counted_too() -> None:
    (line,) = clean_lines("x" * (LINE_LIMIT - 3) + "\x1b[31m" + "y" * 10)
    assert line.text == "x" * (LINE_LIMIT - 3) + " … 15 characters more were cut"


def test_only_the_last_line_of_a_cut_record_says_so() -> None:
    assert [line.text for line in clean_lines("one\ntwo", 5)] == ["one", "two … 5 characters more were cut"]
    assert [line.text for line in clean_lines("one\n", 5)] == ["one … 5 characters more were cut"]


@given(
    st.lists(st.tuples(st.text(st.characters(codec=None), max_size=50), st.integers(0, 2)), max_size=20),
    st.booleans(),
)
def test_a_run_is_cleaned_as_its_records_are(records: list[tuple[str, int]], plain: bool) -> None:
    if plain:
        records = [(f"{number} is plain", 0) for number in range(len(records))]
    texts = [text for text, _ in records]
    times = [float(number) for number in range(len(records))]
    cuts = {place: cut for place, (_, cut) in enumerate(records) if cut}
    numbers = bytes(number % 3 for number in range(len(records)))
    kinds = [(20, "log", "a"), (30, "log", "a"), (20, "stdout", "")]
    run, at_kinds = clean_batch(LogBatch(kinds, numbers, times, texts, cuts))
    wanted = [
        (at, line) for at, (text, cut) in zip(times, records, strict=True) for line in clean_lines(text, cut)
    ]
    assert list(run.texts) == [line.text for _, line in wanted]
    assert list(run.times) == [at for at, _ in wanted]
    assert list(at_kinds) == [int(at) % 3 for at, _ in wanted]
    assert [run.ansi.get(place) for place in range(len(wanted))] == [line.ansi for _, line in wanted]


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
    assert line.text.endswith(f"… {32 * 65536 + 3 - LINE_LIMIT:,} bytes more were cut")
    assert [line.text for line in assembler.flush()] == ["next"]
