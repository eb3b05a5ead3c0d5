"""Messages that are larger than the broker takes: each is told, and stops nothing else."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from routemq_tui.broker.handle import EmbeddedBroker
from routemq_tui.config.model import TrafficConfig
from routemq_tui.errors import ExitCode
from routemq_tui.publisher.client import PublishClient, TooLargeError
from routemq_tui.publisher.generator import Generator
from routemq_tui.publisher.replay import ReplayStoppedError, replay
from routemq_tui.publisher.traffic import compile_traffic
from routemq_tui.worker.dead_letters import DeadLetter, DeadLetterStore
from routemq_tui.worker.spec import BrokerAddress
from tests.conftest import Mosquitto
from tests.publisher.subscriber import subscribed
from tests.waiting import wait_until
from tests.worker.peer import Peer, connack

LIMIT = 2000
OLD = "3.1.1"


@contextmanager
def mosquitto_with(folder: Path, settings: str) -> Iterator[Mosquitto]:
    broker = Mosquitto(folder, settings)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop(kill=True)


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Mosquitto]:
    with mosquitto_with(tmp_path, f"max_packet_size {LIMIT}") as broker:
        yield broker


@pytest.fixture(params=[pytest.param("mosquitto", marks=pytest.mark.mosquitto), "embedded"])
def port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    if request.param == "embedded":
        embedded = EmbeddedBroker.start(0, limits={"packet_bytes": LIMIT})
        yield embedded.port
        embedded.stop()
        return
    with mosquitto_with(tmp_path, f"max_packet_size {LIMIT}") as broker:
        yield broker.port


class Hangup:
    """A broker that hangs up on every PUBLISH, and notes the first of each connection."""

    def __init__(self) -> None:
        self.first: list[int] = []
        self._peer = Peer()
        self._closing = False
        self.port = self._peer.port
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._closing = True
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join(10)
        self._peer.close()

    def _serve(self) -> None:
        while True:
            link = self._peer.accept()
            if self._closing:
                return
            link.packet()
            link.send(connack())
            self.first.append(link.packet()[0])
            link.close()


@pytest.fixture
def hangup() -> Iterator[Hangup]:
    broker = Hangup()
    yield broker
    broker.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DeadLetterStore]:
    one = DeadLetterStore(tmp_path / ".routemq")
    for payload in (b"a", b"x" * 5000, b"b", b"c"):
        one.add(DeadLetter("r", "r/1", "t", payload, 1, "ValueError: bad"))
    yield one
    one.close()


@contextmanager
def generating(traffic: list[TrafficConfig], address: BrokerAddress) -> Iterator[Callable[[str], int]]:
    """A generator on a thread; gives how often something is in its log."""
    log: list[str] = []
    stop = threading.Event()
    compiled = [compile_traffic(each) for each in traffic]
    generator = Generator(compiled, address, stop, lambda level, text: log.append(f"{level} {text}"))
    thread = threading.Thread(target=generator.run)
    thread.start()
    try:
        yield lambda part: sum(part in line for line in log)
    finally:
        stop.set()
        thread.join(10)


TRAFFIC = [TrafficConfig("ok", rate=50, qos=1), TrafficConfig("big", rate=20, qos=1, payload="x" * 3000)]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_the_client_refuses_what_the_broker_told_it_does_not_take(port: int, qos: int) -> None:
    client = PublishClient(BrokerAddress("127.0.0.1", port))
    with subscribed(port) as got:
        client.connect()
        with pytest.raises(TooLargeError, match=r"of 20\d\d bytes is larger than the broker takes \(2000\)"):
            client.publish("t", b"x" * LIMIT, qos, False)
        client.publish("t", b"x" * (LIMIT - 3 - 3 - (2 if qos else 0) - 1), qos, False)
        client.drain(5)
        wait_until(lambda: got, what="what is as large as may be")
    client.close()


def test_traffic_that_is_too_large_is_left_out_and_told_once(port: int) -> None:
    with subscribed(port) as got, generating(TRAFFIC, BrokerAddress("127.0.0.1", port)) as logged:
        wait_until(lambda: len(got) > 40, what="the other traffic")
        assert {message.topic for message in got} == {"ok"}
        assert logged("ERROR cannot publish to 'big'") == 1
        assert (logged("its traffic is left out"), logged("INFO publishing")) == (1, 1)


@pytest.mark.mosquitto
def test_it_is_tried_again_when_the_broker_takes_more(limited: Mosquitto, tmp_path: Path) -> None:
    with generating(TRAFFIC, BrokerAddress("127.0.0.1", limited.port)) as logged:
        wait_until(lambda: logged("its traffic is left out"))
        limited.stop(kill=True)
        settings = tmp_path / "mosquitto.conf"
        settings.write_text(settings.read_text().replace(str(LIMIT), "9000"))
        limited.start()
        with subscribed(limited.port) as got:
            wait_until(lambda: "big" in {message.topic for message in got}, what="the large ones")


class Impatient(threading.Event):
    """A stop flag that notes how long it is waited for, does not wait, and is set in the end."""

    def __init__(self, waits: int) -> None:
        super().__init__()
        self.pauses: list[float] = []
        self._left = waits

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout or 0.0)
        if len(self.pauses) == self._left:
            self.set()
        return self.is_set()


def test_a_broker_that_hangs_up_is_tried_ever_less_often_and_not_with_the_same_for_ever(
    hangup: Hangup,
) -> None:
    # given a broker that tells no limit and hangs up on what comes
    stop = Impatient(8)
    traffic = [compile_traffic(TrafficConfig("t", rate=1000, qos=1, payload="x" * 3000))]
    log: list[str] = []
    # when traffic is generated for it
    Generator(traffic, BrokerAddress("127.0.0.1", hangup.port), stop, lambda _, text: log.append(text)).run()
    # then it waits longer each time, though the connection itself is had at once
    assert all(later > sooner for sooner, later in itertools.pairwise(stop.pauses[:6]))
    assert stop.pauses[7] > 7
    # and each message is sent again once (the DUP flag), then let go
    assert [bool(first & 8) for first in hangup.first] == [False, True] * 4
    assert sum("are let go" in text for text in log) == 4


def test_a_replay_goes_on_after_a_letter_that_is_too_large(port: int, store: DeadLetterStore) -> None:
    client = PublishClient(BrokerAddress("127.0.0.1", port))
    with subscribed(port) as got:
        client.connect()
        done, failed = replay(store, client, [1, 2, 3, 4])
        client.close()
        wait_until(lambda: len(got) >= 3, what="the others")
    assert done == [1, 3, 4]
    assert failed == [
        "2 stays: cannot publish to 't': a packet of 5009 bytes is larger than the broker takes (2000)"
    ]
    assert [(each.letter.id, each.claimed) for each in store.headings()] == [(2, False)]


@pytest.mark.mosquitto
def test_a_replay_goes_on_where_the_limit_is_not_known(limited: Mosquitto, store: DeadLetterStore) -> None:
    client = PublishClient(BrokerAddress("127.0.0.1", limited.port, protocol=OLD))
    with subscribed(limited.port) as got:
        client.connect()
        done, failed = replay(store, client, [1, 2, 3, 4])
        client.close()
        wait_until(lambda: len(got) >= 3, what="the others")
    assert (done, len(failed)) == ([1, 3, 4], 1)
    assert failed[0].startswith("2 stays: lost the broker")
    assert failed[0].endswith("perhaps since the letter is larger than the broker takes")
    assert [(each.letter.id, each.claimed) for each in store.headings()] == [(2, False)]


def test_a_replay_that_the_broker_hangs_up_on_ends_and_says_where(
    store: DeadLetterStore, hangup: Hangup
) -> None:
    client = PublishClient(BrokerAddress("127.0.0.1", hangup.port))
    client.connect()
    with pytest.raises(ReplayStoppedError, match="dead letter 3 stays, 0 dead letters replayed") as caught:
        replay(store, client, [1, 2, 3, 4])
    assert caught.value.exit_code == ExitCode.BROKER_UNAVAILABLE
    assert hangup.first == [0x32] * 3
    assert not any(each.claimed for each in store.headings())


@pytest.mark.mosquitto
def test_a_replay_that_loses_its_broker_tells_how_far_it_came(
    limited: Mosquitto, store: DeadLetterStore
) -> None:
    client = PublishClient(BrokerAddress("127.0.0.1", limited.port))

    def ids() -> Iterator[int]:
        yield 1
        limited.stop(kill=True)
        yield 3

    with subscribed(limited.port):
        client.connect()
        with pytest.raises(ReplayStoppedError, match="dead letter 3 stays, 1 dead letter replayed before it"):
            replay(store, client, ids())
    assert [each.letter.id for each in store.headings()] == [4, 3, 2]
    assert not any(each.claimed for each in store.headings())
