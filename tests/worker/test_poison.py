"""Messages that killed their process, and what a killed process had in hand."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from routemq_tui.broker.handle import EmbeddedBroker
from routemq_tui.worker import black_box, cells
from routemq_tui.worker.delivery import Delivery, Topic
from routemq_tui.worker.engine_notes import Watched
from routemq_tui.worker.spec import GivenUp, Resume, Seen, Stopped
from tests.waiting import wait_until
from tests.worker.harness import Project, Publisher, Worker
from tests.worker.proxy import Proxy

Make = Callable[[str], Project]


def print_of(number: int) -> int:
    """The fingerprint of one of `publish_many`'s messages."""
    return cells.fingerprint(f"t/{number}".encode(), str(number).encode())


def test_a_message_with_too_many_deaths_is_given_up_unrun(project: Make, publisher: Publisher) -> None:
    # given a worker that runs, and a table that says which messages killed others
    here = project("def handle(n): record(n)")
    worker = here.running(max_deliveries=3, retries=4)
    cells.write_suspects(worker.words, {print_of(1): 3, print_of(2): 2})
    publisher.publish_many(4)
    worker.wait_handled(4)
    # then only the one with as many deaths as allowed is given up, without a DUP flag on it
    assert here.calls() == ["0", "2", "3"]
    text = "its worker process died 3 times while handling it"
    assert worker.wait_for(GivenUp) == GivenUp("t/1", text, "poison", 3, "stored")
    [letter] = here.letters()
    assert (letter.topic, letter.cause, letter.error, letter.attempts) == ("t/1", "poison", text, 3)
    assert worker.counters.duplicates == 0
    # and when the same number of entries says something else, that holds
    cells.write_suspects(worker.words, {print_of(1): 1, print_of(2): 5})
    publisher.publish_many(4)
    worker.wait_handled(8)
    assert here.calls() == ["0", "2", "3", "0", "1", "3"]
    # and an empty table suspects nobody
    cells.write_suspects(worker.words, {})
    publisher.publish_many(4)
    worker.wait_handled(12)
    assert here.calls()[6:] == ["0", "1", "2", "3"]


@pytest.mark.parametrize(("death", "code"), [("os._exit(7)", 7), ("os.kill(os.getpid(), 11)", -11)])
def test_the_message_that_killed_its_process_is_named(
    project: Make, publisher: Publisher, death: str, code: int
) -> None:
    here = project(f"""
        def handle(n):
            record(n)
            if n == "1": {death}
    """)
    worker = here.running()
    publisher.publish_many(4)
    assert worker.wait_exit() == code
    assert worker.counters.current_since_ns > 0
    assert black_box.current_fingerprint(worker.words) == print_of(1)
    # as the engine does it
    cells.write_suspects(worker.words, {black_box.current_fingerprint(worker.words): 3})
    worker.start()
    worker.wait_handled(4)
    assert here.calls() == ["0", "1", "2", "3"]
    assert [each.topic for each in here.letters()] == ["t/1"]


def test_of_several_async_handlers_the_one_that_ran_is_named(project: Make, publisher: Publisher) -> None:
    # given handlers in flight, of which not the newest one kills the process
    here = project("""
        import asyncio
        begun = 0
        async def handle(n):
            global begun
            begun += 1
            while begun < 3:
                await asyncio.sleep(0.01)
            for _ in range(int(n) + 1):
                await asyncio.sleep(0.02)
            record(n)
            if n == "1":
                os._exit(7)
            await asyncio.sleep(60)
    """)
    worker = here.running(concurrency=3)
    publisher.publish_many(3)
    assert worker.wait_exit() == 7
    assert here.calls() == ["0", "1"]
    assert black_box.current_fingerprint(worker.words) == print_of(1)


def test_a_route_that_stops_stops_at_a_poison_message_too(project: Make, publisher: Publisher) -> None:
    here = project("def handle(n): record(n)")
    worker = here.running(on_error="stop", max_deliveries=1)
    cells.write_suspects(worker.words, {print_of(0): 1})
    publisher.publish_many(1)
    assert worker.wait_exit() == 0
    assert worker.last(Stopped).error == "its worker process died once while handling it"
    assert (here.calls(), worker.counters.acknowledged) == ([], 0)


# -- in hand --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_after_a_kill_in_the_window_what_was_in_hand_is_known_exactly(
    project: Make, publisher: Publisher, protocol: str
) -> None:
    # given a worker killed in the middle of its fourth message, with a full window
    here = project("""
        import asyncio
        async def handle(n):
            record(n)
            if n == "3":
                await asyncio.sleep(60)
    """)
    worker = here.running(prefetch=6, protocol=protocol)
    publisher.publish_many(20)
    worker.wait_until(lambda: "3" in here.calls() and worker.counters.received >= 9, what="a full window")
    worker.kill()
    # then what is listed is exactly what comes again
    received = worker.counters.received
    listed = black_box.in_hand_fingerprints(worker.words)
    assert listed == tuple(print_of(number) for number in range(3, received))
    assert worker.counters.in_flight == len(listed)
    again = here.worker(paused=True, prefetch=len(listed), protocol=protocol)
    again.start()
    again.wait_until(lambda: again.counters.received >= len(listed), what="they come again")
    assert again.counters.duplicates >= len(listed)  # some may have been on their way
    assert black_box.in_hand_fingerprints(again.words)[: len(listed)] == listed


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_what_is_in_hand_stays_exact_across_a_new_connection(
    project: Make, publisher: Publisher, proxy: Proxy, kind: str
) -> None:
    # given a handler that runs on while the connection is made anew
    here = project(f"""
        import asyncio
        {kind} handle(n):
            record(n)
            if n == "2":
                {"time.sleep" if kind == "def" else "await asyncio.sleep"}(0.5)
            if n == "4":
                {"time.sleep" if kind == "def" else "await asyncio.sleep"}(60)
    """)
    worker = here.running(port=proxy.port, prefetch=4)
    publisher.publish_many(12)
    worker.wait_until(lambda: here.calls() == ["0", "1", "2"], what="the third begins")
    proxy.cut()
    worker.wait_until(lambda: here.calls()[-1] == "4", what="the fifth begins")
    worker.wait_until(lambda: worker.counters.in_flight >= 4, what="the window is full")
    # then the fifth and those behind it are listed, each once
    listed = black_box.in_hand_fingerprints(worker.words)
    assert listed == tuple(print_of(number) for number in range(4, 4 + len(listed)))
    assert worker.counters.connects == 2
    worker.kill()
    assert black_box.in_hand_fingerprints(worker.words)[0] == print_of(4)
    # and the next process begins with nothing in hand
    worker.spec = here.spec(port=proxy.port, paused=True, prefetch=4)
    worker.start()
    worker.wait_until(lambda: worker.counters.in_flight >= 4, what="they come again")
    again = black_box.in_hand_fingerprints(worker.words)
    assert again == tuple(print_of(number) for number in range(4, 4 + len(again)))


# -- seen again -----------------------------------------------------------------------------------------


def seen(worker: Worker) -> list[tuple[int, str]]:
    worker.pump()
    return [(each.fingerprint, each.fate) for each in worker.reports if isinstance(each, Seen)]


def test_watched_messages_are_reported_when_they_come_and_when_they_end(
    project: Make, publisher: Publisher
) -> None:
    here = project("""
        import asyncio
        async def handle(n, message):
            record(n)
            if len(open(os.path.join(os.path.dirname(__file__), "calls")).readlines()) == 2:
                await asyncio.sleep(60)
    """)
    worker = here.running()
    publisher.publish_many(4)
    worker.wait_until(lambda: here.calls() == ["0", "1"], what="the second begins")
    worker.wait_until(lambda: worker.counters.received == 4, what="all have come")
    worker.kill()
    # as the engine does it
    listed = black_box.in_hand_fingerprints(worker.words)
    cells.write_watched(worker.words, listed)
    worker.start()
    worker.wait_handled(4)
    worker.wait_until(lambda: len(seen(worker)) >= 6, what="six reports")
    assert sorted(seen(worker)) == sorted((each, fate) for each in listed for fate in ("came", "handled"))
    assert worker.wait_for(Seen).duplicate
    assert worker.wait_for(Seen).topic == "t/1"
    # and the same message once more is not told again, nor others
    publisher.publish_many(6)
    worker.wait_handled(10)
    assert len(seen(worker)) == 6
    # and when nothing is watched, nothing is told
    cells.write_watched(worker.words, [])
    publisher.publish_many(4)
    worker.wait_handled(14)
    assert len(seen(worker)) == 6


def test_what_is_in_hand_already_is_reported_when_it_becomes_watched(
    project: Make, publisher: Publisher
) -> None:
    here = project("""
        import os
        def handle(n):
            record(n)
            while not os.path.exists(os.path.join(os.path.dirname(__file__), "go")):
                time.sleep(0.01)
    """)
    worker = here.running()
    publisher.publish_many(3)
    worker.wait_until(lambda: here.calls() and worker.counters.received == 3, what="three in hand")
    cells.write_watched(worker.words, [print_of(2)])
    (here.root / "go").touch()
    worker.wait_handled(3)
    worker.wait_until(lambda: len(seen(worker)) == 2, what="two reports")
    assert seen(worker) == [(print_of(2), "came"), (print_of(2), "handled")]


@pytest.mark.parametrize(
    ("settings", "fate"),
    [
        ({"on_error": "dead-letter"}, "dead-lettered"),
        ({"on_error": "dead-letter", "dead_letter_topic": "letters/r"}, "published"),
        ({"on_error": "drop"}, "dropped"),
        ({"on_error": "stop"}, "stopped"),
    ],
)
def test_a_watched_message_that_fails_is_not_reported_as_handled(
    project: Make, publisher: Publisher, settings: dict[str, str], fate: str
) -> None:
    here = project("""
        def handle(n):
            record(n)
            raise ValueError("bad reading")
    """)
    worker = here.running(**settings)
    cells.write_watched(worker.words, [print_of(0)])
    publisher.publish_many(1)
    worker.wait_until(lambda: len(seen(worker)) == 2, what="two reports")
    assert seen(worker) == [(print_of(0), "came"), (print_of(0), fate)]
    assert (worker.last(Seen).unrun, here.calls()) == ("", ["0"])


def test_a_watched_message_that_is_given_up_unrun_is_reported_as_that(
    project: Make, publisher: Publisher
) -> None:
    here = project("def handle(n: int): record(n)")
    worker = here.running(max_deliveries=2)
    cells.write_suspects(worker.words, {print_of(0): 2, print_of(1): 2 | cells.TIMED_OUT})
    cells.write_watched(worker.words, [print_of(0), print_of(1), print_of(2)])
    publisher.publish_many(3)
    worker.wait_until(lambda: len(seen(worker)) == 6, what="six reports")
    worker.pump()
    ends = [each for each in worker.reports if isinstance(each, Seen) and each.fate != "came"]
    assert [(each.fate, each.unrun) for each in ends] == [
        ("dead-lettered", "poison"),
        ("dead-lettered", "timeout"),
        ("handled", ""),
    ]
    assert here.calls() == ["2"]


def test_what_failed_a_moment_ago_is_reported_as_failed_too(project: Make, publisher: Publisher) -> None:
    here = project("""
        import asyncio
        async def handle(n, message):
            record(n)
            if not message.duplicate:
                await asyncio.sleep(0 if n == "9" else 60)
            else:
                raise ValueError("bad reading")
    """)
    worker = here.running(on_error="drop")
    publisher.publish_many(1)
    worker.wait_until(here.calls, what="it begins")
    worker.kill()
    worker.start()
    worker.wait_until(lambda: worker.counters.failed == 1, what="it fails")
    cells.write_watched(worker.words, [print_of(0)])
    publisher.publish("t/9")
    worker.wait_until(lambda: len(seen(worker)) == 2, what="two reports")
    assert seen(worker) == [(print_of(0), "came"), (print_of(0), "dropped")]


def test_what_the_last_process_had_handled_is_reported_as_that() -> None:
    # given a message that is done before it came: its acknowledgement was lost with the last process
    words = memoryview(bytearray(cells.WORDS * 8)).cast("Q")
    told: list[Seen] = []
    cells.write_watched(words, [7])
    delivery = Delivery(Topic("t/1", b"t/1", {}), b"", 1, 1, 1, duplicate=True)
    delivery.fingerprint = 7
    Watched(words, [], told.append).ended_all((delivery,))  # type: ignore[arg-type]
    assert [each.fate for each in told] == ["came", "handled before"]


def test_what_came_again_and_ended_a_moment_ago_is_reported_too(project: Make, publisher: Publisher) -> None:
    # given a message that is handled again before the engine has noticed the death
    here = project("""
        import asyncio
        async def handle(n, message):
            record(n)
            await asyncio.sleep(0 if message.duplicate else 60)
    """)
    worker = here.running()
    publisher.publish_many(1)
    worker.wait_until(here.calls, what="it begins")
    worker.kill()
    worker.start()
    worker.wait_handled(1)
    # when it is watched, and the next message comes
    cells.write_watched(worker.words, [print_of(0)])
    publisher.publish("t/9")
    worker.wait_until(lambda: len(seen(worker)) == 2, what="two reports")
    assert seen(worker) == [(print_of(0), "came"), (print_of(0), "handled")]


# -- on a broker that gives a dead member's messages to others ------------------------------------------


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Project]:
    broker = EmbeddedBroker.start(0)
    project = Project(
        tmp_path,
        broker.port,
        """
        import asyncio
        async def handle(n):
            record(n)
            if n == "1":
                await asyncio.sleep(60)
        """,
    )
    yield project
    project.stop()
    broker.stop(5)


def test_another_slot_sees_what_a_killed_one_had(embedded: Project) -> None:
    # given a worker stuck in a message, with others in its window
    publisher = Publisher(embedded.broker.port)
    dies = embedded.running(one_queue_per_group=True, prefetch=3)
    publisher.publish_many(5)
    dies.wait_until(lambda: dies.counters.received == 4, what="its window is full")
    other = embedded.running(one_queue_per_group=True, slot=2, client_id="g-n-r-2", paused=True, prefetch=3)
    assert dies.process is not None
    assert dies.process.pid is not None
    # when it is killed, and the first of its messages is known to kill
    cells.write_watched(other.words, black_box.in_hand_fingerprints(dies.words))
    cells.write_suspects(other.words, {black_box.current_fingerprint(dies.words): 3})
    os.kill(dies.process.pid, signal.SIGKILL)
    wait_until(lambda: other.counters.received >= 3, what="the other slot gets them")
    other.send(Resume())
    # then it gives that one up, whatever its DUP flag, and reports each of them
    other.wait_handled(4)
    assert [each.topic for each in embedded.letters()] == ["t/1"]
    assert embedded.letters()[0].worker == "r/2"
    other.wait_until(lambda: len(seen(other)) == 6, what="six reports")
    assert {each: fate for each, fate in seen(other) if fate != "came"} == {
        print_of(1): "dead-lettered",
        print_of(2): "handled",
        print_of(3): "handled",
    }
    publisher.close()
