"""The primitive types on the wire: integers, strings, variable-length integers (MQTT 5 section 1.5)."""

from __future__ import annotations

from routemq_tui.broker.reasons import malformed


class Reader:
    """Reads primitives off a packet's body; whatever is cut short or invalid is a malformed packet."""

    __slots__ = ("at", "body", "end")

    def __init__(self, body: bytes, at: int = 0) -> None:
        self.body = body
        self.at = at
        self.end = len(body)

    def take(self, count: int) -> bytes:
        start = self.at
        if start + count > self.end:
            raise malformed("the packet ends in the middle of a field")
        self.at = start + count
        return self.body[start : self.at]

    def byte(self) -> int:
        return self.take(1)[0]

    def two(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def four(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                if shift and not byte:
                    raise malformed("a variable-length integer is longer than it needs to be")
                return value
            shift += 7
            if shift > 21:
                raise malformed("a variable-length integer has more than four bytes")

    def binary(self) -> bytes:
        return self.take(self.two())

    def text(self) -> str:
        return decode_text(self.take(self.two()))

    @property
    def more(self) -> bool:
        return self.at < self.end

    def finish(self) -> None:
        if self.at != self.end:
            raise malformed(f"{self.end - self.at} bytes left over at the end of the packet")


def decode_text(raw: bytes) -> str:
    """UTF-8 as section 1.5.4 wants it: no surrogates, no U+0000."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise malformed("a string is not valid UTF-8") from None
    if "\0" in text:
        raise malformed("a string has U+0000 in it")
    return text


def varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def binary(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


def text(value: str) -> bytes:
    return binary(value.encode("utf-8"))
