"""PUBLISH and PUBREL packets, taken out of the bytes a broker sends; any other packet is passed on whole.

Hot path, so `_take` is ugly: it reads bytes by index in one loop and does nothing that a cache can do. The
first packet of a shape, and what is out of the ordinary, goes to the plain methods below it, which alone
judge what is wrong.
CPU us for one message of 103 bytes, known topic, 64 KiB chunks, Python 3.11 (bench/hot_path.py --stream):
QoS 0 0.42 (3.1.1) and 0.46 (5), QoS 1 0.52 and 0.56; a topic never seen before adds 0.3 to 0.4.
Knows bytes only: no socket, no client, no handler. The plain reference is tests/worker/reference_stream.py,
which bench/fuzz.py holds it against as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

from routemq_tui.worker.replies import check_body, check_type
from routemq_tui.worker.wire import (
    MALFORMED,
    NO_PROPERTIES,
    PACKET_TOO_LARGE,
    PROTOCOL_ERROR,
    REASON_PROPERTIES,
    TOPIC_ALIAS_INVALID,
    TOPIC_NAME_INVALID,
    StreamError,
    field,
    integer,
    parse_properties,
    read_block,
    text_of,
    varint,
)

LARGEST_PACKET: Final = 5 + 268_435_455
PUBREL: Final = 0x62
_KNOWN_TOPICS: Final = 8192
_CACHED_TOPIC_BYTES: Final = 256
_KNOWN_BLOCKS: Final = 1024
_KNOWN_SHAPES: Final = 8192
"""The caches are bounded in bytes too: property blocks of 128 bytes or more are not kept."""

T = TypeVar("T")
Packet = tuple[int, T | None, bytes, int, Mapping[str, Any]]
"""First byte, topic as `resolve` made it, payload, packet id, properties.

The first byte tells the kind. 0x30 to 0x3d is a PUBLISH: QoS `first >> 1 & 3`, retain `first & 1`, DUP
`first & 8`; at QoS 0 the packet id is 0. PUBREL: only the packet id counts. Any other is a packet for the
client underneath: the payload is the whole packet, header included.
"""


_ORDINARY: Final = frozenset((0x30, 0x31, 0x32, 0x33, 0x34, 0x35))
"""First bytes of a PUBLISH of QoS 0, 1 and 2, without DUP."""


class PublishStream(Generic[T]):
    """One connection's incoming bytes.

    `resolve` turns a topic's text into what the caller wants for it, not None; results are cached, bounded.
    What is not `ordinary` is asked for each time, and its packets count among the `others`.
    `alias_maximum` is what our CONNECT announced (0 without). `maximum_packet` counts the header too.
    """

    def __init__(
        self,
        v5: bool,
        resolve: Callable[[str], T],
        *,
        ordinary: Callable[[T], bool] = lambda topic: True,
        alias_maximum: int = 0,
        maximum_packet: int = LARGEST_PACKET,
    ) -> None:
        self._v5 = v5
        self._resolve = resolve
        self._ordinary = ordinary
        self._alias_maximum = alias_maximum
        self._maximum = maximum_packet
        self._topics: dict[bytes, T] = {}
        self._blocks: dict[bytes, Mapping[str, Any]] = {}
        """Property blocks found to be good; none of them has a topic alias."""
        self._shapes: dict[bytes, tuple[int, int, int, int, int]] = {}
        """Of ordinary packets by their first five bytes, in which both lengths are: first byte, whole length,
        and where the topic begins, the topic ends, and what follows the packet id begins."""
        self._aliases: dict[int, T] = {}
        self._held = bytearray()
        self._wanted = 0
        self._fault: StreamError | None = None
        self.others = 0
        """Packets given so far that were no PUBLISH, one with DUP, or of a topic that is not ordinary."""
        self.chunk = b""
        self.taken = 0
        """What was taken apart last: so many bytes of this."""

    @property
    def held(self) -> int:
        """Bytes of the packet that has come in part."""
        return len(self._held)

    def reset(self) -> None:
        """A new connection: the partial packet, the aliases and a fault are forgotten."""
        self._held = bytearray()
        self._aliases.clear()
        self._fault = None

    def feed(self, chunk: bytes) -> list[Packet[T]]:
        """The packets that are whole now, in their order; raises StreamError, and from then on always."""
        if self._fault is not None:
            raise StreamError(self._fault.reason, self._fault.text)
        held = self._held
        if held:
            held += chunk
            if len(held) < self._wanted:
                return []
            chunk = bytes(held)
            self._held = held = bytearray()  # a big packet is not to be there twice
        packets: list[Packet[T]] = []
        try:
            self.chunk = chunk
            self.taken = at = self._take(chunk, packets)
            if at < len(chunk):
                self._hold(chunk, at)
        except StreamError as fault:
            self._fault = fault
            raise StreamError(fault.reason, fault.text, packets) from None
        return packets

    def _take(self, data: bytes, packets: list[Packet[T]]) -> int:
        """Append the whole packets; where the first that is not whole begins."""
        append = packets.append
        shapes, topics, blocks = self._shapes, self._topics, self._blocks
        no_properties, v5 = NO_PROPERTIES, self._v5
        size = len(data)
        at = 0
        while at < size:
            shape = shapes.get(data[at : at + 5])
            if shape is None:
                end = self._plain(data, at, packets)
                if not end:
                    break
                at = end
                continue
            first, length, name, cut, start = shape
            end = at + length
            if end > size:
                break
            name += at
            cut += at
            start += at
            number = 0
            if first & 6:
                number = (data[cut] << 8) + data[cut + 1]
                if not number:
                    self._publish(data, first, name - 2, end)
            properties: Mapping[str, Any] | None = no_properties
            if v5:
                block = data[start]
                start += 1
                if block:
                    properties = blocks.get(data[start : start + block])  # has none of 128 bytes
                    start += block
            if start > end or properties is None:
                append(self._publish(data, first, name - 2, end))
            else:
                key = data[name:cut]
                topic = topics.get(key)
                if topic is None:
                    topic = self._topic(key)
                append((first, topic, data[start:end], number, properties))
            at = end
        return at

    # -- the plain part: every packet that is not in the caches, and every fault ---------------------------

    def _plain(self, data: bytes, at: int, packets: list[Packet[T]]) -> int:
        """Append the packet here, and return where it ends; 0 while it is not whole."""
        length, body = self._length(data, at)
        end = body + length
        if not body or end > len(data) or end - at > self._maximum:
            return 0
        first = data[at]
        if first not in _ORDINARY:
            packets.append(self._other(data, at, body, end))
            return end
        packets.append(self._publish(data, first, body, end))
        if body - at < 4:  # the length of the topic is among the five bytes
            if len(self._shapes) >= _KNOWN_SHAPES:
                self._shapes.clear()
            name = body + 2
            cut = name + int.from_bytes(data[body:name], "big")
            start = cut + 2 if first & 6 else cut
            self._shapes[data[at : at + 5]] = first, end - at, name - at, cut - at, start - at
        return end

    def _length(self, data: bytes, at: int) -> tuple[int, int]:
        """Remaining length and where the body begins, which is 0 while the length is not whole."""
        value = shift = 0
        position = at + 1
        for byte in data[position : at + 5]:
            value |= (byte & 127) << shift
            position += 1
            if byte < 128:
                if self._v5 and shift and not byte:
                    raise StreamError(MALFORMED, "the remaining length is longer than it needs to be")
                return value, position
            shift += 7
        if shift == 28:
            raise StreamError(MALFORMED, "the remaining length has more than four bytes")
        return 0, 0

    def _hold(self, data: bytes, at: int) -> None:
        """Keep the packet that is not whole until it is; judge it by its header before it grows."""
        length, body = self._length(data, at)
        if body:
            _check_first(data[at], self._v5)
            if body - at + length > self._maximum:
                raise StreamError(PACKET_TOO_LARGE, f"a packet of {body - at + length} bytes")
        self._held = bytearray(data[at:])
        self._wanted = body - at + length if body else len(self._held) + 1

    def _publish(self, data: bytes, first: int, body: int, end: int) -> Packet[T]:
        """A PUBLISH with nothing taken for granted (MQTT 5 section 3.3)."""
        raw, at = field(data, body, end, "topic")
        number = 0
        if first & 6:
            number, at = integer(data, at, end, 2, "packet id")
            if not number:
                raise StreamError(PROTOCOL_ERROR, "a PUBLISH with packet id 0")
        properties, alias = NO_PROPERTIES, None
        if self._v5:
            length, at = varint(data, at, end)
            if at + length > end:
                raise StreamError(MALFORMED, "the properties are longer than the packet")
            properties, alias = self._properties(data[at : at + length])
            at += length
        topic = self._topic(raw) if alias is None else self._aliased(raw, alias)
        return first, topic, data[at:end], number, properties

    def _properties(self, block: bytes) -> tuple[Mapping[str, Any], int | None]:
        known = self._blocks.get(block) if block else NO_PROPERTIES
        if known is not None:
            return known, None
        properties, alias = parse_properties(block)
        if alias is None and len(block) < 128:
            if len(self._blocks) >= _KNOWN_BLOCKS:
                self._blocks.clear()
            self._blocks[block] = properties
        return properties, alias

    def _topic(self, raw: bytes) -> T:
        known = self._topics.get(raw)
        if known is not None:
            return known
        if not raw:
            raise StreamError(PROTOCOL_ERROR, "a PUBLISH without a topic")
        text = text_of(raw, "topic")
        if "+" in text or "#" in text:
            raise StreamError(TOPIC_NAME_INVALID, f"a PUBLISH to {text[:80]!r}, which has a wildcard")
        topic = self._resolve(text)
        if not self._ordinary(topic):
            self.others += 1
            return topic
        if len(raw) <= _CACHED_TOPIC_BYTES:
            if len(self._topics) >= _KNOWN_TOPICS:
                self._topics.clear()
            self._topics[raw] = topic
        return topic

    def _aliased(self, raw: bytes, alias: int) -> T:
        """Section 3.3.2.3.4."""
        if not 0 < alias <= self._alias_maximum:
            raise StreamError(
                TOPIC_ALIAS_INVALID, f"topic alias {alias}, and {self._alias_maximum} were allowed"
            )
        if raw:
            self._aliases[alias] = self._topic(raw)
        elif alias not in self._aliases:
            raise StreamError(PROTOCOL_ERROR, f"topic alias {alias} stands for no topic yet")
        return self._aliases[alias]

    def _other(self, data: bytes, at: int, body: int, end: int) -> Packet[T]:
        first = data[at]
        _check_first(first, self._v5)
        self.others += 1
        if first >> 4 == 3:
            return self._publish(data, first, body, end)
        if first != PUBREL:
            check_body(data, first, body, end, self._v5)
            return first, None, data[at:end], 0, NO_PROPERTIES
        number, after = integer(data, body, end, 2, "packet id")
        if not number:
            raise StreamError(PROTOCOL_ERROR, "a PUBREL with packet id 0")
        if after < end:
            self._check_release(data, after, end)
        return first, None, b"", number, NO_PROPERTIES

    def _check_release(self, data: bytes, at: int, end: int) -> None:
        """What may follow a PUBREL's packet id: section 3.6.2."""
        if not self._v5:
            raise StreamError(MALFORMED, "a PUBREL that is too long")
        if data[at] not in (0x00, 0x92):
            raise StreamError(PROTOCOL_ERROR, f"a PUBREL with reason 0x{data[at]:02x}")
        at += 1
        if at < end:
            length, at = varint(data, at, end)
            if at + length != end:
                raise StreamError(MALFORMED, "a PUBREL whose properties do not fill it")
            read_block(data[at:end], REASON_PROPERTIES)


def _check_first(first: int, v5: bool) -> None:
    """Packet type and flags."""
    kind = first >> 4
    if not kind:
        raise StreamError(MALFORMED, "packet type 0")
    if kind == 3:
        if first & 6 == 6 or first & 14 == 8:
            text = "QoS 3" if first & 6 == 6 else "DUP with QoS 0"
            raise StreamError(MALFORMED, f"a PUBLISH with {text}")
    elif kind != 6:
        check_type(first, v5)
    elif first != PUBREL:
        raise StreamError(MALFORMED, f"a PUBREL with flags {first & 15:04b}")
