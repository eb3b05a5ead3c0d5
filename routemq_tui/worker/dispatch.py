"""Messages to the handler: one after the other, or several async ones at once, tried again, acknowledged.

Runs on the worker's loop. Nothing a handler raises gets out of here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from routemq_tui.routing.binding import Bound
from routemq_tui.routing.message import Message, Publisher
from routemq_tui.routing.payload import PayloadError
from routemq_tui.units import format_seconds
from routemq_tui.worker import cells
from routemq_tui.worker.cancellation import Cancellation
from routemq_tui.worker.deliveries import Deliveries
from routemq_tui.worker.delivery import Delivery
from routemq_tui.worker.engine_notes import Suspects, Watched
from routemq_tui.worker.failure import Failure, failed, unfit
from routemq_tui.worker.forks import leave_if_child
from routemq_tui.worker.giving_up import FailurePolicy
from routemq_tui.worker.handler_time import within
from routemq_tui.worker.hot_path import LONG_NS, Ran
from routemq_tui.worker.spec import Fate, HandlerFailed, WorkerReport, WorkerSpec
from routemq_tui.worker.stepping import Stepped
from routemq_tui.worker.tap import Tap

TURN_SECONDS = 0.05
"""Handlers run for at most so long before the loop looks at the control pipe and the socket again."""
REPORT_SECONDS = 0.5

_log = logging.getLogger("routemq.handler")


class Dispatcher:
    """Nothing is begun while `settled` says no. `look` is called before an acknowledgement after a while in
    which the loop did not run; `turn_ended` when handlers ran for a while, or have nothing more to do."""

    def __init__(
        self,
        spec: WorkerSpec,
        bound: Bound,
        words: memoryview,
        deliveries: Deliveries,
        watched: Watched,
        policy: FailurePolicy,
        tap: Tap,
        client: Publisher,
        report: Callable[[WorkerReport], None],
        settled: Callable[[], bool],
        look: Callable[[], None],
        turn_ended: Callable[[], None],
    ) -> None:
        self.halted = False
        """Set by `on_error = "stop"`: nothing is begun any more."""
        self.finished = 0
        """Messages whose handling ended."""
        self.cancellation = Cancellation()
        self._spec = spec
        self._bound = bound
        self._words = words
        self._deliveries = deliveries
        self._watched = watched
        self._policy = policy
        self._tap = tap
        self._client = client
        self._report = report
        self._settled = settled
        self._look = look
        self._turn_ended = turn_ended
        self._suspects = Suspects(words)
        self._reported_at = 0.0
        self._several = spec.concurrency > 1 and bound.is_async
        self._at_once = not bound.is_async
        self._reading = False
        self._came = False
        self._idle = False
        """`consume` waits for something to do."""
        self._opened: tuple[Delivery, Ran] | None = None
        self._others_ran = False
        self._wake = asyncio.Event()
        self._not_paused = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._broken: BaseException | None = None
        self._in_handlers: dict[Delivery, int] = {}
        """Begun and not ended, each with `time.monotonic_ns()` of the attempt under way, or 0."""
        self.set_paused(spec.paused)

    def wake(self) -> None:
        """There is something to do."""
        if self._reading:
            self._came = True
        else:
            self._wake.set()

    def read_begins(self) -> None:
        """A reader callback begins: what comes in it is handled at its end, if that can be done at once.

        Messages often come one or a few at a time, and then a wake-up is what they cost: so there is no turn
        of the loop in between. Async handlers need their task, and wait for it.
        """
        self._reading = self._at_once and self._idle
        self._came = False

    def read_ended(self) -> None:
        self._reading = False
        if self._came:
            self._handle_at_once()

    def _handle_at_once(self) -> None:
        try:
            batch = self._deliveries.batch
            if batch.packets and self._ready() and self._ordinary():
                turn_ends = time.monotonic() + TURN_SECONDS
                self._opened = self._run_batch(turn_ends)
                while self._opened is None and batch.packets and self._ready():
                    if time.monotonic() > turn_ends:
                        break
                    self._opened = self._run_batch(turn_ends)
                self._turn_ended()
        except BaseException as error:  # noqa: BLE001 - ours, not the handler's: `consume` ends with it
            leave_if_child(None)
            self._broken = error
        if self._opened is not None or self._broken is not None or self._ready():
            self._wake.set()

    def set_paused(self, paused: bool) -> None:
        if paused:
            self._not_paused.clear()
        else:
            self._not_paused.set()
        self._wake.set()

    @property
    def busy(self) -> bool:
        """A message was begun and has not ended."""
        return bool(self._in_handlers)

    @property
    def stuck(self) -> bool:
        """Nothing can be finished now: stopped by policy, or all there is is held for its dead letter."""
        if self.halted:
            return not self._in_handlers
        return self._policy.holding and self._policy.storing == len(self._in_handlers)

    # -- turns -------------------------------------------------------------------------------------------

    async def consume(self) -> None:
        """The one long-lived task that runs handlers; `asyncio.timeout` and the like work in them."""
        while True:
            if self._broken is not None:
                raise self._broken
            if self._opened is not None:
                begun, self._opened = self._opened, None
                await self._finish(*begun)
            if not self._ready():
                self._wake.clear()
                self._idle = True
                await self.cancellation.undisturbed(self._wake.wait())
                self._idle = False
                continue
            self._watched.look()
            turn_ends = time.monotonic() + TURN_SECONDS
            while self._ready() and time.monotonic() < turn_ends:
                if self._deliveries.batch and self._ordinary():
                    opened = self._run_batch(turn_ends)
                    if opened is not None:
                        await self._finish(*opened)
                    continue
                delivery = self._deliveries.begin()
                if self._several:
                    self._start(delivery)
                else:
                    await self._handle(delivery)
            self._turn_ended()
            if self._ready():
                # Once to let the loop look at its descriptors, once to let it call what it found.
                await self.cancellation.undisturbed(asyncio.sleep(0))
                await self.cancellation.undisturbed(asyncio.sleep(0))

    def _ready(self) -> bool:
        if not self._deliveries.not_begun or self.halted or self._policy.holding:
            return False
        return self._not_paused.is_set() and self._settled() and len(self._tasks) < self._spec.concurrency

    def _ordinary(self) -> bool:
        """The hot path may run: nobody waits for a certain message, none is suspected of anything."""
        return not (self._watched.active or self._words[cells.SUSPECTS])

    def _run_batch(self, turn_ends: float) -> tuple[Delivery, Ran] | None:
        """Handle of the batch what is ordinary; gives the one that was not, begun, for `_finish`."""
        hands = self._deliveries
        assert hands.hot is not None  # a batch is only taken for it
        batch = hands.batch
        begun, first = time.monotonic_ns(), batch.at
        told = None
        if self._tap.on and self._tap.wants_one:
            told, turn_ends = (batch.packets[first], self._words[cells.BUSY_NS]), 0.0  # it alone
        ran = hands.hot.run(batch, int(turn_ends * 1e9))
        opened = ran.open
        done = range(first, batch.at - opened)
        if done:
            self.finished += len(done)
            self._others_ran = True
        long = opened and time.monotonic_ns() - begun > LONG_NS
        if long or self._words[cells.WATCHED]:
            kept = hands.keep_done(done)
        else:
            kept = []
            hands.conclude(ran, len(done))
        started, delivery = batch.started, hands.open() if opened else None
        if kept:
            if long:
                self._look()
            self._watched.ended_all(kept, "handled")
            hands.release()
        if delivery is not None:
            self._in_handlers[delivery] = started
            return delivery, ran
        if told is not None:
            packet, busy_before = told
            self._tap.ok_packet(packet, self._words[cells.BUSY_NS] - busy_before)
        if not batch:
            batch.clear()
        return None

    async def _finish(self, delivery: Delivery, ran: Ran) -> None:
        """Go on with a message where the hot path left it."""
        try:
            if self._others_ran:
                self._others_ran = False
                await self.cancellation.settle()  # theirs, not its own
            await self._conclude(delivery, await self._attempt(delivery, 1, ran))
        finally:
            del self._in_handlers[delivery]

    def _start(self, delivery: Delivery) -> None:
        task = asyncio.get_running_loop().create_task(self._handle(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            self._broken = self._broken or task.exception()
        elif not self.cancellation.leaving:
            self._broken = self._broken or RuntimeError("something cancelled the task of a message")
        self._wake.set()

    # -- one message -------------------------------------------------------------------------------------

    async def _handle(self, delivery: Delivery) -> None:
        """From the first attempt to the acknowledgement."""
        self._in_handlers[delivery] = 0
        try:
            failure = self._unfit(delivery)
            if failure is None:
                failure = await self._attempt(delivery, 1)
            await self._conclude(delivery, failure)
        finally:
            del self._in_handlers[delivery]

    async def _conclude(self, delivery: Delivery, failure: Failure | None) -> None:
        """What follows the first attempt."""
        if failure is not None:
            failure = await self._retry(delivery, failure)
        fate: Fate = "handled"
        if failure is not None:
            self._say(delivery, failure)
            fate = await self._policy.give_up(delivery, failure)
            self._look()
        self._watched.ended(delivery, fate, failure)
        if fate == "stopped":
            return
        self.finished += 1
        self._deliveries.finish(delivery)
        if self._tap.on and failure is None:
            self._tap.ok(delivery)

    def _unfit(self, delivery: Delivery) -> Failure | None:
        """Why a message is not even tried."""
        if delivery.topic.params is None:
            return Failure("payload", f"the topic does not match {self._spec.template}", 0)
        seen = self._suspects.deaths(delivery.fingerprint)
        deaths = seen & ~cells.TIMED_OUT
        if deaths < self._spec.max_deliveries:
            return None
        times = "once" if deaths == 1 else f"{deaths} times"
        if seen & cells.TIMED_OUT:
            text = f"not done within {format_seconds(self._spec.timeout)}: its worker was replaced {times}"
            return Failure("timeout", text, deaths, final=True)
        return Failure("poison", f"its worker process died {times} while handling it", deaths, final=True)

    async def _retry(self, delivery: Delivery, failure: Failure) -> Failure | None:
        """Try again in place, so that the order is kept; the failure that was the last one, if any."""
        for attempt in range(1, self._spec.retries + 1):
            if failure.hopeless:
                break
            delay = self._policy.delay(attempt)
            self._say(delivery, failure, retry_in=delay)
            self._tap.failed(delivery, failure, "retried")
            await self.cancellation.undisturbed(asyncio.sleep(delay))
            while not self._not_paused.is_set():
                await self.cancellation.undisturbed(self._not_paused.wait())
            self._words[cells.RETRIED] += 1
            again = await self._attempt(delivery, attempt + 1)
            if again is None:
                return None
            failure = again
        return failure

    async def _attempt(self, delivery: Delivery, attempt: int, ran: Ran | None = None) -> Failure | None:
        """One call of the handler, from where the hot path left it, if that began it."""
        if ran is None:
            self._in_handlers[delivery] = time.monotonic_ns()
        started = self._in_handlers[delivery]
        self._name(delivery)
        failure: Failure | None = None
        try:
            result = self._bound.call(self._message(delivery, attempt)) if ran is None else ran.result()
            if self._bound.is_async and result is not None:
                failure = await self._awaited(result, delivery, attempt)
        except PayloadError as error:
            failure = unfit(error, attempt)
        except BaseException as error:  # a handler may raise anything, SystemExit included
            leave_if_child(error)
            if self.cancellation.is_ours(error):
                raise
            failure = failed(error, attempt)
        await self.cancellation.settle()
        words = self._words
        took = time.monotonic_ns() - started
        words[cells.BUSY_NS] += took
        words[cells.HISTOGRAM + cells.bucket_of(took)] += 1
        delivery.attempts, delivery.took_ns = attempt, took
        if failure is None:
            words[cells.OK] += 1
        self._in_handlers[delivery] = 0
        self._unname()
        if took > LONG_NS:
            self._look()
        return failure

    async def _awaited(self, result: Awaitable[Any], delivery: Delivery, attempt: int) -> Failure | None:
        """Wait for an async handler, for its time at most; raises what it raises within its time."""
        if self._several:
            result = Stepped(result, lambda: self._name(delivery))
        return await within(self._spec.timeout, result, attempt)

    def _message(self, delivery: Delivery, attempt: int) -> Message:
        topic = delivery.topic
        return Message(
            topic=topic.text,
            params=topic.params or {},
            payload=delivery.payload,
            qos=delivery.qos,
            retain=delivery.retain,
            duplicate=delivery.duplicate,
            properties=delivery.properties,
            attempt=attempt,
            worker=self._spec.name,
            client=self._client,
        )

    # -- said of it --------------------------------------------------------------------------------------

    def _name(self, delivery: Delivery) -> None:
        """Whatever ends the process now is put down to this message."""
        self._words[cells.CURRENT_FINGERPRINT] = delivery.fingerprint
        cells.set_current(self._words, delivery.topic.raw, self._in_handlers[delivery])

    def _unname(self) -> None:
        running = next((each for each, since in self._in_handlers.items() if since), None)
        if running is None:
            cells.clear_current(self._words)
        else:
            self._name(running)

    def _say(self, delivery: Delivery, failure: Failure, retry_in: float | None = None) -> None:
        text = f"{delivery.topic.text}: {failure.error}"
        if self._spec.retries and not failure.hopeless:
            then = "given up" if retry_in is None else f"again in {format_seconds(retry_in)}"
            text += f" (attempt {failure.attempts} of {self._spec.retries + 1}; {then})"
        error = failure.exception
        level = logging.ERROR if retry_in is None else logging.WARNING
        _log.log(level, "%s", text, exc_info=error and (type(error), error, error.__traceback__))
        now = time.monotonic()
        if now - self._reported_at >= REPORT_SECONDS:
            self._reported_at = now
            self._report(HandlerFailed(topic=delivery.topic.text, error=failure.error))
