"""`WorkerManager`: what RouteMQ promises of shared subscriptions, with real processes and a real broker."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt import publish

from routemq_tui import Router, WorkerManager
from routemq_tui.config.load import ConfigError
from routemq_tui.manager import RouterPlaceError, StartError
from tests.conftest import Mosquitto
from tests.manager import fleet
from tests.waiting import wait_until

HERE = Path(__file__).parents[2]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """One that writes down who subscribes to what."""
    folder = tmp_path / "broker"
    folder.mkdir()
    found = Mosquitto(folder, f"log_dest file {folder}/log\nlog_type subscribe\n")
    found.start()
    yield found
    found.stop()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the handlers write, and where state is kept; the modules are those of the tests."""
    monkeypatch.setenv("FLEET_FOLDER", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    return tmp_path


def manager(broker: Mosquitto, folder: Path, group: str = "fleet") -> WorkerManager:
    return WorkerManager(fleet.router, group, broker=f"mqtt://127.0.0.1:{broker.port}", root=folder)


def send(broker: Mosquitto, topics: list[str], qos: int = 1) -> None:
    messages = [(topic, b"{}", qos, False) for topic in topics]
    publish.multiple(messages, "127.0.0.1", broker.port)


def noted(folder: Path, name: str) -> list[tuple[int, str]]:
    """Of each message that was handled, the process and what it was."""
    file = folder / name
    lines = file.read_text().splitlines() if file.exists() else []
    return [(int(pid), text) for pid, _, text in (line.partition(" ") for line in lines)]


def subscribed(broker: Mosquitto, folder: Path) -> Counter[tuple[str, str]]:
    """Client ids and what they subscribed to, by the broker's own log."""
    log = (folder / "broker" / "log").read_text()
    return Counter(re.findall(r"(\S+) \d (\S+)$", log, re.MULTILINE))


@pytest.mark.mosquitto
def test_exactly_the_processes_asked_for_each_on_its_own_filter(broker: Mosquitto, folder: Path) -> None:
    with manager(broker, folder) as workers:
        # then there are 2, 8 and 1, all different and alive
        found = workers.workers
        assert Counter(each.route for each in found) == {"a": 2, "b": 8, "c": 1}
        assert len({each.pid for each in found}) == 11
        assert all(each.is_alive() for each in found)
        # and each has subscribed to its own route alone
        expected = {
            *((f"fleet-manager-fleet-a-{slot}", "$share/fleet/a/+") for slot in (1, 2)),
            *((f"fleet-manager-fleet-b-{slot}", "$share/fleet/b/+") for slot in range(1, 9)),
            ("fleet-manager-fleet-c-1", "c/+"),
        }
        assert subscribed(broker, folder) == Counter(expected)
    assert not any(each.is_alive() for each in found)
    assert all(not Path(f"/proc/{each.pid}").exists() for each in found)


@pytest.mark.mosquitto
def test_a_route_that_is_not_shared_keeps_the_order(broker: Mosquitto, folder: Path) -> None:
    with manager(broker, folder):
        send(broker, [f"c/{number}" for number in range(300)])
        wait_until(lambda: len(noted(folder, "ordered")) == 300)
    assert [int(text) for _, text in noted(folder, "ordered")] == list(range(300))
    assert len({pid for pid, _ in noted(folder, "ordered")}) == 1


@pytest.mark.mosquitto
def test_messages_are_spread_over_two_workers_each_once(broker: Mosquitto, folder: Path) -> None:
    with manager(broker, folder) as workers:
        pids = {each.pid for each in workers.workers if each.route == "a"}
        send(broker, [f"a/{number}" for number in range(200)])
        wait_until(lambda: len(noted(folder, "small")) == 200)
    handled = noted(folder, "small")
    assert sorted(int(text) for _, text in handled) == list(range(200))
    counts = Counter(pid for pid, _ in handled)
    assert set(counts) == pids
    assert min(counts.values()) >= 50


@pytest.mark.mosquitto
def test_a_thousand_messages_of_ten_milliseconds_in_ten_seconds(broker: Mosquitto, folder: Path) -> None:
    with manager(broker, folder) as workers:
        send(broker, [f"b/{number}" for number in range(1_000)])
        wait_until(lambda: len(noted(folder, "slow")) == 1_000, timeout=10.0)
        data = wait_until(
            lambda: (found := workers.get_dashboard_data())["overview"]["messages"] == 1_000 and found
        )
    assert len({text for _, text in noted(folder, "slow")}) == 1_000
    assert data["health"] == {"status": "healthy", "percentage": 100, "running": 11, "desired": 11}
    assert {each["name"]: each["worker_count"] for each in data["routes"]} == {"a": 2, "b": 8, "c": 1}
    assert sum(each["messages"] for each in data["workers"]) == 1_000
    assert all(each["memory_mb"] > 5 for each in data["workers"])


@pytest.mark.mosquitto
def test_scaling(broker: Mosquitto, folder: Path) -> None:
    workers = manager(broker, folder)
    with pytest.raises(RuntimeError, match="call start_workers first"):
        workers.scale("a", 3)
    workers.start_workers(num_workers=1)
    try:
        assert workers.get_worker_count() == 3
        workers.scale("a", 3)
        workers.wait_for("a", 3)
        workers.scale("a", 0)
        workers.wait_for("a", 0)
        workers.start_workers(2)
        workers.wait_for("a", 2)
        workers.wait_for("b", 2)
        with pytest.raises(ValueError, match="c can have 0 to 1 workers, not 2: it is not shared"):
            workers.scale("c", 2)
        with pytest.raises(KeyError, match="there are a, b, c"):
            workers.scale("d", 2)
    finally:
        workers.stop_workers()
    assert workers.workers == []
    workers.stop_workers()


@pytest.mark.mosquitto
def test_two_managers_do_not_touch_each_other(broker: Mosquitto, folder: Path) -> None:
    with manager(broker, folder, "one") as one, manager(broker, folder, "two") as two:
        send(broker, [f"a/{number}" for number in range(100)])
        # then each group gets every message once
        wait_until(lambda: len(noted(folder, "small")) == 200)
        ours = {each.pid for each in one.workers}
        assert not ours & {each.pid for each in two.workers}
        handled = noted(folder, "small")
        assert sorted(int(text) for pid, text in handled if pid in ours) == list(range(100))
        # and killing one leaves the other alone
        two.stop_workers()
        assert all(each.is_alive() for each in one.workers)


SLOW = """
import time
from tests.manager.fleet import Router, note

router = Router()

@router.on("z/{id}", qos=1)
def slow(id):
    note("begun", id)
    time.sleep(1.5)
    note("finished", id)
"""


@pytest.mark.mosquitto
@pytest.mark.parametrize(("usual", "asked", "finishes"), [("10s", 0.2, False), ("200ms", 20.0, True)])
def test_a_stop_takes_the_time_it_is_given(
    broker: Mosquitto, folder: Path, monkeypatch: pytest.MonkeyPatch, usual: str, asked: float, finishes: bool
) -> None:
    # given a handler that is at work, and another time in the settings
    (folder / "takes_its_time.py").write_text(SLOW)
    monkeypatch.syspath_prepend(str(folder))
    import takes_its_time  # type: ignore[import-not-found]

    settings = {"app.shutdown_timeout": usual}
    url = f"mqtt://127.0.0.1:{broker.port}"
    workers = WorkerManager(takes_its_time.router, broker=url, root=folder, settings=settings)
    workers.start_workers()
    send(broker, ["z/1"])
    wait_until(lambda: noted(folder, "begun"))
    # then it is killed in time, or may finish
    start = time.monotonic()
    workers.stop_workers(timeout=asked)
    assert bool(noted(folder, "finished")) is finishes
    assert finishes or time.monotonic() - start < asked + 2.5


def test_what_is_known_before_anything_runs(folder: Path) -> None:
    found = WorkerManager(fleet.router, "fleet", root=folder).get_shared_routes_info()
    assert found == [
        {"topic": "a/{id}", "mqtt_topic": "a/+", "qos": 1, "worker_count": 2},
        {"topic": "b/{id}", "mqtt_topic": "b/+", "qos": 1, "worker_count": 8},
    ]


def test_routers_of_a_package(folder: Path) -> None:
    (folder / "app" / "routers").mkdir(parents=True)
    text = "from routemq_tui import Router\nr = Router()\nr.on('x', print, shared=True, worker_count=3)\n"
    (folder / "app" / "routers" / "one.py").write_text(text)
    for name in ("app.routers", "app/routers"):
        (route,) = WorkerManager(router_directory=name, root=folder).get_shared_routes_info()
        assert (route["topic"], route["worker_count"]) == ("x", 3)


def test_a_router_that_nobody_can_import(folder: Path) -> None:
    with pytest.raises(RouterPlaceError, match="at the top level of no module"):
        WorkerManager(Router(), root=folder)
    with pytest.raises(ConfigError, match="nowhere: there is no module 'nowhere'"):
        WorkerManager(router_directory="nowhere", root=folder)


@pytest.mark.mosquitto
def test_a_router_made_by_a_function_elsewhere(
    broker: Mosquitto, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a router that one module makes for another, and a third that declares a route on it
    made, kept = (
        "from routemq_tui import Router\ndef make(): return Router()\n",
        "import made_by\nr = made_by.make()\n",
    )
    declared = "from kept_in import r\nr.on('x', print, shared=True)\n"
    for name, text in {"made_by": made, "kept_in": kept, "declared_in": declared}.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    import declared_in  # type: ignore[import-not-found]

    # then a worker has the route
    url = f"mqtt://127.0.0.1:{broker.port}"
    with WorkerManager(declared_in.r, root=folder, broker=url) as workers:
        assert [each.state for each in workers.workers] == ["running"]


@pytest.mark.mosquitto
def test_routes_whose_names_collide_keep_their_handlers(
    broker: Mosquitto, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given two modules whose routes make the same name, imported in an order of their own, and a hook
    text = "from tests.manager.fleet import note\nfrom rooms import r\n"
    (folder / "rooms.py").write_text("from routemq_tui import Router\nr = Router()\n")
    hook = "r.on_start(lambda: None)\n"
    for name, topic in {"rooms_a": "room/{id}/temp", "rooms_b": "room/temp/{id}"}.items():
        route = f"@r.on({topic!r}, qos=1)\ndef handler(id): note({name!r}, id)\n"
        (folder / f"{name}.py").write_text(text + (hook if name == "rooms_a" else "") + route)
    monkeypatch.syspath_prepend(str(folder))
    import rooms_b  # type: ignore[import-not-found]  # isort: skip
    import rooms_a  # type: ignore[import-not-found]  # noqa: F401

    # then each message comes to the handler of its topic
    url = f"mqtt://127.0.0.1:{broker.port}"
    with WorkerManager(rooms_b.r, root=folder, broker=url):
        send(broker, ["room/1/temp", "room/temp/2"])
        wait_until(lambda: noted(folder, "rooms_a") and noted(folder, "rooms_b"))
    assert [[text for _, text in noted(folder, name)] for name in ("rooms_a", "rooms_b")] == [["1"], ["2"]]


def test_a_handler_that_cannot_be_imported_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # given a module that can be imported here, but not by a worker
    (folder / "only_here.py").write_text(
        "import os\nfrom routemq_tui import Router\nr = Router()\nr.on('x', print)\n"
        "if 'ROUTEMQ_WORKER' in os.environ: raise RuntimeError('not there')\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    import only_here  # type: ignore[import-not-found]

    workers = WorkerManager(only_here.r, root=folder, settings={"broker.port": 1})
    with pytest.raises(StartError, match=r"x/1 is failed: .*not there"):
        workers.start_workers()
    assert not workers.is_running


SCRIPT = """
import os, sys, time
from pathlib import Path
from routemq_tui import Router, WorkerManager

router = Router()

@router.on("x/{number:int}", qos=1, shared=True, worker_count=2)
def handled(number, client):
    client.publish("out", {"pid": os.getpid(), "number": number}, qos=1)

router.on("out", lambda payload: Path("out").open("a").write(f"{payload['number']}\\n"), qos=1)
"""
GUARDED = """
if __name__ == "__main__":
    with WorkerManager(router, "script") as workers:
        port = int(workers.snapshot().broker.address.rpartition(":")[2])
        from paho.mqtt import publish
        publish.multiple([(f"x/{n}", b"", 1, False) for n in range(20)], "127.0.0.1", port)
        end = time.monotonic() + 10
        while not (Path("out").exists() and len(Path("out").read_text().split()) == 20):
            assert time.monotonic() < end
            time.sleep(0.02)
        print("pids", len({w.pid for w in workers.workers}))
"""
BARE = """
WorkerManager(router, "script").start_workers()
"""


def test_a_script_with_its_handlers_in_it(folder: Path) -> None:
    (folder / "script.py").write_text(SCRIPT + GUARDED)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, timeout=50
    )
    assert done.stdout == "pids 3\n", done.stderr
    assert done.returncode == 0
    assert sorted(map(int, (folder / "out").read_text().split())) == list(range(20))


def test_a_script_that_starts_workers_whenever_it_is_imported(folder: Path) -> None:
    (folder / "script.py").write_text(SCRIPT + BARE)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, timeout=50
    )
    assert 'put the start under if __name__ == "__main__"' in done.stderr
    assert done.returncode == 1


def test_a_notebook_is_told_what_to_do(folder: Path) -> None:
    code = "from routemq_tui import *\nr = Router()\nr.on('x', print)\nWorkerManager(r)\n"
    done = subprocess.run(
        [sys.executable, "-i", "-q"], input=code, cwd=folder, capture_output=True, text=True, timeout=50,
        env={**os.environ, "PYTHONSTARTUP": ""},
    )  # fmt: skip
    assert "cannot import a notebook or an interactive session" in done.stderr
