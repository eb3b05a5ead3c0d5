"""Dead letters as a worker writes them: of a delivery and its failure, into the store or onto a topic."""

from __future__ import annotations

import asyncio
import base64
import logging
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion

from routemq_tui.worker.connection import Connection
from routemq_tui.worker.dead_letters import (
    PATIENCE,
    DeadLetter,
    DeadLetterStore,
    StoreUnavailableError,
    export_json_line,
)
from routemq_tui.worker.delivery import Delivery
from routemq_tui.worker.failure import Failure
from routemq_tui.worker.packet_size import publish_size
from routemq_tui.worker.paho_client import take_back
from routemq_tui.worker.spec import WorkerSpec

ANSWER_SECONDS = 5.0
"""So long a PUBACK may take before the letter counts as not published, for now."""
NO_MATCHING_SUBSCRIBERS = 0x10
"""Reason code of a PUBACK (MQTT 5 section 3.4.2.1)."""
WARN_EVERY = 60.0
_LOSSES = 2
"""Connections that may be lost with a letter under way before it is taken back."""
_WARY_SECONDS = 300.0
"""So long nothing larger than what the broker has taken is published, once a letter was taken back."""
_TOO_LARGE = "a dead letter of %d bytes is larger than the broker takes (%d): it is in the store instead"
_LOST_WITH = (
    "the connection was lost twice with a dead letter of %d bytes under way: it is in the store instead, "
    "and for %d minutes so is what has more than %d bytes"
)
_LONGEST_TRACEBACK = 64 * 1024
_LESS_PATIENCE = 0.1
"""Seconds to wait for a lock once the store was found locked: the loop must not stand still for long."""


_log = logging.getLogger("routemq.worker")


def letter_of(spec: WorkerSpec, delivery: Delivery, failure: Failure) -> DeadLetter:
    return DeadLetter(
        route=spec.route,
        worker=spec.name,
        topic=storable(delivery.topic.text),
        payload=delivery.payload,
        qos=delivery.qos,
        error=storable(failure.error),
        cause=failure.cause,
        traceback=storable(traceback_text(failure.exception, _LONGEST_TRACEBACK)),
        attempts=failure.attempts,
        retain=bool(delivery.retain),
        properties={name: json_value(value) for name, value in delivery.properties.items()},
        time=time.time(),
    )


def traceback_text(error: BaseException | None, most: int) -> str:
    """At most so many characters of it."""
    if error is None:
        return ""
    try:
        text = "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001 - an exception that cannot be shown must not cost the letter
        text = f"the traceback cannot be shown: {traceback.format_exc(limit=1)}"
    # The end says most.
    return text if len(text) <= most else f"…\n{text[-most:]}"


def storable(text: str) -> str:
    """Text that can be UTF-8: a handler's words may hold lone surrogates."""
    return text.encode("utf-8", "backslashreplace").decode()


def json_value(value: Any) -> Any:
    """Correlation data is bytes: base64. Tuples and lists of user properties are lists."""
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {str(key): json_value(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(each) for each in value]
    return value


class Kept(NamedTuple):
    """What became of a letter that is safe now."""

    outcome: str
    """`stored` or `published`."""
    number: int | None = None
    """Its id in the store."""


class StoreOutlet:
    """Into the project's store. Holds up the loop while it writes: some milliseconds."""

    def __init__(self, folder: Path) -> None:
        self._store = DeadLetterStore(folder)

    async def put(self, letter: DeadLetter) -> Kept:
        try:
            number = self._store.add(letter)
        except StoreUnavailableError:
            self._store.close()  # the next try begins anew
            self._store.patience = _LESS_PATIENCE
            raise
        self._store.patience = PATIENCE
        return Kept("stored", number)


@dataclass(slots=True)
class _UnderWay:
    letter: DeadLetter
    packet_id: int
    size: int
    answer: asyncio.Future[Any]
    """The reason code of the PUBACK; None when the letter is for the store."""
    losses: int = 0
    """Connections that ended before the PUBACK."""


class TopicOutlet:
    """Onto a topic at QoS 1, as the JSON that `dead-letters export` writes. Safe once the PUBACK came.

    What the broker does not take goes into the store: a letter larger than its Maximum Packet Size (MQTT 5
    section 3.2.2.3.6), and one with which the connection was lost twice. That would never end.
    """

    def __init__(
        self,
        topic: str,
        connection: Connection,
        store: StoreOutlet,
        reading_on: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._topic = topic
        self._connection = connection
        self._client = connection.client
        self._v5 = self._client.protocol == MQTTProtocolVersion.MQTTv5
        self._store = store
        self._reading_on = reading_on
        self._under_way: _UnderWay | None = None
        self._largest_taken = 0
        """Bytes of the largest packet that the broker has acknowledged, as far as that is still so."""
        self._wary_until = 0.0
        self._warn_from: dict[str, float] = {}
        self._client.on_publish = self._on_publish
        connection.when_lost = self._on_lost

    async def put(self, letter: DeadLetter) -> Kept:
        with self._reading_on():
            under_way = self._under_way
            if under_way is None or under_way.letter is not letter:
                self._under_way = under_way = self._publish(letter)
            await asyncio.wait({under_way.answer}, timeout=ANSWER_SECONDS)
        if not under_way.answer.done():
            # The client goes on sending it, also on the next connection: it is not published a second time.
            raise self._unavailable(f"no PUBACK within {ANSWER_SECONDS:g} s")
        self._under_way = None
        reason = under_way.answer.result()
        if reason is None:
            return await self._put_in_store(under_way)
        self._largest_taken = max(self._largest_taken, under_way.size)
        if reason.is_failure:
            raise self._unavailable(f"the broker refused it: {reason}")
        if reason.value == NO_MATCHING_SUBSCRIBERS:
            # It was published in order, and some brokers keep such messages in ways of their own: no failure.
            self._warn(f"nobody is subscribed to {self._topic}: dead letters published there are lost")
        return Kept("published")

    async def _put_in_store(self, refused: _UnderWay) -> Kept:
        kept = await self._store.put(refused.letter)
        told = self._connection.maximum_packet
        if refused.losses:
            self._warn(_LOST_WITH, refused.size, _WARY_SECONDS / 60, self._largest_taken)
        elif refused.size > told:
            self._warn(_TOO_LARGE, refused.size, told)
        return kept

    def _publish(self, letter: DeadLetter) -> _UnderWay:
        """One that is too large for the broker, without its traceback too, is not sent."""
        most = self._connection.maximum_packet
        if time.monotonic() < self._wary_until:
            most = min(most, self._largest_taken)
        data, size = self._packet(letter)
        if size > most:
            data, size = self._packet(replace(letter, traceback="(left out: too large for the broker)"))
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if size > most:
            answer.set_result(None)
            return _UnderWay(letter, 0, size, answer)
        info = self._client.publish(self._topic, data, qos=1)
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            raise self._unavailable("10,000 messages wait for the broker already")
        return _UnderWay(letter, info.mid, size, answer)

    def _packet(self, letter: DeadLetter) -> tuple[bytes, int]:
        data = export_json_line(letter).encode()
        return data, publish_size(self._topic, data, 1, None, self._v5)

    def _on_publish(self, _client: Any, _data: Any, packet_id: int, reason: Any, _properties: Any) -> None:
        under_way = self._under_way
        if under_way is not None and packet_id == under_way.packet_id and not under_way.answer.done():
            under_way.answer.set_result(reason)

    def _on_lost(self) -> None:
        """A broker that cannot tell what it takes (3.1.1) hangs up."""
        under_way = self._under_way
        if under_way is None or under_way.answer.done():
            return
        under_way.losses += 1
        if under_way.losses < _LOSSES:
            return
        asyncio.get_running_loop().call_soon(take_back, self._client, under_way.packet_id)
        under_way.answer.set_result(None)
        self._largest_taken = min(self._largest_taken, under_way.size - 1)
        self._wary_until = time.monotonic() + _WARY_SECONDS

    def _warn(self, text: str, *values: object) -> None:
        """Each thing once a minute at most."""
        now = time.monotonic()
        if now >= self._warn_from.get(text, 0.0):
            self._warn_from[text] = now + WARN_EVERY
            _log.warning(text, *values)

    def _unavailable(self, why: str) -> StoreUnavailableError:
        return StoreUnavailableError(f"dead letters: topic {self._topic}: {why}")
