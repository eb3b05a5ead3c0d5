"""A message as handlers see it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

import msgspec

_NONE: Mapping[str, Any] = MappingProxyType({})


class Publisher(Protocol):
    """What a handler gets as `client`: the worker's own connection, for publishing."""

    def publish(
        self, topic: str, payload: bytes | str | Any = b"", qos: int = 0, retain: bool = False
    ) -> object:
        """Send a message; bytes and text as they are, anything else as JSON. Does not wait for the broker."""


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

    def text(self) -> str:
        """The payload as UTF-8 text; raises UnicodeDecodeError."""
        return self.payload.decode()

    def json(self) -> Any:
        """The payload as JSON; raises msgspec.DecodeError."""
        return msgspec.json.decode(self.payload)
