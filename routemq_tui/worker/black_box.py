"""What a worker had in hand, read from its slot's shared memory: while it lives, and after it was killed.

The hot path writes no name and no fingerprint a message. It copies the packets it takes as they came, one
copy a read, and what is asked is computed from that record here. Messages that go the plain way are in the
ring of fingerprints, and the one being handled is named in its cells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from routemq_tui.worker import cells


def in_hand_fingerprints(words: memoryview) -> tuple[int, ...]:
    """Of the messages received and neither acknowledged nor given up, in order of receipt."""
    received, acknowledged = words[cells.RECEIVED], words[cells.ACKNOWLEDGED]
    return fingerprints(words, range(acknowledged, received))


def fingerprints(words: memoryview, numbers: range) -> tuple[int, ...]:
    """Of the messages with these numbers of receipt; those that nothing is known of any more are left out."""
    first, count = words[cells.RECORD_FROM], words[cells.RECORD_COUNT]
    recorded = range(max(first, numbers.start), min(first + count, numbers.stop)) if count else range(0)
    oldest = words[cells.RECEIVED] - cells.IN_HAND_RING
    known: dict[int, int] = {}
    if recorded:
        topics_and_payloads = zip(range(first, recorded.stop), _packets(words), strict=False)
        known = {
            each: cells.fingerprint(*parts) for each, parts in topics_and_payloads if each >= recorded.start
        }
    ring = cells.IN_HAND
    found = (
        known.get(each, 0) if each in recorded else words[ring + each % cells.IN_HAND_RING]
        for each in numbers
        if each in recorded or each >= oldest
    )
    return tuple(each for each in found if each)


def read_current(words: memoryview) -> tuple[str, int] | None:
    """Topic and `time.monotonic_ns()` of the start of the handler call under way, or None when idle."""
    since = words[cells.CURRENT_SINCE_NS]
    if not since:
        return None
    length = words[cells.CURRENT_LENGTH]
    if length:
        start = cells.CURRENT_TOPIC * 8
        length = min(length, cells.CURRENT_TOPIC_BYTES)
        raw = bytes(words.cast("B")[start : start + length])
    else:
        found = _current(words)
        if found is None:
            return None
        raw = found[0]
    return raw.decode("utf-8", "replace"), since


def current_fingerprint(words: memoryview) -> int:
    """Of the message whose handler was begun last; 0 when it is not known."""
    if words[cells.CURRENT_FINGERPRINT]:
        return int(words[cells.CURRENT_FINGERPRINT])
    found = _current(words)
    return 0 if found is None else cells.fingerprint(*found)


def current_payload(words: memoryview) -> bytes | None:
    """Of the message whose handler call is under way; None when it went the plain way, or there is none."""
    if words[cells.CURRENT_LENGTH] or not words[cells.CURRENT_SINCE_NS]:
        return None
    found = _current(words)
    return None if found is None else found[1]


def _current(words: memoryview) -> tuple[bytes, bytes] | None:
    """The message that the hot path is at."""
    index = words[cells.DONE_TO] - words[cells.RECORD_FROM]
    if not 0 <= index < words[cells.RECORD_COUNT]:
        return None
    return next((each for number, each in enumerate(_packets(words)) if number == index), None)


def packed(packets: Sequence[tuple[int, Any, bytes, int, Any]], v5: bool) -> bytes:
    """Bytes to record for packets that did not come in one piece: all that is asked of them later."""
    parts: list[bytes] = []
    for first, topic, payload, packet_id, _ in packets:
        raw = topic.raw
        middle = packet_id.to_bytes(2, "big") if first & 6 else b""
        middle += b"\0" if v5 else b""
        length = 2 + len(raw) + len(middle) + len(payload)
        parts += (bytes((first,)), _as_varint(length), len(raw).to_bytes(2, "big"), raw, middle, payload)
    return b"".join(parts)


def _packets(words: memoryview) -> Iterator[tuple[bytes, bytes]]:
    """Topic and payload of each packet in the record. It may be written at this moment: no fault is raised,
    what comes then is nonsense that nobody asks for a second later."""
    start = cells.RECORD * 8
    size = min(words[cells.RECORD_BYTES], cells.RECORD_MOST)
    data = bytes(words.cast("B")[start : start + size])
    v5 = bool(words[cells.RECORD_V5])
    at = 0
    while at < size:
        length, body = _varint(data, at + 1)
        end = body + length
        name = body + 2
        payload = cut = name + int.from_bytes(data[body:name], "big")
        if data[at] & 6:
            payload += 2
        if v5:
            block, payload = _varint(data, payload)
            payload += block
        yield data[name:cut], data[payload:end]
        at = end


def _as_varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    for byte in data[at : at + 4]:
        value |= (byte & 127) << shift
        at += 1
        shift += 7
        if byte < 128:
            break
    return value, at
