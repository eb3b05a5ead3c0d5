"""What is told of single messages: the values a front end gets. Plain and immutable; knows no process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

_NOTHING: Mapping[str, Any] = {}


class TappedMessage(NamedTuple):
    """One handling of a message, as its worker told it."""

    seq: int
    """Rises by one for every message told, over all routes."""
    time: float
    """Unix time at which its handling ended."""
    worker: str
    """`temperature/2`."""
    route: str
    topic: str
    outcome: str
    """`ok`; `retried`: an attempt failed and another follows; `dead-lettered`, `dropped` or `stopped`: it
    failed for good, and that is what became of it; `timeout` or `poison`: it was given up because it took
    too long, or its process died of it, or (with `letter` None and `error` in words) that just happened;
    `failed`: it failed for good, and its dead letter cannot be stored yet."""
    duration: float
    """Seconds in the handler, of the last attempt."""
    payload: bytes
    """Cut to 64 KiB, that of a message told only as a sample to 4 KiB."""
    size: int
    """Bytes of the whole payload."""
    qos: int = 0
    retain: bool = False
    duplicate: bool = False
    properties: Mapping[str, Any] = _NOTHING
    """MQTT 5's, as plain values: correlation data is base64."""
    attempts: int = 1
    error: str = ""
    """`ValueError: bad`."""
    traceback: str = ""
    """From the handler's own code on."""
    group: str = ""
    """Fingerprint of its error group (`snapshot.ErrorGroup`)."""
    letter: int | None = None
    """Id of its dead letter, when that is in the store."""
    fingerprint: int = 0
    """As in the ledgers."""


class MessageBatch(NamedTuple):
    messages: tuple[TappedMessage, ...]
    """In the order of `seq`."""
    next_seq: int
    """Ask with this the next time."""
    missed: int
    """Messages, of all routes, after the one asked for that were let go already; 0 at the first time."""
