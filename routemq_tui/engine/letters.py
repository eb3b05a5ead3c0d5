"""Dead letters as a front end gets them: plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LetterLine:
    """A dead letter without its payload."""

    id: int
    time: float
    """Unix time at which it was given up."""
    route: str
    worker: str
    topic: str
    cause: str
    """`handler`, `timeout`, `poison` or `payload`."""
    error: str
    attempts: int
    state: str
    """`stored`; `replaying`; or, of the last ones that this engine took out of the store, `replayed` or
    `purged`."""
    size: int
    """Bytes of its payload."""


@dataclass(frozen=True, slots=True)
class Letter:
    """All that is known of one dead letter."""

    line: LetterLine
    payload: bytes
    qos: int
    retain: bool
    properties: Mapping[str, Any]
    """MQTT 5's, as plain values: correlation data is base64."""
    traceback: str
