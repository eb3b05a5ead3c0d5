"""Does anything get lost? Publishes numbered messages while killing, draining, scaling and restarting things.

    python bench/chaos.py --messages 20000 --kills 40 --scales 20                        # mosquitto
    python bench/chaos.py --broker embedded --messages 20000 --kills 40 --scales 20
    python bench/chaos.py --messages 20000 --kills 20 --broker-restarts 5 --engine-kills 5 --qos 2

Everything is real: the program without a screen, its control socket, a broker of its own on a loopback port,
worker processes that note each message they finish in a file. A message counts as published once the broker
acknowledged it and had a subscriber for it. Ends with 1 when one was lost, with 0 otherwise.
"""

from __future__ import annotations

import argparse
import platform
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from instance import Instance, free_port, wait_for  # beside this file
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from routemq_tui.worker.dead_letters import DeadLetterStore

NO_MATCHING_SUBSCRIBERS = 0x10
RECORD = struct.Struct("<QdB")
"""Number, Unix time, duplicate flag."""

HANDLERS = """
import os, signal, struct, time
from pathlib import Path

RECORD = struct.Struct("<QdB")
ROOT = Path(__file__).parent
descriptor = None


def handle(number: int, payload: bytes, message):
    global descriptor
    if descriptor is None:
        descriptor = os.open(ROOT / "handled" / str(os.getpid()), os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    if payload == b"crash":
        try:
            os.close(os.open(ROOT / "crashed" / str(number), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            pass
        else:
            os.kill(os.getpid(), signal.SIGSEGV if number % 2 else signal.SIGKILL)
    if DELAY:
        time.sleep(DELAY)
    os.write(descriptor, RECORD.pack(number, time.time(), message.duplicate))
"""


@dataclass
class Kills:
    """When processes were killed, to tell how long redelivery took."""

    times: list[float] = field(default_factory=list)


class MosquittoBroker:
    """The system's mosquitto with persistence and unbounded queues."""

    def __init__(self, folder: Path) -> None:
        found = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/opt/homebrew/sbin")
        if found is None:
            raise SystemExit("mosquitto is not installed (apt-get install mosquitto)")
        folder.mkdir()
        self.port = free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        settings = folder / "mosquitto.conf"
        settings.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nuser root\n"
            f"max_inflight_messages 1000\npersistence true\npersistence_location {folder}/\n"
        )
        self._command = [found, "-c", str(settings)]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        output = subprocess.DEVNULL
        self._process = subprocess.Popen(self._command, stdout=output, stderr=output)

    def restart(self) -> None:
        self.stop()
        self.start()

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
            self._process = None


class OwnBroker:
    """The embedded broker, apart from the engine, so that it survives the engine's SIGKILL."""

    def __init__(self) -> None:
        from routemq_tui.broker.handle import EmbeddedBroker

        self._broker = EmbeddedBroker.start(free_port())
        self.port = self._broker.port
        self.url = f"mqtt://127.0.0.1:{self.port}"

    def restart(self) -> None:
        raise SystemExit("the embedded broker keeps nothing across a restart; use --broker mosquitto")

    def stop(self) -> None:
        self._broker.stop()


class Publisher:
    """Publishes 0..n-1 and keeps those the broker accepted with a subscriber; the others go again."""

    def __init__(self, port: int, qos: int, crashes: frozenset[int]) -> None:
        self.accepted: set[int] = set()
        self._crashes = crashes
        self._qos = qos
        self._under_way: dict[int, int] = {}
        self._early: dict[int, Any] = {}
        self._again: list[int] = []
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id="chaos-publisher", protocol=MQTTProtocolVersion.MQTTv5
        )
        client.max_inflight_messages_set(200)
        client.reconnect_delay_set(1, 1)
        client.on_publish = self._acknowledged
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 3600
        client.connect_async("127.0.0.1", port, clean_start=False, properties=properties)
        client.loop_start()
        self._client = client

    @property
    def backlog(self) -> int:
        return len(self._under_way)

    def publish(self, number: int) -> None:
        payload = b"crash" if number in self._crashes else b"x"
        sent = self._client.publish(f"chaos/{number}", payload, self._qos)
        if sent.mid in self._early:
            self._settle(number, self._early.pop(sent.mid))
        else:
            self._under_way[sent.mid] = number

    def publish_again(self) -> int:
        again, self._again = self._again, []
        for number in again:
            self.publish(number)
        return len(again)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _acknowledged(self, _client: Any, _data: Any, mid: int, reason: Any, _properties: Any) -> None:
        number = self._under_way.pop(mid, None)
        if number is None:
            self._early[mid] = reason
        else:
            self._settle(number, reason)

    def _settle(self, number: int, reason: Any) -> None:
        if reason.value == 0:
            self.accepted.add(number)
        else:
            self._again.append(number)


def handled(folder: Path) -> list[tuple[int, float, int]]:
    """Every note of every process; a note is one write, so a killed process leaves none that is half."""
    notes: list[tuple[int, float, int]] = []
    for file in (folder / "handled").iterdir():
        data = file.read_bytes()
        notes += RECORD.iter_unpack(data[: len(data) // RECORD.size * RECORD.size])
    return notes


def plan(options: argparse.Namespace, chance: random.Random) -> list[tuple[int, str]]:
    """What happens after how many published messages."""
    first, last = options.messages // 50, options.messages * 49 // 50
    counts = {
        "kill": options.kills,
        "scale": options.scales,
        "drain": options.drains,
        "restart broker": options.broker_restarts,
        "kill engine": options.engine_kills,
    }
    events = [(chance.randrange(first, last), name) for name, count in counts.items() for _ in range(count)]
    return sorted(events)


class Run:
    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self._options = options
        self._folder = folder
        self._chance = random.Random(options.seed)
        self._kills = Kills()
        self._broker: MosquittoBroker | OwnBroker | None = None
        numbers = range(options.messages)
        self._crashes = frozenset(self._chance.sample(numbers, min(options.crashes, options.messages)))
        if options.broker == "mosquitto":
            self._broker = MosquittoBroker(folder / "mosquitto")
        elif options.engine_kills:
            self._broker = OwnBroker()
        self._write_project(self._broker.url if self._broker else "embedded")
        self._instance = Instance(folder)

    def _write_project(self, url: str) -> None:
        options = self._options
        for name in ("handled", "crashed"):
            (self._folder / name).mkdir()
        (self._folder / "handlers.py").write_text(HANDLERS.replace("DELAY", str(options.delay)))
        (self._folder / "routemq.toml").write_text(
            f'[app]\ngroup = "chaos"\n[broker]\nurl = "{url}"\nport = {free_port()}\n'
            f'protocol = "{options.protocol}"\n'
            f'[routes.chaos]\ntopic = "chaos/{{number:int}}"\nhandler = "handlers:handle"\n'
            f"qos = {options.qos}\nworkers = {options.workers}\nprefetch = {options.prefetch}\n"
        )

    def go(self) -> bool:
        self._instance.start()
        self._all_up()
        publisher = Publisher(self._instance.broker_port(), self._options.qos, self._crashes)
        events = plan(self._options, self._chance)
        started = time.monotonic()
        for number in range(self._options.messages):
            publisher.publish(number)
            while events and events[0][0] <= number:
                self._happen(events.pop(0)[1])
            while publisher.backlog > 1000:
                time.sleep(0.005)
            if self._options.rate:
                ahead = number / self._options.rate - (time.monotonic() - started)
                if ahead > 0.01:
                    time.sleep(ahead)
        while publisher.backlog or publisher.publish_again():
            time.sleep(0.01)
        seconds = time.monotonic() - started
        self._instance.ask(do="scale", route="chaos", count=self._options.workers)
        self._settle(publisher.accepted)
        publisher.close()
        self._instance.stop()
        if self._broker is not None:
            self._broker.stop()
        return self._tell(publisher.accepted, seconds)

    # -- what happens ------------------------------------------------------------------------------------

    def _happen(self, name: str) -> None:
        actions: dict[str, Callable[[], None]] = {
            "kill": self._kill,
            "scale": self._scale,
            "drain": self._drain,
            "restart broker": lambda: self._broker.restart() if self._broker else None,
            "kill engine": self._kill_engine,
        }
        actions[name]()

    def _workers(self) -> list[dict[str, Any]]:
        workers = self._instance.snapshot()["routes"][0]["workers"]
        return [each for each in workers if each["state"] in ("running", "starting")]

    def _kill(self) -> None:
        workers = [each for each in self._workers() if each["pid"]]
        if workers:
            self._kills.times.append(time.time())
            self._instance.ask(do="kill", worker=self._chance.choice(workers)["name"])

    def _drain(self) -> None:
        workers = self._workers()
        if len(workers) > 1:
            self._instance.ask(do="drain", worker=self._chance.choice(workers)["name"])
            self._instance.ask(do="scale", route="chaos", change=1)

    def _scale(self) -> None:
        count = self._chance.randint(1, self._options.workers * 2)
        self._instance.ask(do="scale", route="chaos", count=count)

    def _kill_engine(self) -> None:
        self._kills.times.append(time.time())
        self._instance.kill()
        self._instance.start()

    def _all_up(self) -> None:
        def up() -> bool:
            snapshot = self._instance.snapshot()
            return bool(snapshot["running"] >= snapshot["desired"] > 0)

        wait_for(up, 30, "all workers run")

    # -- what came of it ---------------------------------------------------------------------------------

    def _dead(self) -> int:
        return DeadLetterStore(self._folder / ".routemq").count()

    def _settle(self, accepted: set[int]) -> None:
        """Wait until all is handled, or nothing was for a while."""
        last, since = -1, time.monotonic()
        while time.monotonic() - since < self._options.patience:
            seen = {number for number, _, _ in handled(self._folder)}
            if len(seen & accepted) + self._dead() >= len(accepted):
                return
            if len(seen) != last:
                last, since = len(seen), time.monotonic()
            time.sleep(0.2)

    def _tell(self, accepted: set[int], seconds: float) -> bool:
        notes = handled(self._folder)
        times = Counter(number for number, _, _ in notes)
        dead = [int(each.topic.split("/")[1]) for each in DeadLetterStore(self._folder / ".routemq").read()]
        lost = sorted(accepted - set(times) - set(dead))
        twice = sum(count - 1 for count in times.values())
        processes_killed = len(self._kills.times) + len(list((self._folder / "crashed").iterdir()))
        window = self._options.prefetch
        everyone = self._options.broker_restarts + self._options.engine_kills
        bound = window * (processes_killed + everyone * 2 * self._options.workers)
        rows = [
            ("published", len(accepted)),
            ("handled at least once", len(accepted & set(times))),
            ("handled again", f"{twice} (bound: {bound})"),
            ("dead-lettered", len(set(dead))),
            ("lost", f"{len(lost)} {lost[:10] if lost else ''}"),
            ("redelivered after a kill", self._redelivery(notes)),
            ("kills by hand, engine's included", len(self._kills.times)),
            ("handler crashes", len(list((self._folder / "crashed").iterdir()))),
            ("seconds", f"{seconds:.1f}"),
        ]
        for name, value in rows:
            print(f"  {name:<34}{value}")
        return not lost and twice <= bound

    def _redelivery(self, notes: list[tuple[int, float, int]]) -> str:
        waits = []
        for _, at, duplicate in notes:
            before = [kill for kill in self._kills.times if kill <= at]
            if duplicate and before:
                waits.append(at - before[-1])
        if not waits:
            return "none seen with DUP"
        waits.sort()
        return f"{len(waits)}; median {waits[len(waits) // 2]:.2f} s, longest {waits[-1]:.2f} s"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=0, help="SIGKILLs of a worker")
    parser.add_argument("--scales", type=int, default=0, help="changes of the worker count")
    parser.add_argument("--drains", type=int, default=0, help="drains of one worker, another added")
    parser.add_argument("--crashes", type=int, default=0, help="messages that kill their worker once")
    parser.add_argument("--broker-restarts", type=int, default=0, help="restarts of mosquitto")
    parser.add_argument("--engine-kills", type=int, default=0, help="SIGKILLs of the engine, started again")
    parser.add_argument("--qos", type=int, choices=(1, 2), default=1)
    parser.add_argument("--protocol", choices=("5", "3.1.1"), default="5")
    parser.add_argument("--broker", choices=("mosquitto", "embedded"), default="mosquitto")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--prefetch", type=int, default=20)
    parser.add_argument("--rate", type=float, default=2000.0, help="messages/s; 0 is as fast as it goes")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds each message takes")
    parser.add_argument("--patience", type=float, default=30.0, help="seconds without progress to give up")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep the folder of the run, to look at")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    print(f"chaos: {' '.join(sys.argv[1:])}; Python {platform.python_version()}, {platform.machine()}")
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    run = Run(options, folder)
    try:
        good = run.go()
    finally:
        run._instance.kill()
        if run._broker is not None:
            run._broker.stop()
        if options.keep:
            print(f"  kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
