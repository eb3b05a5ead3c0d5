"""`fast_path = false`: paho reads the messages, and what handlers see and brokers are told stays the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from routemq_tui.routing.message import Message
from routemq_tui.worker.spec import Drained
from tests.worker.harness import Project, Publisher
from tests.worker.peer import Peer, ack
from tests.worker.session_here import run_session
from tests.worker.streams import publish, pubrel

Make = Callable[[str], Project]

PROPERTIES = """
import json
def handle(message):
    found = dict(message.properties)
    found["correlation_data"] = found["correlation_data"].hex()
    record(json.dumps([message.topic, message.text(), message.qos, message.retain, message.duplicate, found]))
"""


@pytest.mark.parametrize("fast_path", [True, False], ids=["fast", "stock"])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_every_property_is_reachable_from_the_message(
    project: Make, publisher: Publisher, qos: int, fast_path: bool
) -> None:
    here = project(PROPERTIES)
    worker = here.running(qos=qos, fast_path=fast_path)
    # given a message with all that a publisher may give it
    given = Properties(PacketTypes.PUBLISH)
    given.PayloadFormatIndicator = 1
    given.MessageExpiryInterval = 600
    given.ContentType = "text/plain"
    given.ResponseTopic = "answers/1"
    given.CorrelationData = b"\x00\xff"
    given.UserProperty = [("a", "1"), ("a", "2")]
    publisher.client.publish("t/1", "payload", qos, properties=given)
    worker.wait_handled(1)
    [call] = here.calls()
    topic, text, level, retain, duplicate, found = json.loads(call)
    assert (topic, text, level, retain, duplicate) == ("t/1", "payload", qos, False, False)
    assert found.pop("message_expiry_interval") in (599, 600)
    assert found == {
        "payload_format_indicator": 1,
        "content_type": "text/plain",
        "response_topic": "answers/1",
        "correlation_data": "00ff",
        "user_property": [["a", "1"], ["a", "2"]],
    }


@pytest.mark.parametrize("fast_path", [True, False], ids=["fast", "stock"])
def test_flags_and_subscription_identifiers_are_reachable_too(fast_path: bool, tmp_path: Path) -> None:
    seen: list[Message] = []
    with Peer() as peer:

        def script() -> None:
            link = peer.greet()
            link.send(publish("t/a", b"x", 1, 3, retain=True, dup=True, block=b"\x0b\x07\x0b\x85\x03"))
            assert link.packet() == ack(0x40, 3)
            link.close()

        run_session(peer, seen.append, script, tmp_path, v5=True, fast_path=fast_path)
    [message] = seen
    assert (message.retain, message.duplicate, message.qos) == (True, True, 1)
    assert dict(message.properties) == {"subscription_identifier": (7, 389)}
    with pytest.raises(TypeError):
        message.properties["x"] = 1  # type: ignore[index]  # they may be another message's too


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_each_message_is_handled_once_in_order_and_a_drain_leaves_nothing(
    project: Make, publisher: Publisher, qos: int, protocol: str
) -> None:
    here = project("def handle(n): record(n)")
    worker = here.running(qos=qos, protocol=protocol, fast_path=False)
    publisher.publish_many(300, qos=qos)
    worker.wait_handled(300)
    assert here.calls() == [str(number) for number in range(300)]
    assert worker.drain() == 0
    assert worker.last(Drained).left == 0


@pytest.mark.parametrize("v5", [True, False], ids=["5", "3.1.1"])
def test_quality_2_is_handled_at_its_release_and_completed_after_it(v5: bool, tmp_path: Path) -> None:
    # paho's way: PUBREC at once, the handler at PUBREL, PUBCOMP after it
    handled: list[bytes] = []
    block = b"" if v5 else None
    with Peer() as peer:

        def script() -> None:
            link = peer.greet(v5)
            link.send(publish("t/a", b"one", 2, 7, block=block) + publish("t/a", b"two", 2, 8, block=block))
            assert [link.packet(), link.packet()] == [ack(0x50, 7), ack(0x50, 8)]
            link.send(publish("t/a", b"one", 2, 7, dup=True, block=block))
            assert link.packet() == ack(0x50, 7)
            assert handled == []
            link.send(pubrel(8) + pubrel(7))
            assert [link.packet(), link.packet()] == [ack(0x70, 8), ack(0x70, 7)]
            link.close()

        run_session(
            peer,
            lambda message: handled.append(message.payload),
            script,
            tmp_path,
            v5,
            fast_path=False,
        )
    assert handled == [b"two", b"one"]
