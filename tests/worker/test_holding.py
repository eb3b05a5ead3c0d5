"""A dead letter that cannot be stored: its message is held and not acknowledged; it mends by itself."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from routemq_tui.errors import ExitCode
from routemq_tui.worker.dead_letters import FILE_NAME, DeadLetterStore
from routemq_tui.worker.spec import Drain, Drained, StoreFailed, StoreRecovered
from tests.conftest import Mosquitto
from tests.worker.harness import Project, Publisher, Worker
from tests.worker.proxy import Proxy

Make = Callable[[str], Project]

IMPATIENT = """
import routemq_tui.worker.dead_letters, routemq_tui.worker.giving_up
routemq_tui.worker.dead_letters.PATIENCE = 0.1
routemq_tui.worker.giving_up.STORE_RETRY_SECONDS = 0.1
"""
FAILING = (
    IMPATIENT
    + """
def handle(n):
    record(n)
    if int(n) % 2:
        raise ValueError(n)
"""
)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB of its own."""
    folder = tmp_path / "small"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], capture_output=True)
    if made.returncode:
        pytest.skip(f"tmpfs cannot be mounted here: {made.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill_up(file: Path) -> None:
    """Write until the disk is full."""
    with file.open("wb", buffering=0) as opened, contextlib.suppress(OSError):
        while True:
            opened.write(b"\0" * 4096)


def holds_for(worker: Worker, seconds: float) -> bool:
    """Whether it goes on holding, and handles nothing meanwhile, by the beats of its own heart."""
    before = worker.counters
    if not before.holding:
        return False
    until = before.heartbeat_ns + seconds * 1e9
    worker.wait_until(lambda: worker.counters.heartbeat_ns > until, what="its heart beats")
    after = worker.counters
    return bool(after.holding) and (after.ok, after.failed) == (before.ok, before.failed)


def test_nothing_is_acknowledged_that_is_not_stored_on_a_full_disk(
    small_disk: Path, project: Make, publisher: Publisher
) -> None:
    # given a disk that is full but for a few letters
    here = project(FAILING)
    filler = small_disk / "filler"
    worker = here.running(state_folder=str(small_disk / ".routemq"), keepalive=1, prefetch=10)
    publisher.publish("t/1", b"x").wait_for_publish(5)
    worker.wait_until(lambda: worker.counters.dead_lettered == 1, what="the first letter")
    fill_up(filler)
    # when more fail than fit
    for number in range(2, 40):
        publisher.publish(f"t/{number}", b"y" * 2000)
    # then it says so, once, and handles nothing more as soon as nothing fits any more
    worker.wait_until(lambda: holds_for(worker, 2.0), timeout=20, what="a message is held for long")
    failures = [each for each in worker.reports if isinstance(each, StoreFailed)]
    assert "full" in failures[-1].reason
    assert str(small_disk) in failures[-1].reason
    assert len(failures) == 1 + sum(isinstance(each, StoreRecovered) for each in worker.reports)
    assert worker.counters.connects == 1
    calls = here.calls()
    worker.reports.clear()
    # and every message that was given up and acknowledged is in the store, the held one is not
    held = int(calls[-1])
    assert worker.counters.acknowledged == held - 1
    assert worker.counters.dead_lettered == held // 2
    # and when there is room again, it goes on by itself, without running the handler again for the one held
    filler.unlink()
    worker.wait_for(StoreRecovered)
    worker.wait_until(lambda: worker.counters.acknowledged == 39, what="the rest")
    assert worker.counters.holding == 0
    assert here.calls() == [str(number) for number in range(1, 40)]
    store = DeadLetterStore(small_disk / ".routemq")
    assert [each.topic for each in store.read()] == [f"t/{number}" for number in range(1, 40, 2)]
    store.close()


def test_a_locked_store_is_waited_for(project: Make, publisher: Publisher) -> None:
    here = project(FAILING)
    (here.root / ".routemq").mkdir()
    other = sqlite3.connect(here.root / ".routemq" / FILE_NAME, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    worker = here.running()
    publisher.publish_many(4)
    assert "locked" in worker.wait_for(StoreFailed).reason
    assert (here.calls(), worker.counters.acknowledged, worker.counters.holding) == (["0", "1"], 1, 1)
    other.close()
    worker.wait_for(StoreRecovered)
    worker.wait_until(lambda: worker.counters.acknowledged == 4, what="the rest")
    assert here.calls() == ["0", "1", "2", "3"]
    assert [each.topic for each in here.letters()] == ["t/1", "t/3"]


@pytest.mark.parametrize("keep_session", [True, False])
def test_a_drain_while_holding_leaves_the_message_to_the_session(
    project: Make, publisher: Publisher, keep_session: bool
) -> None:
    # given a message held because the store's folder cannot be made
    here = project(FAILING)
    obstacle = here.root / ".routemq"
    obstacle.touch()
    worker = here.running()
    publisher.publish_many(4)
    worker.wait_for(StoreFailed)
    # when it is drained, then it leaves at once with what it could not finish
    worker.send(Drain(keep_session=keep_session, timeout=30))
    assert worker.wait_exit(5) == ExitCode.OK
    assert worker.last(Drained) == Drained(finished=0, left=3)
    assert not any(isinstance(each, StoreRecovered) for each in worker.reports)
    assert (here.calls(), worker.counters.acknowledged) == (["0", "1"], 1)
    # and it all comes again to the next process, which can store
    obstacle.unlink()
    worker.start()
    worker.wait_until(lambda: worker.counters.dead_lettered == 2, what="two letters")
    worker.wait_until(lambda: worker.counters.in_flight == 0, what="all acknowledged")
    assert [each.topic for each in here.letters()] == ["t/1", "t/3"]
    assert here.calls() == ["0", "1", "1", "2", "3"]


def test_while_one_is_held_no_other_async_handler_is_begun(project: Make, publisher: Publisher) -> None:
    here = project(IMPATIENT + "async def handle(n):\n    record(n)\n    if n == '0': raise ValueError")
    obstacle = here.root / ".routemq"
    obstacle.touch()
    worker = here.running(concurrency=3)
    publisher.publish_many(10)
    worker.wait_for(StoreFailed)
    worker.wait_until(lambda: worker.counters.received == 10, what="all have come")
    beat = worker.counters.heartbeat_ns
    worker.wait_until(lambda: worker.counters.heartbeat_ns > beat + 3e8, what="a little later")
    assert len(here.calls()) <= 3
    assert (worker.counters.in_flight, worker.counters.holding) == (10, 1)
    obstacle.unlink()
    worker.wait_until(lambda: worker.counters.acknowledged == 10, what="the rest")
    assert [each.topic for each in here.letters()] == ["t/0"]
    assert worker.wait_for(StoreRecovered)
    assert (worker.counters.ok, worker.counters.failed) == (9, 1)


def test_a_letter_to_a_topic_is_safe_only_with_its_puback(
    project: Make, publisher: Publisher, proxy: Proxy
) -> None:
    # given a network that is cut while the letter is on its way
    got: list[bytes] = []
    publisher.client.on_message = lambda _c, _d, packet: got.append(packet.payload)
    publisher.client.subscribe("dead/r", 1)
    here = project("""
        import os
        def handle(n):
            record(n)
            while not os.path.exists(os.path.join(os.path.dirname(__file__), "cut")):
                time.sleep(0.01)
            raise ValueError(n)
    """)
    worker = here.running(port=proxy.port, dead_letter_topic="dead/r")
    publisher.publish_many(1)
    worker.wait_until(here.calls, what="the handler begins")
    proxy.cut()
    (here.root / "cut").touch()
    # then it is published on the next connection, and the message acknowledged after that
    worker.wait_until(lambda: worker.counters.dead_lettered == 1, what="given up")
    worker.wait_until(lambda: worker.counters.in_flight == 0, what="acknowledged")
    assert worker.counters.connects == 2
    assert [json.loads(each)["topic"] for each in got] == ["t/0"]
    assert here.calls() == ["0"]


def test_a_broker_that_does_not_answer_is_a_store_that_cannot_be_reached(
    project: Make, publisher: Publisher, mosquitto: Mosquitto
) -> None:
    # given a broker that stands still once the handler runs
    got: list[bytes] = []
    publisher.client.on_message = lambda _c, _d, packet: got.append(packet.payload)
    publisher.client.subscribe("dead/r", 1)
    here = project(
        IMPATIENT
        + """
import routemq_tui.worker.letters
routemq_tui.worker.letters.ANSWER_SECONDS = 0.1
def handle(n):
    record(n)
    while not os.path.exists(os.path.join(os.path.dirname(__file__), "go")):
        time.sleep(0.01)
    raise ValueError(n)
"""
    )
    worker = here.running(dead_letter_topic="dead/r")
    publisher.publish_many(1)
    worker.wait_until(here.calls, what="the handler begins")
    assert mosquitto.process is not None
    mosquitto.process.send_signal(signal.SIGSTOP)
    (here.root / "go").touch()
    # then the message is held, although the letter was sent
    assert worker.wait_for(StoreFailed).reason == "dead letters: topic dead/r: no PUBACK within 0.1 s"
    beat = worker.counters.heartbeat_ns
    worker.wait_until(lambda: worker.counters.heartbeat_ns > beat + 6e8, what="several tries")
    assert (worker.counters.acknowledged, worker.counters.dead_lettered) == (0, 0)
    # and when the broker goes on, it has been published once
    mosquitto.process.send_signal(signal.SIGCONT)
    worker.wait_for(StoreRecovered)
    worker.wait_until(lambda: worker.counters.acknowledged == 1, what="acknowledged")
    publisher.publish_many(1, first=1)
    worker.wait_until(lambda: len(got) == 2, what="the next letter")
    assert [json.loads(each)["topic"] for each in got] == ["t/0", "t/1"]


def test_a_store_that_is_no_database_holds_too(project: Make, publisher: Publisher) -> None:
    here = project(FAILING)
    folder = here.root / ".routemq"
    folder.mkdir()
    (folder / FILE_NAME).write_text("not a database " * 100)
    worker = here.running()
    publisher.publish_many(2)
    assert "not a database" in worker.wait_for(StoreFailed).reason
    assert worker.counters.acknowledged == 1
    # when it is taken away, then a new one is made
    (folder / FILE_NAME).unlink()
    worker.wait_for(StoreRecovered)
    assert [each.topic for each in here.letters()] == ["t/1"]
