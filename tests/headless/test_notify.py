"""What systemd hears, on a socket as it has one."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import time

import pytest

from routemq_tui.engine.snapshot import BrokerSnapshot, BrokerState, EngineState, Health, Snapshot
from routemq_tui.headless.notify import SystemdNotifier
from tests.fakes.snapshots import busy


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    path = str(tmp_path / "notify")
    listener.bind(path if request.param == "path" else "\0" + path)
    listener.settimeout(2)
    yield listener, path if request.param == "path" else "@" + path
    listener.close()


def shown(**changes: object) -> Snapshot:
    values = {"time": time(), "state": EngineState.RUNNING, "health": Health.HEALTHY, **changes}
    return replace(busy(), **values)  # type: ignore[arg-type]


def heard(listener: socket.socket) -> list[str]:
    listener.setblocking(False)
    found: list[str] = []
    try:
        while True:
            found += listener.recv(4096).decode().split("\n")
    except BlockingIOError:
        return found


def test_ready_once_the_engine_runs_then_stopping(systemd: tuple[socket.socket, str]) -> None:
    listener, address = systemd
    notifier = SystemdNotifier({"NOTIFY_SOCKET": address})
    notifier.look(shown(state=EngineState.STARTING))
    assert [line for line in heard(listener) if "READY" in line] == []
    for _ in range(3):
        notifier.look(shown())
    lines = heard(listener)
    assert lines.count("READY=1") == 1
    assert any(line.startswith("STATUS=running, healthy: 5 of 6 workers") for line in lines)
    for _ in range(3):
        notifier.look(shown(state=EngineState.STOPPING))
    assert heard(listener).count("STOPPING=1") == 1
    notifier.close()


def test_an_end_that_took_no_time_is_told(systemd: tuple[socket.socket, str]) -> None:
    listener, address = systemd
    notifier = SystemdNotifier({"NOTIFY_SOCKET": address})
    notifier.look(shown())
    heard(listener)
    notifier.look(shown(state=EngineState.STOPPED))
    assert "STOPPING=1" in heard(listener)
    notifier.close()


def test_a_broker_that_is_away_is_told_and_does_not_keep_the_start_waiting(
    systemd: tuple[socket.socket, str],
) -> None:
    listener, address = systemd
    notifier = SystemdNotifier({"NOTIFY_SOCKET": address})
    away = BrokerSnapshot("external", "broker:1883", BrokerState.DOWN, reason="no route\nto host")
    notifier.look(shown(health=Health.UNHEALTHY, broker=away))
    status = "STATUS=running, unhealthy: 5 of 6 workers, broker down: no route to host"
    assert heard(listener) == ["READY=1", status]
    # nor does it keep a reload waiting
    notifier.reloading()
    notifier.look(shown(health=Health.UNHEALTHY, broker=away))
    assert "READY=1" in heard(listener)
    notifier.close()


def test_a_reload_ends_with_ready(systemd: tuple[socket.socket, str]) -> None:
    listener, address = systemd
    notifier = SystemdNotifier({"NOTIFY_SOCKET": address})
    notifier.look(shown())
    heard(listener)
    notifier.reloading()
    first, second = heard(listener)
    assert first == "RELOADING=1"
    assert int(second.removeprefix("MONOTONIC_USEC=")) > 0
    notifier.look(shown())
    assert "READY=1" in heard(listener)
    notifier.close()


def test_the_watchdog_hears_of_a_live_engine_only(
    systemd: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listener, address = systemd
    now = 100.0
    monkeypatch.setattr("routemq_tui.headless.notify.time.monotonic", lambda: now)
    notifier = SystemdNotifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "4000000"})
    beats = []
    for _ in range(20):
        now += 0.5
        notifier.look(shown())
        beats.append(heard(listener).count("WATCHDOG=1"))
    assert sum(beats) == 5  # every two seconds, half of what it may take
    now += 10
    notifier.look(shown(time=time() - 60))
    assert "WATCHDOG=1" not in heard(listener)
    notifier.close()


def test_without_systemd_nothing_happens() -> None:
    notifier = SystemdNotifier({})
    assert not notifier.is_used
    notifier.look(shown())
    notifier.reloading()


def test_a_listener_that_is_gone_does_no_harm(tmp_path: Path) -> None:
    notifier = SystemdNotifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")})
    notifier.look(shown())
    assert not notifier.is_used
