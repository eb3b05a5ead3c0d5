"""`routemq-tui check` with handler modules that do not let themselves be imported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.program import run

PROJECT = """
[broker]
url = "embedded"
[routes.before]
topic = "before/{id}"
handler = "good:handle"
[routes.odd]
topic = "odd/{id}"
handler = "odd:handle"
[routes.after]
topic = "after/{id}"
handler = "good:handle"
workers = 2
min_workers = 2
max_workers = 6
autoscale = true
"""
AUTOSCALE = {"min_workers": 2, "max_workers": 6, "policy": "utilisation"}


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("import os\nos._exit(3)", "importing it ended the process, which exited with code 3"),
        ("import os\nos.kill(os.getpid(), 9)", "importing it ended the process, which was killed by SIGKILL"),
        ("raise SystemExit(4)", "exits when it is imported"),
    ],
)
def test_a_module_that_ends_the_process_hurts_no_other_route(tmp_path: Path, module: str, said: str) -> None:
    (tmp_path / "routemq.toml").write_text(PROJECT)
    (tmp_path / "good.py").write_text("print('loaded')\nasync def handle(id): pass\n")
    (tmp_path / "odd.py").write_text(module)
    done = run("check", cwd=tmp_path)
    assert done.returncode == 2
    assert "routemq.toml:9: routes.odd.handler:" in done.stderr
    assert said in done.stderr
    assert done.stderr.count("routes.") == 1
    assert "loaded" not in done.stdout
    plan = json.loads(run("check", "--json", cwd=tmp_path).stdout)
    assert [each["autoscale"] for each in plan["routes"]] == [None, None, AUTOSCALE]
    assert "2-6" in done.stdout
    assert [each["location"] for each in plan["routes"]] == ["good.py:2", None, "good.py:2"]


def test_an_import_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from routemq_tui.config import handler_check
    from routemq_tui.config.load import load

    monkeypatch.setattr(handler_check, "PATIENCE", 0.5)
    (tmp_path / "routemq.toml").write_text(PROJECT)
    (tmp_path / "good.py").write_text("def handle(id): pass\n")
    (tmp_path / "odd.py").write_text("import time\ntime.sleep(60)\n")
    checked = handler_check.check_handlers(load(tmp_path / "routemq.toml").routes, tmp_path)
    assert list(checked.found) == ["before", "after"]
    (problem,) = checked.problems
    assert "importing it did not end within 0.5 s" in str(problem)


def test_handlers_of_a_router_that_modules_share_are_named_by_where_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "routemq.toml").write_text('[broker]\nurl = "embedded"\n[app]\nrouters = ["app"]\n')
    app = tmp_path / "app"
    app.mkdir()
    (app / "__init__.py").touch()
    (app / "shared.py").write_text("from routemq_tui import Router\nrouter = Router()\n")
    text = "from app.shared import router\n@router.on('{0}/{{id}}', name='{0}')\ndef {0}(id{1}): ...\n"
    (app / "a.py").write_text(text.format("a", ""))
    (app / "b.py").write_text(text.format("b", ", other"))
    done = run("check", cwd=tmp_path)
    assert "app.a:a " in done.stdout
    assert "#" not in done.stdout, done.stdout
    # one that does not fit has no name yet
    assert " app.shared:router " in done.stdout
    plan = json.loads(run("check", "--json", cwd=tmp_path).stdout)
    assert [each["handler_name"] for each in plan["routes"]] == ["app.a:a", "app.shared:router"]
    assert plan["routes"][0]["handler"].startswith("app.shared:router#a")
