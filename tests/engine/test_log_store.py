"""Bounded memory, merged views in order, and honest counts of what was let go."""

from __future__ import annotations

import threading
import tracemalloc

from routemq_tui.engine.log_store import LogStore
from routemq_tui.engine.port import LogLine


def filled(limit: int = 10**7, **lines: int) -> LogStore:
    """A store with so many lines of each source, in turn."""
    store = LogStore(limit)
    for number in range(max(lines.values())):
        for source, count in lines.items():
            if number < count:
                store.add_text(source, f"{source} {number}", 20, "stdout")
    return store


def test_views_are_merged_in_the_order_of_arrival() -> None:
    store = filled(a=3, b=3, c=3)
    batch = store.read(frozenset({"a", "c"}))
    assert [line.text for line in batch.lines] == ["a 0", "c 0", "a 1", "c 1", "a 2", "c 2"]
    assert (batch.missed, batch.more, batch.next_seq) == (0, False, 9)


def test_reading_on_gives_each_line_once() -> None:
    store = filled(a=50, b=30)
    seen: list[LogLine] = []
    after = 0
    while True:
        batch = store.read(after=after, limit=7)
        seen += batch.lines
        after = batch.next_seq
        if not batch.more:
            break
    assert [line.seq for line in seen] == list(range(1, 81))
    assert store.read(after=after).lines == ()


def test_the_newest_lines_first_to_hand() -> None:
    store = filled(a=50, b=50)
    batch = store.read(limit=10, newest=True)
    assert [line.seq for line in batch.lines] == list(range(91, 101))
    assert (batch.more, batch.next_seq) == (True, 100)
    assert store.read(frozenset({"a"}), limit=2, newest=True).lines[-1].text == "a 49"


def test_memory_is_bounded_and_the_noisy_source_pays() -> None:
    store = LogStore(200_000)
    store.add_text("quiet/1", "last words", 40, "stderr")
    for number in range(20_000):
        store.add_text("noisy/1", f"line {number}", 20, "stdout")
        store.add_text("noisy/2", f"line {number}", 20, "stdout")
        assert store.bytes <= 200_000
    assert [line.text for line in store.read(frozenset({"quiet/1"})).lines] == ["last words"]
    assert store.evicted("quiet/1") == 0
    held = store.read(frozenset({"noisy/1"})).lines
    assert held[-1].text == "line 19999"
    assert store.evicted("noisy/1") + len(held) == 20_000


def test_the_total_is_bounded_when_each_source_is_within_its_own_bound() -> None:
    store = LogStore(100_000)
    for number in range(3_000):
        store.add_text(f"worker/{number % 16}", "x" * 50, 20, "stdout")
    assert store.bytes <= 100_000
    counts = [len(store.read(frozenset({f"worker/{n}"})).lines) for n in range(16)]
    assert min(counts) > 0
    assert max(counts) <= 2 * min(counts) + 2


def test_the_bound_holds_when_every_line_has_a_logger_of_its_own() -> None:
    store = LogStore(1_000_000)
    store.add_text("a", "first", 20, "log")
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(8_000):
            store.add_text("a", "x", 20, "log", f"request.{number:08d}." + "n" * 170)
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert store.bytes <= 1_000_000
    assert taken < 1_050_000
    assert len(store.read().lines) > 1_000


def test_the_name_of_a_logger_is_cut_where_it_is_absurd() -> None:
    store = LogStore(1_000_000)
    for number in range(50):
        store.add_text("a", f"line {number}", 20, "log", "n" * 100_000 + str(number))
    assert store.bytes < 10_000
    assert {line.logger for line in store.read().lines} == {"n" * 199 + "…"}


def test_a_source_that_has_nothing_to_give_spares_none_of_the_others() -> None:
    """What is remembered of the lines that it lost may make it the largest."""
    store = LogStore(200_000)
    for _ in range(20_000):
        store.add_text("once noisy", "x", 20, "stdout")
    for number in range(20_000):
        store.add_text(f"worker/{number % 40}", "some more words", 20, "stdout")
    assert store.bytes <= 200_000


def test_what_was_let_go_is_counted_from_where_the_reader_was() -> None:
    store = LogStore(100_000)
    for number in range(6_000):
        store.add_text("a", f"line {number} " + "x" * 60, 20, "stdout")
        store.add_text("b", "in between", 20, "stdout")
    gone = {name: store.evicted(name) for name in ("a", "b")}
    held = {name: [line.seq for line in store.read(frozenset({name})).lines] for name in ("a", "b")}
    for name in ("a", "b"):
        assert gone[name] + len(held[name]) == 6_000
    # then a reader that is not far behind hears the exact count, wherever it was
    for name, first in (("a", 1), ("b", 2)):
        for behind in (1, 7, 50, 110):
            after = held[name][0] - 2 * behind
            assert store.read(frozenset({name}), after=after).missed == behind - 1, (name, behind)
        # and one that is far behind at most a block more
        after = first + 2 * (gone[name] // 2)
        exact = gone[name] - gone[name] // 2 - 1
        assert exact <= store.read(frozenset({name}), after=after).missed <= exact + 200
    assert store.read().missed == sum(gone.values())
    assert store.read(after=store.last_seq).missed == 0


def test_everything_held_can_be_looked_at_at_one_moment() -> None:
    store = filled(a=3_000, b=5)
    found = {holding.source: holding for holding in store.holdings()}
    texts = [line.text for block in found["a"].blocks for line in block.lines(0, len(block))]
    assert texts == [f"a {number}" for number in range(3_000)]
    assert len(found["a"].blocks) > 1
    assert found["b"].in_last == 5
    # when more comes, then what was looked at says how far it went
    store.add_text("b", "later", 20, "stdout")
    assert [line.text for line in found["b"].blocks[0].lines(0, found["b"].in_last)] == [
        f"b {n}" for n in range(5)
    ]
    assert store.holdings(frozenset({"nobody"})) == []
    assert [holding.source for holding in store.holdings(frozenset({"b"}))] == ["b"]


def test_a_run_that_is_larger_than_the_memory_leaves_its_end() -> None:
    store = LogStore(200_000)
    store.add_text(
        "a", "\n".join(f"\x1b[31mline\x1b[0m {number} " + "x" * 500 for number in range(3_000)), 20, "stdout"
    )
    held = store.read().lines
    assert store.bytes <= 200_000
    assert store.evicted("a") + len(held) == 3_000
    assert held[-1].text.startswith("line 2999 x")
    assert held[-1].ansi is not None
    assert held[-1].ansi.startswith("\x1b[31mline")


def test_many_small_sources_keep_their_last_words() -> None:
    store = LogStore(1_000_000)
    for number in range(40_000):
        store.add_text(f"worker/{number % 500}", f"line {number} " + "x" * 40, 20, "stdout")
    assert store.bytes <= 1_000_000
    for number in range(500):
        assert (
            store.read(frozenset({f"worker/{number}"}), limit=1, newest=True)
            .lines[0]
            .text.startswith(f"line {39_500 + number} ")
        )


def test_writers_and_readers_at_once_see_a_rising_sequence() -> None:
    store = LogStore(300_000)
    done = threading.Event()
    faults: list[str] = []

    def read() -> None:
        after = 0
        while not done.is_set():
            batch = store.read(after=after, limit=500)
            numbers = [line.seq for line in batch.lines]
            if numbers != sorted(set(numbers)) or (numbers and numbers[0] <= after):
                faults.append(f"after {after}: {numbers[:5]}")
            after = batch.next_seq

    def write(source: str) -> None:
        for number in range(4_000):
            store.add_text(source, f"{number}", 20, "stdout")

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(f"w/{n}",)) for n in range(3)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert faults == []
    assert store.last_seq == 12_000
