"""The traffic generator's process: it publishes, tries again, and never outlives its starter."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from routemq_tui.config.model import Burst, TrafficConfig
from routemq_tui.errors import ExitCode
from routemq_tui.publisher.generator import Generator
from routemq_tui.publisher.process import TrafficProcess, decode_settings, encode_settings
from routemq_tui.worker.spec import BrokerAddress
from tests.conftest import Mosquitto
from tests.publisher.subscriber import subscribed
from tests.waiting import free_port, wait_until


class Log:
    """What a process has logged so far."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self.text = ""

    def count(self, part: str) -> int:
        with suppress(BlockingIOError):
            self.text += os.read(self._fd, 65536).decode()
        return self.text.count(part)

    def holds(self, part: str) -> bool:
        return self.count(part) > 0


@contextmanager
def running(traffic: list[TrafficConfig], address: BrokerAddress) -> Iterator[tuple[TrafficProcess, Log]]:
    process = TrafficProcess.start(traffic, address)
    try:
        yield process, Log(process.log_fd)
    finally:
        process.close()


def test_it_publishes_what_is_configured_and_ends_when_asked(mosquitto: Mosquitto) -> None:
    traffic = [
        TrafficConfig("fast/{id}", rate=200, qos=1, payload={"id": "{id}"}),
        TrafficConfig("burst", rate=0.01, payload="b", burst=Burst(every=0.3, size=7)),
    ]
    with (
        subscribed(mosquitto.port) as got,
        running(traffic, BrokerAddress("127.0.0.1", mosquitto.port)) as (process, log),
    ):
        wait_until(lambda: log.holds("INFO publishing 200.01 messages/s on 2 topics and 1 with bursts"))
        wait_until(lambda: len(got) > 120, what="120 messages")
        process.stop()
        assert process.exit_code == ExitCode.OK
    topics = [message.topic for message in got]
    assert {topic for topic in topics if topic != "burst"} == {f"fast/{number}" for number in range(1, 11)}
    assert topics.count("burst") % 7 == 0
    assert topics.count("burst") >= 7


def test_it_waits_for_the_broker_and_finds_it_again(mosquitto: Mosquitto) -> None:
    mosquitto.stop()
    with running([TrafficConfig("t", rate=50)], BrokerAddress("127.0.0.1", mosquitto.port)) as (process, log):
        wait_until(lambda: log.holds("WARNING cannot reach the broker"))
        mosquitto.start()
        wait_until(lambda: log.holds("INFO publishing"))
        mosquitto.stop(kill=True)
        wait_until(lambda: log.holds("WARNING lost the broker"))
        mosquitto.start()
        wait_until(lambda: log.count("INFO publishing") == 2)
        assert process.alive()


def test_it_looks_for_the_broker_every_few_seconds_however_long_that_is_away() -> None:
    pauses: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout or 0.0)
            if len(pauses) == 12:
                self.set()
            return self.is_set()

    generator = Generator([], BrokerAddress("127.0.0.1", free_port()), Stop(), lambda _level, _text: None)
    generator.run()
    assert pauses[0] < 0.5
    assert 1.0 < max(pauses) <= 2.5


def test_a_wrong_entry_ends_it_with_the_reason() -> None:
    with running([TrafficConfig("t/{int:1}")], BrokerAddress("127.0.0.1", 1)) as (process, log):
        wait_until(lambda: log.holds("ERROR traffic: {int:1}"))
        wait_until(lambda: process.exit_code == ExitCode.CONFIGURATION)


def test_it_ends_when_its_starter_is_killed() -> None:
    code = (
        "import sys, time; from routemq_tui.config.model import TrafficConfig\n"
        "from routemq_tui.publisher.process import TrafficProcess\n"
        "from routemq_tui.worker.spec import BrokerAddress\n"
        f"p = TrafficProcess.start([TrafficConfig('t')], BrokerAddress('127.0.0.1', {free_port()}))\n"
        "print(p.pid, flush=True); time.sleep(60)"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    with starter.stdout:
        pid = int(starter.stdout.readline())
        starter.kill()
        starter.wait()
    wait_until(lambda: not _lives(pid), timeout=5, what="the orphan ended")


def test_ctrl_c_is_not_for_it_and_sigterm_ends_it() -> None:
    with running([TrafficConfig("t")], BrokerAddress("127.0.0.1", free_port())) as (process, log):
        wait_until(lambda: log.holds("cannot reach"))
        os.kill(process.pid, signal.SIGINT)
        log.text = ""
        wait_until(lambda: log.holds("cannot reach"), what="it goes on after SIGINT")
        os.kill(process.pid, signal.SIGTERM)
        wait_until(lambda: process.exit_code == ExitCode.OK)


def test_settings_survive_the_way_and_the_password_is_not_in_argv() -> None:
    traffic = [TrafficConfig("t/{a}", 2.5, 2, True, {"x": ["{a}"]}, {"a": ["1"]}, Burst(1.0, 3))]
    address = BrokerAddress("h", 1, True, "3.1.1", "user", "secret")
    settings = decode_settings(encode_settings(traffic, address))
    assert settings.traffic == traffic
    assert settings.address == address
    with running(traffic, BrokerAddress("127.0.0.1", free_port(), password="secret")) as (process, _):
        arguments = subprocess.check_output(["ps", "-o", "args=", "-p", str(process.pid)], text=True)
    assert "routemq_tui.publisher" in arguments
    assert "secret" not in arguments


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
