"""Messages in, handlers called, acknowledgements out: counted exactly, at each QoS and in both protocols."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.worker.harness import Project, Publisher

RECORD = """
def handle(n, payload):
    record(n)
"""


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_each_message_is_handled_once_in_order_and_counted(
    project: Callable[[str], Project], publisher: Publisher, qos: int, protocol: str
) -> None:
    # given a running worker
    here = project(RECORD)
    worker = here.running(qos=qos, protocol=protocol)
    # when 1,000 messages are published
    publisher.publish_many(1000, qos=qos)
    worker.wait_handled(1000)
    # then each was handled once, in order, and nothing is left in hand
    assert here.calls() == [str(number) for number in range(1000)]
    counters = worker.counters
    assert (counters.received, counters.ok, counters.failed, counters.duplicates) == (1000, 1000, 0, 0)
    assert counters.bytes == sum(len(str(number)) for number in range(1000))
    assert counters.in_flight == 0
    assert counters.current_since_ns == 0
    assert worker.drain() == 0
