"""What is larger than the broker takes: it costs no connection, and locks no worker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from routemq_tui.broker.handle import EmbeddedBroker
from routemq_tui.worker.spec import GivenUp
from tests.conftest import Mosquitto
from tests.worker.harness import Project, Publisher

LIMIT = 6000
Make = Callable[[str], Project]

FAILING = """
def handle(n, payload: bytes):
    record(n)
    if payload == b"long":
        raise ValueError("long") from ValueError("x" * 8000)
    if payload != b"well":
        raise ValueError("bad")
"""


@pytest.fixture(params=["mosquitto", "embedded"])
def port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """Of a broker that takes packets of 6,000 bytes."""
    if request.param == "embedded":
        embedded = EmbeddedBroker.start(0, limits={"packet_bytes": LIMIT})
        yield embedded.port
        embedded.stop()
        return
    yield from _mosquitto(tmp_path)


def _mosquitto(folder: Path) -> Iterator[int]:
    broker = Mosquitto(folder, f"max_packet_size {LIMIT}")
    broker.start()
    yield broker.port
    broker.stop(kill=True)


@pytest.fixture
def make(tmp_path: Path, port: int) -> Iterator[Make]:
    made: list[Project] = []

    def project(code: str) -> Project:
        made.append(Project(tmp_path, port, code))
        return made[-1]

    yield project
    for each in made:
        each.stop()


@pytest.fixture
def sender(port: int) -> Iterator[Publisher]:
    one = Publisher(port)
    yield one
    one.close()


def letters_on(sender: Publisher, topic: str) -> list[bytes]:
    got: list[bytes] = []
    sender.client.on_message = lambda _c, _d, packet: got.append(packet.payload)
    sender.client.subscribe(topic, 1)
    return got


@pytest.mark.mosquitto
def test_a_letter_that_fits_without_its_traceback_goes_so_and_a_larger_one_is_stored(
    make: Make, sender: Publisher
) -> None:
    # given a route that fails with a long traceback, then with what becomes larger in base64
    got = letters_on(sender, "dead/r")
    here = make(FAILING)
    worker = here.running(dead_letter_topic="dead/r")
    for number, payload in enumerate([b"long", b"\xff" * 5000, b"\xff" * 5001, b"small", b"well"]):
        sender.publish(f"t/{number}", payload)
    worker.wait_handled(5)
    # then all are safe on the one connection, and the handler ran once for each
    worker.wait_until(lambda: len(got) == 2, what="two letters")
    bare, small = (json.loads(each) for each in got)
    assert (bare["topic"], bare["traceback"]) == ("t/0", "(left out: too large for the broker)")
    assert (small["topic"], "raise ValueError" in small["traceback"]) == ("t/3", True)
    stored = here.letters()
    assert [(each.topic, len(each.payload)) for each in stored] == [("t/1", 5000), ("t/2", 5001)]
    assert all("raise ValueError" in each.traceback for each in stored)
    assert here.calls() == ["0", "1", "2", "3", "4"]
    counters = worker.counters
    assert (counters.dead_lettered, counters.acknowledged, counters.connects) == (4, 5, 1)
    assert worker.wait_for(GivenUp).outcome == "published"
    # and it is told once
    told = [text for text in worker.texts("log") if "larger than the broker takes" in text]
    assert len(told) == 1
    assert told[0].endswith(f"bytes is larger than the broker takes ({LIMIT}): it is in the store instead")


@pytest.mark.mosquitto
@pytest.mark.parametrize("port", ["mosquitto"], indirect=True)
@pytest.mark.parametrize("fast_path", [True, False])
def test_a_letter_with_which_the_connection_is_lost_twice_is_stored(
    make: Make, sender: Publisher, fast_path: bool
) -> None:
    # given a broker that hangs up on what is too large and, in 3.1.1, cannot say what that is
    got = letters_on(sender, "dead/r")
    here = make(FAILING)
    worker = here.running(dead_letter_topic="dead/r", protocol="3.1.1", fast_path=fast_path)
    sender.publish("t/0", b"small")
    for number in range(1, 6):
        sender.publish(f"t/{number}", b"\xff" * (4990 + number))
    sender.publish("t/6", b"small")
    sender.publish("t/7", b"well")
    worker.wait_handled(8)
    # then the first costs two connections, the others none, and all are safe
    worker.wait_until(lambda: len(got) >= 2, what="the small letters")
    assert [json.loads(each)["topic"] for each in got] == ["t/0", "t/6"]
    assert [each.topic for each in here.letters()] == [f"t/{number}" for number in range(1, 6)]
    assert (worker.counters.connects, worker.counters.dead_lettered) == (3, 7)
    assert here.calls() == [str(number) for number in range(8)]
    told = [text for text in worker.texts("log") if "lost twice with a dead letter" in text]
    assert len(told) == 1
    assert "it is in the store instead" in told[0]


@pytest.mark.mosquitto
def test_a_handler_that_publishes_too_much_is_told(make: Make, sender: Publisher) -> None:
    got = letters_on(sender, "out/#")
    here = make("""
        def told(function, *values, **named):
            try:
                function(*values, **named)
            except ValueError as error:
                record(error)
        def handle(n, client, message):
            for qos in (0, 1, 2):
                told(client.publish, "out/c", b"x" * 5990, qos)
            told(message.publish, "out/m", b"x" * 7000)
            told(client.publish, "out/c", b"x" * 5985, 1, correlation_data=b"c" * 10)
            client.publish("out/fits", b"x" * (6000 - 3 - 10 - 2 - 1), 1)
    """)
    worker = here.running()
    sender.publish("t/0")
    worker.wait_handled(1)
    words = "is larger than the broker takes (6000)"
    assert here.calls() == [
        f"not published to out/c: a packet of 6001 bytes {words}",
        f"not published to out/c: a packet of 6003 bytes {words}",
        f"not published to out/c: a packet of 6003 bytes {words}",
        f"not published to out/m: a packet of 7011 bytes {words}",
        f"not published to out/c: a packet of 6011 bytes {words}",
    ]
    # and what is as large as may be arrives, on the same connection
    worker.wait_until(lambda: len(got) == 1, what="what fits")
    assert (worker.counters.connects, worker.counters.failed) == (1, 0)
