"""`[ui.keys]`: what is wrong with it, the keymap that follows from it, and how keys are written then.

Plain, so that `routemq-tui check` can ask it without a screen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import partial

from routemq_tui.config.model import KeyWish, Problem, UiConfig
from routemq_tui.tui.dialog_keys import PLACED_BY_ID, PLACED_KEYS, Place, PlacedKey
from routemq_tui.tui.key_names import KeyNameError, is_typed, shown_name, textual_name
from routemq_tui.tui.keys import KEY_BY_ID, Key

_NAMED_KEY = re.compile(r"«([a-z.\-_]+)»")
_ALSO = re.compile(r" \(also [^)]*\)")


def key_problems(ui: UiConfig) -> list[Problem]:
    """Unknown ids and keys, and keys that would mean two things in one place."""
    problems: list[Problem] = []
    named: dict[str, list[str]] = {}
    for name, wish in ui.keys.items():
        if name not in PLACED_BY_ID:
            problems.append(_problem(name, wish, "there is no such key", _meant(name)))
            continue
        named[name] = list(_names(name, wish, problems))
    return [*problems, *_clashes(ui, named)]


def keymap_of(ui: UiConfig) -> dict[str, str]:
    """Keys by id for `App.set_keymap`, of a configuration without problems."""
    return {
        name: ",".join(_whole(PLACED_BY_ID[name], [textual_name(each) for each in wish.keys]))
        for name, wish in ui.keys.items()
    }


def key_lines(ui: UiConfig) -> list[str]:
    """Every id with its keys and what they do, as a table for those who want to give others."""
    keymap = keymap_of(ui)
    names = KeyNames(keymap)
    lines: list[str] = []
    for place, placed in PLACED_KEYS.items():
        lines += ["", f"On {place}:"] if lines else [f"On {place}:"]
        for key in placed:
            shown = " ".join(shown_name(each) for each in keymap.get(key.id, key.keys).split(","))
            does = names.help_of(KEY_BY_ID[key.id]) if place is Place.MAIN else key.label
            lines.append(f"  {key.id:<16} {shown:<14} {does}")
    return lines


class KeyNames:
    """How each key is written on the screen."""

    def __init__(self, keymap: Mapping[str, str] | None = None) -> None:
        self._keymap = keymap or {}

    def of(self, key: Key) -> str:
        """All keys it has, for help, bottom line and palette: `k ↑`."""
        return self._given(key.id) or key.shown

    def help_of(self, key: Key) -> str:
        """Its sentence; without the other default keys when it was given others."""
        text = _ALSO.sub("", key.help) if key.id in self._keymap else key.help
        return self.fill(text)

    def fill(self, text: str) -> str:
        """The text with the first key of `add` for each «add»."""
        return _NAMED_KEY.sub(lambda found: self._first(found[1]), text)

    def _first(self, name: str) -> str:
        shown = self._given(name) or (KEY_BY_ID[name].shown if name in KEY_BY_ID else "")
        return (shown or shown_name(PLACED_BY_ID[name].keys.partition(",")[0])).partition(" ")[0]

    def _given(self, name: str) -> str:
        if name not in self._keymap:
            return ""
        kept = PLACED_BY_ID[name].kept.split(",") if name in PLACED_BY_ID else []
        keys = self._keymap[name].split(",")
        return " ".join(shown_name(each) for each in keys if each not in kept) or shown_name(keys[0])


def _names(name: str, wish: KeyWish, problems: list[Problem]) -> Iterator[str]:
    for written in wish.keys:
        try:
            key = textual_name(written)
        except KeyNameError as error:
            problems.append(_problem(name, wish, f'found "{written}": {error}', error.hint))
            continue
        if is_typed(key) and PLACED_BY_ID[name] in PLACED_KEYS[Place.PROMPT]:
            hint = 'choose one such as "ctrl+g"'
            problems.append(_problem(name, wish, f'found "{written}": in a prompt it is typed', hint))
        yield key


def _clashes(ui: UiConfig, named: Mapping[str, list[str]]) -> list[Problem]:
    """Told once for each two ids, at the place of the one that was given the key (the later of two)."""
    told: dict[frozenset[str], Problem] = {}
    for place, placed in PLACED_KEYS.items():
        owners: dict[str, str] = {}
        # Defaults first: a wish is then always the one that is told.
        for key in sorted(placed, key=lambda each: each.id in named):
            wished = key.id in named
            for each in _whole(key, named[key.id]) if wished else key.keys.split(","):
                owner = owners.setdefault(each, key.id)
                pair = frozenset((owner, key.id))
                if owner != key.id and pair not in told:
                    told[pair] = _clash(ui, key.id, owner, each, place)
    return list(told.values())


def _clash(ui: UiConfig, name: str, owner: str, key: str, place: Place) -> Problem:
    if name not in ui.keys:
        name, owner = owner, name
    label = PLACED_BY_ID[owner].label
    message = f'found "{shown_name(key)}", which is {owner} ({label}) on {place} already'
    return _problem(name, ui.keys[name], message, f"choose another one, or give {owner} another one too")


def _whole(key: PlacedKey, wished: list[str]) -> list[str]:
    """What was wished and what is kept, each once."""
    return list(dict.fromkeys([*wished, *filter(None, key.kept.split(","))]))


def _problem(name: str, wish: KeyWish, message: str, hint: str) -> Problem:
    return Problem(wish.place, f"ui.keys.{name}", message, hint)


def _meant(name: str) -> str:
    close = next(iter(get_close_matches(name, PLACED_BY_ID, 1)), None) or _by_label(name)
    return f'did you mean "{close}"?' if close else "routemq-tui check --keys prints all ids"


def _by_label(name: str) -> str | None:
    """The id of a key whose label or help holds the word."""
    found = partial(re.search, rf"\b{re.escape(name)}\b", flags=re.IGNORECASE)
    return next((key.id for key in KEY_BY_ID.values() if found(f"{key.label} {key.help}")), None)
