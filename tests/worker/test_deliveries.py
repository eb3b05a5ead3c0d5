"""Which acknowledgements go out, in which order, and what a new connection does to what is in hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from routemq_tui.worker import black_box, cells
from routemq_tui.worker.deliveries import Deliveries
from routemq_tui.worker.delivery import Delivery, Topic
from routemq_tui.worker.receipts import Receipts

TOPIC = Topic("t", b"t", {})


def delivery(number: int, link: int, *, qos: int = 1, again: bool = False, text: bytes = b"") -> Delivery:
    payload = text or str(number).encode()
    return Delivery(TOPIC, payload, qos, number if qos else 0, link, duplicate=again)


class Out:
    """Where acknowledgements go."""

    def __init__(self, acknowledged: Callable[[int], object]) -> None:
        self._acknowledged = acknowledged

    def acknowledge(self, packet_id: int, qos: int) -> None:
        self._acknowledged(packet_id)

    def acknowledge_all(self, qos1: Sequence[int], qos2: Sequence[int]) -> None:
        for packet_id in (*qos1, *qos2):
            self._acknowledged(packet_id)


def hands(link: int = 1) -> tuple[Deliveries, list[int]]:
    acknowledged: list[int] = []
    words = memoryview(bytearray(cells.WORDS * 8)).cast("Q")
    made = Deliveries(Out(acknowledged.append), Receipts(words), confirmed_early=True)
    made.connected(link, session_present=False)
    return made, acknowledged


@given(st.permutations(range(1, 9)), st.lists(st.integers(0, 2), min_size=8, max_size=8))
def test_acknowledgements_keep_the_order_of_receipt(ends: list[int], qos: list[int]) -> None:
    # given eight messages, all begun
    held, acknowledged = hands()
    begun = {}
    for number in range(1, 9):
        held.add(delivery(number, 1, qos=qos[number - 1]))
        begun[number] = held.begin()
    # when they end in any order
    for number in ends:
        held.finish(begun[number])
        # then nobody is acknowledged before those that came earlier have ended
        done = set(ends[: ends.index(number) + 1])
        ready = next((n for n in range(1, 9) if n not in done), 9) - 1
        assert acknowledged == [n for n in range(1, ready + 1) if qos[n - 1]]
    assert held.in_hand == 0


def test_a_message_of_a_lost_session_is_handled_and_never_acknowledged() -> None:
    held, acknowledged = hands()
    for number in (1, 2):
        held.add(delivery(number, 1))
    first = held.begin()
    # when the connection goes and the broker has no session for us any more
    held.lost()
    assert not held.waiting  # nothing is begun while the broker may give it to others
    held.connected(2, session_present=False)
    # then the second is handled too, since nobody will send it again
    second = held.begin()
    held.finish(first)
    held.finish(second)
    assert acknowledged == []
    # and a new message of the same packet id is a message of its own
    held.add(delivery(1, 2))
    held.finish(held.begin())
    assert acknowledged == [1]


def test_what_was_begun_is_not_handled_again_when_the_session_is_kept() -> None:
    held, acknowledged = hands()
    for number in (1, 2, 3):
        held.add(delivery(number, 1))
    first, second = held.begin(), held.begin()
    held.finish(first)
    assert acknowledged == [1]
    held.lost()
    held.connected(2, session_present=True)
    assert held.in_hand == 1  # the third was not begun: it comes again
    # when the broker sends both again while the second one's handler still runs
    for number in (2, 3):
        held.add(delivery(number, 2, again=True))
    assert len(held.waiting) == 1
    held.finish(held.begin())
    assert acknowledged == [1]  # the second comes first
    held.finish(second)
    assert acknowledged == [1, 2, 3]


def test_one_that_ended_while_the_connection_was_away_is_acknowledged_at_once() -> None:
    held, acknowledged = hands()
    held.add(delivery(1, 1))
    first = held.begin()
    held.lost()
    held.finish(first)
    held.connected(2, session_present=True)
    held.add(delivery(1, 2, again=True))
    assert acknowledged == [1]
    assert not held.waiting


def test_the_same_packet_id_with_another_message_is_handled() -> None:
    held, acknowledged = hands()
    held.add(delivery(1, 1))
    held.begin()
    held.lost()
    held.connected(2, session_present=True)
    held.add(delivery(1, 2, again=True, text=b"other"))
    assert len(held.waiting) == 1
    assert acknowledged == []


def test_messages_without_acknowledgement_stay_when_the_connection_goes() -> None:
    held, _ = hands()
    for number in (1, 2):
        held.add(delivery(number, 1, qos=0))
    held.lost()
    assert len(held.waiting) == 2
    held.connected(2, session_present=True)
    assert len(held.waiting) == 2


def test_quality_2_messages_stay_with_the_session() -> None:
    held, acknowledged = hands()
    for number in (1, 2):
        held.add(delivery(number, 1, qos=2))
    first = held.begin()
    held.lost()
    held.connected(2, session_present=True)
    held.finish(first)
    held.finish(held.begin())
    assert acknowledged == [1, 2]


def test_held_acknowledgements_go_out_in_order_at_the_release() -> None:
    held, acknowledged = hands()
    held.hold = True
    for number in (1, 2):
        held.add(delivery(number, 1))
        held.finish(held.begin())
    assert acknowledged == []
    assert held.unfinished == 0
    held.release()
    assert acknowledged == [1, 2]


def test_the_size_of_what_waits_is_known() -> None:
    held, _ = hands()
    held.add(delivery(1, 1, text=b"x" * 100))
    held.add(delivery(2, 1, text=b"x" * 10))
    assert held.waiting_bytes == 110
    held.begin()
    assert held.waiting_bytes == 10
    held.lost()
    assert held.waiting_bytes == 0


# -- told in shared memory ------------------------------------------------------------------------------


class Slot:
    """Deliveries with their cells, driven as a broker and handlers drive them."""

    def __init__(self) -> None:
        self.words = memoryview(bytearray(cells.WORDS * 8)).cast("Q")
        out = Out(lambda packet_id: self.unacknowledged.pop(packet_id))
        self.held = Deliveries(out, Receipts(self.words), confirmed_early=True)
        self.begun: list[Delivery] = []
        self.unacknowledged: dict[int, bytes] = {}
        self.made = self.link = 0

    def comes(self, qos: int, *, again: int | None = None) -> None:
        self.made += 1
        packet_id = again or self.made
        text = self.unacknowledged.get(packet_id, str(self.made).encode())
        if qos:
            self.unacknowledged[packet_id] = text
        self.held.add(delivery(packet_id, self.link, qos=qos, again=again is not None, text=text))

    def reconnects(self, session_present: bool, times: int = 1) -> None:
        """Several times: the connection goes again before anything came on it."""
        for _ in range(times):
            self.held.lost()
            self.link += 1
            if not session_present:
                self.unacknowledged.clear()
            self.held.connected(self.link, session_present)
        for packet_id in list(self.unacknowledged):
            self.comes(1, again=packet_id)

    def ends(self, which: int) -> None:
        if self.begun:
            self.held.finish(self.begun.pop(which % len(self.begun)))

    def check(self) -> None:
        listed = black_box.in_hand_fingerprints(self.words)
        expected = sorted(self.held, key=lambda each: each.number)
        assert listed == tuple(cells.fingerprint(b"t", each.payload) for each in expected)
        assert self.held.in_hand == len(listed) == self.words[cells.IN_FLIGHT]
        running = {id(each) for each in self.begun}
        assert running <= {id(each) for each in expected}
        # all the broker waits for is in hand, each once
        payloads = [each.payload for each in expected]
        for text in self.unacknowledged.values():
            assert payloads.count(text) == 1


STEPS = st.one_of(
    st.tuples(st.just("comes"), st.integers(0, 1)),
    st.tuples(st.just("begins"), st.none()),
    st.tuples(st.just("ends"), st.integers(0, 9)),
    st.tuples(st.just("reconnects"), st.integers(0, 2)),
)


@given(st.lists(STEPS, max_size=60))
@example([("comes", 1), ("begins", None), ("comes", 0), ("reconnects", 1), ("ends", 0)])
@example([("comes", 1), ("begins", None), ("reconnects", 2), ("ends", 0)])
def test_what_is_in_hand_is_told_exactly_whatever_happens(steps: list[tuple[str, Any]]) -> None:
    slot = Slot()
    slot.reconnects(session_present=False)
    for step, choice in steps:
        if step == "comes":
            slot.comes(choice)
        elif step == "begins" and slot.held.waiting:
            slot.begun.append(slot.held.begin())
        elif step == "ends":
            slot.ends(choice)
        elif step == "reconnects":
            slot.reconnects(session_present=choice > 0, times=max(choice, 1))
        slot.check()


def test_with_more_in_hand_than_the_ring_holds_the_newest_are_told() -> None:
    slot = Slot()
    slot.reconnects(session_present=False)
    for _ in range(cells.IN_HAND_RING + 10):
        slot.comes(1)
    listed = black_box.in_hand_fingerprints(slot.words)
    assert len(listed) == cells.IN_HAND_RING
    assert listed[-1] == cells.fingerprint(b"t", str(slot.made).encode())
    assert slot.held.in_hand == cells.IN_HAND_RING + 10
