"""An application written for RouteMQ, unchanged but for its imports."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt import publish
from paho.mqtt.enums import CallbackAPIVersion

from routemq_tui import WorkerManager
from tests.conftest import Mosquitto
from tests.waiting import wait_until

SAMPLE = Path(__file__).parents[1] / "sample_app"


class Listener:
    """Keeps what the application publishes."""

    def __init__(self, port: int) -> None:
        self.heard: list[tuple[str, Any]] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._ready = False
        self._client.on_subscribe = lambda *_: setattr(self, "_ready", True)
        self._client.on_message = lambda _c, _u, m: self.heard.append((m.topic, json.loads(m.payload)))
        self._client.connect("127.0.0.1", port)
        self._client.subscribe([(topic, 1) for topic in ("stored/#", "alerts-seen", "seen/#", "executed")])
        self._client.loop_start()
        wait_until(lambda: self._ready)

    def of(self, prefix: str) -> list[Any]:
        return [payload for topic, payload in self.heard if topic.startswith(prefix)]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def app(mosquitto: Mosquitto, tmp_path: Path) -> Iterator[tuple[WorkerManager, Listener, Mosquitto]]:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "app").symlink_to(SAMPLE / "app")
    listener = Listener(mosquitto.port)
    manager = WorkerManager(
        router_directory="app.routers",
        group_name="sample",
        broker=f"mqtt://127.0.0.1:{mosquitto.port}",
        root=tmp_path / "project",
    )
    with manager:
        yield manager, listener, mosquitto
    listener.close()


def send(broker: Mosquitto, messages: list[tuple[str, dict[str, Any]]]) -> None:
    packed = [(topic, json.dumps(payload), 1, False) for topic, payload in messages]
    publish.multiple(packed, "127.0.0.1", broker.port)


def test_the_whole_application(app: tuple[WorkerManager, Listener, Mosquitto]) -> None:
    manager, listener, broker = app
    # given as many processes as its routes ask for
    assert Counter(worker.route for worker in manager.workers) == {
        "sensors-data": 2,
        "alerts": 1,
        "devices-status": 1,
        "devices-commands": 3,
    }
    # when messages come for every route
    send(broker, [(f"sensors/{number % 5}/data", {"value": number}) for number in range(100)])
    send(broker, [("alerts/x", {"number": number}) for number in range(50)])
    send(broker, [(f"devices/status/{number % 3}", {}) for number in range(30)])
    send(broker, [("devices/status/blocked", {})])
    send(broker, [(f"devices/commands/{number}", {"number": number}) for number in range(60)])
    # then each was handled once
    wait_until(lambda: len(listener.heard) == 240)
    assert sorted(each["value"] for each in listener.of("stored/")) == list(range(100))
    # and a route that is not shared has kept the order
    assert [each["number"] for each in listener.of("alerts-seen")] == list(range(50))
    # and a controller with a state is one object in one process
    assert [each["number"] for each in listener.of("seen/")] == list(range(1, 31))
    assert len({each["pid"] for each in listener.of("seen/")}) == 1
    # and the middleware of the group has seen all of its messages, and stopped one
    assert all(each["stamped"] for each in listener.of("executed"))
    assert sorted(each["number"] for each in listener.of("executed")) == list(range(60))
    assert len({each["pid"] for each in listener.of("executed")}) == 3
    wait_until(lambda: manager.get_dashboard_data()["overview"]["messages"] == 241)
    assert manager.get_dashboard_data()["overview"]["failed"] == 0
