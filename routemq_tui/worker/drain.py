"""The gentle end of a worker: take nothing more, finish and acknowledge what is in hand, leave.

BROKERS' habits decide the steps: after UNSUBSCRIBE the member's own queue still arrives, and a session that
is ended with messages in its queue loses them in silence. So the queue is emptied first, and that it is empty
is known by sentinels: messages to a private topic of this client that come back behind everything else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from routemq_tui.worker.connection import Connection
from routemq_tui.worker.deliveries import Deliveries
from routemq_tui.worker.dispatch import Dispatcher
from routemq_tui.worker.intake import Intake
from routemq_tui.worker.paho_client import end_session_311
from routemq_tui.worker.spec import Drained, Draining, WorkerReport, WorkerSpec

SENTINELS = 2
"""Sentinels that must come back: MQTT promises no order across topics, so one is not proof enough."""
IDLE_SECONDS = 0.075
"""Nothing may come for so long before the queue counts as empty."""
SENTINEL_PATIENCE = 1.0
"""Seconds of silence after which a sentinel is given up: a broker may not let us publish there."""
_POLL_SECONDS = 0.005

_log = logging.getLogger("routemq.worker")


class Drain:
    """One drain. `deadline` (`time.monotonic()`, or None) may be moved while it runs."""

    def __init__(
        self,
        spec: WorkerSpec,
        connection: Connection,
        intake: Intake,
        deliveries: Deliveries,
        dispatcher: Dispatcher,
        report: Callable[[WorkerReport], None],
        *,
        keep_session: bool,
        deadline: float | None,
    ) -> None:
        self.deadline = deadline
        self._spec = spec
        self._connection = connection
        self._intake = intake
        self._deliveries = deliveries
        self._dispatcher = dispatcher
        self._report = report
        self._keep_session = keep_session
        self._on = 0
        """Number of the connection that the queue is emptied on."""
        self._lost_by_sentinels = 0

    async def run(self) -> None:
        """Drain and disconnect; returns when the connection is closed or the time is up."""
        hands = self._deliveries
        before = self._dispatcher.finished
        self._report(Draining(in_hand=hands.in_hand))
        self._dispatcher.set_paused(False)
        emptied = await (self._finish_in_hand() if self._keep_session else self._keep_emptying())
        hands.release()
        left = hands.in_hand
        # A session that may still hold messages is left to whoever comes under this id next.
        end_session = not self._keep_session and (emptied or self._spec.broker.one_queue_per_group)
        await self._leave(end_session)
        self._report(Drained(finished=self._dispatcher.finished - before, left=left))

    # -- the session stays -------------------------------------------------------------------------------

    async def _finish_in_hand(self) -> bool:
        """Read nothing more; what is unread comes again when the slot is back under its id."""
        hands = self._deliveries
        self._connection.stay_away()
        if self._spec.qos == 2 and not self._spec.fast_path:
            # PUBREC is out for messages whose PUBREL is on its way: read on, but acknowledge nothing until
            # the end, so that the broker's window closes and the stream ends by itself.
            hands.hold = True
            return await self._until(lambda: not hands.unfinished and self._quiet_for() > IDLE_SECONDS)
        self._intake.close()
        return await self._until(lambda: not hands.unfinished)

    # -- the session ends --------------------------------------------------------------------------------

    async def _keep_emptying(self) -> bool:
        while True:
            try:
                return await self._empty_queue()
            except ConnectionError as error:
                left = self._time_left()
                _log.warning("the drain was interrupted: %s", error)
                if left is not None and left <= 0:
                    return False

    async def _empty_queue(self) -> bool:
        hands = self._deliveries
        if not await self._until(lambda: self._connection.subscribed):
            return False
        self._on = self._connection.number
        if not await self._within(self._connection.subscriptions.unsubscribe(self._spec.subscription)):
            return False
        if self._spec.qos and not self._spec.broker.one_queue_per_group and not await self._see_sentinels():
            return False
        return await self._until(
            lambda: not hands.in_hand and self._quiet_for() > IDLE_SECONDS, connected=True
        )

    async def _see_sentinels(self) -> bool:
        """True when the queue is known to be empty, or, without sentinels, seems to be."""
        topic = self._intake.sentinel_topic
        if self._lost_by_sentinels > 1:  # a broker may close on who publishes where it must not
            return await self._silence()
        try:
            if not await self._within(self._connection.subscriptions.subscribe(topic, self._spec.qos)):
                return False
            for number in range(SENTINELS):
                if not await self._see_sentinel(topic, str(number).encode()):
                    return await self._silence()
        except ConnectionError as error:
            if self._connection_lost:
                self._lost_by_sentinels += 1
                raise
            _log.warning("no sentinel at %s (%s): waiting for silence instead", topic, error)
            return await self._silence()
        return True

    async def _see_sentinel(self, topic: str, payload: bytes) -> bool:
        arrived = False

        def sentinel(found: bytes) -> None:
            nonlocal arrived
            arrived = arrived or found == payload

        self._intake.sentinel = sentinel
        self._connection.client.publish(topic, payload, self._spec.qos)
        hands = self._deliveries
        await self._until(
            lambda: arrived or (not hands.in_hand and self._quiet_for() > SENTINEL_PATIENCE), connected=True
        )
        return arrived

    async def _silence(self) -> bool:
        hands = self._deliveries
        return await self._until(
            lambda: not hands.in_hand and self._quiet_for() > SENTINEL_PATIENCE, connected=True
        )

    # -- waiting -----------------------------------------------------------------------------------------

    def _quiet_for(self) -> float:
        socket = self._connection.socket
        return time.monotonic() - socket.last_received if socket is not None else float("inf")

    def _time_left(self) -> float | None:
        return None if self.deadline is None else self.deadline - time.monotonic()

    async def _until(self, condition: Callable[[], bool], connected: bool = False) -> bool:
        """Wait for the condition; False when the time is up, or when nothing in hand can be finished.

        `connected`: ConnectionError when the connection goes. The next one subscribes again, so that all has
        to be begun anew.
        """
        while True:
            if connected and self._connection_lost:
                raise ConnectionError("the connection was lost")
            if condition():
                return True
            left = self._time_left()
            if (left is not None and left <= 0) or self._dispatcher.stuck:
                return False
            await asyncio.sleep(_POLL_SECONDS)

    @property
    def _connection_lost(self) -> bool:
        return self._connection.socket is None or self._connection.number != self._on

    async def _within(self, future: asyncio.Future[None]) -> bool:
        await self._until(future.done)
        if not future.done():
            return False
        future.result()
        return True

    async def _leave(self, end_session: bool) -> None:
        if self._intake.sentinel is not None and not end_session:
            self._connection.subscriptions.unsubscribe(self._intake.sentinel_topic)
        await self._connection.disconnect(end_session)
        if end_session and self._spec.broker.protocol != "5":
            try:
                await end_session_311(self._spec, timeout=2.0)
            except (OSError, TimeoutError) as error:
                _log.warning("the session %s could not be ended: %s", self._spec.client_id, error)
