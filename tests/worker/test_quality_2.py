"""QoS 2 as a broker sees it: PUBREC after the handler, each message handled once, whatever comes again."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from routemq_tui.routing.message import Message
from tests.waiting import wait_until
from tests.worker.harness import Project
from tests.worker.peer import Peer, ack, connack
from tests.worker.session_here import run_session
from tests.worker.streams import PINGRESP, publish, pubrel

PUBACK, PUBREC, PUBCOMP = 0x40, 0x50, 0x70


class Gated:
    """A handler that waits until the test lets it go on."""

    def __init__(self, is_open: bool = True) -> None:
        self.payloads: list[bytes] = []
        self.ended = 0
        self.gate = threading.Event()
        if is_open:
            self.gate.set()

    async def handle(self, message: Message) -> None:
        self.payloads.append(message.payload)
        while not self.gate.is_set():
            await asyncio.sleep(0.002)
        self.ended += 1


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer() as one:
        yield one


@pytest.fixture(params=[True, False], ids=["5", "3.1.1"])
def v5(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def message(number: int, v5: bool, qos: int = 2, dup: bool = False, payload: bytes = b"") -> bytes:
    return publish("t/a", payload or b"%d" % number, qos, number, dup=dup, block=b"" if v5 else None)


def test_it_is_confirmed_after_its_handler_and_completed_after_its_release(
    peer: Peer, v5: bool, tmp_path: Path
) -> None:
    handler = Gated(is_open=False)

    def script() -> None:
        link = peer.greet(v5)
        link.send(message(7, v5))
        wait_until(lambda: handler.payloads, what="the handler runs")
        # while it runs there is no PUBREC: only what is asked for meanwhile is answered
        link.send(pubrel(9))
        assert link.packet() == ack(PUBCOMP, 9)
        handler.gate.set()
        assert link.packet() == ack(PUBREC, 7)
        link.send(pubrel(7))
        assert link.packet() == ack(PUBCOMP, 7)
        # and the id is free for another message
        link.send(message(7, v5, payload=b"another"))
        assert link.packet() == ack(PUBREC, 7)
        link.send(pubrel(7))
        assert link.packet() == ack(PUBCOMP, 7)
        # also for one that was lost on its way, and so comes with DUP
        link.close()
        link = peer.greet(v5, present=True)
        link.send(message(7, v5, dup=True, payload=b"lost before"))
        assert link.packet() == ack(PUBREC, 7)
        link.close()

    run_session(peer, handler.handle, script, tmp_path, v5)
    assert handler.payloads == [b"7", b"another", b"lost before"]


@pytest.mark.parametrize("qos", [1, 2])
def test_one_that_comes_again_while_it_is_in_hand_is_not_handled_again(
    qos: int, peer: Peer, v5: bool, tmp_path: Path
) -> None:
    # given a message in its handler, and one behind it
    handler = Gated(is_open=False)

    def script() -> None:
        link = peer.greet(v5)
        link.send(message(7, v5, qos) + message(8, v5, qos))
        wait_until(lambda: handler.payloads, what="the handler runs")
        # when an impatient broker sends both again on the same connection
        link.send(message(7, v5, qos, dup=True) + message(8, v5, qos, dup=True) + PINGRESP + pubrel(99))
        assert link.packet() == ack(PUBCOMP, 99)
        handler.gate.set()
        link.send(message(9, v5, qos))
        # then each is handled and acknowledged once, in order
        kind = PUBACK if qos == 1 else PUBREC
        assert [link.packet() for _ in range(3)] == [ack(kind, number) for number in (7, 8, 9)]
        link.close()

    run_session(peer, handler.handle, script, tmp_path, v5)
    assert handler.payloads == [b"7", b"8", b"9"]


@pytest.mark.parametrize(
    "other", [{"qos": 1}, {"payload": b"another"}], ids=["another QoS", "another payload"]
)
def test_another_message_with_an_id_in_use_is_never_thrown_away(
    other: dict[str, Any], peer: Peer, v5: bool, tmp_path: Path
) -> None:
    # given a message in its handler, and a broker that gives its id away too early
    handler = Gated(is_open=False)
    wanted = [b"7", other.get("payload", b"7")]

    def script() -> None:
        link = peer.greet(v5)
        link.send(message(7, v5))
        wait_until(lambda: handler.payloads, what="the handler runs")
        # when another one comes with it, said to be sent again
        link.send(message(7, v5, dup=True, **other))
        handler.gate.set()
        # then both are handled and acknowledged
        kinds = [PUBREC, PUBACK if other.get("qos") == 1 else PUBREC]
        assert [link.packet() for _ in kinds] == [ack(kind, 7) for kind in kinds]
        link.close()

    run_session(peer, handler.handle, script, tmp_path, v5)
    assert handler.payloads == wanted


def test_one_that_was_confirmed_is_confirmed_again_and_not_handled(
    peer: Peer, v5: bool, tmp_path: Path
) -> None:
    handler = Gated()

    def script() -> None:
        link = peer.greet(v5)
        link.send(message(7, v5) + message(8, v5))
        assert [link.packet(), link.packet()] == [ack(PUBREC, 7), ack(PUBREC, 8)]
        # when the broker has not heard of it: on the same connection, and together with what is released
        link.send(message(7, v5, dup=True) + pubrel(8) + message(8, v5, payload=b"new"))
        assert sorted(link.packet() for _ in range(3)) == [
            ack(PUBREC, 7),
            ack(PUBREC, 8),
            ack(PUBCOMP, 8),
        ]
        # and on the next one, in any order
        link.close()
        link = peer.greet(v5, present=True)
        link.send(message(8, v5, dup=True, payload=b"new") + message(7, v5, dup=True))
        assert [link.packet(), link.packet()] == [ack(PUBREC, 8), ack(PUBREC, 7)]
        link.send(pubrel(7) + pubrel(8))
        assert [link.packet(), link.packet()] == [ack(PUBCOMP, 7), ack(PUBCOMP, 8)]
        link.close()

    run_session(peer, handler.handle, script, tmp_path, v5)
    assert handler.payloads == [b"7", b"8", b"new"]


def test_one_that_comes_again_just_before_its_release_is_not_handled_again(
    peer: Peer, v5: bool, tmp_path: Path
) -> None:
    handler = Gated()

    def script() -> None:
        link = peer.greet(v5)
        link.send(message(7, v5))
        assert link.packet() == ack(PUBREC, 7)
        # when both are in one read, as after a broker that repeats what crossed our PUBREC
        link.send(message(7, v5, dup=True) + pubrel(7))
        assert {link.packet(), link.packet()} == {ack(PUBREC, 7), ack(PUBCOMP, 7)}
        link.close()

    run_session(peer, handler.handle, script, tmp_path, v5)
    assert handler.payloads == [b"7"]


def test_releases_may_come_in_any_order_and_of_ids_never_seen(peer: Peer, v5: bool, tmp_path: Path) -> None:
    handler = Gated()

    def script() -> None:
        link = peer.greet(v5)
        link.send(b"".join(message(number, v5) for number in (1, 2, 3)))
        assert [link.packet() for _ in range(3)] == [ack(PUBREC, number) for number in (1, 2, 3)]
        order = (3, 65_535, 1, 2)
        link.send(b"".join(map(pubrel, order)))
        assert [link.packet() for _ in range(4)] == [ack(PUBCOMP, number) for number in order]
        link.close()

    run_session(peer, handler.handle, script, tmp_path, v5)
    assert handler.payloads == [b"1", b"2", b"3"]


def test_a_lost_session_forgets_what_was_confirmed(peer: Peer, v5: bool, tmp_path: Path) -> None:
    handler = Gated()

    def script() -> None:
        link = peer.greet(v5)
        link.send(message(7, v5))
        assert link.packet() == ack(PUBREC, 7)
        link.close()
        # when the broker numbers anew, also with DUP, as for a message it had for another member
        link = peer.greet(v5, present=False)
        link.send(message(7, v5, dup=True, payload=b"new"))
        assert link.packet() == ack(PUBREC, 7)
        link.close()

    run_session(peer, handler.handle, script, tmp_path, v5)
    assert handler.payloads == [b"7", b"new"]


@pytest.mark.parametrize("qos", [1, 2])
def test_what_ended_while_the_connection_was_away_is_known_beside_a_new_message(
    qos: int, peer: Peer, v5: bool, tmp_path: Path
) -> None:
    handler = Gated(is_open=False)

    def script() -> None:
        # given a message whose handler ends while there is no connection
        link = peer.greet(v5)
        link.send(message(7, v5, qos))
        wait_until(lambda: handler.payloads, what="the handler runs")
        link.close()
        link = peer.accept()
        handler.gate.set()
        wait_until(lambda: handler.ended, what="the handler ends")
        link.packet()
        # when it comes again, in one read with one that is new
        link.send(connack(v5, present=True))
        link.subscribed(v5)
        link.send(message(7, v5, qos, dup=True) + message(9, v5, qos))
        kind = PUBACK if qos == 1 else PUBREC
        assert [link.packet(), link.packet()] == [ack(kind, 7), ack(kind, 9)]
        link.close()

    run_session(peer, handler.handle, script, tmp_path, v5)
    assert handler.payloads == [b"7", b"9"]


def test_a_worker_that_is_killed_knows_what_it_had_confirmed(peer: Peer, v5: bool, tmp_path: Path) -> None:
    # given a worker process that has confirmed one message, and is killed in the handler of the next
    project = Project(
        tmp_path,
        peer.port,
        """
        BEGUN = __file__ + ".begun"
        def handle(n, payload: bytes):
            record(payload.decode())
            if payload == b"8" and not os.path.exists(BEGUN):
                open(BEGUN, "w").close()
                time.sleep(60)
        """,
    )
    try:
        worker = project.worker(qos=2, protocol="5" if v5 else "3.1.1")
        worker.start()
        link = peer.greet(v5)
        link.send(message(7, v5) + message(8, v5))
        worker.wait_until(lambda: project.calls() == ["7", "8"], what="both are begun")
        worker.kill()
        link.rest()
        # when the slot's next process is sent both again
        worker.start()
        link = peer.greet(v5, present=True)
        link.send(message(7, v5, dup=True) + message(8, v5, dup=True) + message(9, v5))
        # then only the one that had not ended is handled again, and all are confirmed in order
        assert [link.packet() for _ in range(3)] == [ack(PUBREC, number) for number in (7, 8, 9)]
        assert project.calls() == ["7", "8", "8", "9"]
        link.send(pubrel(8) + pubrel(7))
        assert [link.packet(), link.packet()] == [ack(PUBCOMP, 8), ack(PUBCOMP, 7)]
    finally:
        project.stop()
