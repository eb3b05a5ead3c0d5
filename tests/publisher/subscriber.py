"""A real subscriber that notes what comes, for the tests of what is published."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion


@contextmanager
def subscribed(port: int, topics: str = "#", qos: int = 2) -> Iterator[list[MQTTMessage]]:
    """The messages of these topics, from here on."""
    got: list[MQTTMessage] = []
    ready = threading.Event()
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.on_message = lambda _client, _data, message: got.append(message)
    client.on_subscribe = lambda *_: ready.set()
    client.on_connect = lambda *_: client.subscribe(topics, qos)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        assert ready.wait(5), "the subscriber did not get its SUBACK"
        yield got
    finally:
        client.disconnect()
        client.loop_stop()
