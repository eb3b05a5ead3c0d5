"""A worker's whole session beside a stock paho client, both over TCP: same messages, same acknowledgements.

What differs on purpose: paho handles a QoS 2 message at PUBREL, a worker at PUBLISH and confirms it after
that; and where a broker sends a message again while it is in a handler, one PUBREC is for both.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from routemq_tui.routing.message import Message
from tests.worker.peer import Link, Peer
from tests.worker.reference_stream import Other, Publish, Reference, Release
from tests.worker.session_here import run_session
from tests.worker.streams import PAHO_NAMES, SIZES, cut, packets, publish, pubrel

Seen = tuple[str, bytes, int, bool, bool, dict[str, Any]]

LAST_ID = 65_535
MOST_PIECES = 200


def last(v5: bool) -> bytes:
    return publish("t/last", b"the end", 2, LAST_ID, block=b"" if v5 else None) + pubrel(LAST_ID)


def as_a_broker(sent: list[bytes], v5: bool) -> list[bytes]:
    """As one that keeps the rules: an id in use comes again only as the same QoS 2 message with DUP, what has
    no id of ours in use answers nothing of ours, and in the end every QoS 2 message is released."""
    quality_1: set[int] = {LAST_ID}
    quality_2: dict[int, bytes] = {}
    kept = []
    for raw in sent:
        [what], _ = Reference(v5).read(raw)
        if isinstance(what, Publish | Release) and what.packet_id in quality_1:
            continue
        if isinstance(what, Release):
            quality_2.pop(what.packet_id, None)
        elif isinstance(what, Publish) and what.packet_id in quality_2:
            raw = quality_2[what.packet_id]
        elif isinstance(what, Publish) and what.qos == 1:
            quality_1.add(what.packet_id)
        elif isinstance(what, Publish) and what.qos == 2:
            quality_2[what.packet_id] = bytes((raw[0] | 8, *raw[1:]))
        elif isinstance(what, Other) and raw[0] in (0x90, 0xB0) and raw[:4].endswith(b"\0\1"):
            continue  # the SUBSCRIBE's own
        kept.append(raw)
    return kept + [pubrel(packet_id) for packet_id in quality_2]


def to_be_handled(sent: list[bytes], v5: bool) -> tuple[list[Seen], Counter[int]]:
    """Each message once, in the order of the PUBLISH packets; and the ids of the QoS 2 ones."""
    in_use: set[int] = set()
    expected: list[Seen] = []
    confirmed: Counter[int] = Counter()
    for what in Reference(v5).read(b"".join(sent))[0]:
        if isinstance(what, Release):
            in_use.discard(what.packet_id)
        elif isinstance(what, Publish) and not (what.qos == 2 and what.packet_id in in_use):
            if what.qos == 2:
                in_use.add(what.packet_id)
                confirmed[what.packet_id] += 1
            flags = what.retain, what.dup
            expected.append((what.topic, what.payload, what.qos, *flags, what.properties))
    return expected, confirmed


def answers(link: Link) -> dict[int, list[int]]:
    """What came back, up to the last message's acknowledgements: packet ids by first byte."""
    found: dict[int, list[int]] = {0x40: [], 0x50: [], 0x70: []}
    while LAST_ID not in found[0x50] or LAST_ID not in found[0x70]:
        packet = link.packet()
        assert len(packet) == 4
        found[packet[0]].append(int.from_bytes(packet[2:], "big"))
    return found


class Stock:
    """paho as everybody uses it: connect, loop_start, on_message."""

    def __init__(self, peer: Peer, v5: bool) -> None:
        self.messages: list[Seen] = []
        version = MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311
        client = Client(CallbackAPIVersion.VERSION2, client_id="stock", protocol=version)
        client.on_message = self._on_message
        client.on_connect = lambda *_: client.subscribe("t/#", 2)
        self.client = client
        self._peer, self._v5 = peer, v5

    def read(self, stream: bytes) -> dict[int, list[int]]:
        self.client.connect("127.0.0.1", self._peer.port)
        self.client.loop_start()
        link = self._peer.greet(self._v5)
        link.send(stream + last(self._v5))
        found = answers(link)
        self.client.disconnect()
        self.client.loop_stop()
        link.close()
        return found

    def _on_message(self, _client: Any, _data: Any, got: Any) -> None:
        values = vars(got.properties) if got.properties is not None else {}
        properties = {ours: values[name] for name, ours in PAHO_NAMES.items() if name in values}
        for name in ("user_property", "subscription_identifier"):
            if name in properties:
                properties[name] = tuple(properties[name])
        self.messages.append(
            (got.topic, bytes(got.payload), got.qos, bool(got.retain), bool(got.dup), properties)
        )


class Ours:
    def __init__(self, peer: Peer, v5: bool) -> None:
        self.messages: list[Seen] = []
        self._peer, self._v5 = peer, v5

    def handle(self, message: Message) -> None:
        flags = message.retain, message.duplicate
        self.messages.append((message.topic, message.payload, message.qos, *flags, dict(message.properties)))

    async def handle_async(self, message: Message) -> None:
        self.handle(message)

    def read(self, stream: bytes, sizes: list[int], folder: Path, **changes: Any) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}

        def script() -> None:
            link = self._peer.greet(self._v5)
            whole = stream + last(self._v5)
            pieces = [piece for piece, _ in zip(cut(whole, sizes), range(MOST_PIECES), strict=False)]
            for piece in (*pieces, whole[sum(map(len, pieces)) :]):
                link.send(piece)
            found.update(answers(link))
            link.close()

        handler = self.handle_async if changes.pop("is_async", False) else self.handle
        run_session(self._peer, handler, script, folder, self._v5, **changes)
        return found


def is_part_of(some: list[int], all_of_them: list[int]) -> bool:
    rest = iter(all_of_them)
    return all(each in rest for each in some)


def by_content(messages: list[Seen]) -> list[str]:
    """QoS 2 messages without their order and DUP: of repeats paho keeps the last, we the first."""
    return sorted(repr((*seen[:4], sorted(seen[5].items()))) for seen in messages if seen[2] == 2)


def of_quality_0_and_1(messages: list[Seen]) -> list[Seen]:
    return [seen for seen in messages if seen[2] != 2]


@pytest.mark.parametrize("v5", [False, True], ids=["3.1.1", "5"])
@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_session_handles_and_answers_what_paho_does(v5: bool, data: Any, tmp_path: Path) -> None:
    # given what a broker may send, cut anywhere
    sent = as_a_broker(data.draw(packets(v5, prefix="t/")), v5)
    stream = b"".join(sent)
    with Peer() as peer:
        stock, ours = Stock(peer, v5), Ours(peer, v5)
        # when a stock client and a worker get it
        theirs = stock.read(stream)
        answered = ours.read(stream, data.draw(SIZES), tmp_path, is_async=data.draw(st.booleans()))
    # then both handle the same, the worker in the order of the packets
    expected, confirmed = to_be_handled([*sent, last(v5)], v5)
    assert ours.messages == expected
    assert of_quality_0_and_1(ours.messages) == of_quality_0_and_1(stock.messages)
    assert by_content(ours.messages) == by_content(stock.messages)
    # and acknowledge the same, in the same order
    assert answered[0x40] == theirs[0x40]
    assert answered[0x70] == theirs[0x70]
    assert is_part_of(answered[0x50], theirs[0x50])
    assert Counter(answered[0x50]) >= confirmed


@pytest.mark.parametrize("v5", [False, True], ids=["3.1.1", "5"])
@given(data=st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_without_the_fast_path_it_is_paho_itself(v5: bool, data: Any, tmp_path: Path) -> None:
    sent = as_a_broker(data.draw(packets(v5, prefix="t/")), v5)
    stream = b"".join(sent)
    with Peer() as peer:
        stock, ours = Stock(peer, v5), Ours(peer, v5)
        theirs = stock.read(stream)
        answered = ours.read(stream, data.draw(SIZES), tmp_path, fast_path=False)
    assert of_quality_0_and_1(ours.messages) == of_quality_0_and_1(stock.messages)
    assert by_content(ours.messages) == by_content(stock.messages)
    assert answered[0x40] == theirs[0x40]
    assert answered[0x50] == theirs[0x50]
