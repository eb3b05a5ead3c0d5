"""What a real engine knows of single messages, of errors and of dead letters, with real workers."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from routemq_tui.config.model import OnError
from routemq_tui.engine import commands
from routemq_tui.engine.messages import TappedMessage
from routemq_tui.engine.snapshot import ErrorGroup
from routemq_tui.engine.snapshot_json import snapshot_values
from routemq_tui.engine.states import WorkerState
from tests.engine.conftest import StartRig
from tests.engine.rig import Rig, publish, route


def messages(rig: Rig, name: str | None = None) -> tuple[TappedMessage, ...]:
    return rig.engine.messages.read(name).messages


def group(rig: Rig, kind: str) -> ErrorGroup | None:
    return next((each for each in rig.engine.snapshot().errors if each.kind == kind), None)


def tap(rig: Rig, on: bool = True) -> None:
    rig.send(commands.SetTap("jobs", on))
    rig.until(lambda: rig.route().tapped is on, "the tap is turned")


# -- the tap --------------------------------------------------------------------------------------------


def test_a_tap_shows_messages_of_all_workers_and_of_those_that_come_later(start_rig: StartRig) -> None:
    # given two workers, and messages before the tap
    with start_rig(route(workers=2)) as rig:
        rig.until_running(2)
        rig.publish(6)
        rig.until_ok(6)
        assert (messages(rig), rig.route().tapped) == ((), False)
        # when it is turned on and more are published
        tap(rig)
        rig.publish(8)
        rig.until(lambda: len(messages(rig)) >= 8, "all are told")
        found = messages(rig, "jobs")
        assert {each.topic for each in found} == {f"jobs/{number}" for number in range(8)}
        assert {each.outcome for each in found} == {"ok"}
        assert rig.route().sampled is None
        # then a worker that is added or started again tells too
        rig.send(commands.KillWorker("jobs", 1))
        rig.until(lambda: (one := rig.worker(1)) and one.restarts == 1 and rig.route().running == 2)
        rig.send(commands.AddWorker("jobs"))
        rig.until_running(3)
        for _ in range(5):
            rig.publish(6)
        rig.until(lambda: {each.worker for each in messages(rig)[8:]} == {"jobs/1", "jobs/2", "jobs/3"})
        # and none after it is turned off
        tap(rig, False)
        rig.publish(3)
        told, ok = len(messages(rig)), rig.route().metrics.ok
        rig.publish(3)
        rig.until_ok(ok + 3)
        assert len(messages(rig)) == told


def test_the_share_that_a_tap_shows_is_told(start_rig: StartRig) -> None:
    with start_rig(route()) as rig:
        rig.until_running(1)
        tap(rig)
        rig.publish(400)
        rig.until_ok(400)

        def sampled() -> float | None:
            rig.publish(1)
            return rig.route().sampled

        share = rig.until(sampled, "a message is told after those that were not")
        assert 0 < share < 1
        assert snapshot_values(rig.engine.snapshot())["routes"][0]["sampled"] == pytest.approx(share, abs=0.5)


# -- errors ---------------------------------------------------------------------------------------------


def test_a_failed_message_is_kept_with_its_group_and_dead_letter(start_rig: StartRig) -> None:
    with start_rig(route(handler="picky")) as rig:
        rig.until_running(1)
        rig.publish(3, payload=b'{"celsius": 900}')
        rig.until(lambda: (found := group(rig, "ValueError")) and found.count == 3, "three are counted")
        found = group(rig, "ValueError")
        assert found is not None
        assert (found.text, found.routes, found.workers) == ("bad reading", ("jobs",), ("jobs/1",))
        assert found.where.startswith("tasks/work.py:")
        assert found.where.endswith(" in picky")
        assert 'raise ValueError("bad reading")' in found.traceback
        assert sum(found.trend) == 3
        example = rig.engine.messages.get(found.example)
        assert example is not None
        assert (example.outcome, example.payload) == ("dead-lettered", b'{"celsius": 900}')
        assert example.group == found.fingerprint
        letter = rig.engine.letters.get(example.letter or 0)
        assert letter is not None
        assert (letter.line.topic, letter.payload) == (example.topic, example.payload)
        (as_json,) = snapshot_values(rig.engine.snapshot())["errors"]
        assert json.loads(json.dumps(as_json))["count"] == 3


def test_error_counts_are_exact_over_kills(start_rig: StartRig) -> None:
    # given workers that fail every message, killed again and again while they do
    with start_rig(route(handler="picky", workers=2, on_error=OnError.DROP)) as rig:
        rig.until_running(2)
        for round_ in range(4):
            rig.publish(300)
            slot = round_ % 2 + 1
            worker = rig.worker(slot)
            assert worker is not None
            if worker.pid is not None:
                os.kill(worker.pid, signal.SIGKILL)
            rig.until(
                lambda pid=worker.pid, slot=slot: (one := rig.worker(slot)) and one.pid not in (None, pid)
            )
        rig.until(lambda: rig.route().metrics.in_flight == 0 and rig.route().running == 2)

        # then the groups add up to the failed counters, with what was never told as a group of its own
        def exact() -> bool:
            snapshot = rig.engine.snapshot()
            return sum(each.count for each in snapshot.errors) == snapshot.metrics.failed >= 1200

        rig.until(exact, "the groups add up")
        # (a message that was in a handler at a kill is seen as one that may have caused it)
        assert {each.kind for each in rig.engine.snapshot().errors} <= {"ValueError", "unknown", "poison"}


def test_what_a_dying_worker_had_not_told_is_a_group_of_its_own(start_rig: StartRig) -> None:
    # given a worker that fails many messages at once and dies of the next one
    with start_rig(route(handler="brittle", max_deliveries=1, on_error=OnError.DROP)) as rig:
        rig.until_running(1)
        rig.publish(200)
        rig.publish(1, topic="jobs/bad", payload=b'{"kill": true}')
        rig.until(lambda: (found := group(rig, "poison")) and found.count == 1, "the last one is given up")

        def exact() -> bool:
            snapshot = rig.engine.snapshot()
            return sum(each.count for each in snapshot.errors) == snapshot.metrics.failed

        rig.until(exact, "the groups add up")
        unknown = group(rig, "unknown")
        assert unknown is not None
        assert 0 < unknown.count < 200
        assert (unknown.text, unknown.workers) == ("the worker was killed before it told", ("jobs/1",))


def test_a_message_that_kills_is_a_group_before_it_is_given_up(start_rig: StartRig) -> None:
    with start_rig(route(handler="deadly", max_deliveries=2)) as rig:
        rig.until_running(1)
        rig.publish(1, topic="jobs/bad", payload=b'{"kill": true}')
        rig.until(lambda: (found := group(rig, "poison")) and (found.count, found.example) == (1, 3))
        found = group(rig, "poison")
        assert found is not None
        assert (found.where, found.routes) == ("jobs/bad", ("jobs",))
        told = messages(rig)
        assert [each.outcome for each in told] == ["poison"] * 3
        assert {each.group for each in told} == {found.fingerprint}
        assert [each.attempts for each in told] == [1, 2, 2]
        died, _, given_up = told
        assert died.error == "exited with code 9 while handling jobs/bad (1 of 2 deaths)"
        assert (died.payload, died.letter) == (b'{"kill": true}', None)
        assert given_up.letter is not None
        assert found.example == given_up.seq


def test_a_handler_beyond_its_time_is_a_group_of_its_kind(
    start_rig: StartRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routemq_tui.engine.engine.SAMPLE_EVERY", 0.1)
    with start_rig(route(handler="sleeper", timeout=0.3, max_deliveries=1)) as rig:
        rig.until_running(1)
        rig.publish(1, topic="jobs/long", payload=b'{"seconds": 30}')
        rig.until(lambda: (found := group(rig, "timeout")) and found.count == 1, "it is given up")
        assert {each.outcome for each in messages(rig)} == {"timeout"}
        assert messages(rig)[0].duration >= 0.3


# -- dead letters ---------------------------------------------------------------------------------------


@pytest.fixture
def with_letters(start_rig: StartRig) -> Callable[..., Any]:
    """`with with_letters(handler) as rig`: three dead letters of a handler that is mended by a file."""
    return lambda: start_rig(route(handler="picky"), route("other", handler="count"))


def until_stored(rig: Rig, count: int) -> None:
    rig.until(lambda: rig.engine.letters.count() == count, f"{count} letters are stored", 5)


def test_dead_letters_are_read_newest_first(with_letters: Callable[..., Any]) -> None:
    with with_letters() as rig:
        assert (rig.engine.letters.count(), rig.engine.letters.read()) == (0, ())
        rig.until_running(1)
        rig.publish(3, payload=b'{"a": 1}')
        until_stored(rig, 3)
        newest, *others = rig.engine.letters.read()
        ids = [newest.id, *(each.id for each in others)]
        assert ids == sorted(ids, reverse=True)
        assert len(ids) == 3
        assert (newest.route, newest.worker, newest.size) == ("jobs", "jobs/1", 8)
        assert (newest.state, newest.error, newest.cause) == ("stored", "ValueError: bad reading", "handler")
        assert rig.engine.letters.read(after=others[-1].id, limit=1) == (newest,)
        assert rig.engine.letters.read(route="other") == ()
        assert rig.engine.letters.get(newest.id + 1) is None


def test_dead_letters_are_replayed_and_purged_from_the_engine(with_letters: Callable[..., Any]) -> None:
    with with_letters() as rig:
        rig.until_running(1)
        rig.publish(3)
        until_stored(rig, 3)
        old = [each.id for each in rig.engine.letters.read()]
        # when two are replayed, they come to the handler again (and fail again)
        rig.send(commands.ReplayLetters((old[0], old[1])))
        rig.until(lambda: "2 dead letters replayed to their topics" in rig.notices(), "replayed")
        rig.until(lambda: rig.route().metrics.failed == 5, "the handler has them again")
        until_stored(rig, 3)
        states = {each.id: each.state for each in rig.engine.letters.read()}
        assert [states[each] for each in old] == ["replayed", "replayed", "stored"]
        assert rig.engine.letters.get(old[0]) is None
        # and when all are purged, none is left
        stored = tuple(each for each, state in states.items() if state == "stored")
        rig.send(commands.PurgeLetters(stored))
        rig.until(lambda: "3 dead letters purged" in rig.notices(), "purged")
        until_stored(rig, 0)
        assert {each.state for each in rig.engine.letters.read()} == {"replayed", "purged"}


def test_a_replay_of_what_is_gone_says_so(with_letters: Callable[..., Any]) -> None:
    with with_letters() as rig:
        rig.until_running(1)
        rig.publish(1)
        until_stored(rig, 1)
        (line,) = rig.engine.letters.read()
        rig.send(commands.ReplayLetters((line.id, line.id + 50)))
        rig.until(lambda: "1 of 2 dead letters replayed" in rig.notices())
        assert f"{line.id + 50} is being replayed elsewhere, or gone" in rig.notices()
        rig.send(commands.PurgeLetters(()))
        rig.until(lambda: "0 dead letters purged" in rig.notices())
        until_stored(rig, 1)


# -- publishing -----------------------------------------------------------------------------------------


def test_a_message_is_published_from_the_engine(start_rig: StartRig) -> None:
    with start_rig(route(handler="note")) as rig:
        rig.until_running(1)
        rig.send(commands.Publish("jobs/7", b"hello", 1, False))
        rig.until_ok(1)
        rig.until(lambda: "published 5 bytes to jobs/7 at QoS 1" in rig.notices())
        rig.send(commands.Publish("jobs/+", b"x", 1, False))
        rig.until(lambda: "the message is not published: cannot publish to 'jobs/+'" in rig.notices())


# -- histories ------------------------------------------------------------------------------------------


def test_histories_of_all_a_route_and_a_worker(start_rig: StartRig) -> None:
    with start_rig(route(workers=2)) as rig:
        rig.until_running(2)
        rig.publish(40)
        rig.send(commands.AddWorker("jobs"))
        rig.until_running(3)
        rig.until(lambda: sum(rig.engine.history(None, "10m").rate) > 0, "a point of all")
        for name in ("jobs", "jobs/1"):
            assert sum(rig.engine.history(name, "1h").rate) > 0
        assert [mark.label for mark in rig.engine.history(None, "1h").marks] == ["jobs: +1 worker"]
        assert [mark.label for mark in rig.engine.history("jobs", "10m").marks] == ["+1 worker"]
        assert rig.engine.history("jobs", "10m").step == 10
        for unknown in ("nothing", "jobs/9", "jobs/x", "a/b/c", ""):
            assert rig.engine.history(unknown, "60s").rate == ()


def test_other_workers_go_on_while_messages_are_told(start_rig: StartRig) -> None:
    """Given a tapped route and one that is not, when both get a flood, then nothing is lost of either."""
    with start_rig(route(workers=2), route("other", workers=1)) as rig:
        rig.until_running(2)
        rig.until_running(1, "other")
        tap(rig)
        publish(rig.port, 500, "jobs/{}")
        publish(rig.port, 500, "other/{}")
        rig.until_ok(500)
        rig.until_ok(500, "other")
        assert messages(rig, "other") == ()
        assert rig.worker(1).state is WorkerState.RUNNING  # type: ignore[union-attr]
