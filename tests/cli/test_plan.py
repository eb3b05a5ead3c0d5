"""`plan` by given figures, and by those of an instance that really runs."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import command, environment, run
from tests.waiting import free_port, wait_until

TEXT = """
[broker]
port = {port}

[routes.waits]
topic = "waits/{{n}}"
handler = "handlers:waits"
workers = 3
max_workers = 3

[routes.idle]
topic = "idle/{{n}}"
handler = "handlers:waits"

[[traffic]]
topic = "waits/{{int:1..9}}"
rate = 20
"""


def test_by_figures(tmp_path: Path) -> None:
    words = ("plan", "--rate", "500", "--time", "100ms", "--cores", "8", "--cpu", "0.5")
    said = run(*words, cwd=tmp_path).stdout.splitlines()
    assert said[0] == "in hand   500/s x 100ms = 50 messages at a time (Little's law)"
    assert said[-1].startswith("16 workers, as many as keep the cores busy: at most 160 of 500/s")
    values = json.loads(run(*words, "--json", cwd=tmp_path).stdout)
    assert (values["workers"], values["wanted"], values["bound"], values["enough"]) == (
        16,
        65,
        "cores",
        False,
    )
    assert [each["what"] for each in values["steps"]] == ["in hand", "headroom", "cores", "capacity"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rate", "5"), "--time is missing"),
        (("--time", "1s"), "--rate is missing"),
        (("--rate", "0", "--time", "1s"), "a rate is a number above 0"),
        (("--rate", "nan", "--time", "1s"), "a rate is a number above 0"),
        (("--rate", "5", "--time", "0"), "more than 0"),
        (("--rate", "5", "--time", "1s", "--cpu", "2"), "a part is a number from 0 to 1"),
        (("--rate", "5", "--time", "1s", "--memory", "2GB"), "only with --memory-per-worker"),
        (("--rate", "5", "--time", "1s", "--headroom", "0.5"), "headroom is a number from 1"),
    ],
)
def test_figures_that_are_wrong(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = run("plan", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_runs(tmp_path: Path) -> None:
    done = run("plan", cwd=tmp_path)
    assert done.returncode == 1
    assert "no instance runs here" in done.stderr
    assert "or give figures: --rate and --time" in done.stderr


def test_by_a_running_instances_own_figures(tmp_path: Path) -> None:
    # given a route of 3 workers that gets 20 messages a second and waits 50 ms with each
    (tmp_path / "routemq.toml").write_text(TEXT.format(port=free_port()))
    (tmp_path / "handlers.py").write_text("import time\ndef waits(n):\n    time.sleep(0.05)\n")
    process = subprocess.Popen(
        command("run", "--headless"),
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )
    try:

        def planned() -> dict[str, Any] | None:
            done = run("plan", "--json", "--cores", "4", cwd=tmp_path)
            routes = (
                {each["route"]: each for each in json.loads(done.stdout)["routes"]} if done.stdout else {}
            )
            found: dict[str, Any] | None = routes.get("waits")
            steady = found and found["advised"] == 2 and 18 < found["rate"] < 22 and found["cpu"]
            return found if steady and routes["idle"]["advised"] is None else None

        # when it has run for a while, then its figures are those: about one message in hand at a time
        found = wait_until(planned, 30, "steady figures")
        assert 0.05 <= found["time"] < 0.08
        assert found["cpu"] < 0.5
        assert found["memory"] > 10_000_000
        assert found["now"] == 3
        # and in words, with what to do
        said = run("plan", "--cores", "4", cwd=tmp_path).stdout
        assert "waits: 3 now, 2 advised (-1)" in said
        assert "idle: 1 now; no message passed" in said
        assert "routemq-tui ctl scale waits 2" in said
        # and with room for much more it says that it is right (the route's own bound is 3)
        assert "waits: 3 now, and that is right" in run("plan", "--headroom", "9", cwd=tmp_path).stdout
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
