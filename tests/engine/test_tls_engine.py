"""An engine on brokers that speak TLS: what a worker's state, the notices and the snapshot say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from routemq_tui.config.model import BrokerConfig, TlsConfig
from routemq_tui.engine.snapshot_json import snapshot_values
from routemq_tui.engine.states import WorkerState
from routemq_tui.publisher.client import PublishClient
from routemq_tui.worker import step_aside
from routemq_tui.worker.address import external_address
from tests.authority import TlsBroker, start_tls_broker
from tests.engine.rig import make_config, route, running

pytestmark = pytest.mark.mosquitto


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsBroker]:
    found = start_tls_broker(tmp_path_factory.mktemp("tls") / "broker")
    yield found
    found.mosquitto.stop(kill=True)


def settings(broker: TlsBroker, listener: str, scheme: str = "mqtts", **tls: object) -> BrokerConfig:
    values: dict[str, object] = {"ca_file": str(broker.authority.file)} | tls
    url = f"{scheme}://127.0.0.1:{broker.ports[listener]}" + ("/mqtt" if scheme == "wss" else "")
    return BrokerConfig(url=url, tls=TlsConfig(**values))  # type: ignore[arg-type]


def test_a_worker_whose_broker_is_not_trusted_fails_once_and_says_why(
    broker: TlsBroker, tmp_path: Path
) -> None:
    config = make_config(tmp_path, 0, route(workers=2), broker=settings(broker, "expired"))
    with running(config) as rig:
        # both give up, after one try each
        for slot in (1, 2):
            worker = rig.until_state(WorkerState.FAILED, slot)
            assert "has expired: it has to be renewed at the broker" in worker.reason
            assert worker.restarts == 0
        assert rig.log_text("jobs/1").count("has expired") >= 1


@pytest.mark.parametrize("scheme", ["mqtts", "wss"])
def test_what_is_published_comes_through(scheme: str, broker: TlsBroker, tmp_path: Path) -> None:
    on = settings(broker, "right" if scheme == "mqtts" else "wss", scheme)
    with running(make_config(tmp_path, 0, route(workers=2), broker=on)) as rig:
        rig.until_running(2)
        client = PublishClient(external_address(on))
        client.connect()
        for number in range(20):
            client.publish(f"jobs/{number}", b"{}", 1, False)
        client.drain(10)
        client.close()
        rig.until_ok(20)
        assert "NOT checked" not in rig.notices()


def test_a_broker_that_is_not_checked_is_a_notice(broker: TlsBroker, tmp_path: Path) -> None:
    on = settings(broker, "expired", ca_file=None, insecure=True)
    with running(make_config(tmp_path, 0, route(), broker=on)) as rig:
        rig.until_running(1)
        assert "the broker's certificate is NOT checked" in rig.notices()


def test_no_secret_is_in_a_snapshot(broker: TlsBroker, tmp_path: Path) -> None:
    on = replace(settings(broker, "right", key_password="open-sesame-47"), password="hunter2", username="me")
    with running(make_config(tmp_path, 0, route(), broker=on)) as rig:
        rig.until_running(1)
        said = json.dumps(snapshot_values(rig.engine.snapshot())) + repr(rig.engine.snapshot())
        assert "jobs/{id}" in said
        assert "hunter2" not in said
        assert "open-sesame-47" not in said


def test_a_failed_worker_steps_aside_over_tls_too(broker: TlsBroker, tmp_path: Path) -> None:
    on = settings(
        broker, "client", cert_file=str(broker.client.cert_file), key_file=str(broker.client.key_file)
    )
    with running(make_config(tmp_path, 0, route(), broker=on)) as rig:
        rig.until_running(1)
        crew = rig.engine._supervisor.crews["jobs"]
        spec = crew.spec_of(crew.slots[1], external_address(on))
    process = step_aside.start(spec)
    assert process.wait(10) == 0
