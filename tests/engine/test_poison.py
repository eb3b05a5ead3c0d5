"""Messages that kill, hang or bloat their worker: named, counted, and given up in the end. Others go on."""

from __future__ import annotations

import json
import os
import re
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from routemq_tui.config.model import Limits, OnError
from routemq_tui.engine import commands
from routemq_tui.engine.handler_kind import is_sync
from routemq_tui.engine.policy import RestartPolicy
from routemq_tui.engine.snapshot import WorkerSnapshot
from routemq_tui.engine.states import WorkerState
from routemq_tui.worker import cells
from routemq_tui.worker.dead_letters import DeadLetterStore
from tests.conftest import Mosquitto
from tests.engine.conftest import StartRig
from tests.engine.rig import Rig, make_config, route, running


def body(**values: Any) -> bytes:
    return json.dumps(values).encode()


def worker(rig: Rig, slot: int = 1) -> WorkerSnapshot:
    found = rig.worker(slot)
    assert found is not None
    return found


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look after the workers ten times a second, so that tests need not wait for the next look."""
    monkeypatch.setattr("routemq_tui.engine.engine.SAMPLE_EVERY", 0.1)


def test_every_message_given_up_is_in_the_log_or_counted_there(start_rig: StartRig) -> None:
    with start_rig(route(handler="picky")) as rig:
        rig.until_running(1)
        rig.publish(20)
        rig.until(lambda: rig.route().metrics.dead_lettered == 20, "all are given up")
        rig.send(commands.KillWorker("jobs", 1))

        def told() -> bool:
            lines = [each for each in rig.log_text("jobs/1").splitlines() if "gave up" in each]
            more = sum(int(found[1]) for each in lines if (found := re.search(r"(\d+) more since", each)))
            named = sum("gave up jobs/" in each and "(counted above)" not in each for each in lines)
            return more + named == 20

        rig.until(told, "the log adds up")


def test_the_message_is_in_the_table_before_its_worker_is_killed(start_rig: StartRig) -> None:
    with start_rig(route(handler="sleeper", timeout=0.3)) as rig:
        rig.until_running(1)
        slot = rig.engine._supervisor.crews["jobs"].slots[1]
        found: list[dict[int, int]] = []
        process = slot.process
        assert process is not None
        kill = process.kill
        process.kill = lambda: (found.append(cells.read_suspects(slot.words)), kill())  # type: ignore
        rig.publish(1, payload=body(seconds=60))
        rig.until(lambda: worker(rig).restarts == 1, "it is replaced")
        assert [list(each.values()) for each in found] == [[1 | cells.TIMED_OUT]]
        assert "(1 of 3 deaths)" in rig.notices()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_message_that_kills_is_given_up_and_the_others_are_handled(
    mosquitto: Mosquitto, tmp_path: Path, protocol: str
) -> None:
    config = make_config(tmp_path, mosquitto.port, route(handler="deadly", workers=2))
    config = replace(config, broker=replace(config.broker, protocol=protocol))  # type: ignore[arg-type]
    with running(config, mosquitto.port, RestartPolicy(first=0.05)) as rig:
        rig.until_running(2)
        rig.publish(20)
        rig.publish(1, "jobs/poison", body(kill=True))
        rig.publish(20)
        rig.until(lambda: rig.route().metrics.dead_lettered == 1, "it is given up")
        rig.until_ok(40)
        assert sum(one.restarts for one in rig.route().workers) == 3
        text = rig.notices()
        for times in (1, 2, 3):
            assert f"exited with code 9 while handling jobs/poison ({times} of 3 deaths)" in text
        given_up = "it is given up and not run again"
        assert f"jobs/poison was being handled at 3 deaths of its worker: {given_up}" in text
        assert "gave up jobs/poison" in text
        (letter,) = DeadLetterStore(tmp_path / ".routemq").read()
        assert (letter.topic, letter.cause, letter.payload) == ("jobs/poison", "poison", body(kill=True))
        rig.until_running(2)


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6])
def test_a_handler_that_exits_with_one_of_our_own_codes_is_a_crash_like_any_other(
    start_rig: StartRig, code: int
) -> None:
    with start_rig(route(handler="deadly", max_deliveries=2)) as rig:
        rig.until_running(1)
        rig.publish(1, "jobs/poison", body(kill=True, code=code))
        rig.until(lambda: rig.route().metrics.dead_lettered == 1, "it is given up")
        assert (
            f"exited with code {code} while handling jobs/poison (2 of 2 deaths)"
            in rig.notices() + rig.log_text()
        )
        rig.until_running(1)


def test_deaths_are_counted_over_the_slots_of_the_route(start_rig: StartRig) -> None:
    # The broker here hands what a dead worker had to another one, and the route has but one crash a slot.
    with start_rig(route(handler="deadly", workers=3)) as rig:
        rig.until_running(3)
        rig.publish(1, "jobs/poison", body(kill=True))
        rig.until(lambda: rig.route().metrics.dead_lettered == 1, "it is given up")
        assert sum(one.restarts for one in rig.route().workers) == 3
        rig.until_running(3)


def test_many_poisonous_messages_are_no_crash_loop(start_rig: StartRig) -> None:
    with start_rig(route(handler="deadly", max_deliveries=2)) as rig:  # the policy fails it at 3 crashes
        rig.until_running(1)
        for number in range(3):
            rig.publish(1, f"jobs/poison{number}", body(kill=True, number=number))
        rig.until(lambda: rig.route().metrics.dead_lettered == 3, "all are given up", timeout=20)
        assert worker(rig).restarts == 6
        rig.until_running(1)


def test_one_death_does_not_keep_the_route_off_its_hot_path(start_rig: StartRig, tmp_path: Path) -> None:
    flag = tmp_path / "mended"
    with start_rig(route(handler="until_mended", max_deliveries=9)) as rig:
        rig.until_running(1)
        rig.publish(1, payload=body(flag=str(flag)))
        rig.until(lambda: worker(rig).restarts == 1, "it died of it")
        flag.touch()
        rig.until(lambda: rig.route().metrics.ok == 1, "it was handled")
        words = rig.engine._supervisor.crews["jobs"].slots[1].words
        rig.until(lambda: not cells.read_suspects(words), "nothing is suspected any more")


def test_a_restart_by_hand_gives_every_message_a_new_chance(start_rig: StartRig, tmp_path: Path) -> None:
    with start_rig(route(handler="deadly", max_deliveries=1)) as rig:
        rig.until_running(1)
        rig.publish(1, "jobs/poison", body(kill=True))
        rig.until(lambda: rig.route().metrics.dead_lettered == 1, "it is given up")
        work = tmp_path / "tasks" / "work.py"
        work.write_text(work.read_text().replace('os._exit(payload.get("code", 9))', "pass"))
        before = worker(rig).pid
        rig.send(commands.RollingRestart("jobs"))
        rig.until(lambda: worker(rig).pid not in (before, None), "it is restarted")
        rig.until_running(1)
        rig.publish(1, "jobs/poison", body(kill=True))
        rig.until_ok(1)
        assert rig.route().metrics.dead_lettered == 1


def test_a_kill_by_hand_makes_nobody_a_suspect(start_rig: StartRig) -> None:
    with start_rig(route(handler="sleeper", max_deliveries=1)) as rig:
        rig.until_running(1)
        rig.publish(1, payload=body(seconds=0.5))
        rig.until(lambda: worker(rig).current_topic == "jobs/0", "it is at work")
        rig.send(commands.KillWorker("jobs", 1))
        rig.until_ok(1)
        assert rig.route().metrics.dead_lettered == 0


def test_a_plain_handler_beyond_its_timeout_is_replaced(start_rig: StartRig, tmp_path: Path) -> None:
    with start_rig(route(handler="sleeper", workers=2, timeout=0.4, max_deliveries=2)) as rig:
        rig.until_running(2)
        rig.publish(1, "jobs/slow", body(seconds=60))
        rig.publish(10, payload=body(seconds=0))
        rig.until(lambda: rig.route().metrics.dead_lettered == 1, "it is given up")
        rig.until_ok(10)
        text = rig.notices()
        assert "handler beyond its timeout of 0.4 s on jobs/slow (1 of 2 deaths); replaced at once" in text
        assert "handler beyond its timeout of 0.4 s on jobs/slow (2 of 2 deaths); replaced at once" in text
        assert "on jobs/slow while handling" not in text
        (letter,) = DeadLetterStore(tmp_path / ".routemq").read()
        assert letter.cause == "timeout"
        # This broker hands it to the other worker before the engine has seen the death: it is told before.
        assert letter.attempts == 2
        rig.until_running(2)


def test_an_async_handler_is_left_to_its_worker(start_rig: StartRig) -> None:
    with start_rig(route(handler="async_sleeper", timeout=0.2)) as rig:
        rig.until_running(1)
        rig.publish(1, payload=body(seconds=60))
        rig.until(lambda: rig.route().metrics.failed == 1, "the worker ended it")
        assert worker(rig).restarts == 0


@pytest.mark.parametrize(
    ("source", "handler", "sync"),
    [
        ("def f(): pass", "m:f", True),
        ("async def f(): pass", "m:f", False),
        ("async def f(): pass\ndef f(): pass", "m:f", True),
        ("@wrapped\ndef f(): pass", "m:f", False),
        ("f = partial(g)", "m:f", False),
        ("class C:\n  def f(self): pass\n  async def g(self): pass", "m:C.f", True),
        ("class C:\n  def f(self): pass\n  async def g(self): pass", "m:C.g", False),
        ("not python", "m:f", False),
        ("def f(): pass", "other:f", False),
    ],
)
def test_a_plain_function_is_known_by_its_source(
    tmp_path: Path, source: str, handler: str, sync: bool
) -> None:
    (tmp_path / "m.py").write_text(source)
    assert is_sync(handler, tmp_path) is sync


def test_a_frozen_worker_is_replaced_and_the_other_unaffected(
    start_rig: StartRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routemq_tui.engine.watchdog.STUCK_AFTER", 0.8)
    monkeypatch.setattr("routemq_tui.engine.watchdog.STUCK_GRACE", 0.2)
    with start_rig(route(workers=2)) as rig:
        rig.until_running(2)
        before, other = worker(rig, 1).pid, worker(rig, 2).pid
        assert before is not None
        os.kill(before, signal.SIGSTOP)
        rig.until(lambda: worker(rig, 1).pid not in (before, None), "it is replaced")
        rig.until_running(2)
        text = rig.notices()
        assert "jobs/1: no heartbeat for 1 s: stopped, or busy in native code; killed at 1 s" in text
        assert "s: stopped, or busy in native code; replaced at once" in text
        assert worker(rig, 2).pid == other
        assert not psutil.pid_exists(before)
        rig.publish(20)
        rig.until_ok(20)


def test_a_worker_over_its_memory_limit_is_restarted_when_it_has_finished(start_rig: StartRig) -> None:
    limits = Limits(memory=100 * 1024**2)
    with start_rig(route(handler="hog", limits=limits)) as rig:
        rig.until_running(1)
        rig.publish(1, payload=body(bytes=90 * 1024**2))
        rig.until(lambda: worker(rig).restarts == 1, "it is restarted")
        rig.until_running(1)
        text = rig.notices()
        assert "jobs/1 over its memory limit: 1" in text
        assert "M of 100M; it is restarted" in text
        assert "M of 100M; restarted at once" in text
        assert (worker(rig).metrics.ok, worker(rig).metrics.duplicates) == (1, 0)


def test_a_worker_far_over_its_memory_limit_is_killed_in_its_handler(start_rig: StartRig) -> None:
    limits = Limits(memory=60 * 1024**2)
    with start_rig(route(handler="hog", limits=limits, max_deliveries=1)) as rig:
        rig.until_running(1)
        rig.publish(1, payload=body(bytes=120 * 1024**2, seconds=60))
        rig.until(lambda: rig.route().metrics.dead_lettered == 1, "it is given up")
        assert "M of 60M while handling jobs/0 (1 of 1 deaths)" in rig.notices()
        rig.until_running(1)


def test_a_used_up_cpu_time_is_told_in_words(start_rig: StartRig, tmp_path: Path) -> None:
    with start_rig(route(handler="burn", limits=Limits(cpu_time=1.0))) as rig:
        rig.until_running(1)
        rig.publish(1, "jobs/hot", body(flag=str(tmp_path / "flag")))
        rig.until_ok(1)
        words = "exited by SIGXCPU while handling jobs/hot (its CPU time, limits.cpu_time, is used up)"
        assert words in rig.notices()


def test_on_error_stop_rests_until_it_is_started(start_rig: StartRig) -> None:
    with start_rig(route(handler="picky", on_error=OnError.STOP)) as rig:
        rig.until_running(1)
        rig.publish(1)
        stopped = rig.until_state(WorkerState.STOPPED)
        assert stopped.reason == (
            'stopped by on_error = "stop": ValueError: bad reading on jobs/0, which is kept; '
            "press s to start it again when it is mended"
        )
        assert (stopped.restarts, stopped.last_error) == (0, "ValueError: bad reading (jobs/0)")
        rig.send(commands.StartWorker("jobs", 1))
        rig.until(lambda: worker(rig).restarts == 1, "it is started")
        rig.until_state(WorkerState.STOPPED)
        assert worker(rig).metrics.duplicates == 1


def test_a_letter_that_cannot_be_stored_pauses_its_worker(start_rig: StartRig, tmp_path: Path) -> None:
    in_the_way = tmp_path / ".routemq" / "dead-letters.sqlite3"
    in_the_way.mkdir(parents=True)
    with start_rig(route(handler="picky")) as rig:
        rig.until_running(1)
        rig.publish(1)
        paused = rig.until_state(WorkerState.PAUSED)
        assert paused.reason.startswith("holds a message: dead letters: ")
        assert rig.route().reason == f"jobs/1 {paused.reason}"
        assert paused.metrics.in_flight == 1
        in_the_way.rmdir()
        rig.until_state(WorkerState.RUNNING)
        rig.until(lambda: rig.route().metrics.dead_lettered == 1, "it is stored")
        assert rig.route().reason == ""
        assert "jobs/1 stores dead letters again" in rig.notices()
