"""Packet identifiers over more messages than there are identifiers, on a session without a socket."""

from __future__ import annotations

from routemq_tui.broker.budget import Budget, Ledger
from routemq_tui.broker.limits import Limits
from routemq_tui.broker.message import Delivery, Message
from routemq_tui.broker.session import IDENTIFIERS, Session


class RecordingLink:
    """A connection that keeps the packet identifiers of QoS 1 and 2 frames on topic `t`."""

    version = 4
    maximum_packet = 1000
    writable = True

    def __init__(self, window: int) -> None:
        self.window = window
        self.packet_ids: list[int] = []

    def write(self, frame: bytes) -> None:
        self.packet_ids.append(int.from_bytes(frame[5:7], "big"))

    def close(self, reason: int, text: str) -> None:
        raise AssertionError("nobody closes it")


def test_identifiers_in_use_and_those_a_client_may_still_know_are_not_given_again() -> None:
    ledger = Ledger(Limits())
    session, first = Session("client", ledger), RecordingLink(window=10)
    session.attach(first)
    budget = Budget(ledger)
    for _ in range(2):
        delivery = Delivery(Message("t", b"", 2), budget, 2, False, b"")
        budget.take(delivery.message.size)
        delivery.group = ("group", "t")
        session.send(delivery)
    session.offer(Message("t", b"", 1), 1, False, b"")
    assert first.packet_ids == [1, 2, 3]

    back = session.detach()
    second = RecordingLink(window=10)
    session.attach(second)
    for _ in range(IDENTIFIERS):
        session.offer(Message("t", b"", 1), 1, False, b"")
        session.acknowledge(second.packet_ids[-1])

    assert [one.dup for one in back] == [True, True]
    assert second.packet_ids[0] == 3, "resent under its own identifier"
    given = second.packet_ids[1:]
    assert set(given) == set(range(4, IDENTIFIERS + 1)), "1 and 2 are withheld, 3 is in use"
    assert given[: IDENTIFIERS - 3] == list(range(4, IDENTIFIERS + 1))
