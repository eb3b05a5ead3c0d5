"""Clients other people wrote: paho, aiomqtt, gmqtt, mosquitto_pub and mosquitto_sub."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from typing import Any

import aiomqtt
import gmqtt
import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from routemq_tui.broker.handle import EmbeddedBroker
from tests.waiting import wait_until

PROTOCOLS = pytest.mark.parametrize("protocol", [paho.MQTTv311, paho.MQTTv5], ids=["3.1.1", "5"])


class PahoClient:
    """A started paho client that keeps what it received."""

    def __init__(self, port: int, protocol: int, client_id: str, topic: str = "", qos: int = 0) -> None:
        self.messages: list[paho.MQTTMessage] = []
        self.subscribed = False
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id, protocol=protocol)
        self.client.on_message = lambda _client, _data, message: self.messages.append(message)
        self.client.on_subscribe = self._on_subscribe
        settings: dict[str, Any] = {"clean_start": True} if protocol == paho.MQTTv5 else {}
        self.client.connect("127.0.0.1", port, **settings)
        self.client.loop_start()
        wait_until(self.client.is_connected)
        if topic:
            self.client.subscribe(topic, qos)
            wait_until(lambda: self.subscribed)

    def _on_subscribe(self, *_arguments: object) -> None:
        self.subscribed = True

    def stop(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@PROTOCOLS
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_paho_with_paho(broker: EmbeddedBroker, protocol: int, qos: int) -> None:
    topic = f"paho/{protocol}/{qos}"
    subscriber = PahoClient(broker.port, protocol, f"sub-{protocol}-{qos}", topic, qos)
    publisher = PahoClient(broker.port, protocol, f"pub-{protocol}-{qos}")
    try:
        for number in range(200):
            publisher.client.publish(topic, str(number), qos)
        wait_until(lambda: len(subscriber.messages) == 200, what="all 200 messages")
        assert [int(one.payload) for one in subscriber.messages] == list(range(200))
        assert {one.qos for one in subscriber.messages} == {qos}
    finally:
        publisher.stop()
        subscriber.stop()


def test_pahos_properties_and_reason_codes(broker: EmbeddedBroker) -> None:
    subscriber = PahoClient(broker.port, paho.MQTTv5, "properties", "props", 1)
    publisher = PahoClient(broker.port, paho.MQTTv5, "properties-pub")
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = [("one", "1"), ("two", "2")]
    properties.ResponseTopic = "answer"
    properties.CorrelationData = b"\x01\x02"
    properties.MessageExpiryInterval = 30
    try:
        publisher.client.publish("props", b"x", 1, properties=properties)
        wait_until(lambda: subscriber.messages)
        got = subscriber.messages[0].properties
        assert got is not None
        assert got.UserProperty == [("one", "1"), ("two", "2")]
        assert (got.ResponseTopic, got.CorrelationData) == ("answer", b"\x01\x02")
        assert got.MessageExpiryInterval in (29, 30)
    finally:
        publisher.stop()
        subscriber.stop()


@PROTOCOLS
def test_pahos_shared_subscription(broker: EmbeddedBroker, protocol: int) -> None:
    topic = f"shared/{protocol}"
    members = [
        PahoClient(broker.port, protocol, f"m{n}-{protocol}", f"$share/g/{topic}", 1) for n in range(3)
    ]
    publisher = PahoClient(broker.port, protocol, f"shared-pub-{protocol}")
    try:
        for number in range(300):
            publisher.client.publish(topic, str(number), 1)
        wait_until(lambda: sum(len(one.messages) for one in members) >= 300, what="all 300 messages")
        assert sorted(int(one.payload) for member in members for one in member.messages) == list(range(300))
        assert all(len(member.messages) > 30 for member in members)
    finally:
        for client in (*members, publisher):
            client.stop()


@pytest.mark.skipif(shutil.which("mosquitto_sub") is None, reason="mosquitto-clients is not installed")
@pytest.mark.parametrize("version", ["311", "5"])
@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_mosquittos_commands(broker: EmbeddedBroker, version: str, qos: str) -> None:
    topic, port = f"mosquitto/{version}/{qos}", str(broker.port)
    where = ["-h", "127.0.0.1", "-p", port, "-V", version, "-t", topic, "-q", qos]
    identified = ["-i", f"sub-{version}-{qos}"]
    receiver = subprocess.Popen(
        ["mosquitto_sub", *where, *identified, "-C", "50", "-W", "10"], stdout=subprocess.PIPE, text=True
    )
    with receiver:
        wait_until(lambda: any(topic in one["subscriptions"] for one in broker.inspect()["sessions"]))
        lines = "".join(f"line {number}\n" for number in range(50))
        subprocess.run(["mosquitto_pub", *where, "-l"], input=lines, text=True, check=True, timeout=10)
        assert receiver.stdout is not None
        got = receiver.stdout.read()

    assert got == lines
    assert receiver.returncode == 0


async def test_aiomqtt(broker: EmbeddedBroker) -> None:
    async with (
        aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V5) as subscriber,
        aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V311) as publisher,
    ):
        await subscriber.subscribe("$share/aio/aio/+", qos=1)
        for number in range(100):
            await publisher.publish("aio/x", str(number), qos=number % 3)
        got = set()
        async with asyncio.timeout(10):
            async for message in subscriber.messages:
                assert isinstance(message.payload, bytes)
                got.add(int(message.payload))
                if len(got) == 100:
                    break

    assert got == set(range(100))


@pytest.mark.parametrize("version", [4, 5])
async def test_gmqtt(broker: EmbeddedBroker, version: int) -> None:
    subscriber, publisher = gmqtt.Client(f"gmqtt-{version}"), gmqtt.Client(f"gmqtt-pub-{version}")
    got: list[int] = []
    subscribed, complete = asyncio.Event(), asyncio.Event()

    def on_message(_client: object, _topic: str, payload: bytes, _qos: int, _properties: object) -> int:
        got.append(int(payload))
        if len(got) == 100:
            complete.set()
        return 0

    subscriber.on_message = on_message
    subscriber.on_subscribe = lambda *_: subscribed.set()
    async with asyncio.timeout(10):
        await subscriber.connect("127.0.0.1", broker.port, version=version)
        await publisher.connect("127.0.0.1", broker.port, version=version)
        subscriber.subscribe(f"gmqtt/{version}", qos=1)
        await subscribed.wait()
        for number in range(100):
            publisher.publish(f"gmqtt/{version}", str(number), qos=1)
        await complete.wait()
        await publisher.disconnect()
        await subscriber.disconnect()

    assert sorted(got) == list(range(100))
