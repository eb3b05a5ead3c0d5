"""A broker's packets for the client underneath, checked before it gets them (MQTT 5 sections 3.2 to 3.14).

paho ends the connection at one that it cannot decode, without a word to the broker, and 2.1 raises whatever
it stumbles over. What it does with a good packet is its own affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from routemq_tui.worker.wire import (
    BINARY,
    FLAG,
    FOUR,
    MALFORMED,
    PROTOCOL_ERROR,
    REASON_PROPERTIES,
    TEXT,
    TWO,
    StreamError,
    integer,
    read_block,
    varint,
)

CONNACK: Final = 0x20
DISCONNECT: Final = 0xE0

_CONNACK_PROPERTIES: Final = {
    **REASON_PROPERTIES,
    0x11: ("session_expiry_interval", FOUR),
    0x12: ("assigned_client_identifier", TEXT),
    0x13: ("server_keep_alive", TWO),
    0x15: ("authentication_method", TEXT),
    0x16: ("authentication_data", BINARY),
    0x1A: ("response_information", TEXT),
    0x1C: ("server_reference", TEXT),
    0x21: ("receive_maximum", TWO),
    0x22: ("topic_alias_maximum", TWO),
    0x24: ("maximum_qos", FLAG),
    0x25: ("retain_available", FLAG),
    0x27: ("maximum_packet_size", FOUR),
    0x28: ("wildcard_subscription_available", FLAG),
    0x29: ("subscription_identifiers_available", FLAG),
    0x2A: ("shared_subscription_available", FLAG),
}
_NEVER_0: Final = ("receive_maximum", "maximum_packet_size")


class _Kind(NamedTuple):
    name: str
    codes: frozenset[int]
    properties: Mapping[int, tuple[str, int]] = REASON_PROPERTIES


_CONNACK_CODES: Final = "00 80 81 82 83 84 85 86 87 88 89 8a 8c 90 95 97 99 9a 9b 9c 9d 9f"
_PUBACK_CODES: Final = "00 10 80 83 87 90 91 97 99"
_SUBACK_CODES: Final = "00 01 02 80 83 87 8f 91 97 9e a1 a2"
_DISCONNECT_CODES: Final = (
    "00 80 81 82 83 87 89 8b 8c 8d 8e 8f 90 93 94 95 96 97 98 99 9a 9b 9c 9d 9e 9f a0 a1 a2"
)


def _codes(text: str) -> frozenset[int]:
    return frozenset(bytes.fromhex(text))


_ACKNOWLEDGEMENTS: Final = {
    0x40: _Kind("PUBACK", _codes(_PUBACK_CODES)),
    0x50: _Kind("PUBREC", _codes(_PUBACK_CODES)),
    0x70: _Kind("PUBCOMP", _codes("00 92")),
}
_SUBSCRIBED: Final = {
    0x90: _Kind("SUBACK", _codes(_SUBACK_CODES)),
    0xB0: _Kind("UNSUBACK", _codes("00 11 80 83 87 8f 91")),
}
_GREETING: Final = _Kind("CONNACK", _codes(_CONNACK_CODES), _CONNACK_PROPERTIES)
_FAREWELL: Final = _Kind(
    "DISCONNECT", _codes(_DISCONNECT_CODES), {**REASON_PROPERTIES, 0x1C: ("server_reference", TEXT)}
)
_SUBACK_3_CODES: Final = _codes("00 01 02 80")
_TYPES: Final = frozenset(each >> 4 for each in (CONNACK, 0xD0, DISCONNECT, *_ACKNOWLEDGEMENTS, *_SUBSCRIBED))


def check_type(first: int, v5: bool) -> None:
    """Whether a broker sends packets of this type and flags at all; not asked for PUBLISH and PUBREL."""
    if first >> 4 not in _TYPES or (first >> 4 == DISCONNECT >> 4 and not v5):
        raise StreamError(PROTOCOL_ERROR, f"a packet of type {first >> 4}, which is not a broker's to send")
    if first & 15:
        raise StreamError(MALFORMED, f"a packet of type {first >> 4} with flags {first & 15:04b}")


def check_body(data: bytes, first: int, body: int, end: int, v5: bool) -> None:
    if first in _ACKNOWLEDGEMENTS:
        kind = _ACKNOWLEDGEMENTS[first]
        at = _check_id(data, body, end, kind)
        if at < end:
            _check_reason(data, at, end, kind, v5)
    elif first in _SUBSCRIBED:
        _check_subscribed(data, body, end, _SUBSCRIBED[first], v5)
    elif first == CONNACK:
        _check_connack(data, body, end, v5)
    elif first == DISCONNECT:
        if body < end:
            _check_reason(data, body, end, _FAREWELL, v5)
    elif body != end:
        raise StreamError(MALFORMED, "a PINGRESP that is not empty")


def _check_id(data: bytes, at: int, end: int, kind: _Kind) -> int:
    number, at = integer(data, at, end, 2, f"packet id of a {kind.name}")
    if not number:
        raise StreamError(PROTOCOL_ERROR, f"a {kind.name} with packet id 0")
    return at


def _check_code(code: int, codes: frozenset[int], name: str) -> None:
    if code not in codes:
        raise StreamError(PROTOCOL_ERROR, f"a {name} with reason 0x{code:02x}")


def _check_reason(data: bytes, at: int, end: int, kind: _Kind, v5: bool) -> None:
    """A reason code, and properties up to the end: either may be left out."""
    if not v5:
        raise StreamError(MALFORMED, f"a {kind.name} that is too long")
    _check_code(data[at], kind.codes, kind.name)
    if at + 1 < end and _check_properties(data, at + 1, end, kind) != end:
        raise StreamError(MALFORMED, f"a {kind.name} whose properties do not fill it")


def _check_properties(data: bytes, at: int, end: int, kind: _Kind) -> int:
    length, at = varint(data, at, end)
    if at + length > end:
        raise StreamError(MALFORMED, f"the properties of a {kind.name} are longer than the packet")
    found = read_block(data[at : at + length], kind.properties)
    for name in _NEVER_0:
        if found.get(name) == 0:
            raise StreamError(PROTOCOL_ERROR, f"the {name} is 0")
    return at + length


def _check_subscribed(data: bytes, at: int, end: int, kind: _Kind, v5: bool) -> None:
    at = _check_id(data, at, end, kind)
    codes = kind.codes
    if v5:
        at = _check_properties(data, at, end, kind)
    elif kind.name == "UNSUBACK":
        if at != end:
            raise StreamError(MALFORMED, "an UNSUBACK that is too long")
        return
    else:
        codes = _SUBACK_3_CODES
    if at == end:
        raise StreamError(MALFORMED, f"a {kind.name} without a reason code")
    for code in data[at:end]:
        _check_code(code, codes, kind.name)


def _check_connack(data: bytes, at: int, end: int, v5: bool) -> None:
    flags, at = integer(data, at, end, 1, "flags of a CONNACK")
    if flags > 1:
        raise StreamError(MALFORMED, f"a CONNACK with flags {flags:08b}")
    code, at = integer(data, at, end, 1, "reason of a CONNACK")
    if not v5 or (code == 1 and at == end):  # a broker that speaks only 3.1.1 says so in its own way
        if at != end:
            raise StreamError(MALFORMED, "a CONNACK that is too long")
        return
    _check_code(code, _GREETING.codes, "CONNACK")
    if _check_properties(data, at, end, _GREETING) != end:
        raise StreamError(MALFORMED, "a CONNACK whose properties do not fill it")
