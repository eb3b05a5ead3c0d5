"""The broker as the engine sees it: started and restarted when it is ours, looked for when it is not.

All that can wait (starting a process, a TCP connection, looking inside) happens on a thread of its own; the
engine only asks what is known.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from routemq_tui.broker.handle import EmbeddedBroker
from routemq_tui.config.model import NOT_VERIFIED, BrokerConfig, Config
from routemq_tui.engine.journal import Journal
from routemq_tui.engine.lock import state_folder
from routemq_tui.engine.mosquitto import MosquittoBroker, connect_fault
from routemq_tui.engine.policy import RestartPolicy
from routemq_tui.engine.snapshot import BrokerSnapshot, BrokerState
from routemq_tui.errors import RoutemqError
from routemq_tui.worker.address import external_address
from routemq_tui.worker.spec import BrokerAddress

_POLL = 0.25
_PROBE_EVERY = 2.0
_INSPECT_EVERY = 2.0
_INSPECT_QUEUES_EVERY = 0.5
_STEADY_AFTER = 60.0
"""Seconds after which a broker's earlier deaths no longer count."""


class OwnBroker(Protocol):
    """A broker process we started."""

    host: Any
    port: Any
    version: Any

    @property
    def log_fd(self) -> int: ...
    def alive(self) -> bool: ...
    def exit_reason(self) -> str: ...
    def stop(self, timeout: float = ...) -> None: ...


Bound = Callable[[OwnBroker], object]
Start = Callable[[int, bool, Bound], OwnBroker]
"""Port, whether another will do, and what is called when connections can be made though not answered yet."""


class BrokerHost:
    def __init__(
        self,
        config: Config,
        journal: Journal,
        watch_log: Callable[[str, int], None],
        on_change: Callable[[], None],
    ) -> None:
        """`watch_log` takes over the descriptor of the broker's stderr; `on_change` wakes the engine."""
        settings = config.broker
        self.kind = settings.url if settings.url in ("embedded", "mosquitto") else "external"
        self._settings = settings
        self._starter = _starter_of(self.kind, config)
        self._journal = journal
        self._watch_log = watch_log
        self._on_change = on_change
        self._stop = threading.Event()
        self._broker: OwnBroker | None = None
        self._thread = threading.Thread(target=self._run, name="routemq-broker", daemon=True)
        self.address = external_address(settings) if self._starter is None else None
        """Where workers connect to; None until our own broker has its port. It never changes after."""
        self.never_started = self._starter is not None
        self.workers_connected = False
        """Told by the engine: whoever is connected proves that the broker is up."""
        self._state = BrokerState.STARTING
        self._reason = ""
        self._moved = ""
        """Why it listens on another port than was wished."""
        self._version: str | None = None
        self._dropped: int | None = None
        self._queues: dict[tuple[str, str], int] = {}
        self.watch_queues = False
        """Told by the engine: somebody wants to know what waits, as it is now."""
        self._next_look = 0.0

    def start(self) -> None:
        self._thread.start()
        if self.address is not None and self.address.tls and self.address.security.insecure:
            self._journal.notice("warning", f"{NOT_VERIFIED} (broker.insecure = true)", "broker")

    def snapshot(self) -> BrokerSnapshot:
        state, reason = self._state, self._reason
        if self._starter is None and self.workers_connected:
            state, reason = BrokerState.UP, ""
        address = str(self.address) if self.address else self._settings.url
        return BrokerSnapshot(self.kind, address, state, self._version, reason, self._dropped)

    @property
    def is_up(self) -> bool:
        return self._state is BrokerState.UP or (self._starter is None and self.workers_connected)

    def queued(self, group: str, topic_filter: str) -> int | None:
        """Messages that wait for the members of a share group; None where the broker does not tell."""
        return self._queues.get((group, topic_filter)) if self._state is BrokerState.UP else None

    def stop(self, timeout: float = 5.0) -> None:
        """End our own broker, and the thread. Safe to call again."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout + 10)
        broker, self._broker = self._broker, None
        if broker is not None:
            broker.stop(timeout)
        if self._state is BrokerState.UP:  # as asked: no failure, though nobody listens any more
            self._set(BrokerState.UP, "stopped with the engine")

    # -- its thread --------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            if self._starter is None:
                self._watch_external()
            else:
                self._keep_own(self._starter)
        except Exception as error:  # noqa: BLE001 - the workers go on with the broker they have
            self._journal.failure("the broker is no longer watched", error)
            self._set(BrokerState.DOWN, f"not watched any more: {error!r}")

    def _keep_own(self, start: Start) -> None:
        policy = RestartPolicy(longest=10.0)
        faults: list[float] = []
        while not self._stop.is_set():
            wait = _POLL
            if self._broker is None:
                if not self._start_own(start):
                    faults.append(time.monotonic())
                    wait = max(policy.delay(faults, time.monotonic(), lambda: 0.5), policy.first)
            elif not self._broker.alive():
                self._bury_own(self._broker)
                faults = [at for at in faults if time.monotonic() - at < _STEADY_AFTER]
                faults.append(time.monotonic())
                wait = policy.delay(faults, time.monotonic(), lambda: 0.5)
            else:
                self._look_inside(self._broker)
            self._stop.wait(wait)

    def _start_own(self, start: Start) -> bool:
        known = self.address
        try:
            # Workers know the first address for good: a restart has to come back there.
            broker = start(known.port if known else self._settings.port, known is None, self._bound)
        except (RoutemqError, OSError) as error:
            if self._reason != str(error):
                self._journal.notice("error", str(error), "broker")
            self._set(BrokerState.DOWN, str(error))
            return False
        self._broker = broker
        self._watch_log("broker", os.dup(broker.log_fd))
        self._version = str(broker.version) if broker.version else None
        self._queues = {}
        self._dropped = None  # a new process counts anew
        self._bound(broker)
        self.never_started = False
        self._journal.event("broker", f"{self._version or self.kind} listens on {broker.host}:{broker.port}")
        if known is None and broker.port != self._settings.port:
            self._moved = (
                f"port {self._settings.port} is in use: the {self.kind} broker listens on {broker.port}"
            )
            self._journal.notice("warning", self._moved, "broker")
        self._set(BrokerState.UP, self._moved)
        return True

    def _bound(self, broker: OwnBroker) -> None:
        if self.address is None:
            self.address = own_address(self._settings, broker, self.kind == "embedded")
            self._on_change()

    def _bury_own(self, broker: OwnBroker) -> None:
        reason = broker.exit_reason()
        self._broker = None
        broker.stop(1.0)
        lost = "; messages it held are lost" if self.kind == "embedded" else ""
        text = f"the {self.kind} broker is gone ({reason}){lost}; it is restarted"
        self._journal.notice("error", text, "broker")
        self._set(BrokerState.DOWN, reason)

    def _look_inside(self, broker: OwnBroker) -> None:
        inspect = getattr(broker, "inspect", None)
        now = time.monotonic()
        if inspect is None or now < self._next_look:
            return
        self._next_look = now + (_INSPECT_QUEUES_EVERY if self.watch_queues else _INSPECT_EVERY)
        try:
            found = inspect(timeout=2.0)
        except TimeoutError:
            self._set(BrokerState.DOWN, f"the {self.kind} broker runs, but does not answer")
            return
        except (OSError, EOFError, ValueError):  # it has just died, which the next turn sees
            return
        self._set(BrokerState.UP, self._moved)
        self._queues = {(each["group"], each["filter"]): each["queued"] for each in found.get("groups", ())}
        self._note_drops(found.get("totals", {}).get("dropped"))

    def _note_drops(self, dropped: object) -> None:
        if not isinstance(dropped, int):
            return
        more, self._dropped = dropped - (self._dropped or 0), dropped
        if more > 0:
            text = f"the {self.kind} broker dropped {more} message{'s' if more > 1 else ''}"
            self._journal.notice("warning", f"{text} (its log says why), {dropped} in all", "broker")

    def _watch_external(self) -> None:
        address = self.address
        assert address is not None
        while not self._stop.is_set():
            if not self.workers_connected:
                fault = connect_fault(address.host, address.port, 2.0)
                if fault is None:
                    self._set(BrokerState.UP, "")
                else:
                    self._set(BrokerState.DOWN, f"{address}: {fault}")
            self._stop.wait(_PROBE_EVERY)

    def _set(self, state: BrokerState, reason: str) -> None:
        changed = (state, reason) != (self._state, self._reason)
        self._state, self._reason = state, reason
        if changed:
            self._on_change()


def _starter_of(kind: str, config: Config) -> Start | None:
    if kind == "embedded":
        return lambda port, any_port, bound: EmbeddedBroker.start(port, any_port=any_port, on_bound=bound)
    if kind == "mosquitto":
        folder = state_folder(config.root)
        return lambda port, any_port, _: MosquittoBroker.start(folder, port, any_port=any_port)
    return None


def session_home(settings: BrokerConfig) -> str | None:
    """Names the broker in the list of sessions; None for the embedded one, whose sessions end with it."""
    if settings.url == "embedded":
        return None
    return settings.url if settings.url == "mosquitto" else str(external_address(settings))


def own_address(settings: BrokerConfig, broker: OwnBroker, embedded: bool) -> BrokerAddress:
    return BrokerAddress(
        host=broker.host,
        port=broker.port,
        protocol=settings.protocol,
        keepalive=settings.keepalive,
        session_expiry=settings.session_expiry,
        one_queue_per_group=embedded,
    )
