"""MQTT 5 properties (section 2.2.2): one table of what they are and where they may stand."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple

from routemq_tui.broker import wire
from routemq_tui.broker.reasons import (
    QUOTA_EXCEEDED,
    TOPIC_ALIAS_INVALID,
    PacketError,
    malformed,
    protocol_error,
)
from routemq_tui.broker.wire import Reader

CONNECT: Final = 1
CONNACK: Final = 2
PUBLISH: Final = 3
PUBACK: Final = 4
PUBREC: Final = 5
PUBREL: Final = 6
PUBCOMP: Final = 7
SUBSCRIBE: Final = 8
SUBACK: Final = 9
UNSUBSCRIBE: Final = 10
UNSUBACK: Final = 11
PINGREQ: Final = 12
PINGRESP: Final = 13
DISCONNECT: Final = 14
AUTH: Final = 15
WILL: Final = 16
"""Not a packet type: the will's own properties within CONNECT."""

Value = int | str | bytes | tuple[str, str]
Properties = dict[int, Value]
"""By identifier. Of a property that may repeat only the last value is here."""


class Kind(Enum):
    FLAG = "a byte that is 0 or 1"
    BYTE = "byte"
    TWO = "two-byte integer"
    FOUR = "four-byte integer"
    VARINT = "variable-length integer"
    TEXT = "UTF-8 string"
    BINARY = "binary data"
    PAIR = "pair of UTF-8 strings"


class Property(NamedTuple):
    name: str
    kind: Kind
    packets: frozenset[int]
    repeats: bool = False
    zero: bool = True


PAYLOAD_FORMAT: Final = 0x01
MESSAGE_EXPIRY: Final = 0x02
RESPONSE_TOPIC: Final = 0x08
SUBSCRIPTION_ID: Final = 0x0B
SESSION_EXPIRY: Final = 0x11
ASSIGNED_CLIENT_ID: Final = 0x12
AUTHENTICATION_METHOD: Final = 0x15
AUTHENTICATION_DATA: Final = 0x16
WILL_DELAY: Final = 0x18
REASON_STRING: Final = 0x1F
RECEIVE_MAXIMUM: Final = 0x21
TOPIC_ALIAS_MAXIMUM: Final = 0x22
TOPIC_ALIAS: Final = 0x23
USER_PROPERTY: Final = 0x26
MAXIMUM_PACKET_SIZE: Final = 0x27

_MESSAGE = frozenset((PUBLISH, WILL))
_ANSWERS = frozenset((CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH))
_ANYWHERE = _ANSWERS | {CONNECT, PUBLISH, WILL, SUBSCRIBE, UNSUBSCRIBE}

TABLE: Final[dict[int, Property]] = {
    PAYLOAD_FORMAT: Property("Payload Format Indicator", Kind.FLAG, _MESSAGE),
    MESSAGE_EXPIRY: Property("Message Expiry Interval", Kind.FOUR, _MESSAGE),
    0x03: Property("Content Type", Kind.TEXT, _MESSAGE),
    RESPONSE_TOPIC: Property("Response Topic", Kind.TEXT, _MESSAGE),
    0x09: Property("Correlation Data", Kind.BINARY, _MESSAGE),
    SUBSCRIPTION_ID: Property("Subscription Identifier", Kind.VARINT, frozenset((SUBSCRIBE,)), zero=False),
    SESSION_EXPIRY: Property("Session Expiry Interval", Kind.FOUR, frozenset((CONNECT, CONNACK, DISCONNECT))),
    ASSIGNED_CLIENT_ID: Property("Assigned Client Identifier", Kind.TEXT, frozenset((CONNACK,))),
    0x13: Property("Server Keep Alive", Kind.TWO, frozenset((CONNACK,))),
    AUTHENTICATION_METHOD: Property("Authentication Method", Kind.TEXT, frozenset((CONNECT, CONNACK, AUTH))),
    AUTHENTICATION_DATA: Property("Authentication Data", Kind.BINARY, frozenset((CONNECT, CONNACK, AUTH))),
    0x17: Property("Request Problem Information", Kind.FLAG, frozenset((CONNECT,))),
    WILL_DELAY: Property("Will Delay Interval", Kind.FOUR, frozenset((WILL,))),
    0x19: Property("Request Response Information", Kind.FLAG, frozenset((CONNECT,))),
    0x1A: Property("Response Information", Kind.TEXT, frozenset((CONNACK,))),
    0x1C: Property("Server Reference", Kind.TEXT, frozenset((CONNACK,))),
    REASON_STRING: Property("Reason String", Kind.TEXT, _ANSWERS),
    RECEIVE_MAXIMUM: Property("Receive Maximum", Kind.TWO, frozenset((CONNECT, CONNACK)), zero=False),
    TOPIC_ALIAS_MAXIMUM: Property("Topic Alias Maximum", Kind.TWO, frozenset((CONNECT, CONNACK))),
    TOPIC_ALIAS: Property("Topic Alias", Kind.TWO, frozenset((PUBLISH,)), zero=False),
    0x24: Property("Maximum QoS", Kind.FLAG, frozenset((CONNACK,))),
    0x25: Property("Retain Available", Kind.FLAG, frozenset((CONNACK,))),
    USER_PROPERTY: Property("User Property", Kind.PAIR, _ANYWHERE, repeats=True),
    MAXIMUM_PACKET_SIZE: Property(
        "Maximum Packet Size", Kind.FOUR, frozenset((CONNECT, CONNACK)), zero=False
    ),
    0x28: Property("Wildcard Subscription Available", Kind.FLAG, frozenset((CONNACK,))),
    0x29: Property("Subscription Identifier Available", Kind.FLAG, frozenset((CONNACK,))),
    0x2A: Property("Shared Subscription Available", Kind.FLAG, frozenset((CONNACK,))),
}
"""As a client may send them; a broker's own Subscription Identifier on PUBLISH is written by `message`."""

MOST: Final = 1000
"""Properties in one packet; millions of empty ones would hold up everybody."""

_CONSUMED = frozenset((MESSAGE_EXPIRY, TOPIC_ALIAS, WILL_DELAY))
"""Of a message's properties those the broker acts on; all others reach the subscriber byte for byte."""


def read(reader: Reader, packet: int) -> tuple[Properties, bytes]:
    """The properties at the reader, and the bytes of those that pass through to subscribers."""
    length = reader.varint()
    if not length:
        return {}, b""
    end = reader.at + length
    if end > reader.end:
        raise malformed("the properties are longer than the packet")
    found: Properties = {}
    passing: list[bytes] = []
    count = 0
    while reader.at < end:
        count += 1
        if count > MOST:
            raise PacketError(QUOTA_EXCEEDED, f"more than {MOST} properties in one packet")
        start = reader.at
        code = reader.varint()
        entry = TABLE.get(code)
        if entry is None:
            raise malformed(f"there is no property 0x{code:02x}")
        if packet not in entry.packets:
            raise protocol_error(f"{entry.name} is not allowed in this packet")
        if code in found and not entry.repeats:
            raise protocol_error(f"{entry.name} stands there twice")
        found[code] = _value(reader, code, entry)
        if code not in _CONSUMED:
            passing.append(reader.body[start : reader.at])
    if reader.at != end:
        raise malformed("a property reaches beyond the length of the properties")
    return found, b"".join(passing)


def _value(reader: Reader, code: int, entry: Property) -> Value:
    kind = entry.kind
    if kind is Kind.TEXT:
        return reader.text()
    if kind is Kind.PAIR:
        return reader.text(), reader.text()
    if kind is Kind.BINARY:
        return reader.binary()
    number = _number(reader, kind)
    if kind is Kind.FLAG and number > 1:
        raise protocol_error(f"{entry.name} is {number}, not 0 or 1")
    if not number and not entry.zero:
        reason = TOPIC_ALIAS_INVALID if code == TOPIC_ALIAS else 0x82
        raise PacketError(reason, f"{entry.name} is 0")
    return number


def _number(reader: Reader, kind: Kind) -> int:
    if kind is Kind.FOUR:
        return reader.four()
    if kind is Kind.TWO:
        return reader.two()
    if kind is Kind.VARINT:
        return reader.varint()
    return reader.byte()


def of_publish(block: bytes) -> tuple[bytes, int | None, int | None]:
    """Of a PUBLISH's property block without its length: bytes that pass, expiry in seconds, topic alias."""
    return _of_short(block) if len(block) <= _CACHED_BYTES else _of_any(block)


def _of_any(block: bytes) -> tuple[bytes, int | None, int | None]:
    found, passing = read(Reader(wire.varint(len(block)) + block), PUBLISH)
    check_response_topic(found)
    expiry = found.get(MESSAGE_EXPIRY)
    alias = found.get(TOPIC_ALIAS)
    return passing, expiry if isinstance(expiry, int) else None, alias if isinstance(alias, int) else None


_CACHED_BYTES = 256
_of_short = lru_cache(maxsize=512)(_of_any)
"""Cached, because a publisher sends the same properties again and again."""


def check_response_topic(found: Properties) -> None:
    topic = found.get(RESPONSE_TOPIC)
    if isinstance(topic, str) and ("+" in topic or "#" in topic):
        raise protocol_error("the Response Topic has a wildcard in it")


def number(found: Properties, code: int, default: int) -> int:
    value = found.get(code, default)
    return value if isinstance(value, int) else default


def encode(pairs: Iterable[tuple[int, Value]]) -> bytes:
    """A property block with its length in front, in the given order."""
    body = b"".join(encode_one(code, value) for code, value in pairs)
    return wire.varint(len(body)) + body


def encode_one(code: int, value: Value) -> bytes:
    kind = TABLE[code].kind
    if isinstance(value, tuple):
        encoded = wire.text(value[0]) + wire.text(value[1])
    elif isinstance(value, str):
        encoded = wire.text(value)
    elif isinstance(value, bytes):
        encoded = wire.binary(value)
    elif kind is Kind.VARINT:
        encoded = wire.varint(value)
    else:
        encoded = value.to_bytes({Kind.FOUR: 4, Kind.TWO: 2}.get(kind, 1), "big")
    return bytes((code,)) + encoded
