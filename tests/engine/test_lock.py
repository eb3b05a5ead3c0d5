"""One engine a project and node, also against another process and after a kill."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from routemq_tui.engine.lock import AlreadyRunningError, NodeLock, StateFolderError
from routemq_tui.errors import ExitCode

HOLDER = """
import sys, time
from pathlib import Path
from routemq_tui.engine.lock import NodeLock
NodeLock(Path(sys.argv[1]), "local").acquire()
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_start_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(AlreadyRunningError, match=f"process {holder.pid}.*--node") as caught:
            NodeLock(tmp_path, "local").acquire()
        assert caught.value.exit_code is ExitCode.ALREADY_RUNNING

        other = NodeLock(tmp_path, "second")
        other.acquire()
        other.release()
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()

    lock = NodeLock(tmp_path, "local")
    lock.acquire()
    assert (tmp_path / ".routemq" / "local.lock").read_text() == f"{os.getpid()}\n"
    lock.release()
    lock.acquire()
    lock.release()


def test_a_node_name_cannot_leave_the_folder(tmp_path: Path) -> None:
    lock = NodeLock(tmp_path, "../../etc/x")
    lock.acquire()
    lock.release()
    names = {path.name for path in (tmp_path / ".routemq").iterdir()}
    assert names == {".._.._etc_x.lock", ".gitignore"}


def test_a_new_folder_is_kept_out_of_git(tmp_path: Path) -> None:
    for text in ("*\n", ""):
        lock = NodeLock(tmp_path, "local")
        lock.acquire()
        lock.release()
        ignore = tmp_path / ".routemq" / ".gitignore"
        assert ignore.read_text() == text
        ignore.write_text("")  # whoever changes it is left alone


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / ".routemq").write_text("a file in the way")
    with pytest.raises(StateFolderError, match=r"\.routemq"):
        NodeLock(tmp_path, "local").acquire()
