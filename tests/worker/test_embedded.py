"""Workers on the embedded broker, whose groups have one queue each."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from routemq_tui.broker.handle import EmbeddedBroker
from routemq_tui.errors import ExitCode
from routemq_tui.worker.spec import Connected, Drained, TakenOver
from tests.waiting import wait_until
from tests.worker.harness import Project, Publisher

SLOW = """
def handle(n):
    record(n)
    time.sleep(0.001)
"""


@pytest.fixture
def broker() -> Iterator[EmbeddedBroker]:
    one = EmbeddedBroker.start(0)
    yield one
    one.stop(5)


@pytest.fixture
def here(tmp_path: Path, broker: EmbeddedBroker) -> Iterator[Project]:
    project = Project(tmp_path, broker.port, SLOW)
    yield project
    project.stop()


@pytest.fixture
def publisher(broker: EmbeddedBroker) -> Iterator[Publisher]:
    one = Publisher(broker.port)
    yield one
    one.close()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_each_message_is_handled_once(here: Project, publisher: Publisher, qos: int, protocol: str) -> None:
    worker = here.running(qos=qos, protocol=protocol, one_queue_per_group=True)
    publisher.publish_many(300, qos=qos)
    worker.wait_handled(300)
    assert here.calls() == [str(number) for number in range(300)]
    assert worker.counters.in_flight == 0
    assert worker.drain() == 0


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_member_drained_under_load_loses_and_doubles_nothing(
    here: Project, publisher: Publisher, protocol: str
) -> None:
    stays = here.running(protocol=protocol, one_queue_per_group=True)
    goes = here.running(protocol=protocol, one_queue_per_group=True, slot=2, client_id="g-n-r-2")
    load = threading.Thread(target=publisher.publish_many, args=(400, 1, 0, 1500))
    load.start()
    goes.wait_until(lambda: goes.counters.ok > 20, what="the second member works")
    assert goes.drain() == ExitCode.OK
    load.join()
    assert goes.last(Drained).left == 0
    wait_until(lambda: stays.counters.ok + goes.counters.ok >= 400, what="all are handled")
    assert Counter(here.calls()) == Counter(str(number) for number in range(400))
    # and the session is gone
    goes.start()
    assert not goes.wait_for(Connected).session_present


def test_what_a_killed_member_had_goes_to_the_others(
    here: Project, publisher: Publisher, broker: EmbeddedBroker
) -> None:
    # given two members, one of them paused with a full window
    stays = here.running(one_queue_per_group=True)
    dies = here.running(one_queue_per_group=True, slot=2, client_id="g-n-r-2", paused=True, prefetch=7)
    publisher.publish_many(100)
    dies.wait_until(lambda: dies.counters.in_flight == 7, what="its window is full")
    # when it is killed
    dies.kill()
    # then the other handles what it held, and each message was handled once
    wait_until(lambda: stays.counters.ok == 100, what="all are handled")
    assert Counter(here.calls()) == Counter(str(number) for number in range(100))


def test_a_worker_that_is_taken_over_says_so_and_stops(here: Project) -> None:
    first = here.running(one_queue_per_group=True)
    second = here.running(one_queue_per_group=True)
    assert first.wait_exit() == ExitCode.TAKEN_OVER
    assert TakenOver() in first.reports
    assert second.counters.connected == 1
