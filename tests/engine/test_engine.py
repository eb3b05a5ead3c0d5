"""The engine with real workers on a real broker: start, scale, drain, kill, restart, pause, stop."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from routemq_tui.broker.handle import EmbeddedBroker
from routemq_tui.config.model import AppConfig, BrokerConfig, OnError
from routemq_tui.engine import commands
from routemq_tui.engine.engine import Engine
from routemq_tui.engine.lock import AlreadyRunningError
from routemq_tui.engine.snapshot import BrokerState, EngineState, Health
from routemq_tui.engine.states import WorkerState
from routemq_tui.errors import ExitCode
from tests.conftest import Mosquitto
from tests.engine.conftest import StartRig
from tests.engine.rig import Rig, alive, connected, make_config, route, running
from tests.waiting import free_port, wait_until

S = WorkerState


def pids(rig: Rig, name: str = "jobs") -> list[int | None]:
    return [worker.pid for worker in rig.route(name).workers]


def test_each_route_has_its_workers_subscribed_to_its_own_filter(
    start_rig: StartRig, broker: EmbeddedBroker
) -> None:
    with start_rig(route(workers=3), route("alone", shared=False)) as rig:
        rig.until_running(3)
        rig.until_running(1, "alone")
        snapshot = rig.engine.snapshot()
        group = snapshot.group
        members = {
            session["client_id"]: list(session["subscriptions"])
            for session in broker.inspect()["sessions"]
            if session["connected"] and session["client_id"].startswith(f"{group}-")
        }
        assert members == {
            f"{group}-local-jobs-1": [f"$share/{group}/jobs/+"],
            f"{group}-local-jobs-2": [f"$share/{group}/jobs/+"],
            f"{group}-local-jobs-3": [f"$share/{group}/jobs/+"],
            f"{group}-local-alone-1": ["alone/+"],
        }
        rig.until(lambda: rig.engine.snapshot().broker.state is BrokerState.UP, "the broker is up")
        assert (snapshot.health, snapshot.running, snapshot.desired) == (Health.HEALTHY, 4, 4)
        assert "jobs/1 event subscribed, QoS 1 granted" in rig.log_text()


def test_three_workers_share_messages_exactly(mosquitto: Mosquitto, tmp_path: Path) -> None:
    with running(make_config(tmp_path, mosquitto.port, route(workers=3)), mosquitto.port) as rig:
        rig.until_running(3)
        rig.publish(2_400)
        rig.until_ok(2_400)
        metrics = [worker.metrics for worker in rig.route().workers]
        assert sum(one.ok for one in metrics) == 2_400
        assert min(one.ok for one in metrics) > 0
        assert sum(one.duplicates + one.failed for one in metrics) == 0
        rig.until(lambda: rig.route().metrics.p95, "latencies are measured")
        shares = [worker.share or 0.0 for worker in rig.route().workers]
        assert sum(shares) == pytest.approx(1.0, abs=0.05)


def test_a_worker_is_added_and_another_drained_without_losing_count(start_rig: StartRig) -> None:
    with start_rig(route(workers=2)) as rig:
        rig.until_running(2)
        rig.send(commands.AddWorker("jobs"))
        rig.until_running(3)
        rig.publish(60)
        rig.until_ok(60)
        third = rig.worker(3)
        assert third is not None
        assert third.metrics.ok > 0

        rig.send(commands.DrainWorker("jobs"))
        rig.until_running(2)
        assert [worker.slot for worker in rig.route().workers] == [1, 2]
        assert rig.route().metrics.ok == 60
        assert "jobs/3 drained: 0 finished, 0 left" in rig.notices()
        assert [mark.label for mark in rig.route().history.marks] == ["+1 worker", "-1 worker"]


def test_what_a_worker_scaled_away_leaves_is_said_to_be_with_the_broker(tmp_path: Path) -> None:
    port = free_port()
    stopping = route(handler="picky", on_error=OnError.STOP, prefetch=5)
    embedded = BrokerConfig(url="embedded", port=port)
    with running(make_config(tmp_path, port, stopping, broker=embedded), port) as rig:
        rig.until_running(1)
        rig.send(commands.PauseRoute("jobs"))
        rig.publish(3)
        rig.until(lambda: rig.route().metrics.in_flight == 3, "all are in hand")
        rig.send(commands.DrainWorker("jobs"))
        rig.until(lambda: not rig.route().workers, "it is gone")
        (left,) = [each for each in rig.engine.snapshot().notices if "drained" in each.text]
        then = "another worker of the route, or one added, takes them up"
        assert left.severity == "warning"
        assert left.text == f"jobs/1 drained: 0 finished, 3 left with the broker; {then}"


def test_the_drained_slot_is_the_one_named_and_its_number_is_used_again(start_rig: StartRig) -> None:
    with start_rig(route(workers=3)) as rig:
        rig.until_running(3)
        first, second, third = pids(rig)
        rig.send(commands.DrainWorker("jobs", 2))
        rig.until_running(2)
        assert pids(rig) == [first, third]
        rig.send(commands.AddWorker("jobs"))
        rig.until_running(3)
        assert [worker.slot for worker in rig.route().workers] == [1, 2, 3]
        assert pids(rig)[1] not in (first, second, third)


def test_draining_finishes_what_is_in_hand(start_rig: StartRig) -> None:
    with start_rig(route(handler="slow", prefetch=10)) as rig:
        rig.until_running(1)
        rig.publish(10)
        rig.until_ok(1)
        rig.send(commands.SetWorkers("jobs", 0))
        rig.until(lambda: not rig.route().workers, "the worker has gone")
        assert rig.route().metrics.ok == 10
        assert rig.route().metrics.failed == 0


def test_bounds_are_kept_and_said(start_rig: StartRig) -> None:
    with start_rig(route(workers=2, min_workers=1, max_workers=2), route("alone", shared=False)) as rig:
        rig.until_running(2)
        rig.send(commands.AddWorker("alone"))
        rig.send(commands.AddWorker("jobs"))
        rig.send(commands.SetWorkers("jobs", 0))
        rig.send(commands.AddWorker("nowhere"))
        rig.until_running(1)
        assert rig.route("alone").desired == 1
        text = rig.notices()
        assert "alone is not shared: its one worker keeps the messages in order" in text
        assert "jobs has at most 2 (max_workers)" in text
        assert "jobs keeps at least 1 (min_workers)" in text
        assert "there is no route 'nowhere'" in text


def test_a_killed_worker_is_back_under_its_slot_and_client_id(
    start_rig: StartRig, broker: EmbeddedBroker
) -> None:
    with start_rig(route(workers=2)) as rig:
        rig.until_running(2)
        rig.publish(40)
        rig.until_ok(40)
        before = rig.worker(1)
        assert before is not None
        rig.send(commands.KillWorker("jobs", 1))
        rig.until(lambda: pids(rig)[0] not in (before.pid, None), "another process")
        rig.until_running(2)
        after = rig.worker(1)
        assert after is not None
        assert (after.client_id, after.restarts) == (before.client_id, 1)
        assert after.metrics.ok == before.metrics.ok
        assert after.last_exit == "killed by hand"
        rig.publish(40)
        rig.until_ok(80)
        assert rig.route().metrics.ok == 80
        assert "session taken up again" in rig.log_text("jobs/1")


def test_the_children_of_a_killed_worker_go_with_it(start_rig: StartRig) -> None:
    with start_rig(route(handler="spawn")) as rig:
        rig.until_running(1)
        rig.publish(1)
        rig.until_ok(1)
        (pid,) = pids(rig)
        assert pid is not None
        (child,) = psutil.Process(pid).children()
        rig.send(commands.KillWorker("jobs", 1))
        wait_until(lambda: not alive([child.pid]), what="the child is gone")


def test_a_message_that_kills_its_worker_ends_in_failed_with_the_reason(start_rig: StartRig) -> None:
    with start_rig(route(handler="segfault", max_deliveries=10)) as rig:
        rig.until_running(1)
        rig.publish(1, "jobs/seven")
        worker = rig.until_state(S.FAILED)
        assert worker.reason == (
            "given up after 3 crashes in 60 s, the last: exited by SIGSEGV while handling jobs/seven "
            "(3 of 10 deaths); press s to start it again"
        )
        assert (worker.pid, worker.restarts) == (None, 2)
        assert rig.engine.snapshot().health is Health.UNHEALTHY
        assert "Fatal Python error: Segmentation fault" in rig.log_text("jobs/1")
        rig.stop()
        assert rig.engine.exit_code is ExitCode.WORKERS_FAILED


def test_a_crash_is_followed_by_a_restart(start_rig: StartRig, tmp_path: Path) -> None:
    with start_rig(route(handler="die_once")) as rig:
        rig.until_running(1)
        rig.publish(1, payload=f'{{"flag": "{tmp_path}/flag"}}'.encode())
        rig.until_ok(1)
        worker = rig.worker(1)
        assert worker is not None
        assert worker.restarts == 1
        assert "exited with code 9 while handling jobs/0 (1 of 3 deaths); restarted at once" in rig.notices()


def test_an_import_failure_is_not_tried_again_until_asked(start_rig: StartRig, tmp_path: Path) -> None:
    with start_rig(route(handler="absent")) as rig:
        worker = rig.until_state(S.FAILED)
        assert "absent" in worker.reason
        assert "press s" in worker.reason
        assert worker.restarts == 0
        work = tmp_path / "tasks" / "work.py"
        work.write_text(work.read_text() + "\ndef absent(payload):\n    pass\n")
        rig.send(commands.StartWorker("jobs", 1))
        rig.until_running(1)


def test_restart_keeps_the_session_and_makes_a_new_process(start_rig: StartRig) -> None:
    with start_rig(route(workers=2)) as rig:
        rig.until_running(2)
        first, second = pids(rig)
        rig.send(commands.RestartWorker("jobs", 2))
        rig.until(lambda: rig.route().running == 2 and pids(rig)[1] not in (second, None), "restarted")
        assert pids(rig)[0] == first
        assert "session taken up again" in rig.log_text("jobs/2")


def test_a_rolling_restart_goes_one_after_the_other(start_rig: StartRig) -> None:
    with start_rig(route(workers=3)) as rig:
        rig.until_running(3)
        before = pids(rig)
        rig.send(commands.RollingRestart("jobs"))
        rig.until(lambda: "all workers restarted" in rig.notices(), "the roll is over")
        rig.until_running(3)
        assert not set(before) & set(pids(rig))
        events = [line for line in rig.lines() if line.stream == "event"]
        order = [
            (line.source, line.text.split()[0])
            for line in events
            if line.text.startswith(("draining", "subscribed"))
        ][3:]
        assert order == [(f"jobs/{n}", word) for n in (1, 2, 3) for word in ("draining,", "subscribed,")]


def test_a_paused_route_holds_its_messages(start_rig: StartRig) -> None:
    with start_rig(route(workers=1)) as rig:
        rig.until_running(1)
        rig.send(commands.PauseRoute("jobs"))
        rig.until_state(S.PAUSED)
        rig.send(commands.AddWorker("jobs"))
        rig.until_state(S.PAUSED, slot=2)
        rig.publish(30)
        assert rig.route().paused
        assert rig.route().running == 2
        assert rig.engine.snapshot().health is Health.HEALTHY
        assert rig.route().metrics.ok == 0
        rig.send(commands.ResumeRoute("jobs"))
        rig.until_ok(30)
        rig.until_state(S.RUNNING, slot=2)
        assert rig.route().metrics.ok == 30


def test_a_stopped_engine_leaves_nothing_and_frees_its_name(start_rig: StartRig, tmp_path: Path) -> None:
    app = AppConfig(node="mine")
    with start_rig(route(workers=2), app=app) as rig:
        rig.until_running(2)
        config = make_config(tmp_path, rig.port, route(), app=app)
        with pytest.raises(AlreadyRunningError, match=str(os.getpid())):
            Engine(config).start()
        rig.stop()
        last = rig.engine.snapshot()
        assert (last.state, last.health, last.health_percent) == (EngineState.STOPPED, Health.HEALTHY, 100)
        assert rig.engine.exit_code is ExitCode.OK
        assert [worker.state for worker in rig.route().workers] == [S.STOPPED, S.STOPPED]
        with start_rig(route(), app=app) as second:
            second.until_running(1)


def test_a_stop_is_bounded_and_says_what_was_left(start_rig: StartRig) -> None:
    with start_rig(route(handler="wedge"), app=AppConfig(shutdown_timeout=0.6)) as rig:
        rig.until_running(1)
        rig.publish(1)
        rig.until(lambda: (worker := rig.worker(1)) and worker.current_topic == "jobs/0", "it is at work")
        rig.send(commands.Stop())
        assert rig.engine.wait(5)
        assert "not drained within 0.6 s, killed with 1 messages unfinished: jobs/1" in rig.notices()


def test_a_second_stop_kills(start_rig: StartRig) -> None:
    with start_rig(route(handler="wedge")) as rig:
        rig.until_running(1)
        rig.publish(1)
        rig.until(lambda: (worker := rig.worker(1)) and worker.current_topic, "it is at work")
        rig.send(commands.Stop())
        rig.until_state(S.DRAINING)
        rig.send(commands.Stop())
        assert rig.engine.wait(3)


def test_a_drain_by_hand_is_bounded(start_rig: StartRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routemq_tui.engine.crew.DRAIN_TIMEOUT", 0.2)
    monkeypatch.setattr("routemq_tui.engine.slot.DRAIN_GRACE", 0.3)
    with start_rig(route(handler="wedge")) as rig:
        rig.until_running(1)
        rig.publish(1)
        rig.until(lambda: (worker := rig.worker(1)) and worker.current_topic, "it is at work")
        rig.send(commands.DrainWorker("jobs", 1))
        rig.until(lambda: "1 unfinished" in rig.notices(), "it is killed")
        assert "jobs/1 not drained in time, killed while handling jobs/0, 1 unfinished" in rig.notices()


def test_a_worker_without_a_heartbeat_is_reported(
    start_rig: StartRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routemq_tui.engine.watchdog.STUCK_AFTER", 0.8)
    with start_rig(route()) as rig:
        rig.until_running(1)
        (pid,) = pids(rig)
        assert pid is not None
        psutil.Process(pid).suspend()
        rig.until(lambda: "no heartbeat for 1 s" in rig.notices(), "it is reported")
        worker = rig.worker(1)
        assert worker is not None
        assert "stopped, or busy in native code; killed at 10.8 s" in worker.reason
        psutil.Process(pid).resume()
        rig.until(lambda: "jobs/1 is alive again" in rig.notices(), "it is taken back")
        worker = rig.worker(1)
        assert worker is not None
        assert worker.reason == ""


def test_hostile_output_arrives_harmless(start_rig: StartRig) -> None:
    with start_rig(route(handler="hostile")) as rig:
        rig.until_running(1)
        rig.publish(1)
        rig.until(lambda: "red" in rig.log_text("jobs/1") and "caf" in rig.log_text("jobs/1"), "it arrived")
        lines = {(line.stream, line.text): line for line in rig.lines("jobs/1")}
        assert ("stdout", "␛]0;owned␇ [bold]markup[/]") in lines
        assert ("stdout", "caf\ufffd") in lines
        assert lines["stderr", "red"].ansi == "\x1b[31mred\x1b[0m"


@pytest.mark.parametrize("on_error", [OnError.DROP, OnError.STOP])
def test_an_error_that_quotes_a_hostile_payload_is_harmless_wherever_it_is_told(
    start_rig: StartRig, on_error: OnError
) -> None:
    with start_rig(route(handler="quoting", on_error=on_error)) as rig:
        rig.until_running(1)
        rig.publish(1, payload=b"x\x1b]2;owned\x07\xc2\x9b2J\xe2\x80\xae")
        rig.until(lambda: "bad x" in str(rig.route().workers[0].last_error), "it is told")
        if on_error is OnError.STOP:
            rig.until(lambda: "bad x" in rig.route().workers[0].reason, "it stopped")
            rig.until(lambda: rig.route().workers[0].exits, "its end is told")
        else:
            rig.until(lambda: "bad x" in str(rig.notices()), "there is a notice")
        told = [*rig.notices().splitlines(), *_strings(dataclasses.asdict(rig.route()))]
        assert any("␛]2;owned␇" in each for each in told)
        assert all(each.isprintable() for each in told)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, Iterable):
        for each in value:
            yield from _strings(each)


def test_a_worker_that_loses_its_client_id_does_not_fight(start_rig: StartRig) -> None:
    with start_rig(route()) as rig:
        rig.until_running(1)
        worker = rig.worker(1)
        assert worker is not None
        with connected(rig.port, worker.client_id):
            failed = rig.until_state(S.FAILED)
            assert "its client id was taken over" in failed.reason
            assert failed.restarts == 0
        rig.send(commands.StartWorker("jobs", 1))
        rig.until_running(1)


def test_a_failed_worker_keeps_its_row_until_it_is_taken_away(start_rig: StartRig) -> None:
    with start_rig(route(handler="absent", workers=2)) as rig:
        rig.until_state(S.FAILED, slot=1)
        rig.until_state(S.FAILED, slot=2)
        rig.send(commands.DrainWorker("jobs", 1))
        rig.until(lambda: [worker.slot for worker in rig.route().workers] == [2], "one row is left")
        assert rig.route().desired == 1
        assert "jobs/1 taken away (it was failed)" in rig.notices()
