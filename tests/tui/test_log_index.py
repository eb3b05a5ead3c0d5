"""Places in the store: lines of several sources in their order, whatever comes, goes and is filtered."""

from __future__ import annotations

import gc
import random
import sys
import time
from itertools import pairwise

import pytest

from routemq_tui.engine.log_filter import LogFilter
from routemq_tui.engine.log_store import LogStore
from routemq_tui.engine.port import LogLine
from routemq_tui.tui.logs.index import LogIndex
from routemq_tui.tui.logs.page import ALL, LogPage
from routemq_tui.tui.logs.scan import LogSearch, LogWork

SOURCES = ("a/1", "a/2", "b/1", "engine")
FILTERS = (
    LogFilter(),
    LogFilter.parse("odd"),
    LogFilter.parse("!7"),
    LogFilter(level=40),
    LogFilter.parse("none"),
)


def write(store: LogStore, dice: random.Random, count: int) -> None:
    for _ in range(count):
        number = store.last_seq + 1
        text = f"{number} {'odd' if number % 2 else 'even'} " + "漢" * (number % 3) + "x" * dice.randrange(40)
        store.add_text(dice.choice(SOURCES), text, 40 if number % 50 == 0 else 20, "log")


def finish(work: LogWork) -> None:
    work.came(ALL)
    while work.slice(1.0):
        pass


def expected(
    store: LogStore, sources: frozenset[str] | None, chosen: LogFilter, after: int = 0
) -> list[LogLine]:
    lines = store.read(sources, limit=10**9).lines
    return [line for line in lines if chosen.passes(line) and line.seq > after]


@pytest.mark.parametrize("chosen", FILTERS, ids=str)
@pytest.mark.parametrize("sources", [None, frozenset({"a/1", "a/2"}), frozenset({"engine"})], ids=str)
def test_the_shown_lines_are_those_of_the_store(chosen: LogFilter, sources: frozenset[str] | None) -> None:
    dice = random.Random(1)
    store, index = LogStore(150_000), LogIndex()
    work = LogWork(index)
    index.set_filter(chosen)
    for turn in range(12):
        write(store, dice, 700)
        if turn == 8:
            index.cleared = store.last_seq - 300
            index.reset()
        index.look(store.holdings(sources))
        finish(work)
        want = expected(store, sources, chosen, index.cleared)
        seqs = [line.seq for line in want]
        assert list(index.lines()) == want
        assert [place.seq for place in index.backward(ALL)] == seqs[::-1]
        assert len(index) == len(want)
        for _ in range(20):
            seq = dice.randrange(store.last_seq + 2)
            assert index.before(seq) == sum(1 for each in seqs if each < seq)
            assert [place.seq for place in index.forward(seq, 5)] == [each for each in seqs if each >= seq][
                :5
            ]
            assert [place.seq for place in index.backward(seq, 5)] == [e for e in seqs if e < seq][:-6:-1]
        for rank in (0, len(seqs) // 3, len(seqs) - 1):
            if 0 <= rank < len(seqs):
                assert index.at(rank) == seqs[rank]
    assert sum(store.evicted(source) for source in SOURCES) > 1_000


def test_lines_come_and_go_between_two_looks_and_all_are_counted() -> None:
    dice = random.Random(2)
    store, index = LogStore(100_000), LogIndex()
    write(store, dice, 500)
    index.look(store.holdings())
    index.mark_here(store.last_seq)
    for count in (10, 400, 30, 9_000, 2_000, 1):
        write(store, dice, count)
        index.look(store.holdings())
    # then each line was either counted as new, or is told to be gone before it was seen
    held = len(store.read(after=500, limit=10**9).lines)
    assert held <= index.new < store.last_seq - 500
    never_seen = store.last_seq - 500 - index.new
    assert index.missed == never_seen + (index.new - held)


@pytest.mark.parametrize("chosen", [FILTERS[0], FILTERS[1]], ids=str)
def test_a_search_finds_what_going_through_all_lines_would(chosen: LogFilter) -> None:
    dice = random.Random(3)
    store, index = LogStore(400_000), LogIndex()
    write(store, dice, 3_000)
    index.set_filter(chosen)
    index.look(store.holdings())
    shown = expected(store, None, chosen)
    for text in (r"99\b", "500 ", "even", "^17", "nowhere"):
        wanted = LogFilter.parse(text)
        matching = [line.seq for line in shown if wanted.passes(line)]
        for start in (0, 1, 1_000, 1_499, 2_999, 3_001, ALL):
            for step in (1, -1):
                search = LogSearch(index, wanted, start, step)
                while not search.slice(0.0):
                    assert 0 <= search.progress <= 1
                here = [seq for seq in matching if (seq >= start if step > 0 else seq <= start)]
                there = [seq for seq in matching if seq not in here]
                nearest = (here or there)[0 if step > 0 else -1] if matching else None
                assert search.found == nearest, (text, start, step)
                if matching:
                    assert search.round_the_end is not bool(here)


def test_work_is_done_in_slices_from_the_nearest_on_and_can_be_left() -> None:
    store, index = LogStore(10**8), LogIndex()
    for number in range(60_000):
        store.add_text("a/1", f"line {number}", 20, "log")
    index.set_filter(LogFilter.parse("line .*5$"))
    index.look(store.holdings())
    work = LogWork(index)
    work.came(ALL)
    # when only one slice is worked, then the newest lines are there and the oldest are not
    assert work.slice(0.0)
    assert next(index.backward(ALL)).line.text == "line 59995"
    assert 0 < len(index) < 2_000
    assert work.told.startswith("filtering ")
    # when it is left, then what was found stays, the rest is counted, and what comes is filtered
    found = len(index)
    assert work.cancel()
    assert not work.cancel()
    assert (len(index), work.told) == (found, "")
    assert 58_000 < index.skipped < 60_000
    store.add_text("a/1", "line 5\nline 6\nline 15", 20, "log")
    index.look(store.holdings())
    finish(work)
    assert len(index) == found + 2
    # when it is filtered anew, then all of it is
    index.set_filter(LogFilter.parse("line .*5$"))
    finish(work)
    assert (len(index), index.skipped) == (6_002, 0)


def test_a_slice_ends_when_its_time_is_over() -> None:
    store, index = LogStore(10**8), LogIndex()
    for number in range(20):
        store.add_text(
            "a/1", "\n".join(f"line {number} {line} " + "y" * 60 for line in range(500)), 20, "log"
        )
    index.set_filter(LogFilter.parse(r"(y+)\d"))
    index.look(store.holdings())
    work = LogWork(index)
    work.came(ALL)
    waiting = [index.waiting]
    while work.slice(0.0):
        waiting.append(index.waiting)
    # then each slice did one block
    assert waiting == sorted(waiting, reverse=True)
    assert max(before - after for before, after in pairwise(waiting)) <= 1_024


def test_a_search_goes_on_while_lines_come_and_go() -> None:
    dice = random.Random(4)
    store, index = LogStore(200_000), LogIndex()
    write(store, dice, 2_000)
    index.set_filter(LogFilter.parse("odd"))
    index.look(store.holdings())
    search = LogSearch(index, LogFilter.parse("nowhere"), ALL, -1)
    while not search.slice(0.0):
        write(store, dice, 200)
        index.look(store.holdings())
    assert search.found is None
    work = LogWork(index)
    finish(work)
    assert list(index.lines()) == expected(store, None, index.filter)


def test_a_view_keeps_no_block_that_the_store_has_let_go() -> None:
    """Nor does an export that has ended; without the garbage collector, which hardly runs on the screen."""
    store, index = LogStore(120_000), LogIndex()
    write(store, random.Random(5), 500)
    index.set_filter(LogFilter.parse("odd"))
    index.look(store.holdings())
    finish(LogWork(index))
    first = store.holdings()[0].blocks[0]
    assert len(list(index.snapshot().lines())) == 250
    held = sys.getrefcount(first)
    gc.disable()
    try:
        assert len(list(index.snapshot().lines())) == 250
        assert sys.getrefcount(first) == held
        write(store, random.Random(6), 5_000)
        index.look(store.holdings())
        # by this test alone
        assert sys.getrefcount(first) == 2
    finally:
        gc.enable()


# The rows in sight


def page_of(*texts: str, width: int = 0, height: int = 4) -> tuple[LogStore, LogIndex, LogPage]:
    store, index = LogStore(10**7), LogIndex()
    for text in texts:
        store.add_text("a/1", text, 20, "log")
    index.look(store.holdings())
    page = LogPage(index)
    page.fit(width, height)
    return store, index, page


def rows(page: LogPage) -> list[tuple[str, int]]:
    return [(row.line.text, row.number) for row in page.rows]


def test_wrapped_rows_are_scrolled_one_by_one_both_ways() -> None:
    _, _, page = page_of("a", "b" * 25, "", "c" * 11, "d", width=10)
    everything = [
        ("a", 0),
        *(("b" * 25, n) for n in range(3)),
        ("", 0),
        ("c" * 11, 0),
        ("c" * 11, 1),
        ("d", 0),
    ]
    page.show_end()
    assert (rows(page), page.at_end, page.at_top) == (everything[-4:], True, False)
    for top in (3, 2, 1, 0):
        assert page.scroll(-1) == -1
        assert rows(page) == everything[top : top + 4]
    assert (page.scroll(-1), page.at_top) == (0, True)
    assert page.scroll(3) == 3
    assert rows(page) == everything[3:7]
    assert page.scroll(9) == 1
    assert page.at_end


def test_a_page_is_full_whenever_there_are_lines_for_it() -> None:
    _, _, page = page_of(*(f"line {number}" for number in range(10)))
    page.show(9)
    assert [text for text, _ in rows(page)] == ["line 6", "line 7", "line 8", "line 9"]
    page.show(5, 0, -2)
    assert rows(page)[2] == ("line 4", 0)
    _, _, short = page_of("one", "two")
    short.show(2)
    assert [text for text, _ in rows(short)] == ["one", "two"]


def test_lines_in_sight_stay_when_the_store_lets_them_go() -> None:
    store, index = LogStore(40_000), LogIndex()
    for number in range(20):
        store.add_text("a/1", f"line {number}", 20, "log", at=time.time())
    index.look(store.holdings())
    page = LogPage(index)
    page.fit(0, 4)
    page.show(5)
    for number in range(3_000):
        store.add_text("a/1", f"flood {number}", 20, "log")
    index.look(store.holdings())
    assert page.let_go == 4
    # when it is drawn anew, then it is the same; below it is the oldest that is stored
    page.show(5)
    seen = [line.text for line in page.after(5)]
    assert seen[:4] == ["line 4", "line 5", "line 6", "line 7"]
    assert seen[4] == store.read().lines[0].text
    assert [line.text for line in page.before(7)] == ["line 5", "line 4"]
    # when something else is in sight, then they are gone
    page.show_end()
    assert page.let_go == 0
    assert next(page.before(ALL)).text == "flood 2999"
