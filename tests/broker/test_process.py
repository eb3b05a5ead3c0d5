"""The broker as a process: quick to start, found by its first line, gone with its owner."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from routemq_tui.broker.handle import BrokerStartError, EmbeddedBroker
from routemq_tui.errors import ExitCode
from tests.broker.raw import DISCONNECT, RawClient
from tests.waiting import free_port, listens, wait_until


def test_it_listens_on_loopback_only_and_tells_about_itself() -> None:
    broker = EmbeddedBroker.start(0)
    try:
        assert (broker.host, broker.alive(), broker.exit_reason()) == ("127.0.0.1", True, "")
        assert broker.version.startswith("routemq-tui ")
        listening = [
            one.laddr.ip for one in psutil.Process(broker.pid).net_connections() if one.status == "LISTEN"
        ]
        assert listening == ["127.0.0.1"]
        assert broker.inspect()["totals"]["sessions"] == 0
    finally:
        broker.stop()
    assert broker.exit_reason() == "the embedded broker was stopped"
    assert not listens(broker.port)


def test_a_taken_port_is_replaced_or_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        broker = EmbeddedBroker.start(port)
        try:
            assert broker.port not in (0, port)
        finally:
            broker.stop()
        with pytest.raises(BrokerStartError, match=f"port {port}: .*in use") as caught:
            EmbeddedBroker.start(port, any_port=False)
    assert caught.value.exit_code is ExitCode.BROKER_UNAVAILABLE


def test_a_free_port_is_the_one_asked_for() -> None:
    port = free_port()
    broker = EmbeddedBroker.start(port, any_port=False)
    try:
        assert broker.port == port
    finally:
        broker.stop()


def test_an_unknown_limit_is_refused_by_name() -> None:
    with pytest.raises(BrokerStartError, match=r"there is no limit 'queue'; there are: .*queue_bytes"):
        EmbeddedBroker.start(0, limits={"queue": 1})


def test_a_killed_broker_is_seen_and_named() -> None:
    broker = EmbeddedBroker.start(0)
    os.kill(broker.pid, signal.SIGKILL)

    wait_until(lambda: not broker.alive())
    assert broker.exit_reason() == "the embedded broker was killed by SIGKILL"
    with pytest.raises(EOFError):
        broker.inspect()
    broker.stop()


def test_it_ignores_the_terminals_interrupt_and_obeys_sigterm() -> None:
    broker = EmbeddedBroker.start(0)
    os.kill(broker.pid, signal.SIGINT)
    assert broker.inspect()["sessions"] == []
    assert os.getsid(broker.pid) != os.getsid(0)

    os.kill(broker.pid, signal.SIGTERM)

    wait_until(lambda: not broker.alive())
    assert broker.exit_reason() == "the embedded broker was stopped"
    broker.stop()


def test_stopping_tells_the_clients_and_sends_no_will() -> None:
    broker = EmbeddedBroker.start(0)
    with ExitStack() as stack:
        clients = [stack.enter_context(RawClient(broker.port)) for _ in range(12)]
        for number, client in enumerate(clients):
            client.connect(str(number), will=b"\x00\x00\x04will\x00\x01x")
            client.subscribe("will", 1)

        broker.stop()

        for client in clients:
            assert client.expect(DISCONNECT)[0] == 0x8B


def gone(pid: int) -> bool:
    """Ended, whether or not init has taken notice yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_sigkill_of_the_owner_ends_it() -> None:
    script = (
        "from routemq_tui.broker.handle import EmbeddedBroker\n"
        "import time\n"
        "broker = EmbeddedBroker.start(0)\n"
        "print(broker.pid, broker.port, flush=True)\n"
        "time.sleep(60)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    with owner, owner.stdout:
        pid, port = map(int, owner.stdout.readline().split())
        assert listens(port)
        owner.kill()

    wait_until(lambda: gone(pid), 2, "the broker ends with its owner")


def test_an_owner_that_never_reads_the_log_does_not_stop_it() -> None:
    broker = EmbeddedBroker.start(0)
    try:
        for number in range(2500):
            with RawClient(broker.port) as client:
                client.connect(f"talkative-{number}-{'x' * 40}")
        assert broker.inspect()["totals"]["connections"] == 2500
    finally:
        broker.stop()


def test_the_bare_command_and_a_working_directory_full_of_traps(tmp_path: Path) -> None:
    (tmp_path / "asyncio.py").write_text("raise SystemExit('the wrong asyncio')")
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        EmbeddedBroker.start(0).stop()
    finally:
        os.chdir(before)
    command = [sys.executable, "-m", "routemq_tui.broker", "--port", "0"]
    done = subprocess.run(
        command, input=b'nonsense\n{"inspect": true}\n', capture_output=True, timeout=10, check=True
    )
    hello, answer = map(json.loads, done.stdout.splitlines())
    assert set(hello) == {"host", "port", "version"}
    assert answer["totals"]["clients_connected"] == 0
    assert b"not understood on stdin: b'nonsense'" in done.stderr


def test_it_imports_nothing_heavy() -> None:
    script = (
        "import sys, routemq_tui.broker.__main__\n"
        "print([name for name in ('paho', 'textual', 'rich', 'psutil', 'msgspec') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
