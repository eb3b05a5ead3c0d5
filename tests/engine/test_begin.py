"""A worker whose begin fails, as when it starts while its database does: tried again, as long as it takes."""

from __future__ import annotations

from pathlib import Path

from routemq_tui.engine.states import WorkerState
from tests.engine.conftest import StartRig
from tests.engine.rig import route

HOOKS = """
import os
HERE = os.path.dirname(__file__)

def opens():
    with open(os.path.join(HERE, "tried"), "a") as file:
        file.write("x")
    if not os.path.exists(os.path.join(HERE, "database")):
        raise OSError("no database")
"""


def written(root: Path) -> Path:
    folder = root / "tasks"
    folder.mkdir()
    (folder / "hooks.py").write_text(HOOKS)
    return folder


def test_a_begin_that_fails_for_a_while(start_rig: StartRig, tmp_path: Path) -> None:
    # given a hook that fails the first time
    folder = written(tmp_path)
    (folder / "work.py").write_text("def count(payload): ...")
    with start_rig(route(on_start="tasks.hooks:opens")) as rig:
        rig.until(lambda: (folder / "tried").exists())
        (folder / "database").touch()
        # then the worker runs by itself, and what was wrong is said
        rig.until_running(1)
        assert (
            "jobs/1 on_start (tasks/hooks.py:5) failed: OSError: no database, at tasks/hooks.py:9; restart"
            in (rig.notices())
        )
        assert (worker := rig.worker()) is not None
        assert worker.restarts >= 1
        assert "crashed" in {mark.label for mark in rig.engine.history("jobs/1").marks}
        assert "Traceback" in rig.log_text("jobs/1")


def test_a_begin_that_always_fails_is_tried_for_ever(start_rig: StartRig, tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / "work.py").write_text("def count(payload): ...")
    with start_rig(route(on_start="tasks.hooks:opens")) as rig:
        # given more failures than crashes are borne
        rig.until(lambda: (folder / "tried").exists() and len((folder / "tried").read_text()) >= 5)
        worker = rig.until_state(WorkerState.BACKOFF)
        assert worker.reason.startswith("on_start (tasks/hooks.py:5) failed: OSError: no database")
        # when what it needs is there at last
        (folder / "database").touch()
        rig.until_running(1)
