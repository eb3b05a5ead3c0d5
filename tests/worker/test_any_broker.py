"""A session against a broker that keeps to the rules and does whatever they allow: cuts the connection within
a packet, sends again, mixes old and new, is impatient. Nothing is lost, QoS 2 is handled exactly once."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routemq_tui.routing.message import Message
from routemq_tui.worker import reconnecting
from tests.worker.peer import Link, Peer
from tests.worker.session_here import run_session
from tests.worker.streams import publish, pubrel

IDS = range(1, 9)


class Broker:
    """What is under way, and what it may send; packet ids are few, so they are soon used again."""

    def __init__(self, peer: Peer, v5: bool) -> None:
        self._peer, self._v5 = peer, v5
        self._link: Link = peer.greet(v5)
        self.sent: Counter[tuple[int, int]] = Counter()
        """QoS and number of every message made."""
        self._under_way: dict[int, tuple[int, int, bool]] = {}
        """Packet id: QoS, number, and whether PUBREC came; in the order of the messages."""
        self._order: dict[int, list[int]] = {1: [], 2: []}
        """By QoS, the ids that are to be answered on this connection, in order."""

    def _packet(self, packet_id: int, dup: bool) -> bytes:
        qos, number, _ = self._under_way[packet_id]
        payload = b"%d %d" % (qos, number)
        return publish(f"t/{number % 3}", payload, qos, packet_id, dup=dup, block=b"" if self._v5 else None)

    def make(self, levels: list[int]) -> bytes:
        """New messages, as many as there are free ids for."""
        packets = []
        for qos in levels:
            free = next((each for each in IDS if each not in self._under_way), None)
            if free is not None:
                number = self.sent.total()
                self.sent[qos, number] += 1
                self._under_way[free] = qos, number, False
                self._order[qos].append(free)
                packets.append(self._packet(free, dup=False))
        return b"".join(packets)

    def send(self, levels: list[int], size: int) -> None:
        data = self.make(levels)
        for at in range(0, len(data), size):
            self._link.send(data[at : at + size])

    def impatient(self) -> None:
        """Send again what has no PUBREC yet: 3.1.1 does not forbid it, and some brokers do."""
        again = [each for each, (qos, _, received) in self._under_way.items() if qos == 2 and not received]
        self._link.send(b"".join(self._packet(each, dup=True) for each in again))

    def read(self, most: int) -> None:
        for _ in range(most):
            if self._under_way:
                self._answered(self._link.packet())

    def _answered(self, packet: bytes) -> None:
        first, packet_id = packet[0], int.from_bytes(packet[2:4], "big")
        qos, number, received = self._under_way[packet_id]  # of nothing else is there an answer
        if first == 0x40:
            assert self._order[1].pop(0) == packet_id
            del self._under_way[packet_id]
        elif first == 0x50:
            if not received:
                assert self._order[2].pop(0) == packet_id
                self._under_way[packet_id] = qos, number, True
                self._link.send(pubrel(packet_id))
        else:
            assert (first, received) == (0x70, True)
            del self._under_way[packet_id]

    def cut(self, levels: list[int], at: int, behind: list[int]) -> None:
        """Break off within new messages; then all that is not answered comes again, with new ones behind."""
        data = self.make(levels)
        self._link.send(data[: at % (len(data) + 1)])
        # Reset: three quick ends in order would look as if another client had taken the id.
        self._link.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._link.close()
        self._link = self._peer.greet(self._v5, present=True)
        self._order = {1: [], 2: []}
        again = []
        for packet_id, (qos, _, received) in self._under_way.items():
            again.append(pubrel(packet_id) if received else self._packet(packet_id, dup=True))
            if not received:
                self._order[qos].append(packet_id)
        self._link.send(b"".join(again) + self.make(behind))

    def finish(self) -> None:
        while self._under_way:
            self.read(1)
        self._link.close()


LEVELS = st.lists(st.integers(1, 2), max_size=6)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), LEVELS, st.integers(1, 200)),
        st.tuples(st.just("read"), st.integers(1, 12)),
        st.tuples(st.just("impatient")),
        st.tuples(st.just("cut"), LEVELS, st.integers(0, 300), LEVELS),
    ),
    max_size=12,
)


@pytest.mark.parametrize("v5", [True, False], ids=["5", "3.1.1"])
@given(steps=STEPS, pause=st.sampled_from([None, 0.0, 0.002]), concurrency=st.sampled_from([1, 1, 3]))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_nothing_is_lost_and_quality_2_is_handled_once(
    v5: bool,
    steps: list[tuple[Any, ...]],
    pause: float | None,
    concurrency: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reconnecting, "FIRST_RETRY", 0.0)
    handled: Counter[tuple[int, int]] = Counter()
    sent: list[Counter[tuple[int, int]]] = []

    def handle(message: Message) -> None:
        qos, number = map(int, message.payload.split())
        assert qos == message.qos
        handled[qos, number] += 1

    async def handle_async(message: Message) -> None:
        handle(message)
        if pause is not None and message.payload[-1] % 2:
            await asyncio.sleep(pause)

    with Peer() as peer:

        def script() -> None:
            broker = Broker(peer, v5)
            for step, *given in steps:
                getattr(broker, step)(*given)
            broker.finish()
            sent.append(broker.sent)

        handler = handle if concurrency == 1 and pause is None else handle_async
        run_session(peer, handler, script, tmp_path, v5, concurrency=concurrency)
    assert set(handled) == set(sent[0])
    assert not [each for each, count in handled.items() if each[0] == 2 and count > 1]
