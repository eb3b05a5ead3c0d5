"""A real engine on a real broker in a folder of its own, and what tests ask of both."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import psutil
from paho.mqtt.enums import CallbackAPIVersion

from routemq_tui.config.model import AppConfig, BrokerConfig, Config, RouteConfig
from routemq_tui.engine.commands import Command, Stop
from routemq_tui.engine.engine import Engine
from routemq_tui.engine.held_events import HOLD
from routemq_tui.engine.policy import RestartPolicy
from routemq_tui.engine.port import LogLine
from routemq_tui.engine.snapshot import RouteSnapshot, WorkerSnapshot
from routemq_tui.engine.states import WorkerState
from tests.waiting import wait_until

QUICK = RestartPolicy(first=0.05, limit=3)

HANDLERS = """
import asyncio, os, signal, subprocess, sys, time
HERE = os.path.dirname(__file__)

def count(payload):
    pass

def slow(payload):
    time.sleep(0.05)

def wedge(payload):
    time.sleep(60)

def segfault(payload):
    os.kill(os.getpid(), signal.SIGSEGV)

def spawn(payload):
    subprocess.Popen(["sleep", "300"])

def die_once(payload):
    try:
        with open(payload["flag"], "x"):
            pass
    except FileExistsError:
        return
    os._exit(9)

def deadly(payload):
    if payload.get("kill"):
        os._exit(payload.get("code", 9))

def sleeper(payload):
    time.sleep(payload["seconds"])

async def async_sleeper(payload):
    await asyncio.sleep(payload["seconds"])

hoard = []

def hog(payload):
    hoard.append(bytearray(b"x") * payload.get("bytes", 0))
    time.sleep(payload.get("seconds", 0))

def deaf(payload):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    subprocess.Popen(["sh", "-c", "trap '' TERM INT HUP; sleep 300 & wait"])
    time.sleep(payload.get("seconds", 0))

def burn(payload):
    try:
        with open(payload["flag"], "x"):
            pass
    except FileExistsError:
        return
    while True:
        pass

def gate(payload):
    while not os.path.exists(payload["open"]):
        time.sleep(0.01)

def brittle(payload):
    if payload.get("kill"):
        os._exit(9)
    raise ValueError("bad reading")

def picky(payload):
    raise ValueError("bad reading")

def note(id, payload):
    with open(os.path.join(HERE, "handled"), "a") as file:
        print(id, file=file)

def slow_note(id, payload):
    time.sleep(0.01)
    note(id, payload)

def until_mended(payload):
    if not os.path.exists(payload["flag"]):
        os._exit(9)

def quoting(payload: str):
    if payload.startswith("die"):
        os._exit(9)
    raise ValueError("bad " + payload)

def hostile(payload):
    print("\\x1b]0;owned\\x07 [bold]markup[/]")
    os.write(1, b"caf\\xe9\\n")
    print("\\x1b[31mred\\x1b[0m", file=sys.stderr)
"""


def route(name: str = "jobs", handler: str = "count", workers: int = 1, **more: Any) -> RouteConfig:
    settings: dict[str, Any] = {
        "topic": f"{name}/{{id}}",
        "group": "crew",
        "qos": 1,
        "workers": workers,
    } | more
    return RouteConfig(name=name, handler=f"tasks.work:{handler}", **settings)


def make_config(root: Path, port: int, *routes: RouteConfig, **more: Any) -> Config:
    """A project on an external broker at this port."""
    folder = root / "tasks"
    if not folder.exists():
        folder.mkdir(parents=True)
        (folder / "work.py").write_text(HANDLERS)
    settings: dict[str, Any] = {
        "app": AppConfig(group="crew"),
        "broker": BrokerConfig(url=f"mqtt://127.0.0.1:{port}"),
    } | more
    return Config(root=root, file=root / "routemq.toml", routes=routes, **settings)


class Rig:
    def __init__(self, engine: Engine, port: int) -> None:
        self.engine = engine
        self.port = port

    def send(self, command: Command) -> None:
        self.engine.send(command)

    def route(self, name: str = "jobs") -> RouteSnapshot:
        return next(one for one in self.engine.snapshot().routes if one.name == name)

    def worker(self, slot: int = 1, route: str = "jobs") -> WorkerSnapshot | None:
        return next((one for one in self.route(route).workers if one.slot == slot), None)

    def until(self, condition: Callable[[], Any], what: str = "", timeout: float = 10.0) -> Any:
        try:
            return wait_until(condition, timeout, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.engine.snapshot()}\n{self.log_text()}") from None

    def until_running(self, count: int, route: str = "jobs") -> None:
        self.until(
            lambda: self.route(route).running == count and len(self.route(route).workers) == count,
            f"{count} workers of {route} run",
        )

    def until_state(self, state: WorkerState, slot: int = 1, route: str = "jobs") -> WorkerSnapshot:
        def found() -> WorkerSnapshot | None:
            worker = self.worker(slot, route)
            return worker if worker is not None and worker.state is state else None

        worker: WorkerSnapshot = self.until(found, f"{route}/{slot} is {state}")
        return worker

    def until_ok(self, count: int, route: str = "jobs") -> None:
        self.until(lambda: self.route(route).metrics.ok >= count, f"{count} messages handled")

    def lines(self, source: str | None = None) -> tuple[LogLine, ...]:
        """With what the engine has said so far, some of which it holds for a moment."""
        held = self.engine._pump._events._held
        asked = time.monotonic()
        wait_until(lambda: all(each.due > asked + HOLD for events in [*held.values()] for each in [*events]))
        return self.engine.logs.read(frozenset({source}) if source else None).lines

    def log_text(self, source: str | None = None) -> str:
        return "\n".join(f"{line.source} {line.stream} {line.text}" for line in self.lines(source))

    def notices(self) -> str:
        return "\n".join(notice.text for notice in self.engine.snapshot().notices)

    def publish(self, count: int = 1, topic: str = "jobs/{}", payload: bytes = b"{}", qos: int = 1) -> None:
        publish(self.port, count, topic, payload, qos)

    def stop(self, force: bool = False) -> None:
        self.engine.send(Stop(force))
        assert self.engine.wait(20), self.log_text()


@contextmanager
def running(config: Config, port: int = 0, policy: RestartPolicy = QUICK) -> Iterator[Rig]:
    """An engine that has been started, and is stopped at the end; no process of it is left then."""
    before = worker_processes()
    engine = Engine(config, policy)
    engine.start()
    rig = Rig(engine, port)
    try:
        yield rig
    finally:
        rig.stop(force=True)
    assert not set(worker_processes()) - set(before), rig.log_text()


def worker_processes() -> list[psutil.Process]:
    """What the engines of this process have started; the resource tracker lives as long as the program."""
    found = []
    server = getattr(forkserver._forkserver, "_forkserver_pid", None)  # shared by all tests of the folder
    for child in psutil.Process().children(recursive=True):
        if child.pid == server:
            continue
        try:
            command = " ".join(child.cmdline())
        except psutil.NoSuchProcess:
            continue
        if "forkserver" in command or "routemq_tui.publisher" in command or "leash" in command:
            found.append(child)
    return found


def alive(pids: Iterable[int | None]) -> list[int]:
    """Those that run. One that has died and waits for its parent to take note of it does not."""
    found = []
    for pid in pids:
        try:
            if pid and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
        except psutil.NoSuchProcess:
            continue
    return found


@contextmanager
def connected(port: int, client_id: str = "") -> Iterator[mqtt.Client]:
    """A client of its own on the broker."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id, protocol=mqtt.MQTTv5)
    client.max_inflight_messages_set(200)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def publish(port: int, count: int, topic: str = "jobs/{}", payload: bytes = b"{}", qos: int = 1) -> None:
    """Publish and wait until the broker has acknowledged all."""
    with connected(port) as client:
        sent = [client.publish(topic.format(number), payload, qos) for number in range(count)]
        for info in sent:
            info.wait_for_publish(10)
