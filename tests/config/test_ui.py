"""`[ui]`: theme, keys and the rest, from the file and from the command line; `check` tells what is wrong."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

import pytest

from routemq_tui.commands import check, options
from routemq_tui.config.model import KeyWish, Place, UiConfig
from routemq_tui.errors import ExitCode
from routemq_tui.tui.keymap import key_problems
from tests.config.project import ROUTE, loaded, problems, write, write_handlers

KEYS = """
[ui]
theme = "contrast"
read_only = true
mouse = false
remember = false

[ui.keys]
drain-one = "d"
move.up = ["i", "up"]
"search.next" = "M"
"""


def test_everything_is_read(tmp_path: Path) -> None:
    ui = loaded(tmp_path, ROUTE + KEYS).ui
    assert (ui.theme, ui.theme_asked, ui.read_only, ui.mouse, ui.remember) == (
        "contrast", False, True, False, False,
    )  # fmt: skip
    file = tmp_path / "routemq.toml"
    assert ui.keys == {
        "drain-one": KeyWish(("d",), Place(file, 12)),
        "move.up": KeyWish(("i", "up"), Place(file, 13)),
        "search.next": KeyWish(("M",), Place(file, 14)),
    }


def test_nothing_written_is_the_default(tmp_path: Path) -> None:
    assert loaded(tmp_path).ui == UiConfig()


def test_the_command_line_wins_and_says_that_it_asked(tmp_path: Path) -> None:
    parser = ArgumentParser()
    options.add_config_arguments(parser)
    options.add_screen_arguments(parser)
    file = write(tmp_path, ROUTE + '[ui]\ntheme = "dark"\n')
    words = ["-c", str(file), "--theme", "ansi", "--read-only", "--no-layout", "--no-mouse"]
    ui = options.load_from(parser.parse_args(words)).ui
    assert ui == UiConfig("ansi", theme_asked=True, read_only=True, mouse=False, remember=False)
    assert options.load_from(parser.parse_args(["-c", str(file)])).ui == UiConfig("dark")


def test_a_saved_file_overlays_single_keys(tmp_path: Path) -> None:
    write(tmp_path, '[ui.keys]\nkill = "K"\n', "routemq.local.toml")
    keys = loaded(tmp_path, ROUTE + '[ui.keys]\nkill = "D"\nadd = "a"\n').ui.keys
    assert {name: wish.keys for name, wish in keys.items()} == {"kill": ("K",), "add": ("a",)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[ui]\ntheme = "drak"\n', ':6: ui.theme: found the text "drak" (did you mean "dark"? allowed: '),
        ("[ui]\nread_only = 1\n", ":6: ui.read_only: found the number 1 (allowed: true or false)"),
        ("[ui]\ncolour = 1\n", ":6: ui.colour: unknown key (allowed: theme, read_only, mouse, remember"),
        ("[ui.keys]\nkill = 5\n", ":6: ui.keys.kill: found the number 5 (allowed: a key such as "),
        ("[ui.keys]\nkill = []\n", ":6: ui.keys.kill: found a list (allowed: a key such as "),
        ("[ui]\nkeys = 5\n", ":6: ui.keys: found the number 5 (write it as [ui.keys])"),
        ("[ui.keys.kill]\nit = 5\n", ":6: ui.keys.kill.it: found the number 5 (allowed: a key such as "),
    ],
)  # fmt: skip
def test_values_that_cannot_be_used_are_told(tmp_path: Path, text: str, said: str) -> None:
    assert f"{tmp_path / 'routemq.toml'}{said}" in str(problems(tmp_path, ROUTE + "\n" + text)[0])


@pytest.mark.usefixtures("fresh_imports")
def test_check_tells_of_keys_with_file_line_and_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_handlers(tmp_path)
    write(tmp_path, ROUTE + '[ui.keys]\nkil = "K"\nadd = "f"\n')
    monkeypatch.chdir(tmp_path)
    assert run_check() == ExitCode.CONFIGURATION
    assert capsys.readouterr().err.splitlines() == [
        'routemq.toml:5: ui.keys.kil: there is no such key (did you mean "kill"?)',
        'routemq.toml:6: ui.keys.add: found "f", which is follow (Follow) on the main screen already '
        "(choose another one, or give follow another one too)",
    ]


def test_check_lists_the_keys_as_they_are_bound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, ROUTE + '[ui.keys]\nadd = "a"\n')
    monkeypatch.chdir(tmp_path)
    assert run_check("--keys") == ExitCode.OK
    lines = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert ["add", "a", "Add a worker to the route"] in lines
    assert any(line[0] == "confirm.yes" for line in lines)


def run_check(*words: str) -> int:
    parser = ArgumentParser()
    check.add_arguments(parser)
    return check.run(parser.parse_args(words))


def test_the_example_of_the_readme_is_right(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    example = next(block for block in readme.split("```") if block.startswith("toml\n[ui]"))
    ui = loaded(tmp_path, ROUTE + example.removeprefix("toml")).ui
    assert len(ui.keys) == 2
    assert key_problems(ui) == []
