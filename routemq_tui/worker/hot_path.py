"""Messages straight from the stream to the handler: the one loop that a healthy route's messages run in.

Hot path, so `run` is ugly: one long function over locals, counters written once a batch. It covers what is
ordinary: a handler that returns, or a coroutine that does not wait. All else (an exception, a coroutine that
waits, a long handler) ends it, and the plain `dispatch` goes on from there. tests/worker/test_hot_path.py
holds its bookkeeping against that of messages taken one by one; bench/hot_path.py has the figures.
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Mapping
from time import monotonic_ns
from types import CoroutineType
from typing import Any, Final
from zlib import crc32

from routemq_tui.routing.binding import Call
from routemq_tui.routing.message import Message, Publisher
from routemq_tui.worker import cells
from routemq_tui.worker.delivery import Topic

Packet = tuple[int, Topic, bytes, int, Mapping[str, Any]]
"""As `publish_stream` takes it apart: first byte, topic, payload, packet id, properties."""

FLUSH_NS: Final = 100_000
"""After a handler that took so long what is done is acknowledged: the next one may take as long."""
RUN_NS: Final = 500_000
"""So long at most is acknowledged in one write."""
LONG_NS: Final = 50_000_000


class Batch:
    """Messages received and not begun, in order; `at` is the next one. All are counted as in hand."""

    __slots__ = ("at", "bytes", "fingerprints", "link", "packets", "started")

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self.fingerprints: list[int] = []
        self.at = 0
        self.bytes = 0
        """Of the payloads that are kept."""
        self.link = 0
        self.started = 0
        """`time.monotonic_ns()` at which the message before `at` was begun."""

    def __len__(self) -> int:
        return len(self.packets) - self.at

    def drop_done(self) -> None:
        self.bytes -= sum(len(payload) for _, _, payload, _, _ in self.packets[: self.at])
        del self.packets[: self.at], self.fingerprints[: self.at]
        self.at = 0

    def clear(self) -> None:
        self.packets = []
        self.fingerprints = []
        self.at = self.bytes = 0


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
        self, words: memoryview, call: Call, is_async: bool, worker: str, client: Publisher | None
    ) -> None:
        self._words = words
        self._bytes = words.cast("B")
        self._call = call
        self._is_async = is_async
        self._worker = worker
        self._client = client

    def take(self, batch: Batch, packets: list[Packet], link: int) -> bool:
        """Receive packets into the batch; False, with none received, when one is out of the ordinary."""
        words = self._words
        ring, size = cells.IN_HAND, cells.IN_HAND_RING
        crc = crc32
        fingerprints: list[int] = []
        add = fingerprints.append
        number = words[cells.RECEIVED]
        length = 0
        for first, topic, payload, _, _ in packets:
            if first & 8 or topic[2] is None:
                return False
            mark = crc(payload, crc(topic[1])) << 32 | len(payload) or 1  # cells.fingerprint, without a call
            add(mark)
            words[ring + number % size] = mark
            number += 1
            length += len(payload)
        words[cells.RECEIVED] = number
        words[cells.IN_FLIGHT] = number - words[cells.ACKNOWLEDGED]
        words[cells.BYTES] += length
        batch.bytes += length
        if batch.packets:
            batch.drop_done()
            batch.packets += packets
            batch.fingerprints += fingerprints
        else:
            batch.packets = packets
            batch.fingerprints = fingerprints
            batch.link = link
        return True

    def run(self, batch: Batch, until_ns: int) -> Ran:
        """Handle messages until the batch is done, the time is up, or something is not ordinary."""
        words, view, call = self._words, self._bytes, self._call
        is_async, worker, client = self._is_async, self._worker, self._client
        fingerprints = batch.fingerprints
        since, current, name_length = cells.CURRENT_SINCE_NS, cells.CURRENT_FINGERPRINT, cells.CURRENT_LENGTH
        name_at, name_most, histogram = cells.CURRENT_TOPIC * 8, cells.CURRENT_TOPIC_BYTES, cells.HISTOGRAM
        clock, coroutine = monotonic_ns, CoroutineType
        done_from, done = cells.DONE_FROM, cells.DONE_TO
        flush, stop = FLUSH_NS, min(until_ns, clock() + RUN_NS)
        ran = Ran()
        pubacks, pubrecs = ran.pubacks, ran.pubrecs
        at = first_at = batch.at
        busy = took = 0
        packets = batch.packets
        size = len(packets)
        base = words[cells.RECEIVED] - size
        words[done_from] = words[done] = base + at
        while at < size:
            first, topic, payload, number, properties = packets[at]
            if not number and (pubacks or pubrecs):
                break  # what comes no second time must not stand among the marks of what may
            raw = topic[1]
            words[current] = fingerprints[at]
            length = len(raw)
            if length > name_most:
                raw, length = raw[:name_most], name_most
            view[name_at : name_at + length] = raw
            words[name_length] = length
            at += 1
            started = clock()
            words[since] = started
            try:
                result = call(
                    Message(
                        topic[0],
                        topic[2],  # type: ignore[arg-type]  # `take` let none without a match in
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
                            ran.awaitable = Suspended(result, signal)
                            break
                    else:
                        ran.awaitable = result
                        break
            except BaseException as error:  # noqa: BLE001 - whatever a handler raises is for `dispatch`
                ran.error = error
                break
            ended = clock()
            took = ended - started
            busy += took
            shift = took.bit_length() - 5
            if shift < 0:
                words[histogram + took] += 1
            elif took < LONG_NS:
                words[histogram + (shift << 4) + (took >> shift)] += 1
            else:
                busy -= took
                ran.long = True
                break
            if number:
                words[done] = base + at
                if first & 4:
                    pubrecs.append(number)
                else:
                    pubacks.append(number)
            else:
                words[done_from] = words[done] = base + at
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
