"""Bounded memory, merged views in order, and honest counts of what was let go."""

from __future__ import annotations

import threading

from routemq_tui.engine.log_store import LogStore
from routemq_tui.engine.port import LogLine


def filled(limit: int = 10**7, **lines: int) -> LogStore:
    """A store with so many lines of each source, in turn."""
    store = LogStore(limit, source_share=1.0)
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


def test_what_was_let_go_is_counted_from_where_the_reader_was() -> None:
    store = LogStore(100_000, source_share=1.0)
    for number in range(2_000):
        store.add_text("a", f"line {number}", 20, "stdout")
    gone = store.evicted("a")
    assert gone > 1_000
    assert store.read().missed == gone
    assert gone - 500 <= store.read(after=500).missed <= gone - 500 + 32
    assert store.read(after=store.last_seq).missed == 0


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
