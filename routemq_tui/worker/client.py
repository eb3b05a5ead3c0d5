"""What a handler gets as `client`: publishing over the worker's own connection."""

from __future__ import annotations

from typing import Any

import msgspec
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from routemq_tui.worker.connection import Connection

_UNSENT_LIMIT = 1024 * 1024
"""Bytes waiting for the kernel from which on a publisher waits: memory stays bounded."""
_WAIT_SECONDS = 5.0


class HandlerClient:
    """Thread-safe: a handler may publish from threads of its own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def publish(
        self,
        topic: str,
        payload: bytes | str | Any = b"",
        qos: int = 0,
        retain: bool = False,
        *,
        correlation_data: bytes | None = None,
    ) -> None:
        """Send a message; bytes and text as they are, anything else as JSON. Does not wait for the broker.

        While the connection is away, QoS 1 and 2 are kept and sent later (at most 10,000); QoS 0 and what is
        too much raise ConnectionError. ValueError for a topic with wildcards or a wrong QoS.
        """
        properties = None
        if correlation_data is not None:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.CorrelationData = correlation_data
        data = _payload_bytes(payload)
        info = self._connection.client.publish(topic, data, qos, retain, properties)
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            raise ConnectionError(f"not published to {topic}: 10,000 messages wait for the broker already")
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS and qos == 0:
            raise ConnectionError(f"not published to {topic}: no connection to the broker")
        socket = self._connection.socket
        if socket is not None and socket.error is not None and qos == 0:
            raise ConnectionError(f"not published to {topic}: the connection to the broker is broken")
        if socket is not None and socket.unsent > _UNSENT_LIMIT:
            socket.wait_sent(_UNSENT_LIMIT // 2, _WAIT_SECONDS)


def _payload_bytes(payload: Any) -> bytes:
    if isinstance(payload, str):
        return payload.encode()
    if isinstance(payload, bytes | bytearray | memoryview):
        return bytes(payload)
    return msgspec.json.encode(payload)
