"""A hot path on memory of its own, with what it needs around it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from routemq_tui.routing.binding import bind
from routemq_tui.routing.template import Template
from routemq_tui.worker import cells
from routemq_tui.worker.deliveries import Deliveries
from routemq_tui.worker.delivery import Topic
from routemq_tui.worker.hot_path import HotPath, Packet
from routemq_tui.worker.receipts import Receipts
from routemq_tui.worker.wire import NO_PROPERTIES

TEMPLATE = Template.parse("t/{n:int}")
FOREVER = time.monotonic_ns() + 3600 * 10**9


class Out:
    """Where acknowledgements go."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, int]] = []

    def acknowledge(self, packet_id: int, qos: int) -> None:
        self.sent.append((packet_id, qos))

    def acknowledge_all(self, qos1: Sequence[int], qos2: Sequence[int]) -> None:
        self.sent += [(each, 1) for each in qos1] + [(each, 2) for each in qos2]


class Rig:
    def __init__(self, handler: Callable[..., Any], v5: bool = True) -> None:
        self.words = memoryview(bytearray(cells.WORDS * 8)).cast("Q")
        self.out = Out()
        self.hands = Deliveries(self.out, Receipts(self.words))
        bound = bind(handler, TEMPLATE)
        self.hot = self.hands.hot = HotPath(self.words, bound, v5, "t/1", None)
        self.hands.connected(1, session_present=False)

    @property
    def counters(self) -> cells.Counters:
        return cells.read_counters(self.words)


def packet(n: int, qos: int = 1, payload: bytes = b"{}", flags: int = 0, topic: str = "") -> Packet:
    text = topic or f"t/{n}"
    known = Topic(text, text.encode(), TEMPLATE.match(text))
    return 0x30 | qos << 1 | flags, known, payload, n if qos else 0, NO_PROPERTIES
