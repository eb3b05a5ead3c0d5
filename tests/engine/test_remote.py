"""An engine's port over a socket: what one side does, the other one sees."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from routemq_tui.engine.commands import AddWorker, Stop
from routemq_tui.engine.remote import EngineServer
from routemq_tui.engine.remote_screen import EngineGoneError, Line, RemoteEngine, RemoteError
from routemq_tui.engine.snapshot import EngineState
from tests.fakes import lines
from tests.fakes.engine import FakeEngine
from tests.fakes.snapshots import busy
from tests.waiting import wait_until


@contextmanager
def serving(engine: FakeEngine, greeting: object = None, read_only: bool = False) -> Iterator[EngineServer]:
    server = EngineServer(engine, greeting, read_only)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(busy())


def test_snapshots_and_commands_go_over(engine: FakeEngine) -> None:
    with serving(engine, greeting="welcome") as server:
        remote = RemoteEngine(server.address)
        assert remote.greeting == "welcome"
        assert remote.snapshot() == engine.snapshot()
        engine.show(running=1)
        assert remote.snapshot().running == 1
        remote.send(AddWorker("temperature"))
        assert engine.commands == [AddWorker("temperature")]


def test_a_snapshot_does_not_wait_for_dead_letters_that_are_read(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def read(*_args: object, **_kwargs: object) -> list[object]:
        begun.set()
        go_on.wait(10)
        return []

    monkeypatch.setattr(engine.letters, "read", read)
    with serving(engine) as server:
        remote = RemoteEngine(server.address)
        reading = threading.Thread(target=lambda: remote.letters.read())
        reading.start()
        assert begun.wait(10)
        assert remote.snapshot() == engine.snapshot()
        assert reading.is_alive()
        go_on.set()
        reading.join()


def test_several_screens_are_served_at_once(engine: FakeEngine) -> None:
    with serving(engine) as server:
        screens = [RemoteEngine(server.address) for _ in range(3)]
        for screen in screens:
            screen.send(Stop())
        assert engine.commands == [Stop()] * 3


def test_a_read_only_server_takes_nothing_but_the_end(engine: FakeEngine) -> None:
    with serving(engine, read_only=True) as server:
        remote = RemoteEngine(server.address)
        remote.send(AddWorker("temperature"))
        remote.send(Stop())
        assert engine.commands == [Stop()]


def test_the_log_is_copied_with_all_that_belongs_to_a_line(engine: FakeEngine) -> None:
    # given lines of the past, with colours
    lines.usual(engine.logs, 40)
    assert any(line.ansi for line in engine.logs.lines)
    with serving(engine) as server:
        remote = RemoteEngine(server.address)
        remote.copy_logs(1_000_000)
        past = engine.logs.last_seq
        wait_until(lambda: remote.logs.last_seq == past, what="the past is there")
        # when new ones come
        engine.logs.add("orders/1", "new", time=5.0, level=40, stream="stderr", logger="")
        wait_until(lambda: remote.logs.last_seq == past + 1, what="the new line is there")
        # then they are the same, in the same order
        assert remote.logs.read().lines == engine.logs.read().lines


def test_lines_that_the_engine_let_go_are_told(engine: FakeEngine) -> None:
    with serving(engine) as server:
        remote = RemoteEngine(server.address)
        engine.logs.add("a/1", "one")
        remote.copy_logs(1_000_000)
        wait_until(lambda: remote.logs.last_seq == 1)
        for number in range(5):
            engine.logs.lines.append(
                engine.logs.lines[-1].__class__(number + 2, 0.0, "a/1", 20, "log", "", "x")
            )
        engine.logs.let_go(4)
        wait_until(lambda: len(remote.logs.read().lines) >= 3)
        texts = [line.text for line in remote.logs.read().lines]
        assert any("log lines came faster than this screen could take them" in text for text in texts)


def test_an_engine_that_is_gone_is_a_stopped_one(engine: FakeEngine) -> None:
    with serving(engine) as server:
        remote = RemoteEngine(server.address)
        remote._line._connection.close()
    assert remote.snapshot().state is EngineState.STOPPED
    remote.send(AddWorker("temperature"))
    with pytest.raises(EngineGoneError, match="it has ended"):
        RemoteEngine(server.address)


@pytest.mark.parametrize("name", ["start", "logs._lock", "__class__", "logs.__class__", "wait", "other.read"])
def test_only_the_port_can_be_asked(engine: FakeEngine, name: str) -> None:
    with serving(engine) as server, pytest.raises(RemoteError, match="no part of the engine's port"):
        Line(server.address).ask(name)


def test_a_call_that_fails_tells_its_traceback_and_the_next_one_works(engine: FakeEngine) -> None:
    with serving(engine) as server:
        line = Line(server.address)
        with pytest.raises(RemoteError, match="TypeError"):
            line.ask("logs.read", nonsense=1)
        assert line.ask("logs.last_seq") == 0


def test_the_socket_is_for_its_owner_alone(engine: FakeEngine) -> None:
    with serving(engine) as server:
        folder = Path(server.address).parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists()
