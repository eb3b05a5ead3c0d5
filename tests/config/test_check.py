from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import pytest

from routemq_tui.cli import main
from routemq_tui.errors import ExitCode
from tests.config.project import ROUTE, write, write_handlers
from tests.config.test_broken import run_check

PLAN = (
    ROUTE
    + """
qos = 1
workers = 3

[routes.everything]
topic = "sensors/#"
handler = "checked.sensors:waits"
shared = false
concurrency = 5

[routes.loud]
topic = "loud"
handler = "checked.loud:handler"
"""
)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_imports: None) -> Path:
    write_handlers(tmp_path)
    (tmp_path / "checked" / "loud.py").write_text(
        "import os\nprint('printed')\nos.write(1, b'written\\n')\ndef handler(m): pass\n"
    )
    monkeypatch.chdir(tmp_path)
    write(tmp_path, PLAN)
    return tmp_path


def test_the_plan_is_an_aligned_table(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_check() == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert re.split(r"  +", lines[0]) == [
        *("ROUTE", "FILTER", "SUBSCRIPTION", "QOS", "WORKERS", "WORKERS SET IN", "HANDLER", "LOCATION"),
    ]
    assert [line.split() for line in lines[1:4]] == [
        [
            *("temperature", "sensors/+/temperature", "$share/workers/sensors/+/temperature"),
            *("1", "3", "routemq.toml:6", "checked.sensors:temperature", "checked/sensors.py:1"),
        ],
        [
            "everything",
            "sensors/#",
            "sensors/#",
            "0",
            "1",
            "-",
            "checked.sensors:waits",
            "checked/sensors.py:5",
        ],
        [
            "loud",
            "loud",
            "$share/workers/loud",
            "0",
            "1",
            "default",
            "checked.loud:handler",
            "checked/loud.py:4",
        ],
    ]
    assert len({line.index(word) for line, word in zip(lines[1:4], ("checked",) * 3, strict=True)}) == 1
    assert lines[-2].startswith(
        "note: temperature (sensors/+/temperature) and everything (sensors/#) overlap"
    )
    assert lines[-1] == "3 routes, 5 workers, broker embedded: no problems"


def test_json_stays_clean_whatever_handlers_print(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_check("--json") == ExitCode.OK
    captured = capfd.readouterr()
    assert "printed" in captured.err
    assert "written" in captured.err
    plan = json.loads(captured.out)
    assert plan["ok"] is True
    assert [route["route"] for route in plan["routes"]] == ["temperature", "everything", "loud"]
    assert plan["routes"][0]["subscription"] == "$share/workers/sensors/+/temperature"
    assert plan["routes"][0]["parameters"] == ["device_id", "payload"]
    assert [route["async"] for route in plan["routes"]] == [False, True, False]
    assert len(plan["notes"]) == 1


def test_problems_are_json_too(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text, line in (
        ("[app]\nnode = 3\n", 2),
        ('[routes.a]\ntopic = "a"\nhandler = "checked.raises:f"\n', 3),
    ):
        write(project, text)
        assert run_check("--json") == ExitCode.CONFIGURATION
        told = json.loads(capsys.readouterr().out)
        assert told["ok"] is False
        assert [(problem["file"], problem["line"]) for problem in told["problems"]] == [
            ("routemq.toml", line)
        ]


def test_a_plan_with_a_broken_handler_is_shown_with_the_problem(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(project, PLAN + '[routes.bad]\ntopic = "bad"\nhandler = "checked.sensors:nothing_here"\n')
    assert run_check() == ExitCode.CONFIGURATION
    captured = capsys.readouterr()
    assert "temperature" in captured.out
    assert captured.out.splitlines()[-1].endswith("4 routes, 6 workers, broker embedded: 1 problem")
    assert captured.err.splitlines()[-1].startswith("routemq.toml:19: routes.bad.handler: ")


def test_a_handler_that_does_not_fit_is_located_all_the_same(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "checked" / "shop.py").write_text(
        "class Orders:\n    def __init__(self):\n        self.taken = 0\n\n"
        "    def take(self, shop, context):\n        pass\n"
    )
    write(project, '[routes.bad]\ntopic = "orders/{shop}"\nhandler = "checked.shop:Orders.take"\n')
    assert run_check() == ExitCode.CONFIGURATION
    captured = capsys.readouterr()
    assert captured.out.splitlines()[1].split()[-1] == "checked/shop.py:5"
    assert "nothing is known for the parameter 'context' (checked/shop.py:5)" in captured.err
    assert run_check("--json") == ExitCode.CONFIGURATION
    (route,) = json.loads(capsys.readouterr().out)["routes"]
    assert (route["location"], route["workers_from"]) == ("checked/shop.py:5", "default")


def test_options_override_the_file(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        "--broker",
        "mqtt://h:7",
        "--group",
        "g2",
        "--node",
        "n2",
        "--workers",
        "9",
        "--log-level",
        "debug",
    )
    assert run_check("--json", *words) == ExitCode.OK
    plan = json.loads(capsys.readouterr().out)
    assert (plan["broker"], plan["node"]) == ("mqtt://h:7", "n2")
    assert [(route["group"], route["workers"]) for route in plan["routes"]] == [
        ("g2", 9),
        ("g2", 1),
        ("g2", 9),
    ]
    assert run_check("--workers", "many") == ExitCode.CONFIGURATION
    assert capsys.readouterr().err.startswith('command line: defaults.workers: found the text "many"')


def test_the_local_file_can_be_left_out(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(project, "[routes.temperature]\nworkers = 8\n", "routemq.local.toml")
    for words, workers in (((), 8), (("--no-local",), 3)):
        assert run_check("--json", *words) == ExitCode.OK
        assert json.loads(capsys.readouterr().out)["routes"][0]["workers"] == workers


def test_a_terminal_without_the_letters_of_a_topic_gets_escapes(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project, ROUTE.replace("sensors/", "sensoren/küche/"))
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    assert main(["check"]) == ExitCode.OK
    sys.stdout.flush()
    assert b"sensoren/k\\u00fcche/+/temperature" in raw.getvalue()
