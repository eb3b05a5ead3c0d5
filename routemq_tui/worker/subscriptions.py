"""SUBSCRIBE and UNSUBSCRIBE of one connection, and who waits for their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.subscribeoptions import SubscribeOptions


class Subscriptions:
    """`sent` is called after each packet, for the loop to send what the kernel did not take."""

    def __init__(self, client: Client, v5: bool, sent: Callable[[], None]) -> None:
        self._client = client
        self._v5 = v5
        self._sent = sent
        self._awaiting: dict[int, asyncio.Future[None]] = {}
        """Packets under way, by packet id."""
        client.on_unsubscribe = lambda _client, _data, packet_id, _codes, _properties: self.answered(
            packet_id
        )

    def send(self, topic: str, qos: int) -> int | None:
        """SUBSCRIBE, with nobody waiting; the packet id."""
        return self._send(topic, qos)[1]

    def subscribe(self, topic: str, qos: int) -> asyncio.Future[None]:
        """Resolves at SUBACK; ConnectionError when it is refused or the connection goes."""
        return self._awaited(*self._send(topic, qos))

    def unsubscribe(self, topic: str) -> asyncio.Future[None]:
        """Resolves at UNSUBACK; ConnectionError when the connection goes."""
        return self._awaited(*self._client.unsubscribe(topic))

    def answered(self, packet_id: int, refusal: str | None = None) -> None:
        """SUBACK or UNSUBACK came."""
        future = self._awaiting.pop(packet_id, None)
        if future is not None and not future.done():
            future.set_result(None) if refusal is None else future.set_exception(ConnectionError(refusal))

    def lost(self) -> None:
        """The connection went: no answer comes any more."""
        for future in self._awaiting.values():
            if not future.done():
                future.set_exception(ConnectionError("the connection was lost"))
        self._awaiting.clear()

    def _send(self, topic: str, qos: int) -> tuple[MQTTErrorCode, int | None]:
        if self._v5:
            # Retained messages come with a new subscription only, not again after each reconnect.
            return self._client.subscribe(topic, options=SubscribeOptions(qos=qos, retainHandling=1))
        return self._client.subscribe(topic, qos)

    def _awaited(self, result: MQTTErrorCode, packet_id: int | None) -> asyncio.Future[Any]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda done: done.cancelled() or done.exception())  # may go unasked
        if result != MQTTErrorCode.MQTT_ERR_SUCCESS or packet_id is None:
            future.set_exception(ConnectionError("not connected"))
        else:
            self._awaiting[packet_id] = future
        self._sent()
        return future
