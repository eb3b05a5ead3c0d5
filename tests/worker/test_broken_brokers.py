"""A session whose broker breaks the rules, or breaks off: told why, let go, and found again."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from routemq_tui.routing.message import Message
from tests.worker.faults import FAULTS, FAULTS_3, REPLY_FAULTS, REPLY_FAULTS_3
from tests.worker.peer import Peer, ack, connack
from tests.worker.session_here import run_session
from tests.worker.streams import field, publish

# No topic alias was allowed, and the size of a packet is not bounded by a worker.
ALL = {
    name: (0x94 if "alias" in name else reason, bad)
    for name, (reason, bad) in {**FAULTS, **REPLY_FAULTS}.items()
    if "maximum" not in name or "receive" in name
}
ALL["a topic alias, which was not allowed"] = (0x94, publish("t/a", block=b"\x23\x00\x01"))
ALL["a second CONNACK"] = (0x82, connack())
ALL_3 = {**FAULTS_3, **REPLY_FAULTS_3, "a second CONNACK": (0x82, connack(v5=False))}


class Handler:
    def __init__(self) -> None:
        self.payloads: list[bytes] = []

    def handle(self, message: Message) -> None:
        self.payloads.append(message.payload)


@pytest.mark.parametrize("name", ALL)
def test_mqtt_5_is_told_why_and_then_let_go(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reason, bad = ALL[name]
    handler = Handler()
    after: list[list[bytes]] = []
    with Peer() as peer:

        def script() -> None:
            link = peer.greet()
            # when what is forbidden comes, with more behind it than a reader would take at once
            link.send(bad + publish("t/a", b"behind", 1, 2, block=b"") * 20_000)
            after.append(link.rest())
            link.close()

        run_session(peer, handler.handle, script, tmp_path, v5=True)
    # then DISCONNECT with the reason is the last packet, and nothing behind the fault was handled
    assert after == [[bytes((0xE0, 2, reason, 0))]]
    assert handler.payloads == []
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("name", ALL_3)
def test_3_1_1_is_let_go_without_a_word(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _, bad = ALL_3[name]
    handler = Handler()
    after: list[list[bytes]] = []
    with Peer() as peer:

        def script() -> None:
            link = peer.greet(v5=False)
            link.send(bad + publish("t/a", b"behind", 1, 2))
            after.append(link.rest())
            link.close()

        run_session(peer, handler.handle, script, tmp_path, v5=False)
    assert after == [[]]
    assert handler.payloads == []
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_message_before_connack_is_refused(tmp_path: Path) -> None:
    handler = Handler()
    with Peer() as peer:

        def script() -> None:
            link = peer.accept()
            link.packet()
            link.send(publish("t/a", b"early", 1, 1, block=b"") + connack())
            assert link.rest() == [b"\xe0\x02\x82\x00"]
            link.close()

        run_session(peer, handler.handle, script, tmp_path, v5=True)
    assert handler.payloads == []


@pytest.mark.parametrize("v5", [True, False], ids=["5", "3.1.1"])
@pytest.mark.parametrize("at", [1, 2, 3, 8, 4000])
def test_a_connection_that_ends_within_a_packet_leaves_nothing_of_it(
    v5: bool, at: int, tmp_path: Path
) -> None:
    handler = Handler()
    block = b"" if v5 else None
    first, cut = publish("t/a", b"first", 1, 1, block=block), publish("t/b", b"x" * 9000, 1, 2, block=block)
    with Peer() as peer:

        def script() -> None:
            # given a message, and a part of the next one, when the connection ends
            link = peer.greet(v5)
            link.send(first + cut[:at])
            assert link.packet() == ack(0x40, 1)
            link.close()
            # then on the next connection it is taken from its beginning
            link = peer.greet(v5, present=True)
            link.send(bytes((cut[0] | 8, *cut[1:])))
            assert link.packet() == ack(0x40, 2)
            link.close()

        run_session(peer, handler.handle, script, tmp_path, v5)
    assert handler.payloads == [b"first", b"x" * 9000]


def test_what_came_before_a_fault_is_handled_once_when_the_broker_sends_it_again(tmp_path: Path) -> None:
    handler = Handler()
    with Peer() as peer:

        def script() -> None:
            link = peer.greet()
            link.send(publish("t/a", b"good", 1, 5, block=b"") + b"\x00\x00")
            link.rest()
            link.close()
            link = peer.greet(present=True)
            link.send(publish("t/a", b"good", 1, 5, dup=True, block=b""))
            assert link.packet() == ack(0x40, 5)
            link.close()

        run_session(peer, handler.handle, script, tmp_path, v5=True)
    assert handler.payloads == [b"good"]


def test_a_worker_allows_no_topic_aliases_and_a_window_of_its_prefetch(tmp_path: Path) -> None:
    connects: list[bytes] = []
    with Peer() as peer:

        def script() -> None:
            link = peer.accept()
            connects.append(link.packet())
            link.send(connack())
            link.subscribed()
            link.close()

        run_session(peer, Handler().handle, script, tmp_path, v5=True, prefetch=258)
    # flags, keepalive, then the properties: session expiry and receive maximum, and no others
    [connect] = connects
    assert connect[connect.index(b"MQTT\x05") + 8 :].startswith(b"\x08\x11\x00\x01\x51\x80\x21\x01\x02")


def test_an_answer_that_paho_cannot_take_costs_the_connection_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # given a session that leaves all to paho, which reads a SUBACK without a code as one with none
    handler = Handler()
    with Peer() as peer:

        def script() -> None:
            link = peer.accept()
            link.packet()
            link.send(connack())
            link.packet()
            link.send(b"\x90\x03\x00\x01\x00")
            link.rest()
            link.close()
            # then it comes again, and works
            link = peer.greet(present=True)
            link.send(publish("t/a", b"good", 1, 5, block=b""))
            assert link.until(ack(0x40, 5))
            link.close()

        run_session(peer, handler.handle, script, tmp_path, v5=True, fast_path=False)
    assert handler.payloads == [b"good"]
    # and the log has the traceback
    [record] = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert "given up" in record.message
    assert record.exc_info


@pytest.mark.parametrize("properties", [b"", b"\x26" + field("k") + field("v")])
def test_a_disconnect_of_the_broker_is_no_fault(properties: bytes, tmp_path: Path) -> None:
    with Peer() as peer:

        def script() -> None:
            link = peer.greet()
            link.send(bytes((0xE0, 2 + len(properties), 0x8B, len(properties))) + properties)
            assert link.rest() == []
            link.close()

        run_session(peer, Handler().handle, script, tmp_path, v5=True)
