"""What is promised of each message, whatever happens to the worker, the broker or the engine."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from routemq_tui.worker.spec import (
    Connected,
    Disconnected,
    HandlerFailed,
    Pause,
    Resume,
    Subscribed,
)
from tests.conftest import Mosquitto
from tests.worker.harness import Project, Publisher
from tests.worker.proxy import Proxy

Make = Callable[[str], Project]


def test_a_killed_worker_gets_again_exactly_what_it_had_not_finished(
    project: Make, publisher: Publisher
) -> None:
    # given a worker that is killed in the middle of the third message
    here = project("""
        def handle(message, n):
            record(n, message.duplicate)
            if n == "2" and not message.duplicate:
                time.sleep(60)
    """)
    worker = here.running()
    publisher.publish_many(5)
    worker.wait_until(lambda: "2 False" in here.calls(), what="the third message begins")
    assert worker.counters.current_since_ns > 0
    worker.kill()
    # when its slot comes back under its client id
    worker.start()
    worker.wait_handled(5)
    # then the unfinished one is handled again, with DUP, and nothing else is
    assert here.calls() == ["0 False", "1 False", "2 False", "2 True", "3 True", "4 True"]
    # and its counters went on from where they were
    assert (worker.counters.ok, worker.counters.in_flight) == (5, 0)
    # (those handled in one go with the unfinished one come again too, and are only acknowledged)
    assert 8 <= worker.counters.received <= 10
    assert worker.wait_for(Connected).session_present


def test_a_handler_longer_than_the_keepalive_does_not_cost_the_connection(
    project: Make, publisher: Publisher
) -> None:
    # given a keepalive of 1 s and a handler that keeps the main thread for 6 s
    here = project("""
        def handle(n):
            record("begin", n)
            time.sleep(6 if n == "0" else 0)
            record("end", n)
    """)
    worker = here.running(keepalive=1)
    # when it runs
    publisher.publish_many(2)
    worker.wait_until(lambda: "begin 0" in here.calls(), what="the handler begins")
    worker.wait_until(lambda: "end 1" in here.calls(), timeout=12, what="both are handled")
    # then the broker kept the connection and nothing was handled twice
    assert here.calls() == ["begin 0", "end 0", "begin 1", "end 1"]
    assert worker.counters.connects == 1
    assert worker.counters.duplicates == 0
    assert not any(isinstance(report, Disconnected) for report in worker.reports)


def test_the_heartbeat_goes_on_during_a_handler(project: Make, publisher: Publisher) -> None:
    here = project("""
        def handle(n):
            record(n)
            time.sleep(2)
    """)
    worker = here.running()
    publisher.publish_many(1)
    worker.wait_until(lambda: here.calls() == ["0"], what="the handler begins")
    began = worker.counters.heartbeat_ns
    worker.wait_until(lambda: worker.counters.heartbeat_ns > began + 5e8, timeout=1.5, what="two beats")
    assert worker.counters.current_since_ns > 0  # the handler still runs


def test_a_broker_restart_is_survived(project: Make, mosquitto: Mosquitto) -> None:
    # given a running worker
    here = project("def handle(n): record(n)")
    worker = here.running()
    # when the broker goes and comes back, without a memory
    mosquitto.stop(kill=True)
    lost = worker.wait_for(Disconnected)
    assert lost.reason
    assert worker.counters.connected == 0
    worker.reports.clear()
    mosquitto.start()
    # then the worker is back and subscribed, and its generation says that the session is a new one
    worker.wait_for(Subscribed)
    assert not worker.wait_for(Connected).session_present
    assert worker.counters.generation == 2
    publisher = Publisher(mosquitto.port)
    publisher.publish_many(3)
    publisher.close()
    worker.wait_until(lambda: here.calls() == ["0", "1", "2"], what="messages come")


def test_paused_it_handles_nothing_and_stays_connected(project: Make, publisher: Publisher) -> None:
    here = project("def handle(n): record(n)")
    worker = here.running(keepalive=1, prefetch=5)
    publisher.publish_many(1)
    worker.wait_until(lambda: here.calls() == ["0"], what="it works")
    # when it is paused
    worker.send(Pause())
    publisher.publish_many(20, first=1)
    worker.wait_until(lambda: worker.counters.in_flight >= 5, what="the window is full")
    beat = worker.counters.heartbeat_ns
    worker.wait_until(lambda: worker.counters.heartbeat_ns > beat + 2e9, what="two keepalives pass")
    # then nothing was handled and the connection held
    assert here.calls() == ["0"]
    assert (worker.counters.connects, worker.counters.connected) == (1, 1)
    # and when it goes on, everything is handled in order
    worker.send(Resume())
    worker.wait_until(lambda: len(here.calls()) == 21, what="the rest is handled")
    assert here.calls() == [str(number) for number in range(21)]


def test_waiting_messages_are_bounded_without_a_receive_window(project: Make, publisher: Publisher) -> None:
    # given a paused worker at QoS 0, where the broker knows no window
    here = project("def handle(n): record(n)")
    worker = here.running(qos=0, paused=True)
    # when many messages come
    publisher.publish_many(12_000, qos=0)
    worker.wait_until(lambda: worker.counters.in_flight >= 256, what="the worker's own bound")
    seen = worker.counters.received
    # then it stops reading the socket
    beat = worker.counters.heartbeat_ns
    worker.wait_until(lambda: worker.counters.heartbeat_ns > beat + 4e8, what="a little later")
    # a read of 64 KiB that was begun is taken to its end; the smallest packet here has 10 bytes
    assert worker.counters.received == seen < 256 + 65536 / 10
    # and takes up all that waited later
    worker.send(Resume())
    worker.wait_handled(12_000)
    assert here.calls() == [str(number) for number in range(12_000)]


def test_async_handlers_overlap_and_acknowledgements_stay_in_order(
    project: Make, publisher: Publisher
) -> None:
    # given three async handlers at once, of which the first one never ends
    here = project("""
        import asyncio
        async def handle(n, message):
            if n == "0" and not message.duplicate:
                record("begin 0")
                await asyncio.sleep(60)
            record(n)
    """)
    worker = here.running(concurrency=3)
    publisher.publish_many(3)
    # when those behind it have ended and the worker is killed
    worker.wait_until(lambda: worker.counters.ok == 2, what="the others end")
    assert sorted(here.calls()) == ["1", "2", "begin 0"]
    assert worker.counters.in_flight == 3
    worker.kill()
    worker.start()
    # then all three come again: none was acknowledged before the first
    worker.wait_handled(5)
    assert sorted(here.calls()[3:]) == ["0", "1", "2"]


def test_no_more_handlers_run_at_once_than_allowed(project: Make, publisher: Publisher) -> None:
    here = project("""
        import asyncio
        now = 0
        async def handle(n):
            global now
            now += 1
            record(now)
            await asyncio.sleep(0.01)
            now -= 1
    """)
    worker = here.running(concurrency=4)
    publisher.publish_many(60)
    worker.wait_handled(60)
    assert max(map(int, here.calls())) == 4


def test_asyncio_timeout_works_in_a_handler(project: Make, publisher: Publisher) -> None:
    here = project("""
        import asyncio
        async def handle(n):
            try:
                async with asyncio.timeout(0.02):
                    await asyncio.sleep(60)
            except TimeoutError:
                record("timeout")
    """)
    worker = here.running()
    publisher.publish_many(2)
    worker.wait_handled(2)
    assert here.calls() == ["timeout"] * 2
    assert worker.counters.ok == 2


FAILURES = {
    "0": "ValueError: bad",
    "1": "SystemExit: 3",
    "2": "KeyboardInterrupt",
    "3": "CancelledError",
    "4": "RecursionError: maximum recursion depth exceeded",
}


@pytest.mark.parametrize("kind", ["", "async "])
def test_whatever_a_handler_raises_is_counted_logged_and_acknowledged(
    project: Make, publisher: Publisher, kind: str
) -> None:
    # given a handler that fails in every way
    here = project(f"""
        import asyncio, sys
        def deeper(): deeper()
        {kind}def handle(n):
            if n == "0": raise ValueError("bad\\nsecond line")
            if n == "1": sys.exit(3)
            if n == "2": raise KeyboardInterrupt
            if n == "3": raise asyncio.CancelledError
            if n == "4": deeper()
            record(n)
    """)
    worker = here.running()
    # when messages make it fail
    publisher.publish_many(6)
    worker.wait_handled(6)
    # then the worker lives, counted each, and acknowledged each
    assert (worker.counters.ok, worker.counters.failed, worker.counters.in_flight) == (1, 5, 0)
    assert here.calls() == ["5"]
    # and the log has each, with its topic and the traceback from the handler on
    records = [record for record in worker.logs if record.logger == "routemq.handler"]
    for n, (record, expected) in enumerate(zip(records, FAILURES.values(), strict=True)):
        assert record.level == 40
        assert record.text.startswith(f"t/{n}: {expected}")
        assert "handlers.py" in record.text
        assert "dispatch.py" not in record.text
    assert worker.wait_for(HandlerFailed) == HandlerFailed(topic="t/0", error="ValueError: bad")
    worker.kill()
    worker.start()
    worker.wait_for(Subscribed)
    assert worker.counters.received == 6


def test_failures_are_reported_a_few_times_a_second_at_most(project: Make, publisher: Publisher) -> None:
    here = project("def handle(n): raise ValueError")
    worker = here.running()
    began = time.monotonic()
    publisher.publish_many(300)
    worker.wait_handled(300)
    worker.drain()
    reports = [report for report in worker.reports if isinstance(report, HandlerFailed)]
    assert 1 <= len(reports) <= (time.monotonic() - began) / 0.5 + 1
    assert sum("ValueError" in text for text in worker.texts("log")) == 300


def test_payloads_and_topics_that_do_not_fit_are_one_line_each(project: Make, publisher: Publisher) -> None:
    here = project("""
        def handle(n, payload: dict): record(n)
    """)
    worker = here.running(template="t/{n:int}")
    publisher.publish("t/1", "no json")
    publisher.publish("t/x", "{}")
    publisher.publish("t/2", "{}")
    worker.wait_handled(3)
    assert here.calls() == ["2"]
    assert (worker.counters.ok, worker.counters.failed) == (1, 2)
    texts = [record.text for record in worker.logs if record.logger == "routemq.handler"]
    assert len(texts) == 2
    assert texts[0].startswith("t/1: ")
    assert "t/x" in texts[1]
    assert "t/{n:int}" in texts[1]
    assert not any("\n" in text for text in texts)


def test_a_handler_publishes_through_its_client(project: Make, publisher: Publisher) -> None:
    got: list[tuple[str, bytes]] = []
    publisher.client.on_message = lambda _c, _d, packet: got.append((packet.topic, packet.payload))
    publisher.client.subscribe("out/#", 1)
    here = project("""
        def handle(n, client):
            client.publish("out/bytes", b"\\x00\\xff")
            client.publish("out/text", "ü", qos=1)
            client.publish("out/json", {"n": n}, qos=2)
            try:
                client.publish("out/#", b"")
            except ValueError:
                record("refused")
    """)
    worker = here.running()
    publisher.publish_many(1)
    worker.wait_until(lambda: len(got) == 3, what="three messages")
    assert sorted(got) == [
        ("out/bytes", b"\x00\xff"),
        ("out/json", b'{"n":"0"}'),
        ("out/text", "ü".encode()),
    ]
    worker.wait_handled(1)
    assert here.calls() == ["refused"]
    assert worker.counters.ok == 1


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_connection_cut_in_a_handler_does_not_make_it_run_twice(
    project: Make, publisher: Publisher, proxy: Proxy, kind: str, qos: int
) -> None:
    # given handlers under way when the network breaks, and more messages behind
    pause = "time.sleep" if kind == "def" else "await asyncio.sleep"
    here = project(f"""
        import asyncio
        {kind} handle(n):
            record(n)
            {pause}(0.35 if n == "0" else 0)
    """)
    worker = here.running(port=proxy.port, qos=qos)
    publisher.publish_many(5, qos=qos)
    worker.wait_until(lambda: here.calls() == ["0"], what="the handler begins")
    # when the connection is cut and made anew
    proxy.cut()
    worker.wait_until(lambda: worker.counters.connects == 2, what="it connects again")
    worker.wait_handled(5)
    # then each ran once, and all are acknowledged: nothing is left in the session
    publisher.publish_many(1, first=5, qos=qos)
    worker.wait_until(lambda: len(here.calls()) == 6, what="the next one")
    assert here.calls() == ["0", "1", "2", "3", "4", "5"]
    assert worker.drain(keep_session=True) == 0
    worker.start()
    worker.wait_for(Subscribed)
    publisher.publish_many(1, first=6, qos=qos)
    worker.wait_until(lambda: len(here.calls()) == 7, what="the last one")
    assert here.calls()[6] == "6"
