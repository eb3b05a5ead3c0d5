"""The hot loop against the plain parts: same calls, counts and acknowledgements, and what it leaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routemq_tui.routing.binding import bind
from routemq_tui.routing.template import Template
from routemq_tui.worker import black_box, cells
from routemq_tui.worker.deliveries import Deliveries
from routemq_tui.worker.delivery import Delivery, Topic
from routemq_tui.worker.hot_path import FLUSH_NS, Batch, HotPath, Packet
from routemq_tui.worker.receipts import Receipts
from routemq_tui.worker.wire import NO_PROPERTIES

TEMPLATE = Template.parse("t/{n:int}")
FOREVER = time.monotonic_ns() + 3600 * 10**9


class Out:
    """Where acknowledgements go."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, int]] = []

    def acknowledge(self, packet_id: int, qos: int) -> None:
        self.sent.append((packet_id, qos))

    def acknowledge_all(self, qos1: Sequence[int], qos2: Sequence[int]) -> None:
        self.sent += [(each, 1) for each in qos1] + [(each, 2) for each in qos2]


class Rig:
    def __init__(self, handler: Callable[..., Any], v5: bool = True) -> None:
        self.words = memoryview(bytearray(cells.WORDS * 8)).cast("Q")
        self.out = Out()
        self.hands = Deliveries(self.out, Receipts(self.words))
        bound = bind(handler, TEMPLATE)
        self.hot = self.hands.hot = HotPath(self.words, bound, v5, "t/1", None)
        self.hands.connected(1, session_present=False)

    @property
    def counters(self) -> cells.Counters:
        return cells.read_counters(self.words)


def packet(n: int, qos: int = 1, payload: bytes = b"{}", flags: int = 0, topic: str = "") -> Packet:
    text = topic or f"t/{n}"
    known = Topic(text, text.encode(), TEMPLATE.match(text))
    return 0x30 | qos << 1 | flags, known, payload, n if qos else 0, NO_PROPERTIES


@given(st.lists(st.integers(0, 2), min_size=1, max_size=30), st.integers(0, 40))
def test_a_batch_is_counted_and_acknowledged_as_one_by_one(qos: list[int], extra: int) -> None:
    # given the same messages for the hot loop and for the plain bookkeeping
    seen: list[tuple[int, int]] = []
    hot = Rig(lambda n, message: seen.append((n, message.qos)))
    plain = Rig(lambda n: None)
    packets = [packet(n, each, b"x" * (extra + n)) for n, each in enumerate(qos, 1)]
    # when one takes them as a batch and the other one after the other
    assert hot.hands.take(packets)
    assert plain.hands.take(packets)
    plain.hands.spill()
    assert [each.fingerprint for each in plain.hands] == list(black_box.in_hand_fingerprints(hot.words))
    while hot.hands.batch:
        before = hot.hands.batch.at
        ran = hot.hot.run(hot.hands.batch, FOREVER)
        assert not ran.open
        hot.hands.conclude(ran, hot.hands.batch.at - before)
    while plain.hands.waiting:
        plain.hands.finish(plain.hands.begin())
    # then there is no difference but that of two kinds of acknowledgement in one write
    assert seen == [(n, each) for n, each in enumerate(qos, 1)]
    for level in (1, 2):
        kind = [each for each in plain.out.sent if each[1] == level]
        assert [each for each in hot.out.sent if each[1] == level] == kind
    assert hot.counters.ok == len(packets)
    for name in ("received", "acknowledged", "in_flight", "bytes"):
        assert getattr(hot.counters, name) == getattr(plain.counters, name), name
    assert sum(cells.read_histogram(hot.words)) == len(packets)
    assert hot.counters.current_since_ns == 0


@given(
    st.lists(
        st.tuples(st.binary(max_size=40), st.integers(0, 2), st.binary(max_size=200), st.booleans()),
        min_size=1,
        max_size=8,
    ),
    st.booleans(),
    st.booleans(),
)
def test_its_fingerprints_are_those_of_the_plain_function(
    parts: list[tuple[bytes, int, bytes, bool]], v5: bool, whole: bool
) -> None:
    # given packets, with properties where there can be some, as they came or put together again
    rig = Rig(lambda n: None, v5)
    properties = b"\x07\x26\0\1k\0\1v"
    packets, chunk = [], b""
    for raw, qos, payload, has_properties in parts:
        packets.append(
            (0x30 | qos << 1, Topic("t/1", raw, {"n": 1}), payload, 7 if qos else 0, NO_PROPERTIES)
        )
        body = len(raw).to_bytes(2, "big") + raw + (b"\0\7" if qos else b"")
        body += (properties if has_properties else b"\0") if v5 else b""
        chunk += encoded(0x30 | qos << 1, body + payload)
    taken = len(chunk) if whole else 0
    # when they are taken
    assert rig.hot.take(Batch(), packets, chunk + b"\x32\x05" if whole else b"", taken, 1)
    # then each is known
    expected = tuple(cells.fingerprint(raw, payload) for raw, _, payload, _ in parts)
    assert black_box.in_hand_fingerprints(rig.words) == expected


def encoded(first: int, body: bytes) -> bytes:
    size = len(body)
    return bytes((first, size)) + body if size < 128 else bytes((first, size & 127 | 128, size >> 7)) + body


@pytest.mark.parametrize("odd", [packet(2, flags=8), packet(2, topic="t/x"), packet(2, topic="u")])
def test_what_is_out_of_the_ordinary_is_left_alone(odd: Packet) -> None:
    rig = Rig(lambda n: None)
    assert not rig.hands.take([packet(1), odd, packet(3)])
    assert (rig.counters.received, rig.counters.bytes, len(rig.hands.batch)) == (0, 0, 0)


def test_packets_beyond_the_record_are_left_to_the_plain_way() -> None:
    rig = Rig(lambda n: None)
    big = [packet(n, payload=b"x" * 1000) for n in range(1, 61)]
    assert rig.hands.take(big)
    assert not rig.hands.take(big)
    rig.hands.spill()
    expected = tuple(cells.fingerprint(b"t/%d" % n, b"x" * 1000) for n in range(1, 61))
    assert black_box.in_hand_fingerprints(rig.words) == expected


def test_the_message_in_the_handler_is_known_at_every_moment() -> None:
    seen: list[tuple[str, int]] = []

    def handle(message: Any) -> None:
        current = black_box.read_current(rig.words)
        assert current is not None
        seen.append((current[0], black_box.current_fingerprint(rig.words)))

    rig = Rig(handle)
    expected = [(f"t/{n}", cells.fingerprint(b"t/%d" % n, b"{}")) for n in (1, 2, 3, 4, 5)]
    for part in ((1, 2), (3, 4, 5)):
        assert rig.hands.take([packet(n, n % 3) for n in part])
        while rig.hands.batch:
            rig.hot.run(rig.hands.batch, FOREVER)
    assert seen == expected
    assert black_box.read_current(rig.words) is None


def test_an_exception_ends_the_run_with_its_message_open() -> None:
    def handle(n: int) -> None:
        if n == 2:
            raise SystemExit("no")

    rig = Rig(handle)
    rig.hands.take([packet(n) for n in (1, 2, 3)])
    ran = rig.hot.run(rig.hands.batch, FOREVER)
    assert isinstance(ran.error, SystemExit)
    with pytest.raises(SystemExit):
        ran.result()
    # then the first is done, the second is named, and the third waits behind it
    rig.hands.conclude(ran, 1)
    assert (rig.out.sent, rig.counters.ok) == ([(1, 1)], 1)
    assert black_box.current_fingerprint(rig.words) == cells.fingerprint(b"t/2", b"{}")
    assert rig.counters.current_since_ns > 0
    second = rig.hands.open()
    assert (second.packet_id, [each.packet_id for each in rig.hands.waiting]) == (2, [3])
    rig.hands.finish(second)
    assert rig.out.sent == [(1, 1), (2, 1)]
    assert rig.counters.in_flight == 1


async def test_a_coroutine_that_waits_is_awaited_from_where_it_is() -> None:
    steps: list[object] = []

    async def handle(n: int) -> str:
        steps.append(n)
        if n == 2:
            async with asyncio.timeout(5):
                await asyncio.sleep(0.01)
            try:
                await asyncio.wait_for(asyncio.sleep(60), 0.01)
            except TimeoutError:
                steps.append("timed out")
        return "done"

    rig = Rig(handle)
    rig.hands.take([packet(n) for n in (1, 2, 3)])
    ran = rig.hot.run(rig.hands.batch, FOREVER)
    assert steps == [1, 2]
    awaitable = ran.result()
    assert awaitable is not None
    assert await awaitable == "done"
    assert steps == [1, 2, "timed out"]


async def test_a_cancellation_reaches_the_coroutine_where_it_waits() -> None:
    told: list[str] = []

    async def handle(n: int) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            told.append("cancelled")
            raise

    rig = Rig(handle)
    rig.hands.take([packet(1)])
    awaitable = rig.hot.run(rig.hands.batch, FOREVER).result()
    assert awaitable is not None
    task = asyncio.ensure_future(awaitable)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert told == ["cancelled"]


def test_after_a_handler_that_took_its_time_what_is_done_is_acknowledged() -> None:
    rig = Rig(lambda n: time.sleep(0.002) if n == 2 else None)
    rig.hands.take([packet(n) for n in (1, 2, 3)])
    ran = rig.hot.run(rig.hands.batch, FOREVER)
    assert (ran.pubacks, len(rig.hands.batch), ran.open) == ([1, 2], 1, False)


def test_what_a_killed_process_had_done_is_acknowledged_and_not_done_again() -> None:
    # given a process that ends between its handlers and their acknowledgement
    rig = Rig(lambda n: None)
    rig.hands.take([packet(n) for n in (1, 2, 3)])
    rig.hands.batch.packets.pop()  # the third is not reached
    rig.words[cells.RECEIVED] -= 1
    rig.hot.run(rig.hands.batch, FOREVER)
    # when the slot's next process gets them again
    out = Out()
    rig.words[cells.ACKNOWLEDGED] = rig.words[cells.RECEIVED]
    hands = Deliveries(out, Receipts(rig.words))
    hands.connected(1, session_present=True)
    for n in (1, 2, 3):
        first, topic, payload, number, _ = packet(n, flags=8)
        hands.add(_delivery(topic, payload, first >> 1 & 3, number))
    # then only the third is left to do
    assert out.sent == [(1, 1), (2, 1)]
    assert [each.packet_id for each in hands.waiting] == [3]


def test_a_new_session_forgets_what_the_killed_process_had_done() -> None:
    rig = Rig(lambda n: None)
    rig.hands.take([packet(1)])
    rig.hot.run(rig.hands.batch, FOREVER)
    hands = Deliveries(Out(), Receipts(rig.words))
    hands.connected(1, session_present=False)
    _, topic, payload, number, _ = packet(1)
    hands.add(_delivery(topic, payload, 1, number))
    assert len(hands.waiting) == 1


def _delivery(topic: Topic, payload: bytes, qos: int, number: int) -> Delivery:

    return Delivery(topic, payload, qos, number, 1, duplicate=True)


# -- whatever happens -----------------------------------------------------------------------------------


class Broker:
    """A broker that keeps what is not acknowledged, and the slot it sends to, over any number of processes.

    Payloads repeat on purpose: two messages may be the same to the byte.
    """

    def __init__(self) -> None:
        self.words = memoryview(bytearray(cells.WORDS * 8)).cast("Q")
        self.unacknowledged: dict[int, tuple[int, int]] = {}
        """Packet id: number of the message, QoS."""
        self.handled: list[int] = []
        self.made = self.next_id = self.link = self.left = 0
        self.process(session_present=False)

    def process(self, session_present: bool) -> None:
        """A new process of the slot."""
        words = self.words
        words[cells.ACKNOWLEDGED] = words[cells.RECEIVED]
        self.hands = Deliveries(self, Receipts(words))
        bound = bind(self.handle, Template.parse("t/{n:int}"))
        self.hot = self.hands.hot = HotPath(words, bound, True, "t/1", None)
        self.link = 0
        self.connect(session_present)

    def connect(self, session_present: bool) -> None:
        self.link += 1
        if not session_present:
            self.unacknowledged.clear()
        self.hands.connected(self.link, session_present)
        if self.unacknowledged:
            again = [self.packet(each, *told, flags=8) for each, told in self.unacknowledged.items()]
            self.receive(again)

    def acknowledge(self, packet_id: int, qos: int) -> None:
        number, _ = self.unacknowledged.pop(packet_id)
        assert number in self.handled, f"message {number} is acknowledged, and was never handled"

    def acknowledge_all(self, qos1: Sequence[int], qos2: Sequence[int]) -> None:
        for packet_id in (*qos1, *qos2):
            self.acknowledge(packet_id, 1)

    def packet(self, packet_id: int, number: int, qos: int, flags: int = 0) -> Packet:
        # The topic as it is in the packet is one of three; the parameters tell the test which message it is.
        topic = Topic("", b"t/%d" % (number % 3), {"n": number})
        return 0x30 | qos << 1 | flags, topic, b"same", packet_id, NO_PROPERTIES

    def send(self, levels: list[int]) -> None:
        packets = []
        for qos in levels:
            self.made += 1
            packet_id = 0
            if qos:
                self.next_id = packet_id = self.next_id % 65535 + 1
                self.unacknowledged[packet_id] = (self.made, qos)
            packets.append(self.packet(packet_id, self.made, qos))
        self.receive(packets)

    def receive(self, packets: list[Packet]) -> None:
        if not self.hands.take(packets):
            for first, topic, payload, packet_id, _ in packets:
                qos, duplicate = first >> 1 & 3, bool(first & 8)
                self.hands.add(Delivery(topic, payload, qos, packet_id, self.link, duplicate=duplicate))

    def handle(self, n: int) -> None:
        self.handled.append(n)
        self.left -= 1
        if not self.left:
            time.sleep(2 * FLUSH_NS / 1e9)  # which ends the run

    def run(self, most: int, concluded: bool = True) -> None:
        """Handle up to `most` messages; not concluded, the process is killed before it acknowledges."""
        batch = self.hands.batch
        self.left = most
        if batch:
            before = batch.at
            ran = self.hot.run(batch, FOREVER)
            if concluded:
                self.hands.conclude(ran, batch.at - before)
                if not batch:
                    batch.clear()
        elif concluded:
            for _ in range(min(most, self.hands.not_begun)):
                begun = self.hands.begin()
                self.handled.append(begun.topic.params["n"])  # type: ignore[index]
                self.hands.finish(begun)

    def check(self) -> None:
        in_hand = {number for number, _ in self.unacknowledged.values()}
        assert self.hands.in_hand >= len(in_hand - set(self.handled))


HAPPENINGS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.lists(st.integers(0, 2), min_size=1, max_size=6)),
        st.tuples(st.just("run"), st.integers(1, 9)),
        st.tuples(st.just("cut"), st.booleans()),
        st.tuples(st.just("kill"), st.integers(0, 9)),
        st.tuples(st.just("kill and lose"), st.integers(0, 9)),
    ),
    max_size=40,
)


@given(HAPPENINGS)
def test_nothing_is_acknowledged_that_was_not_handled(happenings: list[tuple[str, Any]]) -> None:
    broker = Broker()
    for what, choice in happenings:
        if what == "send":
            broker.send(choice)
        elif what == "run":
            broker.run(choice)
        elif what == "cut":
            broker.hands.lost()
            broker.connect(choice)
        else:
            broker.run(choice, concluded=False)
            broker.process(session_present=what == "kill")
        broker.check()
    # in the end all that the broker still has is handled too
    for _ in range(1000):
        if not broker.unacknowledged and not broker.hands.not_begun:
            break
        broker.run(1000)
    assert not broker.unacknowledged


def test_with_more_in_hand_than_the_ring_holds_no_mark_is_mistaken() -> None:
    # given a batch of 1,500, of which 600 were done when the process died
    broker = Broker()
    broker.send([1] * 1500)
    broker.run(600, concluded=False)
    done = len(set(broker.handled))
    assert 0 < done < 1500
    # when they all come again, then those that were done are not taken for others
    broker.process(session_present=True)
    while broker.unacknowledged:
        broker.run(2000)
    assert set(broker.handled) == set(range(1, 1501))


def test_a_batch_that_never_runs_dry_keeps_only_what_is_to_do() -> None:
    rig = Rig(lambda n: None)
    for n in range(1, 500):
        rig.hands.take([packet(2 * n), packet(2 * n + 1)])
        before = rig.hands.batch.at
        ran = rig.hot.run(rig.hands.batch, 0)  # one message, and the time is up
        rig.hands.conclude(ran, rig.hands.batch.at - before)
        rig.hot.run(rig.hands.batch, 0) if n % 2 else None
    batch = rig.hands.batch
    assert len(batch.packets) <= len(batch) + 2
    assert batch.bytes == sum(len(each[2]) for each in batch.packets)


def test_what_was_done_before_is_forgotten_once_something_new_comes() -> None:
    # given a killed process whose handled message went to another member
    rig = Rig(lambda n: None)
    rig.hands.take([packet(1)])
    rig.hot.run(rig.hands.batch, FOREVER)
    hands = Deliveries(Out(), Receipts(rig.words))
    hands.connected(1, session_present=True)
    # when something new comes, and then one with the same bytes, which another member left behind
    _, other, payload, number, _ = packet(2)
    hands.add(Delivery(other, payload, 1, number, 1))
    _, same, payload, _, _ = packet(1)
    hands.add(_delivery(same, payload, 1, 3))
    # then it is handled
    assert [each.packet_id for each in hands.waiting] == [2, 3]
