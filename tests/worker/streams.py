"""Broker streams for tests: packets as bytes, and hypothesis strategies that make them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

SUBACK_3, SUBACK_5 = b"\x90\x03\x00\x07\x01", b"\x90\x04\x00\x07\x00\x01"
UNSUBACK_3, UNSUBACK_5 = b"\xb0\x02\x00\x08", b"\xb0\x04\x00\x08\x00\x00"
PINGRESP = b"\xd0\x00"
PUBACK = b"\x40\x02\x01\x02"
PAHO_NAMES = {
    "PayloadFormatIndicator": "payload_format_indicator",
    "MessageExpiryInterval": "message_expiry_interval",
    "ContentType": "content_type",
    "ResponseTopic": "response_topic",
    "CorrelationData": "correlation_data",
    "SubscriptionIdentifier": "subscription_identifier",
    "UserProperty": "user_property",
}
"""What paho calls a PUBLISH's properties, and what we do."""


def varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value % 128 + 128)
        value //= 128
    return bytes((*encoded, value))


def field(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return len(raw).to_bytes(2, "big") + raw


def packet(first: int, body: bytes) -> bytes:
    return bytes((first,)) + varint(len(body)) + body


def publish(
    topic: str | bytes,
    payload: bytes = b"",
    qos: int = 0,
    packet_id: int = 0,
    *,
    retain: bool = False,
    dup: bool = False,
    block: bytes | None = None,
) -> bytes:
    """`block` is the property block without its length; None for 3.1.1."""
    properties = b"" if block is None else varint(len(block)) + block
    number = packet_id.to_bytes(2, "big") if qos else b""
    return packet(0x30 | qos << 1 | retain | dup << 3, field(topic) + number + properties + payload)


def pubrel(packet_id: int, rest: bytes = b"") -> bytes:
    return packet(0x62, packet_id.to_bytes(2, "big") + rest)


def cut(stream: bytes, sizes: list[int]) -> Iterator[bytes]:
    """The stream in pieces of these sizes, over and over."""
    at = turn = 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        yield stream[at : at + size]
        at, turn = at + size, turn + 1


_KNOWN = b"\x26" + field("a") + field("b")
_LONG = b"\x01\x00" + b"\x26" + field("k" * 150) + field("v" * 43)


def long_winded(first: int, body: bytes) -> bytes:
    """With a length of three bytes, as 3.1.1 allows it for a short packet."""
    return bytes((first, len(body) | 128, 128, 0)) + body


# Streams on which something remembered of the packets before could be taken for what it is not.
SNARES: dict[str, tuple[bool, bytes]] = {
    "a known block that reaches into the next packet": (
        True,
        publish("t", block=_KNOWN)
        + publish("t", b"\0\0\0", block=b"")
        + packet(0x30, field("t") + b"\x07" + _KNOWN[:3])
        + _KNOWN[3:],
    ),
    "a known block of more than 127 bytes, moved by one": (
        True,
        publish("t", b"xx", block=_LONG)
        + publish("t", b"x" * (len(_LONG) + 3), block=b"")
        + publish("t", b"xx", block=_LONG[1:] + b"x"),
    ),
    "topics of different length in packets of one length of three bytes": (
        False,
        publish("a", b"x" * 20_000) + publish("abc", b"y" * 19_998) + publish("a", b"z" * 20_000),
    ),
    "the same in short packets": (
        False,
        long_winded(0x30, field("a") + b"xxxx") + long_winded(0x30, field("abc") + b"xx"),
    ),
    "a packet id of a known shape that is 0": (
        False,
        publish("a", b"xx", 1, 7) + publish("b", b"yy", 1, 0),
    ),
    "no topic in a known shape": (True, publish("", block=b"\x23\x00\x01") + publish("", b"xx", block=b"")),
}


SIZES = st.lists(st.one_of(st.integers(1, 4), st.integers(1, 600)), min_size=1, max_size=5)
# U+FEFF is left out because paho refuses it, which section 1.5.4 forbids.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"), max_size=12)
TOPIC = st.one_of(
    st.sampled_from(["a", "a/b", "sensors/1/temperature", "$SYS/x", "é/ü", "long/" + "x" * 300]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0+#"), min_size=1, max_size=12),
)
PAYLOAD = st.one_of(st.binary(max_size=20), st.integers(100, 20_000).map(lambda size: b"p" * size))
PACKET_ID = st.one_of(st.integers(1, 4), st.integers(1, 65535))

_SINGLE: dict[int, st.SearchStrategy[bytes]] = {
    0x01: st.sampled_from([b"\0", b"\1"]),
    0x02: st.binary(min_size=4, max_size=4),
    0x03: TEXT.map(field),
    0x08: TOPIC.filter(lambda topic: "\ufeff" not in topic).map(field),
    0x09: st.binary(max_size=12).map(field),
}


@st.composite
def blocks(draw: Any) -> bytes:
    """A PUBLISH's property block without a topic alias, in any order."""
    parts = [bytes((code,)) + draw(_SINGLE[code]) for code in draw(st.sets(st.sampled_from(sorted(_SINGLE))))]
    for _ in range(draw(st.integers(0, 2))):
        parts.append(b"\x0b" + varint(draw(st.integers(1, 268_435_455))))
    for _ in range(draw(st.integers(0, 3))):
        parts.append(b"\x26" + field(draw(TEXT)) + field(draw(TEXT)))
    return b"".join(draw(st.permutations(parts)))


BLOCK = st.one_of(st.just(b""), st.just(b"\x26" + field("a") + field("b")), blocks())


@st.composite
def publishes(draw: Any, v5: bool, aliases: int = 0, prefix: str = "") -> bytes:
    qos = draw(st.integers(0, 2))
    topic, block = prefix + draw(TOPIC), draw(BLOCK) if v5 else None
    if v5 and aliases and draw(st.booleans()):
        block += b"\x23" + draw(st.integers(1, aliases)).to_bytes(2, "big")
        topic = draw(st.one_of(st.just(""), st.just(topic)))
    return publish(
        topic,
        draw(PAYLOAD),
        qos,
        draw(PACKET_ID),
        retain=draw(st.booleans()),
        dup=bool(qos) and draw(st.booleans()),
        block=block,
    )


def releases(v5: bool) -> st.SearchStrategy[bytes]:
    rests = [b"", b"\x00", b"\x92", b"\x00\x00", b"\x92\x04\x1f\x00\x01x", b"\x00\x07\x26\x00\x01k\x00\x01v"]
    return st.builds(pubrel, PACKET_ID, st.sampled_from(rests if v5 else [b""]))


def reply(first: int, packet_id: int, rest: bytes = b"") -> bytes:
    return packet(first, packet_id.to_bytes(2, "big") + rest)


@st.composite
def reasons(draw: Any) -> bytes:
    """The properties any reply may have, with their length."""
    parts = [b"\x1f" + field(draw(TEXT))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(0, 2))):
        parts.append(b"\x26" + field(draw(TEXT)) + field(draw(TEXT)))
    joined = b"".join(draw(st.permutations(parts)))
    return varint(len(joined)) + joined


PUBACK_CODES = b"\x00\x10\x80\x83\x87\x90\x91\x97\x99"
SUBACK_CODES = b"\x00\x01\x02\x80\x83\x87\x8f\x91\x97\x9e\xa1\xa2"
UNSUBACK_CODES = b"\x00\x11\x80\x83\x87\x8f\x91"


def _some(codes: bytes, least: int = 1, most: int = 3) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(list(codes)), min_size=least, max_size=most).map(bytes)


@st.composite
def others(draw: Any, v5: bool) -> bytes:
    """What goes to the client underneath, and does not end the connection."""
    first = draw(st.sampled_from([0x40, 0x50, 0x70, 0x90, 0xB0, 0xD0]))
    rest = b""
    if first == 0xD0:
        return PINGRESP
    if first == 0x90:
        rest = (draw(reasons()) if v5 else b"") + draw(_some(SUBACK_CODES if v5 else b"\x00\x01\x02\x80"))
    elif first == 0xB0:
        rest = draw(reasons()) + draw(_some(UNSUBACK_CODES)) if v5 else b""
    elif v5 and draw(st.booleans()):
        rest = draw(_some(b"\x00\x92" if first == 0x70 else PUBACK_CODES, 1, 1))
        rest += draw(reasons()) if draw(st.booleans()) else b""
    return reply(first, draw(PACKET_ID), rest)


def packets(v5: bool, aliases: int = 0, prefix: str = "") -> st.SearchStrategy[list[bytes]]:
    """What a broker may send after CONNACK; every topic begins with the prefix."""
    return st.lists(st.one_of(publishes(v5, aliases, prefix), releases(v5), others(v5)), max_size=12)
