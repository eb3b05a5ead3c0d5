"""Packets a client sends, decoded and validated strictly for 3.1.1 and 5. PUBLISH has the fast form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from routemq_tui.broker import properties, reasons
from routemq_tui.broker.properties import CONNECT, DISCONNECT, SUBSCRIBE, UNSUBSCRIBE, WILL, number
from routemq_tui.broker.reasons import PacketError, malformed, protocol_error
from routemq_tui.broker.topics import weight
from routemq_tui.broker.wire import Reader, decode_text

V3: Final = 4
V5: Final = 5

NAMES: Final = (
    *("reserved", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP"),
    *("SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"),
)
FLAGS: Final = {properties.PUBREL: 2, SUBSCRIBE: 2, UNSUBSCRIBE: 2}
"""The fixed header's lower four bits; 0 for all others but PUBLISH."""


@dataclass(frozen=True, slots=True)
class Will:
    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: bytes = b""
    expiry: int | None = None
    delay: int = 0

    @property
    def weight(self) -> int:
        """About the bytes it costs in memory."""
        return weight(self.topic) + len(self.payload) + len(self.properties)


@dataclass(frozen=True, slots=True)
class Connect:
    version: int
    client_id: str
    clean_start: bool
    keepalive: int
    will: Will | None
    session_expiry: int
    """Seconds; `NEVER` for a session that does not expire."""
    receive_maximum: int | None
    maximum_packet: int | None
    authentication: str | None


NEVER: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Request:
    """One topic filter of a SUBSCRIBE."""

    filter: str
    qos: int
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0


@dataclass(frozen=True, slots=True)
class Subscribe:
    packet_id: int
    requests: tuple[Request, ...]
    identifier: int | None


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    packet_id: int
    filters: tuple[str, ...]


def protocol_of(body: bytes) -> tuple[str, int]:
    """Name and level at the start of a CONNECT, by which the form of every answer is decided."""
    reader = Reader(body)
    return reader.text(), reader.byte()


def decode_connect(body: bytes) -> Connect:
    """A CONNECT of MQTT 3.1.1 or 5; the caller has looked at the protocol already."""
    reader = Reader(body)
    reader.text()
    version = reader.byte()
    flags = reader.byte()
    if flags & 1:
        raise malformed("the reserved flag of CONNECT is set")
    keepalive = reader.two()
    found, _ = properties.read(reader, CONNECT) if version == V5 else ({}, b"")
    client_id = reader.text()
    will = _will(reader, flags, version)
    has_name, has_password = bool(flags & 0x80), bool(flags & 0x40)
    if has_password and not has_name and version == V3:
        raise malformed("CONNECT has a password without a user name")
    if has_name:
        reader.text()
    if has_password:
        reader.binary()
    reader.finish()
    method = found.get(properties.AUTHENTICATION_METHOD)
    if method is None and properties.AUTHENTICATION_DATA in found:
        raise protocol_error("CONNECT has authentication data without a method")
    clean = bool(flags & 2)
    expiry = number(found, properties.SESSION_EXPIRY, 0)
    return Connect(
        version=version,
        client_id=client_id,
        clean_start=clean,
        keepalive=keepalive,
        will=will,
        session_expiry=expiry if version == V5 else 0 if clean else NEVER,
        receive_maximum=number(found, properties.RECEIVE_MAXIMUM, 0) or None,
        maximum_packet=number(found, properties.MAXIMUM_PACKET_SIZE, 0) or None,
        authentication=method if isinstance(method, str) else None,
    )


def _will(reader: Reader, flags: int, version: int) -> Will | None:
    qos, retain = flags >> 3 & 3, bool(flags & 0x20)
    if qos == 3:
        raise malformed("the will has QoS 3")
    if not flags & 4:
        if qos or retain:
            raise malformed("CONNECT has will flags without a will")
        return None
    found, passing = properties.read(reader, WILL) if version == V5 else ({}, b"")
    properties.check_response_topic(found)
    topic = reader.text()
    expiry = found.get(properties.MESSAGE_EXPIRY)
    return Will(
        topic=topic,
        payload=reader.binary(),
        qos=qos,
        retain=retain,
        properties=passing,
        expiry=expiry if isinstance(expiry, int) else None,
        delay=number(found, properties.WILL_DELAY, 0),
    )


Publication = tuple[str, int, bytes, bytes, int | None, int | None]
"""Topic, packet id (0 at QoS 0), payload, properties that pass, expiry in seconds, topic alias."""


def decode_publish(flags: int, body: bytes, version: int) -> Publication:
    """A PUBLISH; whether the topic is a valid name is the caller's to see (it knows those it saw before)."""
    qos = flags & 6
    if qos == 6:
        raise malformed("PUBLISH with QoS 3")
    if flags & 8 and not qos:
        raise malformed("PUBLISH with DUP at QoS 0")
    size = len(body)
    if size < 2:
        raise malformed("the packet ends in the middle of a field")
    at = 2 + (body[0] << 8 | body[1])
    packet_id = 0
    raw = body[2:at]
    if qos:
        if at + 2 > size:
            raise malformed("the packet ends in the middle of a field")
        packet_id = body[at] << 8 | body[at + 1]
        if not packet_id:
            raise protocol_error("PUBLISH with packet identifier 0")
        at += 2
    elif at > size:
        raise malformed("the packet ends in the middle of a field")
    topic = raw.decode() if raw.isascii() and b"\0" not in raw else decode_text(raw)
    if version != V5:
        return topic, packet_id, body[at:], b"", None, None
    if at < size and not body[at]:
        return topic, packet_id, body[at + 1 :], b"", None, None
    reader = Reader(body, at)
    block = reader.take(reader.varint())
    passing, expiry, alias = properties.of_publish(block)
    return topic, packet_id, body[reader.at :], passing, expiry, alias


def decode_acknowledgement(kind: int, body: bytes, version: int) -> tuple[int, int]:
    """PUBACK, PUBREC, PUBREL or PUBCOMP as packet identifier and reason."""
    size = len(body)
    if size < 2:
        raise malformed("the packet ends in the middle of a field")
    packet_id = body[0] << 8 | body[1]
    if not packet_id:
        raise protocol_error(f"{NAMES[kind]} with packet identifier 0")
    if size == 2:
        return packet_id, reasons.SUCCESS
    if version != V5:
        raise malformed(f"{NAMES[kind]} is longer than two bytes")
    reason = body[2]
    allowed = (
        reasons.ACKNOWLEDGEMENT if kind in (properties.PUBACK, properties.PUBREC) else reasons.COMPLETION
    )
    if reason not in allowed:
        raise protocol_error(f"{NAMES[kind]} with reason 0x{reason:02x}")
    if size > 3:
        reader = Reader(body, 3)
        properties.read(reader, kind)
        reader.finish()
    return packet_id, reason


def decode_subscribe(body: bytes, version: int, most: int) -> Subscribe:
    """A SUBSCRIBE of at most so many filters."""
    reader = Reader(body)
    packet_id = _identifier(reader, SUBSCRIBE)
    found, _ = properties.read(reader, SUBSCRIBE) if version == V5 else ({}, b"")
    requests: list[Request] = []
    while reader.more:
        _check_count(len(requests), most, SUBSCRIBE)
        topic_filter = reader.text()
        options = reader.byte()
        qos, handling = options & 3, options >> 4 & 3
        if qos == 3:
            raise malformed("SUBSCRIBE with QoS 3")
        if options & (0xC0 if version == V5 else 0xFC):
            raise malformed("SUBSCRIBE with reserved option bits set")
        if handling == 3:
            raise protocol_error("SUBSCRIBE with Retain Handling 3")
        requests.append(Request(topic_filter, qos, bool(options & 4), bool(options & 8), handling))
    if not requests:
        raise protocol_error("SUBSCRIBE without a topic filter")
    return Subscribe(packet_id, tuple(requests), number(found, properties.SUBSCRIPTION_ID, 0) or None)


def decode_unsubscribe(body: bytes, version: int, most: int) -> Unsubscribe:
    """An UNSUBSCRIBE of at most so many filters."""
    reader = Reader(body)
    packet_id = _identifier(reader, UNSUBSCRIBE)
    if version == V5:
        properties.read(reader, UNSUBSCRIBE)
    filters: list[str] = []
    while reader.more:
        _check_count(len(filters), most, UNSUBSCRIBE)
        filters.append(reader.text())
    if not filters:
        raise protocol_error("UNSUBSCRIBE without a topic filter")
    return Unsubscribe(packet_id, tuple(filters))


def _check_count(known: int, most: int, kind: int) -> None:
    """A DISCONNECT rather than a code for each filter: an UNSUBACK has none for a quota (section 3.11.3)."""
    if known >= most:
        raise PacketError(reasons.QUOTA_EXCEEDED, f"{NAMES[kind]} with more than {most} topic filters")


def _identifier(reader: Reader, kind: int) -> int:
    packet_id = reader.two()
    if not packet_id:
        raise protocol_error(f"{NAMES[kind]} with packet identifier 0")
    return packet_id


def decode_disconnect(body: bytes, version: int) -> tuple[int, int | None]:
    """Reason and the new session expiry, if one is named."""
    if not body:
        return reasons.SUCCESS, None
    if version != V5:
        raise malformed("DISCONNECT has a body")
    reader = Reader(body)
    reason = reader.byte()
    if reason not in reasons.CLIENT_DISCONNECT:
        raise protocol_error(f"DISCONNECT with reason 0x{reason:02x}")
    found, _ = properties.read(reader, DISCONNECT) if reader.more else ({}, b"")
    reader.finish()
    expiry = found.get(properties.SESSION_EXPIRY)
    return reason, expiry if isinstance(expiry, int) else None


def check_header(first: int, length: int) -> None:
    """The fixed header of every packet but PUBLISH: flags as they must be, PINGREQ empty."""
    kind = first >> 4
    if first & 15 != FLAGS.get(kind, 0):
        raise malformed(f"{NAMES[kind]} with flags {first & 15:04b}")
    if kind == properties.PINGREQ and length:
        raise malformed("PINGREQ has a body")
