"""The engine: one thread that waits for ends, reports, commands and the clock, and keeps all as wanted.

Front ends see it through `port.EnginePort`: a snapshot, the logs, and commands. It owns the processes; when
its thread ends, for whatever reason, none of them is left.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from routemq_tui.config.model import Config
from routemq_tui.engine import fork_server
from routemq_tui.engine.broker_host import BrokerHost, session_home
from routemq_tui.engine.commands import Apply, Command, ErrandCommand, Stop
from routemq_tui.engine.control import ControlServer, socket_path
from routemq_tui.engine.errands import Errands
from routemq_tui.engine.instance_file import InstanceFile
from routemq_tui.engine.journal import ENGINE, Journal
from routemq_tui.engine.latencies import Latencies
from routemq_tui.engine.ledgers import Ledgers
from routemq_tui.engine.letter_desk import LetterDesk
from routemq_tui.engine.lock import STATE_FOLDER, NodeLock
from routemq_tui.engine.log_pump import LogPump
from routemq_tui.engine.log_store import LogStore
from routemq_tui.engine.metrics import SAMPLE_EVERY
from routemq_tui.engine.policy import RestartPolicy
from routemq_tui.engine.port import LetterReader, LogReader, MessageReader, Span
from routemq_tui.engine.reloading import Reloading
from routemq_tui.engine.saved_counts import SavedCounts
from routemq_tui.engine.scaling import Autoscaler
from routemq_tui.engine.sessions import SessionList
from routemq_tui.engine.slot import Slot
from routemq_tui.engine.snapshot import EngineState, History, Snapshot
from routemq_tui.engine.snapshots import Observer
from routemq_tui.engine.supervisor import Supervisor
from routemq_tui.engine.surroundings import Surroundings
from routemq_tui.engine.told import ToldMessages
from routemq_tui.engine.traffic_host import TrafficHost
from routemq_tui.engine.wake import Wake
from routemq_tui.engine.watch import WorkerWatch
from routemq_tui.errors import ExitCode

PUBLISH_EVERY = 0.1
"""Least seconds between two snapshots."""
REFRESH_EVERY = 0.25
"""Most seconds between two snapshots."""
GATHER = 0.02
"""Seconds in which reports come together while messages are told: a round costs more than a report."""
_REPEATED_FAILURE_PAUSE = 0.2


class Engine:
    """Implements `port.EnginePort`. `start` it, `send(Stop())` in the end, and `wait`."""

    def __init__(
        self,
        config: Config,
        policy: RestartPolicy | None = None,
        reload: Callable[[], Config] | None = None,
    ) -> None:
        """`reload` reads the configuration anew, and raises ConfigError; without it nothing is reloaded."""
        self.exit_code = ExitCode.OK
        """Of the program; settled when the engine has stopped."""
        self._config = config
        self._store = LogStore(config.app.log_memory)
        self._journal = Journal(self._store)
        self._pump = LogPump(self._store)
        slots = config.root / STATE_FOLDER / f"{config.app.node}.slots.json"
        sessions = SessionList(slots, session_home(config.broker), self._journal)
        self._ledgers = Ledgers(self._journal)
        self._told = ToldMessages()
        around = Surroundings(
            self._journal,
            self._pump.watch_worker,
            sessions,
            self._ledgers,
            self._told,
            policy or RestartPolicy(),
            config.app.ephemeral,
        )
        self._supervisor = Supervisor(config, around)
        self._reload = reload
        self._reloading = Reloading(config, self._supervisor, self._journal)
        self._observer = Observer(config, self._supervisor, self._journal, self._told)
        self._wake = Wake()
        self._broker = BrokerHost(config, self._journal, self._pump.watch_fd, self._wake.set)
        self._autoscaler = Autoscaler(self._supervisor.crews, self._journal, self._broker.queued)
        self._letters = LetterDesk(config.root / STATE_FOLDER, self._journal)
        self._errands = Errands(
            config.root / STATE_FOLDER,
            self._journal,
            self._letters,
            lambda: self._broker.address,
            lambda: SavedCounts(self._reloading.config).save(self._supervisor.desired),
            self._read_again,
        )
        self._traffic = TrafficHost(config.traffic, self._journal, self._pump.watch_fd)
        self._lock = NodeLock(config.root, config.app.node)
        self._control = ControlServer(self, socket_path(config.root, config.app.node))
        self._instance = InstanceFile(config.root / STATE_FOLDER, config.app.node)
        self._commands: deque[Command] = deque()
        self._telling: list[Slot] = []
        self._state = EngineState.STARTING
        self._stopped = threading.Event()
        self._next_sample = 0.0
        self._published_at = 0.0
        self._dirty = True
        self._snapshot = self._observe(time.monotonic())
        self._thread = threading.Thread(target=self._run, name="routemq-engine", daemon=True)

    # -- the port ----------------------------------------------------------------------------------------

    @property
    def logs(self) -> LogReader:
        return self._store

    @property
    def messages(self) -> MessageReader:
        return self._told.messages

    @property
    def letters(self) -> LetterReader:
        return self._letters

    def history(self, name: str | None, span: Span = "60s") -> History:
        return self._observer.history(name, span)

    def snapshot(self) -> Snapshot:
        return self._snapshot

    def latencies(self) -> dict[str, Latencies]:
        """How long handlers took since the beginning, by route."""
        return {name: crew.latencies() for name, crew in list(self._supervisor.crews.items())}

    def last_notice(self) -> int:
        return self._journal.last_notice

    def send(self, command: Command) -> None:
        self._commands.append(command)
        self._wake.set()

    # -- its owner's side --------------------------------------------------------------------------------

    def start(self) -> None:
        """Start everything and return at once. To be called before a screen takes the terminal.

        Raises AlreadyRunningError when another engine runs this project under this node name.
        """
        self._lock.acquire()
        try:
            output = fork_server.start()
        except BaseException:
            self._lock.release()
            raise
        for router in self._config.routers:
            routes = ", ".join(route.name for route in router.routes) or "no routes"
            self._journal.event(ENGINE, f"router {router.reference} ({router.file}): {routes}")
        for line in self._config.overlaid:
            self._journal.event(ENGINE, line)
        self._supervisor.adopt()
        self._wake.open()
        self._watch = WorkerWatch(self._wake)
        if output is not None:
            self._pump.watch_fd(ENGINE, output)
        self._pump.start()
        self._journal.pass_on = self._pump.event
        self._broker.start()
        self._open_control()
        atexit.register(self._last_resort)
        self._thread.start()

    def _open_control(self) -> None:
        try:
            self._control.start()
        except OSError as error:  # without it `ctl` has nobody to talk to, and the workers work all the same
            text = f"no control socket at {self._control.path}: {error}; ctl cannot reach this instance"
            self._journal.notice("warning", text)

    def note(self, text: str, level: int = logging.INFO) -> None:
        """A line in the engine's own log. Any thread."""
        self._journal.event(ENGINE, text, level)

    def wait(self, timeout: float | None = None) -> bool:
        """Whether it has stopped, after waiting for that for at most `timeout` seconds."""
        return self._stopped.wait(timeout)

    def _last_resort(self) -> None:
        """The program ends and nobody stopped us: leave no process behind."""
        if not self._stopped.is_set():
            self.send(Stop(force=True))
            self._stopped.wait(5.0)

    # -- the loop ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._state = EngineState.RUNNING
            while not self._is_done():
                self._turn()
        except BaseException as error:  # noqa: BLE001 - nobody else would ever hear of it
            self._journal.failure("the engine failed", error)
            self.exit_code = ExitCode.CRASHED
        finally:
            self._finish()

    def _is_done(self) -> bool:
        return self._supervisor.stopping and self._supervisor.all_gone

    def _turn(self) -> None:
        """One round. A failure is logged and the loop goes on: the workers are worth more than one step."""
        failed = False
        for step in (self._wait, self._execute, self._take_news, self._keep, self._measure, self._publish):
            try:
                step(time.monotonic())
            except Exception as error:  # noqa: BLE001 - a mistake of ours: it is in the log
                self._journal.failure(f"a step of the engine failed ({step.__name__})", error)
                failed = True
        if failed:
            time.sleep(_REPEATED_FAILURE_PAUSE)  # the same mistake again must not eat the machine

    def _wait(self, now: float) -> None:
        if self._telling and self._supervisor.tapped:
            time.sleep(GATHER)
        happened, self._telling = self._watch.wait(self._supervisor, self._patience(now))
        if happened:
            self._dirty = True

    def _patience(self, now: float) -> float:
        if self._commands or self._supervisor.more_to_start:
            return 0.0
        due = min(self._next_sample, self._published_at + (PUBLISH_EVERY if self._dirty else REFRESH_EVERY))
        deadline = self._supervisor.next_deadline()
        if deadline is not None:
            due = min(due, deadline)
        return max(due - now, 0.0)

    def _execute(self, now: float) -> None:
        while self._commands:
            command = self._commands.popleft()
            self._dirty = True
            if isinstance(command, ErrandCommand):
                self._errands.send(command)
                continue
            if isinstance(command, Apply):
                self._reloading.apply(command.config)
                continue
            self._supervisor.execute(command, now)
            if isinstance(command, Stop):
                self._state = EngineState.STOPPING

    def _read_again(self) -> None:
        """On the thread of errands: a router's modules may take their time."""
        if self._reload is None:
            self._journal.notice("warning", "not reloaded: this instance was not started from a file")
            return
        self.send(Apply(self._reload()))

    def _take_news(self, now: float) -> None:
        for slot in self._telling:
            if slot.process is None:
                continue
            slot.take_reports(now)
            if slot.process.has_ended():
                slot.take_end(now)
                self._dirty = True

    def _keep(self, now: float) -> None:
        address = self._broker.address
        self._instance.write(address)
        self._supervisor.reconcile(now, address)
        self._supervisor.broker_is(self._broker.is_up)
        if not self._supervisor.stopping:
            self._traffic.reconcile(now, address)

    def _measure(self, now: float) -> None:
        if now < self._next_sample:
            return
        self._next_sample = max(self._next_sample + SAMPLE_EVERY, now)
        self._broker.workers_connected = any(slot.connected for slot in self._supervisor)
        self._observer.sample(now, time.monotonic_ns())
        self._ledgers.settle(now)
        self._broker.watch_queues = self._autoscaler.is_active
        if not self._supervisor.stopping:
            self._autoscaler.look(now, time.monotonic_ns())

    def _publish(self, now: float) -> None:
        if now - self._published_at >= (PUBLISH_EVERY if self._dirty else REFRESH_EVERY):
            self._snapshot = self._observe(now)
            self._published_at = now
            self._dirty = False

    def _observe(self, now: float) -> Snapshot:
        snapshot = self._observer.snapshot(self._state, self._broker.snapshot(), self._journal.notices, now)
        return replace(snapshot, ledgers=self._ledgers.values, dead_letters=self._letters.count())

    # -- the end -----------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Workers first, then traffic, then the broker; whatever fails, the rest is ended all the same."""
        if self.exit_code is ExitCode.OK and self._broker.never_started:
            self.exit_code = ExitCode.BROKER_UNAVAILABLE
        elif self.exit_code is ExitCode.OK and self._supervisor.any_failed:
            self.exit_code = ExitCode.WORKERS_FAILED
        steps: tuple[Callable[[], object], ...] = (
            self._supervisor.kill_now,
            self._errands.stop,
            self._traffic.stop,
            self._broker.stop,
            fork_server.stop,
            lambda: self._pump.stop(1.0),
            self._control.stop,
            self._instance.remove,
            self._lock.release,
        )
        for step in steps:
            try:
                step()
            except Exception as error:  # noqa: BLE001 - the next steps end processes: they must run
                self._journal.failure("the engine could not end cleanly", error)
        self._state = EngineState.STOPPED
        self._journal.event(ENGINE, f"stopped, exit code {self.exit_code:d}", logging.INFO)
        with suppress(Exception):  # only if observing itself is what failed: the last snapshot stays
            self._snapshot = self._observe(time.monotonic())
        self._watch.close()
        self._wake.close()
        atexit.unregister(self._last_resort)
        self._stopped.set()
