"""Messages per second through the embedded broker, and through mosquitto as its peer when it is installed.

`python bench/broker.py [--messages N]`. Publisher and subscribers are lean raw-socket clients in processes of
their own; at most `AHEAD` messages are under way, so nothing overflows and both brokers are asked the same.
The CPU is the broker's own, user and system, per message published.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import c_uint64
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from routemq_tui.broker.handle import EmbeddedBroker

AHEAD = 2000
BATCH = 50
PAYLOAD = b'{"device": 4711, "temperature": 21.5, "unit": "C"}'.ljust(100)
TOPIC = b"sensors/4711/temperature"
LIMIT = 20.0
TARGETS = {0: 20_000, 1: 8_000}


class Case(NamedTuple):
    version: int
    qos: int
    members: int
    """0 for one plain subscriber, else members of a share group."""
    batch: int = BATCH
    """Messages a write of the publisher; at QoS 1 it waits for all of their PUBACKs."""

    @property
    def name(self) -> str:
        receivers = f"share group of {self.members}" if self.members else "one subscriber"
        return f"MQTT {'5' if self.version == 5 else '3.1.1'}, QoS {self.qos}, {receivers}, by {self.batch}"


class Result(NamedTuple):
    seconds: float
    received: list[int]
    cpu: float


def field(text: bytes) -> bytes:
    return len(text).to_bytes(2, "big") + text


def packet(first: int, body: bytes) -> bytes:
    size, encoded = len(body), bytearray()
    while size >= 0x80:
        encoded.append(size & 0x7F | 0x80)
        size >>= 7
    encoded.append(size)
    return bytes((first,)) + bytes(encoded) + body


def connect(port: int, version: int, client_id: str) -> socket.socket:
    """A connected client; a Receive Maximum of 100 where the protocol has one."""
    link = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    properties = b"\x03\x21\x00\x64" if version == 5 else b""
    fixed = field(b"MQTT") + bytes((version, 2, 0, 60))
    link.sendall(packet(0x10, fixed + properties + field(client_id.encode())))
    answer = link.recv(256)
    if answer[0] != 0x20 or answer[3]:
        raise RuntimeError(f"CONNECT was refused: {answer.hex()}")
    return link


def publish(port: int, case: Case, count: int, counts: Any, start: Any) -> None:
    """Send `count` messages, never more than AHEAD before what the subscribers have received."""
    link = connect(port, case.version, "bench-publisher")
    middle = b"\x00" if case.version == 5 else b""
    frames = []
    for number in range(1, case.batch + 1):
        packet_id = number.to_bytes(2, "big") if case.qos else b""
        frames.append(packet(0x30 | case.qos << 1, field(TOPIC) + packet_id + middle + PAYLOAD))
    batch = b"".join(frames)
    acks = 4 * case.batch
    start.wait()
    for sent in range(0, count, case.batch):
        while sent - sum(counts) > AHEAD:
            time.sleep(0.0002)
        link.sendall(batch)
        left = acks if case.qos else 0
        while left > 0:
            left -= len(link.recv(left))
    link.recv(1)


def receive(port: int, case: Case, number: int, counts: Any, start: Any) -> None:
    """Count what arrives and acknowledge it, one write a read."""
    link = connect(port, case.version, f"bench-{number}")
    topic = (b"$share/bench/" if case.members else b"") + b"sensors/+/temperature"
    properties = b"\x00" if case.version == 5 else b""
    link.sendall(packet(0x82, b"\x00\x01" + properties + field(topic) + bytes((case.qos,))))
    link.recv(256)
    start.wait()
    id_at = 2 + len(TOPIC)
    rest = b""
    while True:
        data = link.recv(65536)
        if not data:
            return
        rest = rest + data if rest else data
        position, size, received, acks = 0, len(rest), 0, bytearray()
        while position + 5 <= size:
            length, at = rest[position + 1], position + 2
            if length & 0x80:
                length, at = length & 0x7F | rest[at] << 7, at + 1
            if at + length > size:
                break
            if rest[position] & 0xF0 == 0x30:
                received += 1
                if rest[position] & 6:
                    acks += b"\x40\x02" + rest[at + id_at : at + id_at + 2]
            position = at + length
        rest = rest[position:]
        counts[number] += received
        if acks:
            link.sendall(acks)


def measure(port: int, pid: int, case: Case, count: int) -> Result:
    context = multiprocessing.get_context("fork")
    receivers = max(1, case.members)
    counts = RawArray(c_uint64, receivers)
    start = context.Barrier(receivers + 2)
    processes = [
        context.Process(target=receive, args=(port, case, number, counts, start), daemon=True)
        for number in range(receivers)
    ]
    processes.append(context.Process(target=publish, args=(port, case, count, counts, start), daemon=True))
    for process in processes:
        process.start()
    broker = psutil.Process(pid)
    before = broker.cpu_times()
    start.wait(LIMIT)
    began = time.perf_counter()
    while sum(counts) < count and time.perf_counter() - began < LIMIT:
        time.sleep(0.001)
    seconds = time.perf_counter() - began
    after = broker.cpu_times()
    for process in processes:
        process.terminate()
        process.join()
    cpu = after.user + after.system - before.user - before.system
    return Result(seconds, list(counts), cpu)


@contextmanager
def embedded() -> Iterator[tuple[int, int, str]]:
    broker = EmbeddedBroker.start(0)
    try:
        yield broker.port, broker.pid, broker.version
    finally:
        broker.stop()


@contextmanager
def mosquitto(program: str, settings: str = "set_tcp_nodelay true\n") -> Iterator[tuple[int, int, str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mosquitto.conf"
        file.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n{settings}")
        silent = subprocess.DEVNULL
        process = subprocess.Popen([program, "-c", str(file)], stdout=silent, stderr=silent)
        try:
            _wait_for(port)
            yield port, process.pid, _mosquitto_version(program)
        finally:
            process.terminate()
            process.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + LIMIT
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > deadline:
            raise RuntimeError(f"nothing listens on port {port}")
        time.sleep(0.01)


def _mosquitto_version(program: str) -> str:
    words = subprocess.run([program, "-h"], capture_output=True, text=True, check=False).stdout.split()
    return f"mosquitto {words[2]}" if len(words) > 2 else "mosquitto"


def cases() -> list[Case]:
    """In batches of 50, as under load, and with one message a write, where system calls decide."""
    both = [Case(version, qos, members) for version in (4, 5) for qos in (0, 1) for members in (0, 3)]
    return both + [Case(5, qos, members, batch=1) for qos in (0, 1) for members in (0, 3)]


def run(port: int, pid: int, version: str, count: int) -> bool:
    """Measure all cases and print a line each; whether every target was met and nothing was lost."""
    print(f"\n{version}\n{'case':<48}{'messages/s':>12}{'CPU us/msg':>12}{'received':>10}  each member")
    good = True
    for case in cases():
        result = measure(port, pid, case, count)
        total = sum(result.received)
        rate = total / result.seconds
        members = "/".join(map(str, result.received)) if case.members else ""
        print(
            f"{case.name:<48}{rate:>12,.0f}{result.cpu / count * 1e6:>12.1f}{total:>10}  {members}",
            flush=True,
        )
        good = good and total == count and rate >= TARGETS[case.qos]
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=40_000, help="messages a case (default 40,000)")
    count = parser.parse_args().messages // BATCH * BATCH
    print(
        f"{platform.platform()}, {psutil.cpu_count()} cores, Python {sys.version.split()[0]},"
        f" payload {len(PAYLOAD)} bytes, {count} messages a case"
    )
    with embedded() as (port, pid, version):
        good = run(port, pid, version, count)
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        print("\nmosquitto is not installed: no peer to compare with")
    else:
        with mosquitto(program) as (port, pid, version):
            run(port, pid, version, count)
    print(f"\ntargets (QoS 0 {TARGETS[0]:,}, QoS 1 {TARGETS[1]:,} messages/s): {'met' if good else 'MISSED'}")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
