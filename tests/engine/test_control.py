"""The control socket of a running engine, spoken to as a script does, and the files beside it."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from routemq_tui.config.model import AppConfig
from routemq_tui.engine import commands
from routemq_tui.engine.control import ControlServer, socket_path
from routemq_tui.engine.states import WorkerState
from tests.engine.conftest import StartRig
from tests.engine.rig import Rig, route

ROOT = Path(__file__).parents[2]


class Client:
    """A connection that stays open: one request, one answer, as often as wanted."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(str(path))
        self._lines = self.socket.makefile("rb")

    def say(self, line: bytes) -> None:
        self.socket.sendall(line + b"\n")

    def hear(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._lines.readline())
        return answer

    def ask(self, **request: Any) -> dict[str, Any]:
        self.say(json.dumps(request).encode())
        return self.hear()

    def is_cut_off(self) -> bool:
        try:
            return self._lines.readline() == b""
        except ConnectionResetError:  # what the other side had not read is thrown away
            return True

    def close(self) -> None:
        self._lines.close()
        self.socket.close()


@contextmanager
def client(root: Path, node: str = "local") -> Iterator[Client]:
    found = Client(socket_path(root, node))
    try:
        yield found
    finally:
        found.close()


def pid_of(rig: Rig, slot: int) -> int | None:
    worker = rig.worker(slot)
    return worker.pid if worker else None


def test_a_snapshot_has_what_is_promised(start_rig: StartRig, tmp_path: Path) -> None:
    with start_rig(route(workers=2), route("alone", shared=False)) as rig, client(tmp_path) as ctl:
        rig.until_running(2)
        rig.until_running(1, "alone")
        rig.publish(10)
        rig.until_ok(10)
        rig.until(lambda: ctl.ask(do="snapshot")["snapshot"]["totals"]["ok"] == 10, "the count arrives")
        found = ctl.ask(do="snapshot")["snapshot"]
        group = rig.engine.snapshot().group
        assert (found["version"], found["pid"], found["state"]) == (1, os.getpid(), "running")
        assert (found["group"], found["node"], found["health"]) == (group, "local", "healthy")
        assert found["broker"]["address"] == f"127.0.0.1:{rig.port}"
        assert (found["running"], found["desired"], found["ledgers"]) == (3, 3, [])
        jobs, alone = found["routes"]
        assert (jobs["name"], jobs["topic"], jobs["filter"]) == ("jobs", "jobs/{id}", "jobs/+")
        assert (jobs["subscription"], jobs["qos"], jobs["shared"]) == (f"$share/{group}/jobs/+", 1, True)
        assert (jobs["desired"], jobs["running"], jobs["state"]) == (2, 2, "running")
        assert (alone["subscription"], alone["shared"]) == ("alone/+", False)
        assert [worker["name"] for worker in jobs["workers"]] == ["jobs/1", "jobs/2"]
        assert sum(worker["ok"] for worker in jobs["workers"]) == 10
        first = jobs["workers"][0]
        assert (first["slot"], first["state"], first["pid"]) == (1, "running", pid_of(rig, 1))
        assert first["client_id"] == f"{group}-local-jobs-1"
        assert {"received", "failed", "retried", "dead_lettered", "in_flight", "cpu_percent", "rss_bytes",
                "restarts", "last_exit", "rate", "error_rate", "p95"} <= first.keys()  # fmt: skip


def test_workers_are_scaled_killed_drained_and_restarted(start_rig: StartRig, tmp_path: Path) -> None:
    with start_rig(route(workers=1)) as rig, client(tmp_path) as ctl:
        rig.until_running(1)
        assert ctl.ask(do="scale", route="jobs", count=3)["ok"]
        rig.until_running(3)
        assert ctl.ask(do="scale", route="jobs", change=-1)["ok"]
        rig.until_running(2)
        assert ctl.ask(do="scale", route="jobs", change=1)["ok"]
        rig.until_running(3)
        assert ctl.ask(do="drain", worker="jobs/2")["ok"]
        rig.until(lambda: [one.slot for one in rig.route().workers] == [1, 3], "jobs/2 is gone")
        rig.until_running(2)

        before = pid_of(rig, 3)
        assert ctl.ask(do="kill", worker="jobs/3")["ok"]
        rig.until(lambda: pid_of(rig, 3) not in (before, None), "another process")
        rig.until_running(2)
        before = pid_of(rig, 1)
        assert ctl.ask(do="restart", worker="jobs/1")["ok"]
        rig.until(lambda: pid_of(rig, 1) not in (before, None), "another process")
        assert ctl.ask(do="restart", route="jobs")["ok"]
        rig.until(lambda: "jobs: all workers restarted" in rig.notices(), "all were restarted")


def test_a_route_is_paused_and_resumed_and_a_worker_started(start_rig: StartRig, tmp_path: Path) -> None:
    with start_rig(route(), route("lost", "absent")) as rig, client(tmp_path) as ctl:
        rig.until_running(1)
        assert ctl.ask(do="pause", route="jobs")["ok"]
        rig.until_state(WorkerState.PAUSED)
        assert ctl.ask(do="snapshot")["snapshot"]["routes"][0]["state"] == "paused"
        assert ctl.ask(do="resume", route="jobs")["ok"]
        rig.until_state(WorkerState.RUNNING)
        failed = rig.until_state(WorkerState.FAILED, route="lost")
        assert ctl.ask(do="start", worker="lost/1")["ok"]
        rig.until(lambda: rig.log_text("lost/1").count("started, pid") == 2, "it was tried again")
        assert failed.restarts == 0


def test_messages_are_told_without_what_may_be_private(start_rig: StartRig, tmp_path: Path) -> None:
    with start_rig(route(handler="picky"), route("other")) as rig, client(tmp_path) as ctl:
        rig.until_running(1)
        assert ctl.ask(do="tap", route="other", on=True)["ok"]
        rig.until(lambda: rig.route("other").tapped, "the tap is on")
        rig.publish(1, payload=b'{"pin": 1234}')
        rig.publish(1, "other/{}", payload=b"\xff\xfe")
        rig.until(lambda: rig.engine.messages.last_seq == 2, "both are told")
        (message,) = ctl.ask(do="messages", route="jobs")["messages"]
        assert (message["outcome"], message["error"]) == ("dead-lettered", "ValueError: bad reading")
        assert not {"payload", "payload_base64", "properties"} & message.keys()
        # when payloads are asked for, then they are there
        asked = ctl.ask(do="messages", payloads=True)["messages"]
        assert {each.get("payload"): each.get("payload_base64") for each in asked} == {
            '{"pin": 1234}': None,
            None: "//4=",
        }
        rest = ctl.ask(do="messages", after=asked[0]["seq"])
        assert ([each["seq"] for each in rest["messages"]], rest["next_seq"]) == ([asked[1]["seq"]], 2)
        # and the dead letter can be replayed and purged by its id
        assert ctl.ask(do="replay", ids=[message["letter"]])["ok"]
        rig.until(lambda: "1 dead letter replayed to its topic" in rig.notices())
        assert ctl.ask(do="purge", ids=[message["letter"] + 1])["ok"]
        rig.until(lambda: "dead letter purged" in rig.notices())


def test_logs_are_read_and_followed(start_rig: StartRig, tmp_path: Path) -> None:
    with start_rig(route(handler="hostile", workers=1)) as rig, client(tmp_path) as ctl:
        rig.until_running(1)
        rig.publish(1)
        rig.until(lambda: "markup" in rig.log_text("jobs/1"), "it was said")
        every = ctl.ask(do="logs")["lines"]
        assert {"jobs/1", "engine"} >= {line["source"] for line in every} >= {"jobs/1"}
        (line,) = (each for each in every if "markup" in each["text"])
        assert {**line, "seq": 0, "time": 0} == {
            "seq": 0, "time": 0, "source": "jobs/1", "level": 20, "stream": "stdout", "logger": "",
            "text": "␛]0;owned␇ [bold]markup[/]",
        }  # fmt: skip
        assert len(ctl.ask(do="logs", of="jobs", lines=2)["lines"]) == 2
        assert ctl.ask(do="logs", of="engine", lines=0)["lines"] == []

        with client(tmp_path) as follower:
            assert len(follower.ask(do="logs", of="jobs/1", lines=1, follow=True)["lines"]) == 1
            rig.publish(1)
            assert all(line["source"] == "jobs/1" for line in follower.hear()["lines"])


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"nonsense", "Expecting value"),
        (b"\xff\xfe", "decode"),
        (b"[]", "a request is a JSON object"),
        (b"{}", "unknown request None; there are snapshot, logs, messages, scale"),
        (b'{"do": "dance"}', "unknown request 'dance'"),
        (b'{"do": "scale", "route": "nowhere", "count": 1}', "no route 'nowhere'; there are jobs"),
        (b'{"do": "scale", "route": "jobs"}', "count is a number from 0, not None"),
        (b'{"do": "scale", "route": "jobs", "count": true}', "count is a number from 0, not True"),
        (b'{"do": "kill", "worker": "jobs/9"}', "no worker 'jobs/9'; there are jobs/1"),
        (b'{"do": "kill", "worker": ["jobs"]}', "no worker ['jobs']"),
        (b'{"do": ["kill"]}', "unknown request ['kill']"),
        (b'{"do": "logs", "of": {}}', "no route or worker {}"),
        (b'{"do": "tap", "route": "jobs"}', "on is true or false, not None"),
        (b'{"do": "messages", "route": "nowhere"}', "no route 'nowhere'"),
        (b'{"do": "purge", "ids": []}', "ids are a list of ids"),
        (b'{"do": "replay", "ids": [true]}', "ids are a list of ids"),
        (b"[" * 60_000, "recursion"),
    ],
)
def test_a_bad_request_is_answered_and_the_next_one_heard(
    control_rig: tuple[Rig, Path], line: bytes, says: str
) -> None:
    _, root = control_rig
    with client(root) as ctl:
        ctl.say(line)
        answer = ctl.hear()
        assert answer["ok"] is False
        assert says in answer["error"]
        assert ctl.ask(do="snapshot")["ok"]


@pytest.fixture(scope="module")
def control_rig(start_shared_rig: Any) -> Iterator[tuple[Rig, Path]]:
    """One engine for all the requests that change nothing."""
    with start_shared_rig(route()) as (rig, root):
        rig.until_running(1)
        yield rig, root


def test_only_the_owner_comes_in(control_rig: tuple[Rig, Path]) -> None:
    _, root = control_rig
    folder = root / ".routemq"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "run").stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "run" / "local.sock").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "local.json").stat().st_mode) == 0o600


def test_a_client_that_hangs_up_disturbs_nobody(control_rig: tuple[Rig, Path]) -> None:
    rig, root = control_rig
    for request in (b'{"do": "sna', b'{"do": "logs", "follow": true}\n', b'{"do": "snapshot"}\n' * 50):
        with client(root) as ctl:
            ctl.socket.sendall(request)
    with client(root) as ctl:
        assert ctl.ask(do="snapshot")["ok"]
    assert "Traceback" not in rig.log_text()


def test_a_request_without_an_end_is_cut_off(control_rig: tuple[Rig, Path]) -> None:
    _, root = control_rig
    with client(root) as ctl:
        ctl.socket.sendall(b"x" * 200_000)
        assert ctl.hear() == {"ok": False, "error": "a request has at most 65536 bytes"}
        assert ctl.is_cut_off()


def test_the_commands_find_the_broker_and_the_instance(control_rig: tuple[Rig, Path]) -> None:
    rig, root = control_rig
    written = json.loads((root / ".routemq" / "local.json").read_text())
    assert written == {"pid": os.getpid(), "broker": f"127.0.0.1:{rig.port}"}
    command = [
        sys.executable,
        "-m",
        "routemq_tui",
        "ctl",
        "-c",
        str(root / "routemq.toml"),
        "snapshot",
        "--json",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["pid"] == os.getpid()


def test_the_node_is_named_as_the_engine_reads_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "routemq_tui", "ctl", "snapshot"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT), "ROUTEMQ_NODE": " 7 "},
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert f"no instance runs here ({socket_path(tmp_path, '7')}" in done.stderr


def test_stop_ends_the_engine_and_its_files(start_rig: StartRig, tmp_path: Path) -> None:
    with start_rig(route(), app=AppConfig(node="mine")) as rig, client(tmp_path, "mine") as ctl:
        rig.until_running(1)
        folder = tmp_path / ".routemq"
        assert {one.name for one in folder.rglob("mine.*")} >= {"mine.sock", "mine.json", "mine.lock"}
        assert ctl.ask(do="stop")["ok"]
        assert rig.engine.wait(10)
        assert {one.name for one in folder.rglob("mine.*")} & {"mine.sock", "mine.json"} == set()
        assert ctl.ask(do="kill", worker="jobs/1") == {"ok": False, "error": "the engine has stopped"}
        assert "shut down" not in rig.log_text()


def test_a_dead_engines_socket_is_replaced(start_rig: StartRig, tmp_path: Path) -> None:
    folder = tmp_path / ".routemq" / "run"
    folder.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "local.sock"))
    with start_rig(route()), client(tmp_path) as ctl:
        assert ctl.ask(do="snapshot")["ok"]


def test_without_a_control_socket_the_workers_work_all_the_same(start_rig: StartRig, tmp_path: Path) -> None:
    (tmp_path / ".routemq" / "run" / "local.sock" / "in the way").mkdir(parents=True)
    with start_rig(route()) as rig:
        rig.until_running(1)
        assert "no control socket at" in rig.notices()
        rig.send(commands.AddWorker("jobs"))
        rig.until_running(2)


def test_a_volume_of_somebody_else_holds_a_folder_of_ours(tmp_path: Path) -> None:
    # given a state folder as Kubernetes mounts it: open to a group, and what lies in it as well
    volume = tmp_path / ".routemq"
    volume.mkdir()
    volume.chmod(0o2775)
    path = socket_path(tmp_path, "local")
    for _ in range(2):
        # when it is started there, also by the next pod
        server = ControlServer(None, path)  # type: ignore[arg-type]
        server.start()
        # then the socket is in a folder where only we come in, and the volume is left as it was
        assert path.is_socket()
        assert stat.S_IMODE(path.parent.stat().st_mode) & 0o777 == 0o700
        assert stat.S_IMODE(volume.stat().st_mode) == 0o2775
        server.stop()
        path.parent.chmod(0o2770)


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    with pytest.raises(PermissionError, match="not ours"):
        ControlServer(None, link / "any.sock").start()  # type: ignore[arg-type]
    monkeypatch.setattr("routemq_tui.engine.control.os.geteuid", lambda: os.getuid() + 1)
    with pytest.raises(PermissionError, match="not ours"):
        ControlServer(None, tmp_path / "any.sock").start()  # type: ignore[arg-type]


def test_a_long_path_is_replaced_by_a_short_one(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    assert len(str(socket_path(deep, "local"))) < 100
    assert socket_path(deep, "local") != socket_path(deep, "other")
    assert socket_path(Path("/p"), "n") == Path("/p/.routemq/run/n.sock")


def test_a_project_is_found_by_a_link_to_it_too(tmp_path: Path) -> None:
    for name in ("short", "d" * 120):
        project, link = tmp_path / name, tmp_path / f"link-{len(name)}"
        project.mkdir()
        link.symlink_to(project)
        assert socket_path(link, "local") == socket_path(project, "local")
