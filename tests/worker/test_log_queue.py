"""The log channel by itself: whole, in order, bounded, and never in the way."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routemq_tui.worker.log_queue import LINE_LIMIT, RECORD_LIMIT, LogQueue, LogReceiver, LogRecord
from tests.waiting import wait_until


def record(text: str) -> LogRecord:
    return LogRecord(time.time(), 20, "log", "app", text)


class Channel:
    def __init__(self, capacity: int = 4 * 1024 * 1024) -> None:
        reading, writing = multiprocessing.Pipe(duplex=False)
        self.drops: list[int] = []
        self.writing = writing
        self.queue = LogQueue(writing, capacity, self.drops.append)
        self.receiver = LogReceiver(reading)
        self.got: list[str] = []

    def take(self) -> list[str]:
        self.got += [each.text for each in self.receiver.get_batch()]
        return self.got

    def close(self) -> None:
        self.queue.close(0)
        self.receiver.close()


@pytest.fixture
def channel() -> Iterator[Channel]:
    made = Channel()
    yield made
    made.close()


def test_a_record_is_there_at_once_in_calm_times(channel: Channel) -> None:
    channel.queue.put_nowait(LogRecord(12.5, 40, "stderr", "", "text\nof two lines"))
    # without any waiting: a process that dies now has said it
    assert channel.receiver.get_batch() == [LogRecord(12.5, 40, "stderr", "", "text\nof two lines")]


def test_a_flood_comes_whole_and_in_order(channel: Channel) -> None:
    reader = threading.Thread(target=lambda: wait_until(lambda: len(channel.take()) >= 50_000, 20))
    reader.start()
    for number in range(50_000):
        channel.queue.put_nowait(record(str(number)))
    reader.join()
    assert channel.got == [str(number) for number in range(50_000)]
    assert channel.queue.dropped == 0


def test_records_of_many_threads_all_come(channel: Channel) -> None:
    def write(name: str) -> None:
        for number in range(2000):
            channel.queue.put_nowait(record(f"{name} {number}"))

    writers = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for writer in writers:
        writer.start()
    wait_until(lambda: len(channel.take()) >= 8000, what="all records")
    for writer in writers:
        writer.join()
    for name in "abcd":
        own = [text for text in channel.got if text.startswith(name)]
        assert own == [f"{name} {number}" for number in range(2000)]


def test_without_a_reader_the_oldest_are_dropped_and_counted() -> None:
    channel = Channel(capacity=100_000)
    longest = 0.0
    for number in range(20_000):
        began = time.perf_counter()
        channel.queue.put_nowait(record(f"{number:05d} {'x' * 100}"))
        longest = max(longest, time.perf_counter() - began)
    assert longest < 0.5  # nothing waited for the reader
    # when the reader comes back
    wait_until(lambda: channel.take() and channel.got[-1].startswith("19999"), what="the newest record")
    # then what is missing was counted, and the rest is in order
    assert channel.queue.dropped == sum(channel.drops) > 0
    assert len(channel.got) + channel.queue.dropped == 20_000
    assert channel.got == sorted(channel.got)
    channel.close()


def test_a_record_of_many_lines_larger_than_a_frame_comes_whole(channel: Channel) -> None:
    text = "\n".join(["z" * 1000] * 200)
    channel.queue.put_nowait(record(text))
    wait_until(channel.take, what="the record")
    assert channel.got == [text]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("z" * 3_000_000, LINE_LIMIT),
        (("z" * 999 + "\n") * 3000, RECORD_LIMIT),
        ("\N{DROMEDARY CAMEL}" * 300_000, LINE_LIMIT),
    ],
)
def test_what_is_too_long_is_cut_and_how_much_goes_with_it(channel: Channel, text: str, kept: int) -> None:
    records: list[LogRecord] = []
    for each in ("before", text, "after"):
        channel.queue.put_nowait(record(each))
    wait_until(lambda: records.extend(channel.receiver.get_batch()) or len(records) == 3, what="all records")
    assert [each.cut for each in records] == [0, len(text) - kept, 0]
    assert records[1].text == text[:kept]


def test_a_small_bound_cuts_a_record_to_a_part_of_it() -> None:
    channel = Channel(capacity=40_000)
    channel.queue.put_nowait(record("z" * 50_000))
    (only,) = channel.receiver.get_batch()
    assert (only.text, only.cut) == ("z" * 10_000, 40_000)
    channel.close()


def test_more_kinds_than_a_batch_may_have_go_in_several(channel: Channel) -> None:
    for number in range(1000):
        channel.queue.put_nowait(LogRecord(1.0, 20, "log", f"logger-{number}", "said"))
    got: list[LogRecord] = []
    wait_until(lambda: got.extend(channel.receiver.get_batch()) or len(got) == 1000, what="all records")
    assert [each.logger for each in got] == [f"logger-{number}" for number in range(1000)]


def test_a_level_out_of_all_bounds_harms_no_other_record(channel: Channel) -> None:
    channel.queue.put_nowait(LogRecord(1.0, 10**30, "log", "app\ud800", "high"))
    channel.queue.put_nowait(LogRecord(1.0, 20, "log", "app", "next"))
    got: list[LogRecord] = []
    wait_until(lambda: got.extend(channel.receiver.get_batch()) or len(got) == 2, what="both records")
    assert [(each.logger, each.text) for each in got] == [("app\\ud800", "high"), ("app", "next")]
    assert got[0].level > 50


def test_texts_of_another_kind_of_string_are_texts(channel: Channel) -> None:
    class Safe(str):
        def __str__(self) -> str:  # as template engines mark what is escaped
            return self

    for text in ("one", Safe("two"), "three"):
        channel.queue.put_nowait(LogRecord(1.0, 20, "log", Safe("name"), text))
    wait_until(lambda: channel.take() == ["one", "two", "three"], what="all three")


def test_records_of_different_kinds_keep_their_order_and_each_its_own_time(channel: Channel) -> None:
    # given records that differ in every field, faster than one is written at a time
    given_ = [
        LogRecord(
            float(number),
            number % 5 // 2,
            "log" if number % 3 else "stdout",
            "ab"[number % 7 // 4],
            f"{number}",
        )
        for number in range(500)
    ]
    for each in given_:
        channel.queue.put_nowait(each)
    got: list[LogRecord] = []
    wait_until(lambda: got.extend(channel.receiver.get_batch()) or len(got) == 500, what="all records")
    assert got == given_


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(st.characters(codec=None)), max_size=20))
def test_any_text_arrives(texts: list[str]) -> None:
    channel = Channel()
    for text in texts:
        channel.queue.put_nowait(record(text))
    channel.queue.close(1)
    while not channel.receiver.closed:
        channel.take()
    expected = [text.encode("utf-8", "backslashreplace").decode() for text in texts]
    assert channel.got == expected
    channel.receiver.close()


def test_a_half_written_frame_is_discarded_at_the_writers_death() -> None:
    reading, writing = multiprocessing.Pipe(duplex=False)
    whole = Channel()
    whole.queue.put_nowait(record("whole"))
    data = os.read(whole.receiver.fileno(), 65536)
    whole.close()
    os.write(writing.fileno(), data + data[: len(data) // 2])
    receiver = LogReceiver(reading)
    assert [each.text for each in receiver.get_batch()] == ["whole"]
    assert not receiver.closed
    writing.close()
    assert receiver.get_batch() == []
    assert receiver.closed
    receiver.close()


KINDS = [(20, "log", "")]
UNEVEN = msgspec.msgpack.encode([(KINDS, b"\0\0", [1.0], ["a", "b"], {})])
NO_UTF8 = UNEVEN.replace(b"\xa1a", b"\xa1\xff")
UNKIND = msgspec.msgpack.encode([(KINDS, b"\1", [1.0], ["a"], {})])


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff\xff rubbish",
        b"\x00\x00\x00\x04\xc1\xc1\xc1\xc1",
        len(NO_UTF8).to_bytes(4, "big") + NO_UTF8,
        len(UNEVEN).to_bytes(4, "big") + UNEVEN,
        len(UNKIND).to_bytes(4, "big") + UNKIND,
    ],
)
def test_bytes_that_are_no_frames_end_the_channel_with_a_word(data: bytes) -> None:
    reading, writing = multiprocessing.Pipe(duplex=False)
    os.write(writing.fileno(), data)
    receiver = LogReceiver(reading)
    (said,) = receiver.get_batch()
    assert "damaged" in said.text
    assert receiver.closed
    writing.close()
    receiver.close()


def test_a_reader_that_is_gone_costs_nothing() -> None:
    channel = Channel()
    channel.receiver.close()
    for number in range(1000):
        channel.queue.put_nowait(record(str(number)))
    channel.queue.close(1)
    channel.queue.put_nowait(record("after the end"))


def test_logging_in_a_signal_handler_or_finaliser_cannot_deadlock(channel: Channel) -> None:
    # given a signal every half millisecond whose handler logs, and finalisers that log
    class Logs:
        def __init__(self) -> None:
            self.cycle = self

        def __del__(self) -> None:
            channel.queue.put_nowait(record("finaliser"))

    signals = 0

    def on_signal(*_: object) -> None:
        nonlocal signals
        signals += 1
        channel.queue.put_nowait(record("signal"))

    before = signal.signal(signal.SIGALRM, on_signal)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        # when the main thread logs all the time
        for number in range(5000):
            Logs()
            channel.queue.put_nowait(record("main"))
            if not number % 500:
                gc.collect()
                channel.take()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    gc.collect()
    # then everything was said
    wait_until(lambda: len(channel.take()) >= 10_000 + signals, what="all records")
    assert channel.got.count("main") == channel.got.count("finaliser") == 5000
    assert channel.got.count("signal") == signals > 10


def test_close_writes_what_is_left_and_ends_in_time() -> None:
    # given more than the pipe holds and a slow reader
    channel = Channel()
    for number in range(3000):
        channel.queue.put_nowait(record(f"{number} {'x' * 300}"))
    reader = threading.Thread(target=lambda: wait_until(lambda: (channel.take(), channel.receiver.closed)[1]))
    reader.start()
    channel.queue.close(5)
    reader.join()
    assert len(channel.got) == 3000
    # and with no reader, close still ends
    stuck = Channel()
    for _ in range(3000):
        stuck.queue.put_nowait(record("x" * 300))
    began = time.monotonic()
    stuck.queue.close(0.2)
    assert time.monotonic() - began < 2
    stuck.receiver.close()


def test_what_close_could_not_write_is_counted() -> None:
    # given more than the pipe holds, and nobody who reads
    channel = Channel()
    for number in range(10_000):
        channel.queue.put_nowait(record(f"{number} {'x' * 300}"))
    channel.queue.close(0.05)
    # when somebody reads what was written
    while not channel.receiver.closed:
        channel.take()
    # then that and what was counted as dropped is everything
    assert 0 < len(channel.got) < 10_000
    assert len(channel.got) + sum(channel.drops) == 10_000
    channel.receiver.close()


def test_what_was_said_in_between_comes_soon_without_another_word(channel: Channel) -> None:
    # given that the caller has written so often that it may not any more, and says one thing more
    for number in range(300):
        channel.queue.put_nowait(record(str(number)))
    channel.queue.put_nowait(record("the last"))
    assert "the last" not in channel.take()
    wait_until(lambda: "the last" in channel.take(), 1, what="the last record")
