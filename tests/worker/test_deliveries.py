"""Which acknowledgements go out, in which order, and what a new connection does to what is in hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from routemq_tui.routing.message import Message
from routemq_tui.worker.deliveries import Deliveries, Delivery


def delivery(number: int, link: int, *, qos: int = 1, again: bool = False, text: bytes = b"") -> Delivery:
    message = Message(topic="t", params={}, payload=text or str(number).encode(), qos=qos, duplicate=again)
    return Delivery(b"t", message, qos, number if qos else 0, link)


def hands(link: int = 1) -> tuple[Deliveries, list[int]]:
    acknowledged: list[int] = []
    made = Deliveries(lambda packet_id, qos: acknowledged.append(packet_id))
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
    assert held.in_hand == 0  # the third was not begun: it comes again
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
