"""One worker from its first CONNECT to its end: the parts of it, wired together on one asyncio loop."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from routemq_tui.errors import ExitCode
from routemq_tui.routing.binding import Bound
from routemq_tui.routing.template import Template
from routemq_tui.worker.client import HandlerClient
from routemq_tui.worker.connection import Connection
from routemq_tui.worker.control import Control
from routemq_tui.worker.deliveries import Deliveries
from routemq_tui.worker.dispatch import Dispatcher
from routemq_tui.worker.drain import Drain
from routemq_tui.worker.engine_notes import Watched
from routemq_tui.worker.error_place import Places
from routemq_tui.worker.error_tally import ErrorTally
from routemq_tui.worker.forks import close_in_children, leave_if_child
from routemq_tui.worker.giving_up import FailurePolicy, Outlet
from routemq_tui.worker.guardian import Guardian
from routemq_tui.worker.hot_path import HotPath
from routemq_tui.worker.intake import Intake
from routemq_tui.worker.letters import StoreOutlet, TopicOutlet
from routemq_tui.worker.receipts import Receipts
from routemq_tui.worker.spec import ConnectNow, Pause, Resume, TurnTap, WorkerCommand, WorkerSpec
from routemq_tui.worker.spec import Drain as DrainCommand
from routemq_tui.worker.tap import Tap

TICK_SECONDS = 0.5
EXIT_SECONDS = 1.0
"""Threads and tasks that a handler leaves behind may hold up the end of the process for so long."""
_POLL_SECONDS = 0.01
LONG_ABSENCE = 2.0
"""A tick that comes so late means that a handler had the loop."""

_log = logging.getLogger("routemq.worker")


class WorkerSession:
    """Make it inside the loop that runs it."""

    def __init__(
        self,
        spec: WorkerSpec,
        words: memoryview,
        control: Control,
        guardian: Guardian,
        template: Template,
        bound: Bound,
    ) -> None:
        self._spec = spec
        self._control = control
        self._guardian = guardian
        self._loop = asyncio.get_running_loop()
        self._connection = Connection(spec, words, control.report)
        self._deliveries = Deliveries(self._connection, Receipts(words), confirmed_early=not spec.fast_path)
        watched = Watched(words, self._deliveries, control.report)
        self._intake = Intake(
            spec, template, words, self._connection, self._deliveries, watched, self._connection.qos2
        )
        self._connection.attach(self._intake)
        client = HandlerClient(self._connection)
        if spec.fast_path and not (bound.is_async and spec.concurrency > 1):
            self._deliveries.hot = HotPath(words, bound, spec.broker.protocol == "5", spec.name, client)
        places = Places(spec.root, spec.handler)
        self._tally = ErrorTally(places, control.offer)
        self._tap = Tap(words, places, control.offer, spec.tapped)
        policy = FailurePolicy(
            spec, words, self._outlet(), self._tally, self._tap, control.report, self._stop
        )
        self._dispatcher = Dispatcher(
            spec,
            bound,
            words,
            self._deliveries,
            watched,
            policy,
            self._tap,
            client,
            control.report,
            lambda: self._connection.settled,
            self._connection.link.look,
            self._intake.read_on,
        )
        self._intake.arrived = self._dispatcher.wake
        self._intake.read_begins = self._dispatcher.read_begins
        self._intake.read_ended = self._dispatcher.read_ended
        self._end: asyncio.Future[ExitCode] = self._loop.create_future()
        self._drain: Drain | None = None
        self._drained_code = ExitCode.OK
        self._tasks: list[asyncio.Task[Any]] = []
        close_in_children(self._connection.link.fileno)
        guardian.watch(self._connection, self._engine_gone_elsewhere)

    def _outlet(self) -> Outlet:
        store = StoreOutlet(Path(self._spec.state_folder))
        topic = self._spec.dead_letter_topic
        if topic is None:
            return store
        return TopicOutlet(topic, self._connection, store, self._intake.wanting_answers)

    async def run(self) -> ExitCode:
        """Work until a drain, the broker or the engine's death ends it."""
        self._loop.add_reader(self._control.fileno(), self._read_commands)
        self._loop.add_signal_handler(
            signal.SIGTERM, self._start_drain, DrainCommand(keep_session=True), ExitCode.OK
        )
        self._begin(self._dispatcher.consume())
        self._begin(self._tick())
        self._begin(self._stay_connected())
        try:
            code = await self._end
            self._guardian.exit_within(EXIT_SECONDS, code)
            return code
        finally:
            self._dispatcher.cancellation.leaving = True
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._tally.tell()

    def _begin(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(coroutine)
        task.add_done_callback(self._check)
        self._tasks.append(task)

    def _check(self, task: asyncio.Task[None]) -> None:
        """A task of ours that fails ends the process: what is left would only look alive."""
        leave_if_child(None)
        if task.cancelled():
            if not self._end.done():
                _log.critical("something cancelled a task of the worker itself; it starts anew")
                self._finish(ExitCode.CRASHED)
            return
        if task.exception() is None:
            return
        _log.critical("an error in the worker itself, please report it", exc_info=task.exception())
        self._finish(ExitCode.CRASHED)

    def _finish(self, code: ExitCode) -> None:
        if not self._end.done():
            self._end.set_result(code)

    async def _stay_connected(self) -> None:
        code = await self._connection.run()
        if code is not ExitCode.OK:
            await self._connection.disconnect(end_session=False)
            self._finish(code)

    async def _tick(self) -> None:
        before = time.monotonic()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            if now - before > LONG_ABSENCE:
                self._connection.after_absence()
            before = now
            self._connection.tick(now)
            self._control.retry()
            self._tally.tell()

    # -- commands ----------------------------------------------------------------------------------------

    def _read_commands(self) -> None:
        for command in self._control.commands():
            self._obey(command)
        if self._control.engine_gone:
            self._engine_gone()

    def _obey(self, command: WorkerCommand) -> None:
        match command:
            case Pause():
                if self._drain is None:
                    self._dispatcher.set_paused(True)
            case Resume():
                self._dispatcher.set_paused(False)
            case TurnTap():
                self._tap.turn(command.on)
            case ConnectNow():
                self._connection.try_now()
            case DrainCommand():
                self._start_drain(command, ExitCode.OK)

    def _start_drain(self, command: DrainCommand, code: ExitCode) -> None:
        deadline = None if command.timeout is None else time.monotonic() + command.timeout
        if self._drain is not None:  # a second one can only shorten the time
            known = [each for each in (self._drain.deadline, deadline) if each is not None]
            self._drain.deadline = min(known, default=None)
            self._drained_code = max(self._drained_code, code)
            return
        self._drained_code = code
        self._drain = Drain(
            self._spec,
            self._connection,
            self._intake,
            self._deliveries,
            self._dispatcher,
            self._control.report,
            keep_session=command.keep_session,
            deadline=deadline,
        )
        self._begin(self._run_drain(self._drain))

    async def _run_drain(self, drain: Drain) -> None:
        await drain.run()
        self._finish(self._drained_code)

    # -- stopped by policy -------------------------------------------------------------------------------

    def _stop(self) -> None:
        self._dispatcher.halted = True
        if self._drain is None:  # a drain leaves by itself when nothing more can be finished
            self._connection.stay_away()
            self._begin(self._leave_when_idle())

    async def _leave_when_idle(self) -> None:
        """Let handlers that were begun end, then leave; the session stays, with the message in it."""
        deadline = time.monotonic() + self._spec.drain_timeout
        while self._dispatcher.busy and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
        await self._connection.disconnect(end_session=False)
        self._finish(ExitCode.OK)

    # -- the engine's death ------------------------------------------------------------------------------

    def _engine_gone_elsewhere(self) -> None:
        """Called on the guardian's thread."""
        self._loop.call_soon_threadsafe(self._engine_gone)

    def _engine_gone(self) -> None:
        self._loop.remove_reader(self._control.fileno())
        timeout = max(0.0, self._spec.drain_timeout - 0.5)  # the rest is for leaving
        self._start_drain(DrainCommand(keep_session=True, timeout=timeout), ExitCode.ENGINE_GONE)
