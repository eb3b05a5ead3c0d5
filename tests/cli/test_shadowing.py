"""A project may have files named like modules of Python's own: our processes take nothing from there."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.cli.program import environment, run
from tests.waiting import free_port, wait_until

HANDLER = """
import os
print("safe path:", os.environ.get("PYTHONSAFEPATH"), flush=True)
def count(id): print("got it", flush=True)
"""
PROJECT = """
[broker]
url = "embedded"
port = {port}
[routes.jobs]
topic = "jobs/{{id}}"
handler = "handlers:count"
[[traffic]]
topic = "jobs/1"
rate = 20
"""
# As the installed command: its own folder is first on the path, and no option keeps the working folder out.
SCRIPT = "import sys\nfrom routemq_tui.cli import main\nsys.exit(main())\n"


def test_no_process_of_ours_imports_from_the_working_folder(tmp_path: Path) -> None:
    # given a project with a file for each module of Python's own, which tells when it is imported
    project, script = tmp_path / "project", tmp_path / "bin" / "routemq-tui"
    project.mkdir()
    script.parent.mkdir()
    script.write_text(SCRIPT)
    (project / "handlers.py").write_text(HANDLER)
    (project / "routemq.toml").write_text(PROJECT.format(port=free_port()))
    told = project / "told"
    for name in sys.stdlib_module_names:
        shadow = f"with open({str(told)!r}, 'a') as file: file.write(__name__ + ' ')\nraise RuntimeError\n"
        (project / f"{name}.py").write_text(shadow)
    output = tmp_path / "output"
    with output.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, str(script), "--headless"],
            cwd=project,
            env=environment(),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        # then the worker and the traffic work
        wait_until(lambda: "got it" in output.read_text(), what="a message is handled")
        assert "safe path: None" in output.read_text(), "a worker has the environment of the program"
        # and so does a worker of another fork server, when the first one has died
        (server,) = [
            each
            for each in psutil.Process(process.pid).children()
            if "multiprocessing.forkserver" in " ".join(each.cmdline())
        ]
        seen = output.read_text().count("safe path: None")
        server.kill()
        wait_until(lambda: output.read_text().count("safe path: None") > seen, what="another worker")
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    finally:
        process.kill()
        process.wait()
    assert not told.exists(), told.read_text()


@pytest.mark.parametrize(
    ("reference", "file", "named"),
    [("queue:count", "queue.py", "queue.py"), ("platform.jobs:count", "platform/jobs.py", "platform/")],
)
def test_a_handler_in_a_module_that_python_has_itself_is_refused(
    reference: str, file: str, named: str, tmp_path: Path
) -> None:
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text("def count(id): pass\n")
    settings = PROJECT.format(port=free_port()).replace("handlers:count", reference)
    (tmp_path / "routemq.toml").write_text(settings)
    words = f"routes.jobs.handler: found '{reference}': the project's {named} has the name of a module"
    script = tmp_path / "bin" / "routemq-tui"
    script.parent.mkdir()
    script.write_text(SCRIPT)
    for command in (["check"], ["--headless", "--duration", "1s"]):
        done = subprocess.run(
            [sys.executable, str(script), *command],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 2
        assert words in done.stderr
        assert done.stderr.count("routes.jobs.handler") == 1


def test_other_settings_that_name_such_a_module_are_told_too(tmp_path: Path) -> None:
    (tmp_path / "handlers.py").write_text("def count(id): pass\n")
    (tmp_path / "secrets.py").write_text("def opens(): pass\n")
    settings = PROJECT.format(port=free_port()).replace("[[", 'on_start = "secrets:opens"\n[[')
    (tmp_path / "routemq.toml").write_text(settings)
    told = json.loads(run("check", "--json", cwd=tmp_path).stdout)
    assert "routes.jobs.on_start" in {each["key"] for each in told["problems"]}
    # and without the file, a function of Python's own is a handler as any other
    (tmp_path / "secrets.py").unlink()
    (tmp_path / "routemq.toml").write_text(settings.replace('on_start = "secrets:opens"\n', ""))
    assert run("check", cwd=tmp_path).returncode == 0
