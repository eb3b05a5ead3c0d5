"""A real run with known passwords, and a search for them wherever something of the run is kept or shown."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from tests.authority import Authority
from tests.cli.program import command, environment, run
from tests.conftest import Mosquitto
from tests.waiting import free_port, listens, wait_until

pytestmark = pytest.mark.mosquitto

PASSWORD, KEY_PASSWORD = "hunter-2-zanzibar", "open-sesame-47"
PROJECT = """
[broker]
url = "mqtts://reader@127.0.0.1:{port}"
ca_file = "{ca}"
cert_file = "{cert}"
key_file = "locked.pem"
key_password_file = "key-password"

[routes.jobs]
topic = "jobs/{{n}}"
handler = "handlers:handle"
qos = 1

[routes.taps]
topic = "taps/{{n}}"
handler = "handlers:tell"
qos = 1

[[traffic]]
topic = "taps/{{int:1..9}}"
rate = 20
"""
HANDLERS = """
import logging, threading

def handle(n, client, message):
    print(repr(client), repr(message), threading.enumerate())
    raise ValueError(f"bad reading of {client!r}")

def tell(n, client):
    logging.getLogger("app").warning("%r %s", client, n)
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A project on a broker that wants a client certificate, a user and a password."""
    folder, root = tmp_path / "broker", tmp_path / "project"
    folder.mkdir()
    root.mkdir()
    authority = Authority(folder)
    server, client = authority.issue("127.0.0.1", file="server"), authority.issue("client", file="client")
    key = load_pem_private_key(client.key_file.read_bytes(), None)
    locked = BestAvailableEncryption(KEY_PASSWORD.encode())
    (root / "locked.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    (root / "key-password").write_text(KEY_PASSWORD + "\n")
    (root / ".env").write_text(f"MQTT_PASSWORD={PASSWORD}\n")
    (root / "handlers.py").write_text(HANDLERS)
    (folder / "passwords").touch(mode=0o600)
    make = ["mosquitto_passwd", "-b", str(folder / "passwords"), "reader", PASSWORD]
    subprocess.run(make, check=True, capture_output=True)
    port = free_port()
    (root / "routemq.toml").write_text(PROJECT.format(port=port, ca=authority.file, cert=client.cert_file))
    broker = Mosquitto(
        folder,
        f"allow_anonymous false\npassword_file {folder}/passwords\nlistener {port} 127.0.0.1\n"
        f"require_certificate true\ncafile {authority.file}\n"
        f"certfile {server.cert_file}\nkeyfile {server.key_file}",
    )
    broker.start()
    wait_until(lambda: listens(port), what="the TLS listener")
    yield root
    broker.stop(kill=True)


def asked(root: Path, *words: str) -> str:
    done = run(*words, cwd=root)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def files_of(folder: Path) -> dict[str, str]:
    return {str(path): path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file()}


@pytest.mark.skipif(shutil.which("mosquitto_passwd") is None, reason="mosquitto_passwd is not installed")
def test_no_password_is_anywhere_but_in_its_own_file(project: Path) -> None:
    # given a run that handles, logs, fails and keeps dead letters
    process = subprocess.Popen(
        command("run", "--headless", "--log-format", "json", "--log-level", "debug"),
        cwd=project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(),
    )
    found: dict[str, str] = {}
    try:

        def workers_up() -> bool:
            done = run("ctl", "snapshot", "--json", cwd=project)
            return done.returncode == 0 and json.loads(done.stdout)["running"] == 2

        wait_until(workers_up, 20, "both workers run")
        asked(project, "ctl", "tap", "taps", "on")
        found["publish"] = asked(project, "publish", "jobs/7", "{}", "--qos", "1")

        def handled() -> bool:
            values = json.loads(asked(project, "ctl", "snapshot", "--json"))
            routes = {each["name"]: each for each in values["routes"]}
            return bool(routes["jobs"]["dead_lettered"] and routes["taps"]["ok"] > 5)

        wait_until(handled, 20, "a message failed and some did not")
        # when every place is looked at
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        assert len(family) >= 4  # the program, its fork server, two workers, and the traffic
        for each in family:
            found[f"command line of {each.pid}"] = " ".join(each.cmdline())
            found[f"environment of {each.pid}"] = str(each.environ())
        for words in (
            ("ctl", "snapshot", "--json"),
            ("ctl", "logs", "-n", "10000", "--json"),
            ("ctl", "messages", "--payloads", "--json"),
            ("ctl", "errors", "--json"),
            ("dead-letters", "export"),
            ("check", "--json"),
        ):
            found[" ".join(words)] = asked(project, *words)
        found |= files_of(project / ".routemq")
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=20)
    found["output"] = output.decode()
    found |= {f"{name}, after": text for name, text in files_of(project / ".routemq").items()}
    # then the search looked at what there is
    assert "bad reading" in found["ctl errors --json"]
    assert "bad reading" in found["dead-letters export"]
    assert "taps/" in found["ctl messages --payloads --json"]
    assert len([place for place, text in found.items() if "jobs" in text]) >= 7
    assert f"{project}/.routemq/local.json" in found
    # and neither password is in any of it
    for secret in (PASSWORD, KEY_PASSWORD):
        assert [place for place, text in found.items() if secret in text] == []


def test_a_password_that_is_refused_is_not_shown(project: Path) -> None:
    wrong = "not-the-password"
    done = run("run", "--headless", "--duration", "20s", cwd=project, MQTT_PASSWORD=wrong)
    said = done.stdout + done.stderr
    assert done.returncode == 9, said
    assert "refused" in said
    published = run("publish", "jobs/1", "{}", cwd=project, MQTT_PASSWORD=wrong)
    assert published.returncode == 4
    assert "check MQTT_USERNAME and MQTT_PASSWORD" in published.stderr
    for secret in (wrong, PASSWORD, KEY_PASSWORD):
        assert secret not in said + published.stdout + published.stderr
