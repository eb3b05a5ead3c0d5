"""`check --connect`: one connection to the configured broker, and what it tells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.authority import TlsBroker, start_tls_broker
from tests.cli.program import run

pytestmark = pytest.mark.mosquitto


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsBroker]:
    found = start_tls_broker(tmp_path_factory.mktemp("tls") / "broker")
    yield found
    found.mosquitto.stop(kill=True)


def write(folder: Path, url: str, *lines: str) -> None:
    (folder / "routemq.toml").write_text("\n".join(["[broker]", f'url = "{url}"', *lines]))


@pytest.mark.parametrize(("scheme", "listener"), [("mqtts", "right"), ("wss", "wss")])
def test_what_is_right_is_told(scheme: str, listener: str, broker: TlsBroker, tmp_path: Path) -> None:
    url = f"{scheme}://127.0.0.1:{broker.ports[listener]}"
    write(tmp_path, url, f'ca_file = "{broker.authority.file}"')
    done = run("check", "--connect", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    path = "/mqtt" if scheme == "wss" else ""
    assert f"connection: {url}{path} takes us (MQTT 5), its certificate is right" in done.stdout


def test_what_is_wrong_is_told_with_its_exit_code(broker: TlsBroker, tmp_path: Path) -> None:
    write(tmp_path, f"mqtts://127.0.0.1:{broker.ports['right']}")
    done = run("check", "--connect", cwd=tmp_path)
    assert done.returncode == 4
    assert "connection: the certificate of" in done.stderr
    assert "set broker.ca_file (MQTT_CA_FILE)" in done.stderr
    answer = run("check", "--connect", "--json", cwd=tmp_path)
    assert json.loads(answer.stdout)["connection"]["ok"] is False
    # and a port on which nobody listens is another code
    write(tmp_path, "mqtt://127.0.0.1:1")
    assert run("check", "--connect", cwd=tmp_path).returncode == 8
    # and without the word nobody connects
    assert run("check", cwd=tmp_path).returncode == 0


def test_not_checking_is_loud(broker: TlsBroker, tmp_path: Path) -> None:
    write(tmp_path, f"mqtts://127.0.0.1:{broker.ports['expired']}", "insecure = true")
    done = run("check", "--connect", cwd=tmp_path)
    assert done.returncode == 0
    assert "routemq.toml:3: broker.insecure: the broker's certificate is NOT checked" in done.stdout
    published = run("publish", "t", "{}", cwd=tmp_path)
    assert published.returncode == 0, published.stderr
    assert "warning: the broker's certificate is NOT checked" in published.stderr


def test_a_broker_of_our_own_that_does_not_run_is_no_mistake(tmp_path: Path) -> None:
    write(tmp_path, "embedded")
    done = run("check", "--connect", cwd=tmp_path)
    assert done.returncode == 0
    assert "connection: the embedded broker runs with routemq-tui, and none runs in" in done.stdout
