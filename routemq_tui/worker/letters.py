"""Dead letters as a worker writes them: of a delivery and its failure, into the store or onto a topic."""

from __future__ import annotations

import asyncio
import base64
import logging
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode

from routemq_tui.worker.dead_letters import (
    PATIENCE,
    DeadLetter,
    DeadLetterStore,
    StoreUnavailableError,
    export_json_line,
)
from routemq_tui.worker.delivery import Delivery
from routemq_tui.worker.failure import Failure
from routemq_tui.worker.spec import WorkerSpec

ANSWER_SECONDS = 5.0
"""So long a PUBACK may take before the letter counts as not published, for now."""
NO_MATCHING_SUBSCRIBERS = 0x10
"""Reason code of a PUBACK (MQTT 5 section 3.4.2.1)."""
WARN_EVERY = 60.0
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


class StoreOutlet:
    """Into the project's store. Holds up the loop while it writes: some milliseconds."""

    outcome = "stored"

    def __init__(self, folder: Path) -> None:
        self._store = DeadLetterStore(folder)

    async def put(self, letter: DeadLetter) -> int | None:
        try:
            number = self._store.add(letter)
        except StoreUnavailableError:
            self._store.close()  # the next try begins anew
            self._store.patience = _LESS_PATIENCE
            raise
        self._store.patience = PATIENCE
        return number


class TopicOutlet:
    """Onto a topic at QoS 1, as the JSON that `dead-letters export` writes. Safe once the PUBACK came."""

    outcome = "published"

    def __init__(
        self, topic: str, client: Client, reading_on: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._topic = topic
        self._client = client
        self._reading_on = reading_on
        self._under_way: tuple[DeadLetter, asyncio.Future[Any]] | None = None
        self._packet_id: int | None = None
        self._warn_from = 0.0
        client.on_publish = self._on_publish

    async def put(self, letter: DeadLetter) -> int | None:
        with self._reading_on():
            if self._under_way is None or self._under_way[0] is not letter:
                self._publish(letter)
            assert self._under_way is not None
            answer = self._under_way[1]
            await asyncio.wait({answer}, timeout=ANSWER_SECONDS)
        if not answer.done():
            # The client goes on sending it, also on the next connection: it is not published a second time.
            raise self._unavailable(f"no PUBACK within {ANSWER_SECONDS:g} s")
        self._under_way = self._packet_id = None
        reason = answer.result()
        if reason.is_failure:
            raise self._unavailable(f"the broker refused it: {reason}")
        if reason.value == NO_MATCHING_SUBSCRIBERS:
            self._warn_of_nobody()
        return None

    def _warn_of_nobody(self) -> None:
        """It was published in order, and some brokers keep such messages in ways of their own: no failure."""
        now = time.monotonic()
        if now >= self._warn_from:
            self._warn_from = now + WARN_EVERY
            _log.warning("nobody is subscribed to %s: dead letters published there are lost", self._topic)

    def _publish(self, letter: DeadLetter) -> None:
        info = self._client.publish(self._topic, export_json_line(letter).encode(), qos=1)
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            raise self._unavailable("10,000 messages wait for the broker already")
        self._under_way = letter, asyncio.get_running_loop().create_future()
        self._packet_id = info.mid

    def _on_publish(self, _client: Any, _data: Any, packet_id: int, reason: Any, _properties: Any) -> None:
        if self._under_way is not None and packet_id == self._packet_id and not self._under_way[1].done():
            self._under_way[1].set_result(reason)

    def _unavailable(self, why: str) -> StoreUnavailableError:
        return StoreUnavailableError(f"dead letters: topic {self._topic}: {why}")
