"""What the engine is told of single messages: each that fails, and, while the tap is on, some that do not.

Bounded a second, so that telling costs little at any rate: beyond the bound messages are only counted, and
each one told says how many were left out since the one before. Nothing here ever waits: a message that there
is no room for in the control pipe is not told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from routemq_tui.worker import cells
from routemq_tui.worker.delivery import Delivery
from routemq_tui.worker.error_place import Places
from routemq_tui.worker.failure import Failure
from routemq_tui.worker.hot_path import Packet
from routemq_tui.worker.letters import json_value, storable, traceback_text
from routemq_tui.worker.spec import PAYLOAD_MOST, MessageTold, WorkerReport

OK_A_SECOND = 20
FAILED_A_SECOND = 10
SAMPLE_MOST = 4 * 1024
BYTES_A_SECOND = 256 * 1024
"""Of payloads that are told beyond SAMPLE_MOST each."""
_TRACEBACK_MOST = 16 * 1024
_ERROR_MOST = 1000
_TOPIC_MOST = 4 * 1024
_PROPERTIES_MOST = 4 * 1024
_KNOWN_MOST = 1000


class Allowance:
    """So much a second, and no more than a second's at once."""

    def __init__(self, a_second: float) -> None:
        self._a_second = self._left = a_second
        self._at = time.monotonic()

    def left(self) -> float:
        now = time.monotonic()
        self._left = min(self._left + (now - self._at) * self._a_second, self._a_second)
        self._at = now
        return self._left

    def take(self, amount: float, reserve: float = 0.0) -> bool:
        """Whether there is so much, and `reserve` stays."""
        if self.left() < amount + reserve:
            return False
        self._left -= amount
        return True


class Tap:
    """`offer` tells a report if there is room for it now."""

    def __init__(
        self, words: memoryview, places: Places, offer: Callable[[WorkerReport], bool], on: bool = False
    ) -> None:
        self.on = on
        self._words = words
        self._places = places
        self._offer = offer
        self._ok = Allowance(OK_A_SECOND)
        self._failed = Allowance(FAILED_A_SECOND)
        self._bytes = Allowance(BYTES_A_SECOND)
        self._known: set[str] = set()
        """Fingerprints of the places of which a message was told."""
        self._finished_told = self._finished

    def turn(self, on: bool) -> None:
        self.on = on
        self._finished_told = self._finished

    @property
    def _finished(self) -> int:
        return int(self._words[cells.OK] + self._words[cells.FAILED])

    # -- what went well ----------------------------------------------------------------------------------

    @property
    def wants_one(self) -> bool:
        """Whether the next message that goes well is to be told. Ask only while it is on."""
        return self._ok.left() >= 1

    def ok_packet(self, packet: Packet, took_ns: int) -> None:
        """One that the hot path handled."""
        first, topic, payload, _, properties = packet
        self._ok.take(1)
        self._tell(
            MessageTold(
                time=time.time(),
                topic=_short(topic.text),
                outcome="ok",
                duration=took_ns / 1e9,
                payload=_cut(payload, SAMPLE_MOST),
                size=len(payload),
                qos=first >> 1 & 3,
                retain=bool(first & 1),
                properties=_plain(properties),
                fingerprint=cells.fingerprint(topic.raw, payload),
            )
        )

    def ok(self, delivery: Delivery) -> None:
        """One that went the plain way, if it is to be told."""
        if self._ok.take(1):
            self._tell(_told(delivery, "ok", delivery.attempts, SAMPLE_MOST))

    # -- what did not ------------------------------------------------------------------------------------

    def failed(self, delivery: Delivery, failure: Failure, outcome: str, letter: int | None = None) -> None:
        """One that failed, for now or for good. The first of its place is told in any case."""
        place = self._places.of(failure, delivery.topic.text)
        new = place.fingerprint not in self._known
        reserve = FAILED_A_SECOND / 2 if outcome == "retried" else 0.0
        if not self._failed.take(1, reserve) and not new:
            return
        if failure.cause in ("poison", "timeout") and outcome != "retried":
            outcome = failure.cause
        size = min(len(delivery.payload), PAYLOAD_MOST)
        most = PAYLOAD_MOST if size <= SAMPLE_MOST or self._bytes.take(size) else SAMPLE_MOST
        told = _told(
            delivery,
            outcome,
            failure.attempts,
            most,
            error=storable(failure.error[:_ERROR_MOST]),
            traceback=storable(traceback_text(failure.exception, _TRACEBACK_MOST)),
            group=place.fingerprint,
            letter=letter,
        )
        if self._tell(told) and new:
            if len(self._known) >= _KNOWN_MOST:
                self._known.clear()
            self._known.add(place.fingerprint)

    def _tell(self, told: MessageTold) -> bool:
        finished = self._finished
        told.passed = finished - self._finished_told
        if not self._offer(told):
            return False
        self._finished_told = finished
        return True


def _told(delivery: Delivery, outcome: str, attempts: int, most: int, **more: Any) -> MessageTold:
    return MessageTold(
        time=time.time(),
        topic=_short(storable(delivery.topic.text)),
        outcome=outcome,
        duration=delivery.took_ns / 1e9,
        payload=_cut(delivery.payload, most),
        size=len(delivery.payload),
        qos=delivery.qos,
        retain=bool(delivery.retain),
        duplicate=bool(delivery.duplicate),
        properties=_plain(delivery.properties),
        attempts=attempts,
        fingerprint=delivery.fingerprint or cells.fingerprint(delivery.topic.raw, delivery.payload),
        **more,
    )


def _short(topic: str) -> str:
    return topic if len(topic) <= _TOPIC_MOST else f"{topic[:_TOPIC_MOST]}…"


def _cut(payload: bytes, most: int) -> bytes:
    return bytes(payload if len(payload) <= most else payload[:most])


def _plain(properties: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON values; what would be too much is left out."""
    found: dict[str, Any] = {}
    room = _PROPERTIES_MOST
    for name, value in properties.items():
        plain = json_value(value)
        room -= len(str(plain))
        if room >= 0:
            found[name] = plain
    return found
