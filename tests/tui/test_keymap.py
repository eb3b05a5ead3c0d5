"""`[ui.keys]`: names of keys, what is wrong with a table of them, and what the screen does and shows then."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.keys import _character_to_key

from routemq_tui.config.model import KeyWish, Place, UiConfig
from routemq_tui.engine.commands import AddWorker, RollingRestart
from routemq_tui.tui.dialog_keys import PLACED_BY_ID, PLACED_KEYS
from routemq_tui.tui.key_names import KeyNameError, shown_name, textual_name
from routemq_tui.tui.keymap import KeyNames, key_lines, key_problems, keymap_of
from routemq_tui.tui.keys import KEYS
from routemq_tui.tui.screens.confirm import Confirm
from routemq_tui.tui.screens.help import Help
from tests.tui.conftest import Sit

WRITTEN = {
    "d": ("d", "d"),
    "X": ("X", "X"),
    "+": ("plus", "+"),
    ",": ("comma", ","),
    "Ctrl-F": ("ctrl+f", "Ctrl-F"),
    "ctrl+f": ("ctrl+f", "Ctrl-F"),
    "C-f": ("ctrl+f", "Ctrl-F"),
    "c": ("c", "c"),
    "Esc": ("escape", "Esc"),
    "pgup": ("pageup", "PgUp"),
    "shift+tab": ("shift+tab", "⇧Tab"),
    "F5": ("f5", "F5"),
    "alt+ctrl+up": ("alt+ctrl+up", "Alt-Ctrl-↑"),
    "ctrl+-": ("ctrl+minus", "Ctrl--"),
    "question_mark": ("question_mark", "?"),
    " ": ("space", "Space"),
    "ü": ("ü", "ü"),
}
"""As somebody writes it: Textual's name, and what the screen shows."""


def wishes(**keys: str | tuple[str, ...]) -> UiConfig:
    """`drain_one` stands for drain-one, `move__up` for move.up; each on a line of its own, from 10."""
    found = {}
    for line, (name, value) in enumerate(keys.items(), 10):
        written = (value,) if isinstance(value, str) else value
        where = Place(Path("routemq.toml"), line)
        found[name.replace("__", ".").replace("_", "-")] = KeyWish(written, where)
    return UiConfig(keys=found)


def told(ui: UiConfig) -> list[str]:
    return [str(problem) for problem in key_problems(ui)]


@pytest.mark.parametrize("written", WRITTEN)
def test_keys_are_read_as_people_write_them(written: str) -> None:
    name = textual_name(written)
    assert (name, shown_name(name)) == WRITTEN[written]


def test_every_character_has_the_name_that_textual_gives_it() -> None:
    for character in map(chr, range(33, 127)):
        assert textual_name(character) == _character_to_key(character)
        assert shown_name(textual_name(character)) == character


def test_all_default_keys_are_names_of_their_own() -> None:
    for key in PLACED_BY_ID.values():
        for name in key.keys.split(","):
            assert textual_name(name) == name


@pytest.mark.parametrize(
    ("written", "reason", "hint"),
    [
        ("escpae", "there is no such key", 'did you mean "escape"?'),
        ("ctrl+i", "a terminal sends it as Tab", "choose another one"),
        ("ctrl+[", "a terminal sends it as Esc", "choose another one"),
        ("shift+k", "a terminal sends the shifted character", "write K"),
        ("hyper+x", "there is no such key", "allowed: one character"),
        ("\t", "it is no character that can be seen", "write its name"),
    ],
)
def test_a_key_that_is_none_is_told_with_what_was_meant(written: str, reason: str, hint: str) -> None:
    with pytest.raises(KeyNameError, match=reason) as raised:
        textual_name(written)
    assert hint in raised.value.hint


def test_the_defaults_have_no_clash_anywhere() -> None:
    for placed in PLACED_KEYS.values():
        names = [name for key in placed for name in key.keys.split(",")]
        assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("ui", "expected"),
    [
        (wishes(kil="K"), ['routemq.toml:10: ui.keys.kil: there is no such key (did you mean "kill"?)']),
        (
            wishes(kill="f"),
            [
                'routemq.toml:10: ui.keys.kill: found "f", which is follow (Follow) on the main screen '
                "already (choose another one, or give follow another one too)"
            ],
        ),
        (
            wishes(kill="K", restart="K"),
            [
                'routemq.toml:11: ui.keys.restart: found "K", which is kill (Kill) on the main screen '
                "already (choose another one, or give kill another one too)"
            ],
        ),
        (
            wishes(prompt__cancel="x"),
            [
                'routemq.toml:10: ui.keys.prompt.cancel: found "x": in a prompt it is typed '
                '(choose one such as "ctrl+g")'
            ],
        ),
        (
            wishes(confirm__yes="n"),
            [
                'routemq.toml:10: ui.keys.confirm.yes: found "n", which is confirm.no (No) on a question '
                "already (choose another one, or give confirm.no another one too)"
            ],
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(ui: UiConfig, expected: list[str]) -> None:
    assert told(ui) == expected


def test_ctrl_c_cannot_be_taken_from_quitting() -> None:
    assert 'found "Ctrl-C", which is quit (Quit)' in told(wishes(add="ctrl+c"))[0]


def test_keys_may_change_places() -> None:
    ui = wishes(filter="f", follow="/")
    assert told(ui) == []
    assert keymap_of(ui) == {"filter": "f", "follow": "slash"}


def test_quitting_keeps_ctrl_c() -> None:
    assert keymap_of(wishes(quit="Z")) == {"quit": "Z,ctrl+c"}
    assert KeyNames(keymap_of(wishes(quit="Z"))).of(next(key for key in KEYS if key.id == "quit")) == "Z"


def test_the_list_of_keys_names_every_id() -> None:
    listed = [line.split()[0] for line in key_lines(UiConfig()) if line.startswith("  ")]
    assert set(listed) == set(PLACED_BY_ID)


def test_every_key_named_in_a_text_is_there() -> None:
    for key in KEYS:
        assert "«" not in KeyNames().help_of(key)


async def test_a_key_that_was_given_another_works_and_is_shown_everywhere(sit: Sit) -> None:
    # given
    async with sit(ui=wishes(add=("a", "ctrl+g"), rolling="O", move__down="i", help__close="x")) as seat:
        # when the old key is pressed, then nothing happens
        await seat.press("plus")
        assert seat.engine.commands == []
        # when one of the new ones is, then it does its work
        await seat.press("a", "ctrl+g", "O")
        assert seat.engine.commands == [AddWorker("temperature")] * 2 + [RollingRestart("temperature")]
        await seat.press("i")
        assert seat.main.table.selected.slot == 1
        # then bottom line, help and palette write the new ones
        assert "a Ctrl-G Add" in seat.text("#keys")
        await seat.press("question_mark")
        assert isinstance(seat.app.screen, Help)
        assert "a Ctrl-G " in seat.text()
        assert "i scroll" in seat.text() or "i k scroll" in seat.text()
        assert "(also =)" not in seat.text()
        await seat.press("x")
        assert not isinstance(seat.app.screen, Help)
        await seat.press("ctrl+p", *"rolling")
        await seat.app.workers.wait_for_complete()
        assert "Rolling  (O)" in seat.text()


async def test_refusals_name_the_keys_as_they_are(sit: Sit) -> None:
    async with sit(ui=wishes(drain="D", add="a"), size=(80, 24)) as seat:
        await seat.press("D")
        assert seat.toasts() == ["temperature has 3 workers: go to one of them, then D drains it"]
        await seat.select("archive")
        await seat.press("s")
        assert "press a to add one" in seat.toasts()[-1]


async def test_dialogs_have_keys_that_can_be_given_too(sit: Sit) -> None:
    async with sit(ui=wishes(confirm__yes="J", columns__close="c"), size=(80, 24)) as seat:
        await seat.select("alerts", 1)
        await seat.press("X", "y")
        assert isinstance(seat.app.screen, Confirm)
        await seat.press("J")
        assert len(seat.engine.commands) == 1
        await seat.press("C", "c")
        assert seat.app.screen is seat.main
