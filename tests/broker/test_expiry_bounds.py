"""Messages that have expired keep no place that a fresh one could have."""

from __future__ import annotations

import time

import pytest

from routemq_tui.broker.budget import Ledger
from routemq_tui.broker.limits import Limits
from routemq_tui.broker.message import OVERHEAD, Message
from routemq_tui.broker.session import Session, Subscription
from routemq_tui.broker.shared import ShareGroups
from tests.broker.conftest import Connect, Start
from tests.broker.raw import PUBACK, RawClient, block, number
from tests.waiting import wait_until

FAR = 1e12


def published(client: RawClient, topic: str, packet_id: int, expiry: int = 0) -> bytes:
    """The reason of the PUBACK; nothing when the message was taken on."""
    properties = block(number(0x02, expiry)) if expiry else b"\x00"
    client.publish(topic, b"x", 1, packet_id, properties=properties)
    return client.expect(PUBACK)[2:]


@pytest.mark.parametrize("topic_filter", ["t", "$share/g/t"])
def test_a_queue_full_of_expired_messages_takes_a_fresh_one(
    connect: Connect, start: Start, topic_filter: str
) -> None:
    broker = start(queue_messages=5)
    away = connect("away", port=broker.port, expiry=60)
    away.subscribe(topic_filter, 1)
    away.leave()
    publisher = connect(port=broker.port)
    assert [published(publisher, "t", at, expiry=1) for at in range(1, 7)] == [b""] * 5 + [b"\x97"]

    # Nothing but the next message makes the broker look, so that time has to pass without one.
    time.sleep(1.1)

    assert [published(publisher, "t", at) for at in range(1, 7)] == [b""] * 5 + [b"\x97"]
    totals = broker.inspect()["totals"]
    assert (totals["expired"], totals["dropped"]) == (5, 2)


def test_expired_messages_of_one_session_do_not_fill_the_bytes_of_all(connect: Connect, start: Start) -> None:
    broker = start(total_bytes=5 * (OVERHEAD + 50))
    for name in ("one", "two"):
        away = connect(name, port=broker.port, expiry=60)
        away.subscribe(name, 1)
        away.leave()
    publisher = connect(port=broker.port)
    for at in range(1, 6):
        published(publisher, "one", at, expiry=1)
    assert published(publisher, "two", 9) == b"\x97"

    wait_until(lambda: published(publisher, "two", 9) == b"", 5, "there is room again")

    assert broker.inspect()["sessions"][0]["queued"] == 0


def test_what_came_back_to_a_group_and_expired_makes_room_and_the_rest_keeps_its_order() -> None:
    ledger = Ledger(Limits(queue_messages=6))
    groups = ShareGroups(ledger)
    group, member = groups.get(("g", "t")), Session("member", ledger)
    group.join(Subscription(member, "t", 1, no_local=False, retain_as_published=False, ids=b""))
    for at in range(6):
        group.offer(Message("t", b"%d" % at, 1, expires_at=FAR if at % 2 else None))
    for delivery in reversed([group.pull(member) for _ in range(4)]):
        assert delivery is not None
        group.put_back(delivery)

    group.forget_expired(FAR)

    left = [group.pull(member) for _ in range(4)]
    assert [one and one.message.payload for one in left] == [b"0", b"2", b"4", None]
    assert (ledger.totals.expired, group.budget.messages) == (3, 3)


def test_a_full_queue_without_expired_messages_is_looked_through_once_a_second() -> None:
    ledger = Ledger(Limits(queue_messages=3))
    session = Session("away", ledger)
    looks: list[float] = []
    ledger.forget_expired = looks.append

    for _ in range(1000):
        session.offer(Message("t", b"", 1), 1, False, b"")

    assert len(looks) == 1
    assert ledger.totals.dropped == 997
