"""The pages: made ones are fresh, links lead somewhere, TOML loads, and what the tutorial says is so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

from routemq_tui.cli import COMMANDS
from routemq_tui.config import schema
from routemq_tui.config.load import load
from routemq_tui.tui.dialog_keys import PLACED_BY_ID
from routemq_tui.tui.keys import KEYS
from tests.cli.program import environment, run

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
SECTIONS = (
    schema.APP, schema.BROKER, schema.DEFAULTS, schema.ROUTE, schema.LIMITS, schema.SCALING, schema.TRAFFIC,
    schema.BURST, schema.HTTP, schema.UI,
)  # fmt: skip


class Block(NamedTuple):
    language: str
    how: str
    """`file` or `append`, of a file; empty for others."""
    file: str
    text: str


def blocks(page: str) -> list[Block]:
    found = re.findall(
        r"^```(\w+)(?: (file|append)=(\S+))?\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL
    )
    return [Block(*each) for each in found]


def write(folder: Path, block: Block) -> None:
    file = folder / block.file
    file.parent.mkdir(parents=True, exist_ok=True)
    before = file.read_text() + "\n" if block.how == "append" else ""
    file.write_text(before + block.text)


def test_made_pages_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, DOCS / "generate.py", "--check"], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"},
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stderr}run: python docs/generate.py"


def test_every_setting_is_explained_and_no_other() -> None:
    text = (DOCS / "configuration.md").read_text()
    told = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    variables = {name for name in told if name.isupper()}
    assert told - variables == {key for section in SECTIONS for key in section.keys}


def test_every_key_and_command_is_there() -> None:
    text = (DOCS / "keys.md").read_text()
    told = set(re.findall(r"\| `([\w.-]+)` \| [^|]*\|$", text, re.MULTILINE))
    assert {key.id for key in KEYS} <= told <= set(PLACED_BY_ID)
    commands = (DOCS / "commands.md").read_text()
    assert re.findall(r"^## `routemq-tui (\S+)`", commands, re.MULTILINE) == list(COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_commands_and_options_that_a_page_names_exist(page: Path) -> None:
    commands = (DOCS / "commands.md").read_text()
    for words in re.findall(r"`routemq-tui ([a-z][^`]*)`", page.read_text()):
        name, *rest = words.split()
        assert name in COMMANDS, words
        for option in rest:
            if option.startswith("--"):
                assert f"`{option}" in commands or f", {option}" in commands, words


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda path: path.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_toml_loads(page: Path, tmp_path: Path) -> None:
    for number, block in enumerate(each for each in blocks(page.name) if each.language == "toml"):
        if block.how == "append" or "routers" in block.text:
            tomllib.loads(block.text)
            continue
        file = tmp_path / f"{number}.toml"
        file.write_text(block.text)
        load(file, environment={})


@pytest.mark.timeout(120)
def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    said: list[str] = []
    for block in blocks("tutorial.md"):
        if block.how:
            write(tmp_path, block)
        elif block.language == "sh":
            for line in block.text.strip().splitlines():
                said.append(_said(line, tmp_path))
    check, at_work, failing, letters, script = said
    assert "$share/tutorial/sensors/+/reading" in check
    assert "no problems" in check
    assert re.search(r"total +healthy +\d\d", at_work)
    assert re.search(r"INFO +readings/[12] +device \d: \d\d\.\d", at_work)
    assert "attempt 3 of 3; given up" in failing
    assert "ValueError: device 3 is broken" in letters
    assert script == "2 healthy\n"
    write(tmp_path, next(each for each in blocks("tutorial.md") if "[routes.orders]" in each.text))
    refused = run("check", "--workers", "3", cwd=tmp_path)
    assert refused.returncode != 0 or "orders" in refused.stdout


@pytest.mark.parametrize(
    ("page", "first"), [("docs/tutorial.md", "routemq-tui check"), ("README.md", "demo`")]
)
def test_how_the_command_gets_onto_the_path_is_told_before_it_is_used(page: str, first: str) -> None:
    before = (ROOT / page).read_text().partition(first)[0]
    assert ".venv/bin/activate`" in before
    assert "`pipx install" in before


def test_the_gap_of_a_route_that_is_replaced_is_told() -> None:
    section = (DOCS / "delivery.md").read_text().partition("## A reload\n")[2].partition("\n## ")[0]
    assert "nobody is subscribed" in section
    assert "add a second route for the new topic" in section


def _said(line: str, folder: Path) -> str:
    program, *words = line.split()
    if program == "routemq-tui":
        done = run(*words, cwd=folder, timeout=40)
    else:
        assert program == "python"
        done = subprocess.run(
            [sys.executable, *words], cwd=folder, env=environment(), capture_output=True, text=True,
            timeout=40, check=False,
        )  # fmt: skip
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def traffic(topic: str, payload: str = "") -> str:
    """A generator of 50 messages a second, in TOML; `payload` a line of its table."""
    return f'[[traffic]]\ntopic = "{topic}"\nrate = 50\n' + (
        f"[traffic.payload]\n{payload}\n" if payload else ""
    )


def test_what_is_migrated_runs(tmp_path: Path) -> None:
    for block in blocks("migration.md"):
        if block.how:
            write(tmp_path, block)
    (tmp_path / "paho" / "handlers.py").write_text((tmp_path / "handlers.py").read_text())
    (tmp_path / "more.toml").write_text(
        '[broker]\nurl = "embedded"\n[routes.stored]\ntopic = "s/{device_id}"\nhandler = "stored:store"\n'
        + traffic("s/1")
    )
    (tmp_path / "typed.toml").write_text(
        '[app]\nrouters = ["typed"]\n[broker]\nurl = "embedded"\n' + traffic("readings/7", "value = 2.5")
    )
    for file in (tmp_path / "routemq.toml", tmp_path / "paho" / "routemq.toml"):
        file.write_text(file.read_text() + traffic("sensors/4/data", "value = 1"))
    for name, expected in (
        ("routemq.toml", r"total +healthy +[1-9]\d* +0 "),
        ("paho/routemq.toml", r"4 1 1? ?\d? ?False|data/\d"),
        ("more.toml", r"closed with [1-9]"),
        ("typed.toml", r"7 2\.5"),
    ):
        done = run("run", "-c", name, "--headless", "--duration", "2s", cwd=tmp_path, timeout=40)
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(expected, done.stdout), done.stdout
        assert re.search(r"total +healthy +[1-9]\d* +0 ", done.stdout), done.stdout
