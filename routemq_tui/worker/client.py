"""What a handler gets as `client`: publishing over the worker's own connection."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import msgspec
from paho.mqtt.client import MQTTMessageInfo
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from routemq_tui.worker.connection import Connection
from routemq_tui.worker.packet_size import publish_size

_UNSENT_LIMIT = 1024 * 1024
"""Bytes waiting for the kernel from which on a publisher waits: memory stays bounded."""
_WAIT_SECONDS = 5.0
_LOOK_SECONDS = 0.2


class HandlerClient:
    """Thread-safe: a handler may publish from threads of its own. Made on the worker's loop.

    `_client_id` is there as paho has it: RouteMQ's own middleware logs it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._client_id: bytes = connection.client._client_id
        self._v5 = connection.client.protocol == MQTTProtocolVersion.MQTTv5
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def publish(
        self,
        topic: str,
        payload: bytes | str | Any = b"",
        qos: int = 0,
        retain: bool = False,
        *,
        correlation_data: bytes | None = None,
    ) -> Published:
        """Send a message; bytes and text as they are, anything else as JSON. Does not wait for the broker.

        While the connection is away, QoS 1 and 2 are kept and sent later (at most 10,000); QoS 0 and what is
        too much raise ConnectionError. ValueError for a topic with wildcards, a wrong QoS, or what is larger
        than the broker takes.
        """
        properties = None
        if correlation_data is not None:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.CorrelationData = correlation_data
        data = _payload_bytes(payload)
        self._check_size(publish_size(topic, data, qos, properties, self._v5), topic)
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
        info.rc = MQTTErrorCode.MQTT_ERR_SUCCESS  # what paho keeps to send it later is not a failure
        return Published(info, self)

    def _check_size(self, size: int, topic: str) -> None:
        """The broker would cut the connection, and QoS 1 and 2 would be sent again on the next, for ever."""
        most = self._connection.maximum_packet
        if size > most:
            raise ValueError(
                f"not published to {topic}: a packet of {size} bytes is larger than the broker takes ({most})"
            )

    def _read_on(self) -> None:
        """The broker's answer may stand behind messages for which reading is held back. Any thread."""
        self._loop.call_soon_threadsafe(self._connection.link.resume_reading)


class Published:
    """A message given to the connection, as paho's `MQTTMessageInfo` tells of it; `rc, mid = …` works too.

    `rc` is always 0: what is not taken raises. Published is QoS 0 when it was written, QoS 1 and 2 when the
    broker has answered.
    """

    __slots__ = ("_client", "_info")

    def __init__(self, info: MQTTMessageInfo, client: HandlerClient) -> None:
        self._info, self._client = info, client

    @property
    def rc(self) -> MQTTErrorCode:
        return self._info.rc

    @property
    def mid(self) -> int:
        return self._info.mid

    def __getitem__(self, index: int) -> int:
        return (self.rc, self.mid)[index]

    def is_published(self) -> bool:
        return self._info.is_published()

    def wait_for_publish(self, timeout: float | None = None) -> None:
        """Block until it is published or `timeout` seconds are over, on a thread of the handler's own.

        RuntimeError on the worker's thread: the broker's answer is read there, and would never come.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while not self.is_published():
            if threading.get_ident() == self._client._thread:
                raise RuntimeError(
                    "the broker's answer is read on this thread, so it cannot wait for it: "
                    "await asyncio.to_thread(info.wait_for_publish, 5)"
                )
            left = _LOOK_SECONDS if until is None else min(_LOOK_SECONDS, until - time.monotonic())
            if left <= 0:
                return
            self._client._read_on()
            self._info.wait_for_publish(left)


def _payload_bytes(payload: Any) -> bytes:
    if isinstance(payload, str):
        return payload.encode()
    if isinstance(payload, bytes | bytearray | memoryview):
        return bytes(payload)
    return msgspec.json.encode(payload)
