"""What a broker's packets are made of: integers, strings, properties (MQTT 5 sections 1.5 and 2.2.2).

The plain part of taking packets apart, with every check; `publish_stream` comes here for what is new to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

MALFORMED: Final = 0x81
PROTOCOL_ERROR: Final = 0x82
TOPIC_NAME_INVALID: Final = 0x90
TOPIC_ALIAS_INVALID: Final = 0x94
PACKET_TOO_LARGE: Final = 0x95

NO_PROPERTIES: Final[Mapping[str, Any]] = MappingProxyType({})


class StreamError(Exception):
    """The peer broke the protocol: the connection is to end with this reason code (MQTT 5 section 4.13)."""

    def __init__(self, reason: int, text: str, packets: list[Any] | None = None) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text
        self.packets = packets or []
        """What came whole before the fault, in the same chunk."""


def integer(data: bytes, at: int, end: int, size: int, what: str) -> tuple[int, int]:
    if at + size > end:
        raise StreamError(MALFORMED, f"the packet ends in the {what}")
    return int.from_bytes(data[at : at + size], "big"), at + size


def field(data: bytes, at: int, end: int, what: str) -> tuple[bytes, int]:
    """Bytes with a length of two bytes in front."""
    length, at = integer(data, at, end, 2, what)
    if at + length > end:
        raise StreamError(MALFORMED, f"the packet ends in the {what}")
    return data[at : at + length], at + length


def varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A variable-length integer of at most four bytes, no longer than it needs to be (section 1.5.5)."""
    value = 0
    for shift in (0, 7, 14, 21):
        byte, at = integer(data, at, end, 1, "variable-length integer")
        value |= (byte & 127) << shift
        if byte < 128:
            if shift and not byte:
                raise StreamError(MALFORMED, "a variable-length integer is longer than it needs to be")
            return value, at
    raise StreamError(MALFORMED, "a variable-length integer has more than four bytes")


def text_of(raw: bytes, what: str) -> str:
    """UTF-8 without surrogates and U+0000 (section 1.5.4)."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise StreamError(MALFORMED, f"the {what} is not UTF-8: {raw[:80]!r}") from None
    if "\0" in text:
        raise StreamError(MALFORMED, f"the {what} has U+0000 in it: {raw[:80]!r}")
    return text


# -- properties ------------------------------------------------------------------------------------------

FLAG, TWO, FOUR, VARINT, TEXT, BINARY, PAIR = range(7)
"""Kinds of values."""
_ALIAS: Final = 0x23
_MANY: Final = (0x0B, 0x26)
_PUBLISH_PROPERTIES: Final = {
    0x01: ("payload_format_indicator", FLAG),
    0x02: ("message_expiry_interval", FOUR),
    0x03: ("content_type", TEXT),
    0x08: ("response_topic", TEXT),
    0x09: ("correlation_data", BINARY),
    0x0B: ("subscription_identifier", VARINT),
    _ALIAS: ("topic_alias", TWO),
    0x26: ("user_property", PAIR),
}
REASON_PROPERTIES: Final = {0x1F: ("reason_string", TEXT), 0x26: ("user_property", PAIR)}


def parse_properties(block: bytes) -> tuple[Mapping[str, Any], int | None]:
    """A PUBLISH's properties by name, and its topic alias; `block` is without its length in front.

    `subscription_identifier` and `user_property` are tuples of all that stand there, in order.
    """
    found = read_block(block, _PUBLISH_PROPERTIES)
    alias = found.pop("topic_alias", None)
    topic = found.get("response_topic", "")
    if "+" in topic or "#" in topic:
        raise StreamError(PROTOCOL_ERROR, f"the response topic {topic[:80]!r} has a wildcard")
    return (MappingProxyType(found) if found else NO_PROPERTIES), alias


def read_block(block: bytes, allowed: Mapping[int, tuple[str, int]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    at, end = 0, len(block)
    while at < end:
        code = block[at]
        entry = allowed.get(code)
        if entry is None:
            raise StreamError(MALFORMED, f"property 0x{code:02x} is not one of this packet")
        name, kind = entry
        value, at = _value(block, at + 1, end, name, kind)
        if code in _MANY:
            found[name] = (*found.get(name, ()), value)
        elif name in found:
            raise StreamError(PROTOCOL_ERROR, f"the {name} stands there twice")
        else:
            found[name] = value
    return found


def _value(block: bytes, at: int, end: int, name: str, kind: int) -> tuple[Any, int]:
    if kind in (TEXT, BINARY):
        raw, at = field(block, at, end, name)
        return (raw if kind == BINARY else text_of(raw, name)), at
    if kind == PAIR:
        key, at = field(block, at, end, name)
        value, at = field(block, at, end, name)
        return (text_of(key, name), text_of(value, name)), at
    if kind == VARINT:
        number, at = varint(block, at, end)
        if not number:
            raise StreamError(PROTOCOL_ERROR, f"the {name} is 0")
        return number, at
    number, at = integer(block, at, end, (1, 2, 4)[kind], name)
    if kind == FLAG and number > 1:
        raise StreamError(PROTOCOL_ERROR, f"the {name} is {number}, not 0 or 1")
    return number, at
