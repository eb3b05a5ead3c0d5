"""The command line: what it knows, how it tells errors, and what it imports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from routemq_tui import __version__
from routemq_tui.cli import COMMANDS, load_command
from routemq_tui.errors import ExitCode
from tests.cli.program import environment, run


@pytest.mark.parametrize("word", ["--version", "--help"])
def test_version_and_help_load_nothing_heavy(word: str, tmp_path: Path) -> None:
    # given the program, told to name what it has loaded when it ends
    code = (
        "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr));"
        f"from routemq_tui.cli import main; sys.exit(main([{word!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    loaded = set(done.stderr.split())
    assert "routemq_tui.cli" in loaded
    assert not loaded & {"textual", "rich", "paho", "psutil", "asyncio", "multiprocessing"}


def test_version_is_told(tmp_path: Path) -> None:
    assert run("--version", cwd=tmp_path).stdout == f"routemq-tui {__version__}\n"


def test_help_names_every_command_with_what_it_does(tmp_path: Path) -> None:
    text = run("--help", cwd=tmp_path).stdout
    for name in COMMANDS:
        assert name == load_command(name).NAME
        assert load_command(name).HELP in text


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_a_help_of_its_own(name: str, tmp_path: Path) -> None:
    done = run(name, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert f"usage: routemq-tui {name}" in done.stdout
    assert (load_command(name).__doc__ or "").splitlines()[0] in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["chek"], 'no command "chek"; did you mean "check"?'),
        (["xyzzy"], f"there are {', '.join(COMMANDS)}"),
        (["--workers", "2", "check"], "the command comes first: routemq-tui check"),
        (["--wurst"], "unknown argument: --wurst"),
        (["--duration", "soon"], "a duration is written as"),
        (["publish"], "TOPIC"),
    ],
)
def test_a_wrong_command_line_is_told_with_code_2(words: list[str], told: str, tmp_path: Path) -> None:
    done = run(*words, cwd=tmp_path)
    assert done.returncode == ExitCode.CONFIGURATION
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_configuration_it_names_what_to_do(tmp_path: Path) -> None:
    done = run(cwd=tmp_path)
    assert done.returncode == ExitCode.CONFIGURATION
    assert done.stdout == ""
    for part in ("routemq.toml: no such file", "routemq-tui init", "routemq-tui demo"):
        assert part in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_every_mistake_in_the_configuration_is_told_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "routemq.toml").write_text('[routes.a]\ntopic = "a"\nhandler = "m:f"\nqos = 9\nworkerz = 2\n')
    done = run(cwd=tmp_path)
    assert done.returncode == ExitCode.CONFIGURATION
    lines = done.stderr.splitlines()
    assert [line.split(": ")[0].rpartition(":")[2] for line in lines[:2]] == ["4", "5"]
    assert "2 problems in the configuration" in lines[-1]


def test_a_mistake_in_a_placeholder_of_the_traffic_is_told_before_anything_starts(tmp_path: Path) -> None:
    text = '[[traffic]]\ntopic = "t"\n\n[[traffic]]\ntopic = "u"\npayload = "{int:1}"\n'
    (tmp_path / "routemq.toml").write_text(text)
    done = run(cwd=tmp_path)
    assert done.returncode == ExitCode.CONFIGURATION
    assert "routemq.toml:4: traffic: {int:1}" in done.stderr
    assert not (tmp_path / ".routemq").exists()


@pytest.mark.parametrize(
    "modules",
    [
        "routemq_tui.cli",
        "routemq_tui.commands.run, routemq_tui.commands.publish",
        "routemq_tui.commands.check",
    ],
)
def test_a_command_line_imports_neither_screen_nor_client(modules: str, tmp_path: Path) -> None:
    loaded = _loaded_after(f"import {modules}", tmp_path)
    assert loaded.isdisjoint({"textual", "rich", "paho", "psutil", "asyncio"})


def test_headless_never_imports_the_screen(tmp_path: Path) -> None:
    loaded = _loaded_after("import routemq_tui.commands.session, routemq_tui.headless", tmp_path)
    assert loaded.isdisjoint({"textual", "rich"})
    assert "psutil" in loaded, "the engine is there, so this test looks at the right thing"


def _loaded_after(statement: str, cwd: Path) -> set[str]:
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(m.split('.')[0] for m in sys.modules)))"
    output = subprocess.check_output([sys.executable, "-c", code], cwd=cwd, env=environment(), text=True)
    return set(json.loads(output))
