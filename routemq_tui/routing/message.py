"""A message as handlers see it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

import msgspec

_NONE: Mapping[str, Any] = MappingProxyType({})


class PublishInfo(Protocol):
    """What became of a message that was published, in paho's words."""

    @property
    def rc(self) -> int:
        """Always 0: what is not taken raises."""

    @property
    def mid(self) -> int: ...

    def is_published(self) -> bool:
        """QoS 0: it was written; 1 and 2: the broker has answered."""

    def wait_for_publish(self, timeout: float | None = None) -> None:
        """For threads of the handler's own. Raises RuntimeError on the worker's thread."""


class Publisher(Protocol):
    """What a handler gets as `client`: the worker's own connection, for publishing."""

    def publish(
        self,
        topic: str,
        payload: bytes | str | Any = b"",
        qos: int = 0,
        retain: bool = False,
        *,
        correlation_data: bytes | None = None,
    ) -> PublishInfo:
        """Send a message; bytes and text as they are, anything else as JSON. Does not wait for the broker.

        `correlation_data` is for the answer to a request (MQTT 5 section 4.10); 3.1.1 has none.
        """


class Message(msgspec.Struct, eq=False):
    """One message. Handlers of the same topic may be given the same `params`: do not change them."""

    topic: str
    params: Mapping[str, Any]
    """The template's parameters, converted."""
    payload: bytes
    """As it came."""
    qos: int = 0
    retain: bool = False
    duplicate: bool = False
    """The DUP flag: the broker may have sent it before."""
    properties: Mapping[str, Any] = _NONE
    """MQTT 5 properties by name (`content_type`, `user_property`, …); empty for 3.1.1."""
    attempt: int = 1
    """Counts from 1, up for each retry in this worker."""
    worker: str = ""
    """`<route>/<slot>`."""
    client: Publisher | None = None

    def publish(
        self, topic: str, payload: bytes | str | Any = b"", qos: int = 0, retain: bool = False
    ) -> None:
        """Send another message over the worker's own connection, as `client.publish` does."""
        self._client().publish(topic, payload, qos, retain)

    def reply(self, payload: bytes | str | Any = b"", qos: int | None = None) -> None:
        """Answer to the topic the sender named, with its correlation data (MQTT 5 section 4.10).

        With the QoS of the message unless another is given. Raises ValueError when no topic was named: the
        sender wants no answer, or speaks MQTT 3.1.1.
        """
        topic = self.properties.get("response_topic")
        if not topic:
            raise ValueError(f"{self.topic}: no reply is possible, its sender named no response topic")
        data = self.properties.get("correlation_data")
        self._client().publish(topic, payload, self.qos if qos is None else qos, correlation_data=data)

    def _client(self) -> Publisher:
        if self.client is None:
            raise RuntimeError("this message came through no connection: there is nothing to publish with")
        return self.client

    def text(self) -> str:
        """The payload as UTF-8 text; raises UnicodeDecodeError."""
        return self.payload.decode()

    def json(self) -> Any:
        """The payload as JSON; raises msgspec.DecodeError."""
        return msgspec.json.decode(self.payload)
