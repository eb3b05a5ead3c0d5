"""Messages straight from the stream to the handler: the one loop that a healthy route's messages run in.

Hot path, so `run` is ugly: one long function over locals. No name and no fingerprint is written a message:
the packets of a read are copied as they came into the slot's memory, and `black_box` computes from them what
is asked. It covers what is ordinary: a handler that returns, or a coroutine that does not wait. All else (an
exception, a coroutine that waits, a long handler) ends it, and the plain `dispatch` goes on from there.
tests/worker/test_hot_path.py holds its bookkeeping against that of messages taken one by one;
bench/hot_path.py has the figures.
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Mapping
from time import monotonic_ns
from types import CoroutineType
from typing import Any, Final

from routemq_tui.routing.binding import Bound
from routemq_tui.routing.message import Message, Publisher
from routemq_tui.worker import black_box, cells
from routemq_tui.worker.delivery import Topic
from routemq_tui.worker.forks import leave_if_child, leave_if_child_waits

Packet = tuple[int, Topic, bytes, int, Mapping[str, Any]]
"""As `publish_stream` takes it apart: first byte, topic, payload, packet id, properties."""

FLUSH_NS: Final = 100_000
"""After a handler that took so long what is done is acknowledged: the next one may take as long."""
RUN_NS: Final = 500_000
"""So long at most is acknowledged in one write."""
LONG_NS: Final = 50_000_000
_QUICK_NS: Final = 16_384
_CELLS: Final = [cells.HISTOGRAM + cells.bucket_of(nanoseconds) for nanoseconds in range(_QUICK_NS)]
"""The histogram's cell for each short time."""


class Batch:
    """Messages received and not begun, in order; `at` is the next one. All are counted as in hand."""

    __slots__ = ("at", "bytes", "link", "packets", "recorded", "started")

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self.at = 0
        self.bytes = 0
        """Of the payloads that are kept."""
        self.recorded = 0
        """Bytes of the record in use."""
        self.link = 0
        self.started = 0
        """`time.monotonic_ns()` at which the message before `at` was begun."""

    def __len__(self) -> int:
        return len(self.packets) - self.at

    def drop_done(self) -> None:
        self.bytes -= sum(len(payload) for _, _, payload, _, _ in self.packets[: self.at])
        del self.packets[: self.at]
        self.at = 0

    def clear(self) -> None:
        self.packets = []
        self.at = self.bytes = self.recorded = 0


class Ran:
    """How a run ended: with message `at - 1` of the batch begun and not concluded, if there is something."""

    __slots__ = ("awaitable", "error", "long", "pubacks", "pubrecs")

    def __init__(self) -> None:
        self.pubacks: list[int] = []
        self.pubrecs: list[int] = []
        self.error: BaseException | None = None
        self.awaitable: Awaitable[Any] | None = None
        self.long = False

    @property
    def open(self) -> bool:
        return self.long or self.error is not None or self.awaitable is not None

    def result(self) -> Awaitable[Any] | None:
        """Of the open message's handler: what is still to be awaited. Raises what the handler raised."""
        if self.error is not None:
            raise self.error
        return self.awaitable


class HotPath:
    def __init__(
        self, words: memoryview, bound: Bound, v5: bool, worker: str, client: Publisher | None
    ) -> None:
        self._words = words
        self._record = words.cast("B")[cells.RECORD * 8 :][: cells.RECORD_MOST]
        self._call = bound.call
        self._call_parts = bound.call_parts
        self._is_async = bound.is_async
        self._worker = worker
        self._client = client
        self._v5 = v5
        words[cells.RECORD_V5] = v5

    def take(self, batch: Batch, packets: list[Packet], chunk: bytes, taken: int, link: int) -> bool:
        """Receive packets into the batch, and into the record; False, with none received, if that is full."""
        words = self._words
        if not taken:
            chunk = black_box.packed(packets, self._v5)
            taken = len(chunk)
        at = batch.recorded
        if at + taken > cells.RECORD_MOST:
            return False
        if batch.packets:
            batch.drop_done()
            batch.packets += packets
        else:
            words[cells.RECORD_COUNT] = 0
            words[cells.RECORD_FROM] = words[cells.RECEIVED]
            batch.packets = packets
            batch.link = link
        self._record[at : at + taken] = chunk if taken == len(chunk) else chunk[:taken]
        words[cells.RECORD_BYTES] = batch.recorded = at + taken
        count = len(packets)
        words[cells.RECORD_COUNT] += count
        words[cells.RECEIVED] += count
        words[cells.IN_FLIGHT] = words[cells.RECEIVED] - words[cells.ACKNOWLEDGED]
        length = sum([len(packet[2]) for packet in packets])
        words[cells.BYTES] += length
        batch.bytes += length
        return True

    def run(self, batch: Batch, until_ns: int) -> Ran:
        """Handle messages until the batch is done, the time is up, or something is not ordinary."""
        words, call, call_parts = self._words, self._call, self._call_parts
        is_async, worker, client = self._is_async, self._worker, self._client
        since, histogram = cells.CURRENT_SINCE_NS, cells.HISTOGRAM
        clock, coroutine, quick, quick_cells = monotonic_ns, CoroutineType, _QUICK_NS, _CELLS
        done_from, done = cells.DONE_FROM, cells.DONE_TO
        flush, stop = FLUSH_NS, min(until_ns, clock() + RUN_NS)
        ran = Ran()
        pubacks, pubrecs = ran.pubacks, ran.pubrecs
        acknowledge = pubacks.append
        at = first_at = batch.at
        busy = 0
        packets = batch.packets
        number_of = words[cells.RECEIVED] - len(packets) + at
        words[done_from] = words[done] = number_of
        words[cells.CURRENT_LENGTH] = words[cells.CURRENT_FINGERPRINT] = 0  # it is named by the record
        started = 0
        for first, topic, payload, number, properties in packets[at:] if at else packets:
            if not number and (pubacks or pubrecs):
                break  # what comes no second time must not stand among the marks of what may
            text, _, params = topic
            at += 1
            started = clock()
            words[since] = started
            try:
                if call_parts is not None:
                    result = call_parts(text, params, payload)  # type: ignore[arg-type]  # it matches
                else:
                    result = call(
                        Message(
                            text,
                            params,  # type: ignore[arg-type]
                            payload,
                            first >> 1 & 3,
                            first & 1 == 1,
                            False,
                            properties,
                            1,
                            worker,
                            client,
                        )
                    )
                if is_async:
                    if result.__class__ is coroutine:
                        try:
                            signal = result.send(None)
                        except StopIteration:
                            pass
                        else:
                            leave_if_child_waits()
                            ran.awaitable = Suspended(result, signal)
                            break
                    else:
                        ran.awaitable = result
                        break
            except BaseException as error:  # noqa: BLE001 - whatever a handler raises is for `dispatch`
                leave_if_child(error)
                ran.error = error
                break
            ended = clock()
            took = ended - started
            if took < quick:
                words[quick_cells[took]] += 1
            elif took < LONG_NS:
                shift = took.bit_length() - 5
                words[histogram + (shift << 4) + (took >> shift)] += 1
            else:
                ran.long = True
                break
            busy += took
            number_of += 1
            words[done] = number_of
            if not number:
                words[done_from] = number_of
            elif first & 4:
                pubrecs.append(number)
            else:
                acknowledge(number)
            if took > flush or ended > stop:
                break
        batch.at = at
        batch.started = started
        words[cells.BUSY_NS] += busy
        words[cells.OK] += at - first_at - ran.open
        if not ran.open:
            words[since] = 0
        return ran


class Suspended:
    """A coroutine that was run up to its first wait, to be awaited from there."""

    __slots__ = ("_coroutine", "_signal")

    def __init__(self, coroutine: Any, signal: Any) -> None:
        self._coroutine = coroutine
        self._signal = signal

    def __await__(self) -> Generator[Any, Any, Any]:
        coroutine, signal = self._coroutine, self._signal
        while True:
            try:
                value = yield signal
            except GeneratorExit:
                coroutine.close()
                raise
            except BaseException as error:  # noqa: BLE001 - thrown at the handler, as an await would
                step, given = coroutine.throw, error
            else:
                step, given = coroutine.send, value
            try:
                signal = step(given)
            except StopIteration as end:
                return end.value
