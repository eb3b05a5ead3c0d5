"""What `ctl` answers: what has happened, by the snapshots before and after."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from routemq_tui.commands.ctl_outcome import outcome
from tests.cli.program import run
from tests.cli.test_ctl import instance, write


def worker(slot: int, state: str = "running", pid: int | None = None, **other: Any) -> dict[str, Any]:
    pid = pid if pid is not None or state in ("stopped", "failed", "backoff") else 100 + slot
    return {"name": f"t/{slot}", "state": state, "pid": pid, "in_flight": 2, "reason": "", **other}


def snapshot(*workers: dict[str, Any], desired: int | None = None, **other: Any) -> dict[str, Any]:
    running = sum(each["state"] == "running" for each in workers)
    count = running if desired is None else desired
    route = {"name": "t", "desired": count, "running": running, "workers": list(workers), "state": "running"}
    scaling = {"switch": "off", "low": 1, "high": 4}
    return {"routes": [{**route, "tapped": False, "scaling": scaling, **other}]}


ONE, TWO = snapshot(worker(1)), snapshot(worker(1), worker(2))
PAUSED = snapshot(worker(1), state="paused")
OF_ROUTE, OF_WORKER = {"route": "t"}, {"worker": "t/1"}
CASES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], str, bool]] = [
    ({"do": "scale", "count": 2, **OF_ROUTE}, ONE, TWO, "t 1 -> 2", True),
    ({"do": "scale", "change": 1, **OF_ROUTE}, ONE, TWO, "t 1 -> 2", True),
    ({"do": "scale", "count": 2, **OF_ROUTE}, ONE, ONE, "t: asked for 2, still 1", False),
    ({"do": "scale", "count": 1, **OF_ROUTE}, ONE, ONE, "t stays at 1", True),
    (
        *(
            {"do": "scale", "count": 2, **OF_ROUTE},
            ONE,
            snapshot(worker(1), worker(2, "starting"), desired=2),
        ),
        *("t 1 -> 2, 1 of them running so far", False),
    ),
    (
        *({"do": "scale", "change": -1, **OF_ROUTE}, TWO, snapshot(worker(1), worker(2, "draining"))),
        *("t 2 -> 1, draining: t/2", False),
    ),
    (
        *({"do": "kill", **OF_WORKER}, ONE, snapshot(worker(1, "starting", 7))),
        *("t/1 killed, started again as pid 7", True),
    ),
    (
        *({"do": "kill", **OF_WORKER}, ONE, snapshot(worker(1, "killed"))),
        *("t/1 killed, not started again yet", False),
    ),
    ({"do": "kill", **OF_WORKER}, ONE, snapshot(worker(1, "stopped")), "t/1 killed, now stopped", True),
    ({"do": "kill", **OF_WORKER}, ONE, ONE, "t/1: asked to be killed, still running", False),
    (
        *({"do": "drain", **OF_WORKER}, ONE, snapshot(worker(1, "draining"))),
        *("t/1 draining, 2 in hand", False),
    ),
    ({"do": "drain", **OF_WORKER}, TWO, snapshot(worker(2)), "t/1 drained, t 2 -> 1", True),
    ({"do": "drain", **OF_WORKER}, TWO, TWO, "t/1: asked to drain, still running", False),
    ({"do": "start", **OF_WORKER}, ONE, ONE, "t/1 has been running as pid 101", True),
    ({"do": "start", **OF_WORKER}, snapshot(worker(1, "failed")), ONE, "t/1 started as pid 101", True),
    (
        *({"do": "start", **OF_WORKER}, snapshot(worker(1, "failed"))),
        *(snapshot(worker(1, "backoff", reason="no database")), "t/1 is backoff: no database", False),
    ),
    ({"do": "restart", **OF_WORKER}, ONE, snapshot(worker(1, pid=9)), "t/1 restarted as pid 9", True),
    (
        *({"do": "restart", **OF_WORKER}, ONE, snapshot(worker(1, "draining"))),
        *("t/1 draining, 2 in hand; it starts again then", False),
    ),
    (
        *({"do": "restart", "worker": "t"}, TWO, snapshot(worker(1, pid=9), worker(2))),
        *("t: 1 of 2 restarted so far", False),
    ),
    ({"do": "pause", **OF_ROUTE}, ONE, ONE, "t: not paused yet", False),
    ({"do": "pause", **OF_ROUTE}, ONE, PAUSED, "t paused", True),
    ({"do": "pause", **OF_ROUTE}, PAUSED, PAUSED, "t is paused already", True),
    ({"do": "resume", **OF_ROUTE}, PAUSED, ONE, "t resumed", True),
    ({"do": "resume", **OF_ROUTE}, ONE, ONE, "t is not paused", True),
    ({"do": "tap", "on": True, **OF_ROUTE}, ONE, snapshot(tapped=True), "t tapped", True),
    ({"do": "tap", "on": True, **OF_ROUTE}, ONE, ONE, "t not tapped yet", False),
    ({"do": "autoscale", "on": False, **OF_ROUTE}, ONE, ONE, "t: autoscale off", True),
    (
        {"do": "stop"},
        TWO,
        snapshot(worker(1), worker(2, "stopped")),
        "stopping, 1 worker process left",
        False,
    ),
]


@pytest.mark.parametrize(
    ("request_", "before", "now", "text", "done"), CASES, ids=[each[3] for each in CASES]
)
def test_what_a_snapshot_shows(
    request_: dict[str, Any], before: dict[str, Any], now: dict[str, Any], text: str, done: bool
) -> None:
    seen = outcome(request_, before, now)
    assert (seen.text, seen.done) == (text, done)
    assert json.loads(json.dumps(seen.values))["text"] == text


def test_a_running_instance_says_what_has_happened(tmp_path: Path) -> None:
    write(tmp_path)

    def said(*words: str) -> str:
        done = run("ctl", *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    with instance(tmp_path):
        assert said("scale", "jobs", "3", "--wait", "20s") == "jobs 2 -> 3"
        values = json.loads(said("kill", "jobs/1", "--json", "--wait", "20s"))
        assert re.fullmatch(r"jobs/1 killed, started again as pid \d+", values["text"])
        assert values["done"] is True
        assert values["pid"] != values["pid_before"]
        assert said("drain", "jobs/3", "--wait", "20s") == "jobs/3 drained, jobs 3 -> 2"
        assert said("scale", "jobs", "3", "--no-wait") == "scale: asked"
        assert said("stop", "--wait", "20s") == "stopped"


def test_without_a_verb_it_names_them_all(tmp_path: Path) -> None:
    done = run("ctl", cwd=tmp_path)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert "  kill       SIGKILL a worker; it comes back under its slot: `kill temperature/2`" in lines
    assert len(lines) == 17
    assert done.stdout == ""
