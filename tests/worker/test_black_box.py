"""What was in hand, and in the handler, computed from the record of packets as they came."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from routemq_tui.worker import black_box, cells
from routemq_tui.worker.delivery import Topic
from routemq_tui.worker.hot_path import Batch
from routemq_tui.worker.wire import NO_PROPERTIES
from tests.worker.hot_rig import FOREVER, Rig, packet


@given(
    st.lists(
        st.tuples(st.binary(max_size=40), st.integers(0, 2), st.binary(max_size=200), st.booleans()),
        min_size=1,
        max_size=8,
    ),
    st.booleans(),
    st.booleans(),
)
def test_its_fingerprints_are_those_of_the_plain_function(
    parts: list[tuple[bytes, int, bytes, bool]], v5: bool, whole: bool
) -> None:
    # given packets, with properties where there can be some, as they came or put together again
    rig = Rig(lambda n: None, v5)
    properties = b"\x07\x26\0\1k\0\1v"
    packets, chunk = [], b""
    for raw, qos, payload, has_properties in parts:
        packets.append(
            (0x30 | qos << 1, Topic("t/1", raw, {"n": 1}), payload, 7 if qos else 0, NO_PROPERTIES)
        )
        body = len(raw).to_bytes(2, "big") + raw + (b"\0\7" if qos else b"")
        body += (properties if has_properties else b"\0") if v5 else b""
        chunk += encoded(0x30 | qos << 1, body + payload)
    taken = len(chunk) if whole else 0
    # when they are taken
    assert rig.hot.take(Batch(), packets, chunk + b"\x32\x05" if whole else b"", taken, 1)
    # then each is known
    expected = tuple(cells.fingerprint(raw, payload) for raw, _, payload, _ in parts)
    assert black_box.in_hand_fingerprints(rig.words) == expected


def encoded(first: int, body: bytes) -> bytes:
    size = len(body)
    return bytes((first, size)) + body if size < 128 else bytes((first, size & 127 | 128, size >> 7)) + body


def test_packets_beyond_the_record_are_left_to_the_plain_way() -> None:
    rig = Rig(lambda n: None)
    big = [packet(n, payload=b"x" * 1000) for n in range(1, 61)]
    assert rig.hands.take(big)
    assert not rig.hands.take(big)
    rig.hands.spill()
    expected = tuple(cells.fingerprint(b"t/%d" % n, b"x" * 1000) for n in range(1, 61))
    assert black_box.in_hand_fingerprints(rig.words) == expected


def test_the_message_in_the_handler_is_known_at_every_moment() -> None:
    seen: list[tuple[str, int]] = []

    def handle(message: Any) -> None:
        current = black_box.read_current(rig.words)
        assert current is not None
        seen.append((current[0], black_box.current_fingerprint(rig.words)))

    rig = Rig(handle)
    expected = [(f"t/{n}", cells.fingerprint(b"t/%d" % n, b"{}")) for n in (1, 2, 3, 4, 5)]
    for part in ((1, 2), (3, 4, 5)):
        assert rig.hands.take([packet(n, n % 3) for n in part])
        while rig.hands.batch:
            rig.hot.run(rig.hands.batch, FOREVER)
    assert seen == expected
    assert black_box.read_current(rig.words) is None
