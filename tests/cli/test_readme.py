"""What the README and .ci/run say is what is there."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import tomllib

from routemq_tui.commands import publish
from routemq_tui.errors import ExitCode
from tests.cli.program import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
CI = (REPOSITORY / ".ci" / "run").read_text()
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


def test_the_two_commands_are_there_once_each() -> None:
    lines = [line for line in README.splitlines() if line.startswith("python3 -m venv")]
    assert [line.split("&&")[-1].strip() for line in lines] == [
        ".venv/bin/routemq-tui",
        ".venv/bin/pytest -q",
    ]
    assert "routemq-tui" in PROJECT["scripts"]
    assert "'.[test]'" in lines[1]
    assert "test" in PROJECT["optional-dependencies"]


def test_ci_takes_the_test_command_from_the_readme() -> None:
    extract = re.search(r"^test_command=\$\((.*)\)$", CI, re.MULTILINE)
    assert extract is not None
    found = subprocess.check_output(["bash", "-c", extract[1]], cwd=REPOSITORY, text=True)
    assert found.strip() in README.splitlines()
    assert found.strip().endswith("pytest -q")


def test_every_dependency_is_justified() -> None:
    named = {re.split(r"[<>=]", each)[0] for each in PROJECT["dependencies"]}
    table = README.partition("## What it is built on")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| ([a-z][a-z-]+) \|", table, re.MULTILINE)) - {"package"} == named


def test_exit_codes_are_those_of_the_program() -> None:
    told = README.partition("Exit codes:")[2].partition("\n## ")[0]
    codes = {int(code) for code in re.findall(r"\b(\d) ", told)}
    assert len(codes) >= 7
    assert codes <= {int(code) for code in ExitCode}


def test_documented_publish_commands_are_taken() -> None:
    text = README + (publish.__doc__ or "")
    commands = re.findall(r"^ *(?:.* \| )?routemq-tui publish (.*[\'a-z].*)$", text, re.MULTILINE)
    assert len(commands) >= 6
    for command in commands:
        parser = argparse.ArgumentParser(exit_on_error=False)
        publish.add_arguments(parser)
        arguments = parser.parse_args(shlex.split(command, comments=True))
        assert "/" in arguments.topic or arguments.payload == "-"
