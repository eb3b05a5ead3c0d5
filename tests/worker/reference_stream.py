"""What `PublishStream` has to do, said as plainly as can be: slow, byte by byte, on the whole stream at once.

Written from the standard; shares no code with the real one. Faults of a header (packet type, flags, length,
size) are found as soon as the header is whole, all others when the packet is, in the order of its bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# Reason codes a broker may give (MQTT 5 section 2.4), and the properties of a CONNACK (section 3.2.2.3).
CONNACK = {0, *range(0x80, 0x8B), 0x8C, 0x90, 0x95, 0x97, *range(0x99, 0x9E), 0x9F}
PUBACK = {0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99}
PUBCOMP = {0, 0x92}
SUBACK = {0, 1, 2, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2}
SUBACK_3 = {0, 1, 2, 0x80}
UNSUBACK = {0, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91}
DISCONNECT = {0, *range(0x80, 0x84), 0x87, 0x89, *range(0x8B, 0x91), *range(0x93, 0xA3)}
CONNACK_PROPERTIES = {
    **dict.fromkeys((17, 39), "four"),
    **dict.fromkeys((18, 21, 26, 28), "text"),
    **dict.fromkeys((19, 33, 34), "two"),
    **dict.fromkeys((36, 37, 40, 41, 42), "flag"),
    22: "binary",
}


class FaultError(Exception):
    def __init__(self, reason: int) -> None:
        super().__init__(hex(reason))
        self.reason = reason


class CutShortError(Exception):
    """The stream ends here, in the middle of a packet."""


@dataclass
class Publish:
    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    packet_id: int
    properties: dict[str, Any] = field(default_factory=dict)


@dataclass
class Release:
    packet_id: int


@dataclass
class Other:
    packet: bytes


class Bytes:
    """A cursor; reading beyond the end raises what it was told to."""

    def __init__(self, data: bytes, beyond: Exception) -> None:
        self.data = data
        self.at = 0
        self.beyond = beyond

    def byte(self) -> int:
        if self.at >= len(self.data):
            raise self.beyond
        self.at += 1
        return self.data[self.at - 1]

    def number(self, size: int) -> int:
        value = 0
        for _ in range(size):
            value = value * 256 + self.byte()
        return value

    def take(self, size: int) -> bytes:
        return bytes(self.byte() for _ in range(size))

    def text(self) -> str:
        raw = self.take(self.number(2))
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise FaultError(0x81) from None
        if "\0" in text:
            raise FaultError(0x81)
        return text

    def variable(self, strict: bool) -> int:
        value, factor = 0, 1
        for count in range(4):
            byte = self.byte()
            value += (byte % 128) * factor
            factor *= 128
            if byte < 128:
                if strict and count and byte == 0:
                    raise FaultError(0x81)
                return value
        raise FaultError(0x81)

    @property
    def left(self) -> bool:
        return self.at < len(self.data)


class Reference:
    def __init__(self, v5: bool, alias_maximum: int = 0, maximum_packet: int = 5 + 268_435_455) -> None:
        self.v5 = v5
        self.alias_maximum = alias_maximum
        self.maximum_packet = maximum_packet
        self.aliases: dict[int, str] = {}

    def read(self, stream: bytes) -> tuple[list[Publish | Release | Other], int | None]:
        """The packets of a connection's whole stream, and the reason code it ends with, None for none."""
        packets: list[Publish | Release | Other] = []
        cursor = Bytes(stream, CutShortError())
        try:
            while cursor.left:
                packets.append(self._packet(cursor))
        except CutShortError:
            return packets, None
        except FaultError as fault:
            return packets, fault.reason
        return packets, None

    def _packet(self, cursor: Bytes) -> Publish | Release | Other:
        start = cursor.at
        first = cursor.byte()
        length = cursor.variable(self.v5)
        kind, flags = first // 16, first % 16
        if kind == 0:
            raise FaultError(0x81)
        if kind == 3 and flags in (6, 7, 14, 15, 8, 9):
            raise FaultError(0x81)
        if kind == 6 and flags != 2:
            raise FaultError(0x81)
        if kind in (1, 8, 10, 12, 15) or (kind == 14 and not self.v5):
            raise FaultError(0x82)
        if kind not in (3, 6) and flags:
            raise FaultError(0x81)
        if cursor.at - start + length > self.maximum_packet:
            raise FaultError(0x95)
        body = Bytes(cursor.take(length), FaultError(0x81))
        if kind == 3:
            return self._publish(flags, body)
        if kind == 6:
            return self._release(body)
        self._other(kind, body)
        if body.left:
            raise FaultError(0x81)
        return Other(cursor.data[start : cursor.at])

    def _publish(self, flags: int, body: Bytes) -> Publish:
        raw = body.take(body.number(2))
        qos = flags // 2 % 4
        packet_id = 0
        if qos:
            packet_id = body.number(2)
            if packet_id == 0:
                raise FaultError(0x82)
        properties: dict[str, Any] = {}
        if self.v5:
            block = Bytes(body.take(body.variable(True)), FaultError(0x81))
            properties = self._properties(block, release=False)
            if any(sign in properties.get("response_topic", "") for sign in "+#"):
                raise FaultError(0x82)
        topic = self._topic(raw, properties.pop("topic_alias", None))
        payload = body.take(len(body.data) - body.at)
        return Publish(topic, payload, qos, flags % 2 == 1, flags >= 8, packet_id, properties)

    def _topic(self, raw: bytes, alias: int | None) -> str:
        if alias is not None and (alias == 0 or alias > self.alias_maximum):
            raise FaultError(0x94)
        if not raw:
            if alias is None or alias not in self.aliases:
                raise FaultError(0x82)
            return self.aliases[alias]
        text = Bytes(len(raw).to_bytes(2, "big") + raw, FaultError(0x81)).text()
        if "+" in text or "#" in text:
            raise FaultError(0x90)
        if alias is not None:
            self.aliases[alias] = text
        return text

    def _release(self, body: Bytes) -> Release:
        packet_id = body.number(2)
        if packet_id == 0:
            raise FaultError(0x82)
        if not self.v5 and body.left:
            raise FaultError(0x81)
        if body.left and body.byte() not in (0x00, 0x92):
            raise FaultError(0x82)
        if body.left:
            block = Bytes(body.take(body.variable(True)), FaultError(0x81))
            if body.left:
                raise FaultError(0x81)
            self._properties(block, release=True)
        return Release(packet_id)

    def _other(self, kind: int, body: Bytes) -> None:
        """Read the body of a packet that the stream passes on."""
        if kind == 2:
            self._connack(body)
        elif kind in (4, 5, 7):
            self._id(body)
            if self.v5 and body.left:
                self._code(body, {4: PUBACK, 5: PUBACK, 7: PUBCOMP}[kind])
                if body.left:
                    self._reply_properties(body, {})
        elif kind in (9, 11):
            self._id(body)
            if self.v5:
                self._reply_properties(body, {})
            elif kind == 11:
                return
            self._code(body, (SUBACK if self.v5 else SUBACK_3) if kind == 9 else UNSUBACK)
            while body.left:
                self._code(body, (SUBACK if self.v5 else SUBACK_3) if kind == 9 else UNSUBACK)
        elif kind == 14 and body.left:
            self._code(body, DISCONNECT)
            if body.left:
                self._reply_properties(body, {28: "text"})

    def _connack(self, body: Bytes) -> None:
        if body.byte() > 1:
            raise FaultError(0x81)
        if not self.v5:
            body.byte()
        elif body.byte() != 1 or body.left:
            body.at -= 1
            self._code(body, CONNACK)
            self._reply_properties(body, CONNACK_PROPERTIES)

    def _id(self, body: Bytes) -> None:
        if body.number(2) == 0:
            raise FaultError(0x82)

    def _code(self, body: Bytes, allowed: set[int]) -> None:
        if body.byte() not in allowed:
            raise FaultError(0x82)

    def _reply_properties(self, body: Bytes, more: dict[int, str]) -> None:
        block = Bytes(body.take(body.variable(True)), FaultError(0x81))
        allowed = {31: "text", 38: "pair", **more}
        seen: dict[int, Any] = {}
        while block.left:
            code = block.byte()
            if code not in allowed:
                raise FaultError(0x81)
            value = self._reply_value(block, allowed[code])
            if code != 38 and code in seen:
                raise FaultError(0x82)
            seen[code] = value
        if seen.get(33) == 0 or seen.get(39) == 0:
            raise FaultError(0x82)

    def _reply_value(self, block: Bytes, kind: str) -> Any:
        match kind:
            case "text":
                return block.text()
            case "pair":
                return block.text(), block.text()
            case "binary":
                return block.take(block.number(2))
            case "two":
                return block.number(2)
            case "four":
                return block.number(4)
        flag = block.byte()
        if flag > 1:
            raise FaultError(0x82)
        return flag

    def _properties(self, block: Bytes, release: bool) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while block.left:
            code = block.byte()
            name, value = self._release_property(code, block) if release else self._property(code, block)
            if name in ("user_property", "subscription_identifier"):
                found[name] = (*found.get(name, ()), value)
            elif name in found:
                raise FaultError(0x82)
            else:
                found[name] = value
        return found

    def _release_property(self, code: int, block: Bytes) -> tuple[str, Any]:
        if code == 31:
            return "reason_string", block.text()
        if code == 38:
            return "user_property", (block.text(), block.text())
        raise FaultError(0x81)

    def _property(self, code: int, block: Bytes) -> tuple[str, Any]:
        value: Any
        match code:
            case 1:
                value = block.byte()
                if value > 1:
                    raise FaultError(0x82)
                return "payload_format_indicator", value
            case 2:
                return "message_expiry_interval", block.number(4)
            case 3:
                return "content_type", block.text()
            case 8:
                return "response_topic", block.text()
            case 9:
                return "correlation_data", block.take(block.number(2))
            case 11:
                value = block.variable(True)
                if value == 0:
                    raise FaultError(0x82)
                return "subscription_identifier", value
            case 35:
                return "topic_alias", block.number(2)
            case 38:
                return "user_property", (block.text(), block.text())
        raise FaultError(0x81)
