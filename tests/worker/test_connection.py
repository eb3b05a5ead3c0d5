"""Connecting: what is tried again, what is given up, and how a worker says so."""

from __future__ import annotations

import multiprocessing
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from routemq_tui.errors import ExitCode
from routemq_tui.worker import black_box, cells
from routemq_tui.worker.spec import (
    Connected,
    ConnectNow,
    Disconnected,
    ImportFailed,
    Refused,
    Subscribed,
    TakenOver,
)
from tests.conftest import Mosquitto
from tests.waiting import free_port, wait_until
from tests.worker.harness import Project, Publisher, Worker
from tests.worker.proxy import Proxy

Make = Callable[[str], Project]
RECORD = "def handle(n): record(n)"


def test_an_unreachable_broker_is_tried_again_with_growing_pauses(project: Make) -> None:
    # given nobody at the port
    here = project(RECORD)
    worker = here.worker(port=free_port())
    worker.words[cells.RECEIVED], worker.words[cells.ACKNOWLEDGED] = 5, 3  # left by the process before
    worker.start()
    # when it has tried three times
    worker.wait_until(lambda: len(worker.reports) >= 3, what="three tries")
    # then each said why and how long it waits
    tries = [report for report in worker.reports if isinstance(report, Disconnected)]
    assert all("refused" in each.reason.lower() for each in tries)
    for number, each in enumerate(tries[:3]):
        assert 0.1 * 2**number <= each.retry_in <= 0.2 * 2**number
    assert worker.counters.connected == 0
    assert black_box.in_hand_fingerprints(worker.words) == ()
    # and a drain ends it although it was never connected
    assert worker.drain(keep_session=True) == ExitCode.OK


def test_a_back_off_ends_when_the_engine_says_that_the_broker_is_back(
    project: Make, mosquitto: Mosquitto
) -> None:
    # given a worker that will wait for a while
    here = project(RECORD)
    mosquitto.stop()
    worker = here.worker()
    worker.start()
    waits = worker.wait_until(
        lambda: next(
            (each for each in worker.reports if isinstance(each, Disconnected) and each.retry_in > 1.5), None
        ),
        what="a long pause",
    )
    since = time.monotonic()
    mosquitto.start()
    worker.send(ConnectNow())
    worker.wait_for(Subscribed)
    assert waits is not None
    assert time.monotonic() - since < waits.retry_in


def test_a_broker_that_comes_later_is_found(project: Make, mosquitto: Mosquitto) -> None:
    here = project(RECORD)
    mosquitto.stop()
    worker = here.worker()
    worker.start()
    worker.wait_for(Disconnected)
    mosquitto.start()
    worker.wait_for(Subscribed)
    assert worker.counters.connected == 1


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_wrong_credentials_are_final(
    tmp_path: Path, mosquitto: Mosquitto, project: Make, protocol: str
) -> None:
    # given a broker that wants a password
    here = project(RECORD)
    mosquitto.stop()
    passwords = tmp_path / "mosquitto" / "passwords"
    passwords.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", passwords, "user", "right"], check=True, capture_output=True)
    with (tmp_path / "mosquitto" / "mosquitto.conf").open("a") as settings:
        settings.write(f"\npassword_file {passwords}\nallow_anonymous false\n")
    (tmp_path / "mosquitto" / "mosquitto.conf").write_text(
        (tmp_path / "mosquitto" / "mosquitto.conf").read_text().replace("allow_anonymous true\n", "")
    )
    mosquitto.start()
    # when a worker comes with a wrong one
    worker = here.worker(protocol=protocol, username="user", password="wrong")
    worker.start()
    # then it says so and does not try again
    assert worker.wait_exit() == ExitCode.BROKER_REFUSED
    (report,) = worker.reports
    assert isinstance(report, Refused)
    assert "authori" in report.reason.lower() or "password" in report.reason.lower()
    assert not any("wrong" in text for text in worker.texts())
    # and the right one is let in
    assert here.running(protocol=protocol, username="user", password="right").counters.connected == 1


def test_two_workers_of_one_client_id_do_not_fight_for_ever(project: Make, publisher: Publisher) -> None:
    # given two processes under one client id, on a broker that only closes the older connection
    here = project(RECORD)
    first, second = here.running(), here.worker()
    second.start()

    # when they have pushed each other out a few times
    def left() -> list[Worker]:
        for each in (first, second):
            each.pump()
        return [each for each in (first, second) if each.process and each.process.exitcode is not None]

    (loser,) = wait_until(left, timeout=20, what="one gives up")
    # then one of them gives up and says why, and the other works on
    assert loser.wait_exit() == ExitCode.TAKEN_OVER
    assert TakenOver() in loser.reports
    winner = second if loser is first else first
    winner.wait_until(lambda: winner.counters.connected == 1, what="the other is connected")
    publisher.publish_many(3)
    winner.wait_until(lambda: here.calls() == ["0", "1", "2"], what="the other works")


def test_what_the_server_wants_is_reported(project: Make, mosquitto: Mosquitto) -> None:
    worker = project(RECORD).running(qos=2)
    assert worker.wait_for(Connected).session_present is False
    assert worker.wait_for(Connected).expiry_cap is None
    assert worker.wait_for(Subscribed).granted_qos == 2


@pytest.mark.parametrize(
    ("code", "handler", "said"),
    [
        ("import no_such_module_anywhere", "handlers:handle", "no_such_module_anywhere"),
        ("def handle(: pass", "handlers:handle", "SyntaxError"),
        ("raise SystemExit(7)", "handlers:handle", "exit"),
        ("def handle(other, n): pass", "handlers:handle", "other"),
        ("def handle(n): pass", "handlers:handel", "handle"),
    ],
)
def test_a_handler_that_cannot_be_loaded_is_final(project: Make, code: str, handler: str, said: str) -> None:
    worker = project(code).worker(handler=handler)
    worker.start()
    assert worker.wait_exit() == ExitCode.IMPORT_FAILED
    (report,) = worker.reports
    assert isinstance(report, ImportFailed)
    assert said in report.reason
    assert "\n" not in report.reason
    assert any(said in record.text and record.level == 40 for record in worker.logs)
    assert not worker.raw["stderr"]


def test_a_spawned_worker_is_the_same(project: Make, publisher: Publisher) -> None:
    here = project(RECORD)
    worker = here.worker(context=multiprocessing.get_context("spawn"))
    worker.start()
    worker.wait_for(Subscribed)
    publisher.publish_many(10)
    worker.wait_handled(10)
    assert worker.drain() == 0
    assert len(here.calls()) == 10


def test_over_tls_everything_is_the_same(
    project: Make, mosquitto: Mosquitto, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a broker with a TLS listener besides
    here = project("""
        def handle(n, payload: bytes):
            record(n, len(payload))
    """)
    mosquitto.stop()
    port = free_port()
    with (tmp_path / "mosquitto" / "mosquitto.conf").open("a") as settings:
        settings.write(f"\nlistener {port} 127.0.0.1\nallow_anonymous true\n")
        settings.write(f"certfile {certificate}\nkeyfile {tmp_path / 'key.pem'}\n")
    mosquitto.start()
    publisher = Publisher(mosquitto.port)
    here.broker = replace(here.broker, port=port, tls=True)
    # when the certificate is not trusted, then that is final
    worker = here.worker(context=multiprocessing.get_context("spawn"))
    worker.start()
    assert worker.wait_exit() == ExitCode.BROKER_REFUSED
    assert "certificate" in worker.last(Refused).reason
    # and when it is, messages of every size come through
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    worker = here.worker(context=multiprocessing.get_context("spawn"))
    worker.start()
    worker.wait_for(Subscribed)
    sizes = [0, 1, 127, 16_384, 70_000, 1_000_000]
    for size in sizes:
        publisher.publish(f"t/{size}", b"x" * size)
    worker.wait_handled(len(sizes))
    publisher.close()
    assert here.calls() == [f"{size} {size}" for size in sizes]
    assert worker.counters.in_flight == 0
    assert worker.drain() == 0


@pytest.mark.parametrize("thread", [False, True])
def test_a_handler_may_publish_while_the_connection_breaks(
    thread: bool, project: Make, publisher: Publisher, proxy: Proxy
) -> None:
    # given handlers that publish all the time, from the main thread or from one of their own
    here = project(f"""
        import threading
        def say(client, n):
            try:
                client.publish("said/" + n, n, qos=1)
            except ConnectionError:
                pass
        def handle(n, client):
            if {thread}:
                threading.Thread(target=say, args=(client, n)).start()
            else:
                say(client, n)
            time.sleep(0.002)
            record(n)
    """)
    worker = here.running(port=proxy.port, keepalive=2)
    # when the connection breaks again and again
    for turn in range(2):
        publisher.publish_many(100, first=100 * turn)
        worker.wait_until(lambda least=100 * turn + 20: len(set(here.calls())) >= least, what="some")
        proxy.cut()
    # then the worker goes on, on a connection of its own
    worker.wait_until(lambda: len(set(here.calls())) == 200, timeout=20, what="all are handled")
    worker.wait_until(lambda: worker.counters.in_flight == 0, what="all are acknowledged")
    assert worker.counters.connected
    assert worker.counters.connects >= 2
