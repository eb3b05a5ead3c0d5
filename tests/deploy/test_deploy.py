"""What lies in `deploy/`: each file is read by a linter of its own, and the container's command is run."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from routemq_tui.config.load import load
from tests.cli.program import command, environment, run
from tests.conftest import Mosquitto
from tests.waiting import free_port, wait_until

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent
YAML_RULES = (
    "{extends: default, rules: {line-length: {max: 120}, document-start: disable,"
    " braces: {max-spaces-inside: 0}, comments: {min-spaces-from-content: 1}}}"
)
MANIFESTS = sorted(
    each for each in (DEPLOY / "kubernetes").glob("*.yaml") if "kustomization" not in each.name
)


def lint(*command: str) -> None:
    program = BIN / command[0]
    if not program.exists():
        pytest.skip(f"{command[0]} is not installed (Linux, extra test)")
    done = subprocess.run([program, *command[1:]], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_dockerfile() -> None:
    lint("hadolint", "deploy/Dockerfile")


def test_all_yaml() -> None:
    lint("yamllint", "--strict", "-d", YAML_RULES, "deploy")


def test_compose() -> None:
    lint("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "deploy/compose.yaml")


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.stem)
def test_manifest(manifest: Path) -> None:
    lint("kubernetes-validate", "--strict", str(manifest))


def test_a_broken_manifest_fails(tmp_path: Path) -> None:
    broken = tmp_path / "workers.yaml"
    broken.write_text(
        (DEPLOY / "kubernetes" / "workers.yaml").read_text().replace("replicas: 2", "replicas: two")
    )
    with pytest.raises(AssertionError, match="replicas"):
        lint("kubernetes-validate", "--strict", str(broken))


def test_kustomization_names_every_manifest() -> None:
    text = (DEPLOY / "kubernetes" / "kustomization.yaml").read_text()
    assert re.findall(r"- (\S+\.yaml)", text) == [
        each.name for each in sorted(MANIFESTS, key=lambda path: text.index(path.name))
    ]
    assert len(re.findall(r"- \S+\.yaml", text)) == len(MANIFESTS)


def test_systemd_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    unit = tmp_path / "routemq.service"
    text = (DEPLOY / "systemd" / "routemq.service").read_text()
    assert "/srv/routemq/.venv/bin/routemq-tui run" in text
    unit.write_text(text.replace("/srv/routemq/.venv/bin/routemq-tui", sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", unit],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin"},
    )
    said = [line for line in done.stderr.splitlines() if "routemq.service" in line]
    assert (done.returncode, said) == (0, [])


def test_the_unit_starts_a_fresh_project_and_may_write_where_it_must() -> None:
    """A path to write to that is not there ends a unit before it begins (226/NAMESPACE)."""
    unit = (DEPLOY / "systemd" / "routemq.service").read_text()
    (folder,) = re.findall(r"^WorkingDirectory=(.+)$", unit, re.MULTILINE)
    # `ctl save` makes files in the folder itself, and the folder is there or nothing starts
    assert re.findall(r"^ReadWritePaths=(.+)$", unit, re.MULTILINE) == [folder]
    (kept,) = re.findall(r"^ReadOnlyPaths=(.+)$", unit, re.MULTILINE)
    assert all(path.startswith(f"-{folder}/") for path in kept.split())
    # it may belong to root: then the service cannot make its own folder in it
    assert re.search(rf"^ExecStartPre=\+/usr/bin/install -d .*{folder}/\.routemq$", unit, re.MULTILINE)


SHIPPED = ["deploy/routemq.toml", "deploy/kubernetes/configmap.yaml"]


def write_shipped(source: str, folder: Path) -> None:
    text = (ROOT / source).read_text()
    if source.endswith(".yaml"):
        text = "\n".join(line[4:] for line in text.partition("routemq.toml: |\n")[2].splitlines())
    (folder / "routemq.toml").write_text(text)


@pytest.mark.parametrize("source", SHIPPED)
def test_the_configuration_that_is_shipped(source: str, tmp_path: Path) -> None:
    write_shipped(source, tmp_path)
    config = load(tmp_path / "routemq.toml", environment={})
    assert config.routes
    assert not config.warnings
    grace = re.search(r"stop_grace_period: (\d+)s", (DEPLOY / "compose.yaml").read_text())
    pod = re.search(
        r"terminationGracePeriodSeconds: (\d+)", (DEPLOY / "kubernetes" / "workers.yaml").read_text()
    )
    assert grace is not None
    assert pod is not None
    longest = int(grace[1] if source.endswith(".toml") else pod[1])
    assert config.app.shutdown_timeout + 5 <= longest


def temperature(project: Path, node: str) -> dict[str, Any]:
    """The route of a node that runs, as `ctl` tells it; empty before that."""
    done = run("ctl", "--node", node, "snapshot", "--json", cwd=project)
    routes = json.loads(done.stdout)["routes"] if done.returncode == 0 else []
    return next((each for each in routes if each["name"] == "temperature"), {})


@contextmanager
def instance(project: Path, node: str, broker: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command("run", "--headless"),
        cwd=project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=environment(ROUTEMQ_NODE=node, MQTT_BROKER=broker),
    )
    try:
        wait_until(lambda: temperature(project, node).get("running") == 2, 20, f"{node} runs")
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("source", SHIPPED)
def test_a_node_that_is_scaled_away_leaves_its_share_to_the_others(
    source: str, tmp_path: Path, mosquitto: Mosquitto
) -> None:
    # given two nodes with the settings that are shipped
    write_shipped(source, tmp_path)
    shutil.copytree(ROOT / "routes", tmp_path / "routes")
    broker = f"mqtt://127.0.0.1:{mosquitto.port}"
    with instance(tmp_path, "routemq-0", broker), instance(tmp_path, "routemq-1", broker) as scaled_away:
        # when one is told to go
        scaled_away.send_signal(signal.SIGTERM)
        assert scaled_away.wait(20) == 0
        words = ("--broker", broker, "-q", "1", "--count", "200", "sensors/{int:1..5}/temperature")
        assert run("publish", *words, '{"celsius": 20}', cwd=tmp_path).returncode == 0
        # then the other one handles all that comes
        wait_until(lambda: temperature(tmp_path, "routemq-0")["ok"] == 200, 20, "all are handled")


def workers_manifest() -> str:
    return (DEPLOY / "kubernetes" / "workers.yaml").read_text()


def test_a_broker_that_is_away_kills_no_pod() -> None:
    probes = dict(re.findall(r"(\w+)Probe:\n +httpGet: \{path: (\S+),", workers_manifest()))
    assert probes == {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}


def test_a_pod_is_told_once_to_end() -> None:
    """SIGTERM drains, and a second wish to stop kills: a hook that says so before it would have that done."""
    assert "preStop" not in re.sub(r"#.*", "", workers_manifest())


def test_a_service_of_any_name_leaves_the_environment_alone() -> None:
    assert re.search(r"^      enableServiceLinks: false$", workers_manifest(), re.MULTILINE)


def test_the_command_of_the_container(tmp_path: Path) -> None:
    # given the words and variables of the Dockerfile, and a project as it is in the image
    text = (DEPLOY / "Dockerfile").read_text()
    entry, words = (
        json.loads(re.search(rf"^{name} (\[.*\])$", text, re.MULTILINE)[1]) for name in ("ENTRYPOINT", "CMD")
    )  # type: ignore[index]
    variables = dict(re.findall(r"(ROUTEMQ_\w+)=(\S+)", text))
    assert entry == ["routemq-tui"]
    assert variables["ROUTEMQ_HTTP"].endswith(":9464")
    variables["ROUTEMQ_HTTP"] = f"127.0.0.1:{free_port()}"
    shutil.copytree(ROOT / "routes", tmp_path / "routes")
    shutil.copy(ROOT / "routemq.toml", tmp_path)
    (tmp_path / ".routemq").mkdir(mode=0o700)
    # when it is run
    done = subprocess.run(
        [sys.executable, "-m", "routemq_tui", *words, "--duration", "2s"],
        cwd=tmp_path, env=environment(**variables), capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    # then it works under the machine's name, and says all in JSON
    assert done.returncode == 0, done.stderr
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert any("/metrics at" in line.get("event", "") for line in lines)
    (summary,) = [line for line in lines if line.get("event") == "summary"]
    assert summary["total"]["ok"] > 0
    assert not any(each.name not in (".routemq", "routes", "routemq.toml") for each in tmp_path.iterdir())
