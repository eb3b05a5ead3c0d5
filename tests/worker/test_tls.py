"""Workers over TLS: what a stock paho client gets, they get, in records cut anywhere and of any size."""

from __future__ import annotations

import multiprocessing
import random
import ssl
import threading
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from routemq_tui.routing.message import Message
from routemq_tui.worker import cells
from routemq_tui.worker.spec import Subscribed
from tests.conftest import Mosquitto
from tests.waiting import free_port, wait_until
from tests.worker.harness import Project, Publisher
from tests.worker.peer import Peer, ack
from tests.worker.session_here import run_session
from tests.worker.streams import publish, pubrel


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's context whose certificate this process, and what it spawns, trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    return context


@pytest.mark.parametrize("v5", [True, False], ids=["5", "3.1.1"])
@pytest.mark.parametrize("fast_path", [True, False], ids=["fast", "stock"])
def test_messages_in_records_cut_anywhere_are_handled_in_order(
    fast_path: bool, v5: bool, trusted: ssl.SSLContext, tmp_path: Path
) -> None:
    # given messages of all sizes, and records that do not keep to them
    chance = random.Random(7)
    sizes = [0, 1, 100, 127, 16_383, 16_384, 70_000, 300_000] + [chance.randrange(2000) for _ in range(80)]
    block = b"" if v5 else None
    payloads = [chance.randbytes(size) for size in sizes]
    stream = b"".join(
        publish("t/a", payload, number % 2, number, block=block) for number, payload in enumerate(payloads, 1)
    )
    handled: list[bytes] = []
    with Peer(trusted) as peer:

        def script() -> None:
            link = peer.greet(v5)
            at = 0
            while at < len(stream):
                size = chance.choice((1, 7, 900, 16_384, 200_000))
                link.send(stream[at : at + size])
                at += size
            wanted = range(1, len(payloads) + 1, 2)
            assert [link.packet() for _ in wanted] == [ack(0x40, number) for number in wanted]
            link.close()
            # and when the connection ends, it is back on another one
            peer.greet(v5, present=True).close()

        def handle(message: Message) -> None:
            handled.append(message.payload)

        run_session(peer, handle, script, tmp_path, v5, tls=True, fast_path=fast_path)
    assert handled == payloads


def test_quality_2_is_the_same_over_tls(trusted: ssl.SSLContext, tmp_path: Path) -> None:
    handled: list[bytes] = []
    with Peer(trusted) as peer:

        def script() -> None:
            link = peer.greet()
            link.send(publish("t/a", b"7", 2, 7, block=b""))
            assert link.packet() == ack(0x50, 7)
            link.send(pubrel(7) + b"\xd0\x00" + publish("t/a", b"8", 2, 7, block=b""))
            assert [link.packet(), link.packet()] == [ack(0x70, 7), ack(0x50, 7)]
            link.close()

        def handle(message: Message) -> None:
            handled.append(message.payload)

        run_session(peer, handle, script, tmp_path, v5=True, tls=True)
    assert handled == [b"7", b"8"]


@pytest.fixture
def tls_port(mosquitto: Mosquitto, certificate: Path, trusted: ssl.SSLContext, tmp_path: Path) -> int:
    """Where mosquitto speaks TLS besides."""
    mosquitto.stop()
    port = free_port()
    with (tmp_path / "mosquitto" / "mosquitto.conf").open("a") as settings:
        settings.write(f"\nlistener {port} 127.0.0.1\nallow_anonymous true\n")
        settings.write(f"certfile {certificate}\nkeyfile {certificate.with_name('key.pem')}\n")
    mosquitto.start()
    return port


class Stock:
    """paho over TLS, subscribed to the same."""

    def __init__(self, port: int, certificate: Path, v5: bool) -> None:
        self.seen: Counter[tuple[str, int, int, int]] = Counter()
        self._ready = threading.Event()
        version = MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311
        self.client = Client(CallbackAPIVersion.VERSION2, client_id="stock", protocol=version)
        self.client.tls_set(ca_certs=str(certificate))
        self.client.on_message = self._on_message
        self.client.on_connect = lambda *_: self.client.subscribe("t/#", 2)
        self.client.on_subscribe = lambda *_: self._ready.set()
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self._ready.wait(10)

    def _on_message(self, _client: Any, _data: Any, got: Any) -> None:
        self.seen[got.topic, got.qos, len(got.payload), zlib.crc32(got.payload)] += 1

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


HANDLER = """
import zlib
def handle(message):
    record(message.topic, message.qos, len(message.payload), zlib.crc32(message.payload))
"""


def compare_with_stock(
    here: Project, port: int, certificate: Path, publisher: Publisher, count: int, v5: bool, largest: int
) -> None:
    here.broker = replace(here.broker, port=port, tls=True)
    worker = here.worker(
        context=multiprocessing.get_context("spawn"),
        qos=2,
        template="t/{rest:path}",
        subscription="t/#",
        protocol="5" if v5 else "3.1.1",
    )
    worker.start()
    worker.wait_for(Subscribed)
    stock = Stock(port, certificate, v5)
    try:
        # when messages of every quality and size are published
        chance = random.Random(count)
        sent = []
        for number in range(count):
            size = chance.choice((0, 10, 127, 1000, 16_384, largest))
            payload = chance.randbytes(chance.randint(0, size))
            sent.append(publisher.publish(f"t/{number % 50}/x", payload, number % 3))
        for info in sent:
            info.wait_for_publish(60)
        worker.wait_handled(count, 120)
        wait_until(lambda: stock.seen.total() == count, 120, "paho has them too")
    finally:
        stock.close()
    # then both got the same, on one connection, and all is acknowledged
    seen = Counter(
        (topic, int(qos), int(length), int(check))
        for topic, qos, length, check in (line.split() for line in here.calls())
    )
    assert seen == stock.seen
    assert worker.counters.in_flight == 0
    assert worker.words[cells.CONNECTS] == 1
    assert worker.drain() == 0


@pytest.mark.parametrize("v5", [True, False], ids=["5", "3.1.1"])
def test_through_mosquitto_a_worker_gets_what_paho_gets(
    v5: bool, project: Any, tls_port: int, mosquitto: Mosquitto, certificate: Path
) -> None:
    publisher = Publisher(mosquitto.port)
    compare_with_stock(project(HANDLER), tls_port, certificate, publisher, 300, v5, 70_000)
    publisher.close()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("v5", [True, False], ids=["5", "3.1.1"])
def test_through_mosquitto_4000_messages_of_up_to_300_kb(
    v5: bool, project: Any, tls_port: int, mosquitto: Mosquitto, certificate: Path
) -> None:
    publisher = Publisher(mosquitto.port)
    compare_with_stock(project(HANDLER), tls_port, certificate, publisher, 4000, v5, 300_000)
    publisher.close()
