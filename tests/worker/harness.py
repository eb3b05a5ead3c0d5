"""A worker process as the engine would hold it, for tests: start it, talk to it, read what it says."""

from __future__ import annotations

import multiprocessing
import os
import signal
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from routemq_tui.engine.fork_server import PRELOAD
from routemq_tui.worker import cells, main
from routemq_tui.worker.dead_letters import DeadLetter, DeadLetterStore
from routemq_tui.worker.log_queue import LogReceiver, LogRecord
from routemq_tui.worker.spec import (
    BrokerAddress,
    Drain,
    Subscribed,
    WorkerCommand,
    WorkerReport,
    WorkerSpec,
    decode_report,
    encode,
)
from tests.waiting import wait_until

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(PRELOAD)  # the whole test run has one fork server

R = TypeVar("R")

RECORDING = """
import os, time
def record(*values):
    file = os.open(os.path.join(os.path.dirname(__file__), "calls"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, (" ".join(map(str, values)) + "\\n").encode())
    os.close(file)
"""


class Project:
    """A folder with one module of handlers that can record what they were called with."""

    def __init__(self, root: Path, port: int, code: str) -> None:
        self.root = root
        self.broker = BrokerAddress("127.0.0.1", port)
        (root / "handlers.py").write_text(RECORDING + textwrap.dedent(code))
        self.workers: list[Worker] = []

    def calls(self) -> list[str]:
        file = self.root / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def letters(self) -> list[DeadLetter]:
        store = DeadLetterStore(self.root / ".routemq")
        found = list(store.read())
        store.close()
        return found

    def spec(self, **changes: Any) -> WorkerSpec:
        spec = WorkerSpec(
            route="r",
            slot=1,
            client_id="g-n-r-1",
            template="t/{n}",
            subscription="$share/g/t/+",
            qos=1,
            handler="handlers:handle",
            root=str(self.root),
            broker=self.broker,
            state_folder=str(self.root / ".routemq"),
        )
        broker = {key: changes.pop(key) for key in list(changes) if hasattr(spec.broker, key)}
        return replace(spec, broker=replace(spec.broker, **broker), **changes)

    def worker(self, context: Any = CONTEXT, **changes: Any) -> Worker:
        worker = Worker(self.spec(**changes), context)
        self.workers.append(worker)
        return worker

    def running(self, **changes: Any) -> Worker:
        worker = self.worker(**changes)
        worker.start()
        worker.wait_for(Subscribed)
        return worker

    def stop(self) -> None:
        for worker in self.workers:
            worker.kill()


class Worker:
    """One slot: its memory, its client id and its log outlive its processes, as in the engine."""

    def __init__(self, spec: WorkerSpec, context: Any = CONTEXT) -> None:
        self.spec = spec
        self.context = context
        self.memory = cells.allocate(context)
        self.words = cells.words_of(self.memory)
        self.reports: list[WorkerReport] = []
        self.logs: list[LogRecord] = []
        self.raw: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self.process: BaseProcess | None = None
        self._ends: dict[str, Connection[Any, Any]] = {}

    def start(self) -> None:
        self.reports.clear()
        pipe = self.context.Pipe
        control, child_control = pipe()
        ends = {name: pipe(duplex=False) for name in ("logs", "stdout", "stderr")}
        self._ends = {"control": control} | {name: both[0] for name, both in ends.items()}
        children = [child_control, *(both[1] for both in ends.values())]
        self._receiver = LogReceiver(self._ends["logs"])
        for name in ("stdout", "stderr"):
            os.set_blocking(self._ends[name].fileno(), False)
        self.process = self.context.Process(target=main.run, args=(self.spec, self.memory, *children))
        self.process.start()
        for child in children:
            child.close()

    @property
    def counters(self) -> cells.Counters:
        return cells.read_counters(self.words)

    def send(self, command: WorkerCommand) -> None:
        self._ends["control"].send_bytes(encode(command))

    def pump(self) -> None:
        """Take what the worker has said so far."""
        if not self._ends:
            return
        control = self._ends["control"]
        try:
            while control.poll():
                self.reports.append(decode_report(control.recv_bytes()))
        except (EOFError, OSError):
            pass
        self.logs += self._receiver.get_batch()
        for name, taken in self.raw.items():
            try:
                while chunk := os.read(self._ends[name].fileno(), 65536):
                    taken += chunk
            except BlockingIOError:
                pass

    def wait_for(self, kind: type[R], timeout: float = 10.0) -> R:
        def found() -> R | None:
            self.pump()
            return next((report for report in self.reports if isinstance(report, kind)), None)

        return self._explained(found, timeout, f"a {kind.__name__}")

    def last(self, kind: type[R]) -> R:
        """The last report of its kind that has come, of a process that has ended."""
        return [report for report in self.reports if isinstance(report, kind)][-1]

    def wait_until(self, condition: Callable[[], R], timeout: float = 10.0, what: str = "") -> R:
        def looked() -> R:
            self.pump()
            return condition()

        return self._explained(looked, timeout, what)

    def wait_handled(self, count: int, timeout: float = 10.0) -> None:
        """Until so many messages were handled, well or badly, since the slot was made; none is in hand."""

        def handled() -> bool:
            counters = self.counters
            return counters.ok + counters.failed >= count and not counters.in_flight

        self.wait_until(handled, timeout, f"{count} messages handled and acknowledged")

    def _explained(self, condition: Callable[[], R], timeout: float, what: str) -> R:
        try:
            value = wait_until(condition, timeout, what)
            self.pump()  # also what came between the last look and the condition
            return value
        except AssertionError as error:
            said = "\n".join(record.text for record in self.logs[-20:])
            raise AssertionError(f"{error}\nreports: {self.reports}\nlog:\n{said}") from None

    def wait_exit(self, timeout: float = 10.0) -> int:
        """The exit code, after everything the worker had said was taken."""
        process = self.process
        assert process is not None
        self._explained(lambda: (self.pump(), process.exitcode is not None)[1], timeout, "the process ends")
        self.pump()
        self._close()
        code = process.exitcode
        assert code is not None
        return code

    def drain(self, keep_session: bool = False, timeout: float | None = 10.0) -> int:
        self.send(Drain(keep_session=keep_session, timeout=timeout))
        return self.wait_exit(15)

    def let_go(self) -> None:
        """As if the engine had died: every end of ours is closed."""
        self._close()

    def kill(self) -> None:
        if self.process is not None and self.process.pid is not None:
            if self.process.is_alive():
                os.kill(self.process.pid, signal.SIGKILL)
            self.process.join(10)
            self.pump()
            self._close()
            self.process.close()
            self.process = None

    def _close(self) -> None:
        for end in self._ends.values():
            end.close()
        self._ends = {}

    def texts(self, stream: str | None = None) -> list[str]:
        return [record.text for record in self.logs if stream in (None, record.stream)]


class Publisher:
    """A paho client that publishes and waits for the broker's acknowledgements."""

    def __init__(self, port: int) -> None:
        self.client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self.client.max_inflight_messages_set(20)  # paho does not heed the server's maximum
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        wait_until(self.client.is_connected, what="the publisher connects")

    def publish(self, topic: str, payload: str | bytes = b"", qos: int = 1, retain: bool = False) -> Any:
        return self.client.publish(topic, payload, qos, retain)

    def publish_many(self, count: int, qos: int = 1, first: int = 0, per_second: float | None = None) -> None:
        """`t/0` with payload 0, `t/1` with 1 and so on; returns when the broker has them."""
        sent = []
        for number in range(first, first + count):
            sent.append(self.publish(f"t/{number}", str(number), qos))
            if per_second is not None:
                time.sleep(1 / per_second)
        for info in sent:
            info.wait_for_publish(20)
            assert info.is_published()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
