"""What a process had handled and not yet acknowledged is known to the next one of its slot."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from routemq_tui.routing.binding import bind
from routemq_tui.routing.template import Template
from routemq_tui.worker import cells
from routemq_tui.worker.deliveries import Deliveries
from routemq_tui.worker.delivery import Delivery, Topic
from routemq_tui.worker.hot_path import FLUSH_NS, HotPath, Packet
from routemq_tui.worker.receipts import Receipts
from routemq_tui.worker.wire import NO_PROPERTIES
from tests.worker.hot_rig import FOREVER, Out, Rig, packet


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
