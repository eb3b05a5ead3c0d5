"""Names of single keys: as people write them, as Textual calls them, as the screen shows them. Plain data.

`d`, `+`, `Ctrl-F`, `ctrl+f`, `Esc`, `PgUp`, `shift+tab`, `f5`. One character means itself:
`X` is shift and x.
"""

from __future__ import annotations

import unicodedata
from difflib import get_close_matches

NAMED = {
    "enter": "Enter",
    "escape": "Esc",
    "tab": "Tab",
    "space": "Space",
    "backspace": "⌫",
    "delete": "Del",
    "insert": "Ins",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "home": "Home",
    "end": "End",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    **{f"f{number}": f"F{number}" for number in range(1, 25)},
}
"""Textual's names of keys that are no character, and how they are shown."""

_OTHERWISE = {
    "esc": "escape",
    "return": "enter",
    "del": "delete",
    "ins": "insert",
    "pgup": "pageup",
    "pgdn": "pagedown",
    "pgdown": "pagedown",
    "page_up": "pageup",
    "page_down": "pagedown",
    "plus": "+",
    "minus": "-",
    "comma": ",",
    "slash": "/",
    "colon": ":",
}
_MODIFIERS = {"ctrl": "ctrl", "control": "ctrl", "c": "ctrl", "alt": "alt", "shift": "shift"}
_SENT_AS = {"ctrl+i": "tab", "ctrl+m": "enter", "ctrl+h": "backspace", "ctrl+left_square_bracket": "escape"}
"""What a terminal makes of them: they cannot be told from the other key."""
_FRIENDLY = {
    "solidus": "slash",
    "reverse_solidus": "backslash",
    "commercial_at": "at",
    "hyphen_minus": "minus",
    "plus_sign": "plus",
    "low_line": "underscore",
}


class KeyNameError(ValueError):
    """No key has this name; `hint` says which one was meant, or what is allowed."""

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(reason)
        self.hint = hint


def textual_name(written: str) -> str:
    """The name Textual has for a key somebody wrote; raises KeyNameError."""
    if len(written) == 1:
        return _of_character(written)
    modifiers, bare = _parts(written)
    if len(bare) == 1:
        name = _of_character(bare.lower() if modifiers else bare)
        if modifiers == ["shift"]:
            capital = bare.upper() if bare.isalpha() else "the character itself"
            raise KeyNameError("a terminal sends the shifted character", f"write {capital}")
    else:
        name = _OTHERWISE.get(bare.lower(), bare.lower())
        name = _of_character(name) if len(name) == 1 else name
        if len(name) > 1 and name not in NAMED and not _is_character(name):
            raise KeyNameError("there is no such key", _meant(bare.lower()))
    whole = "+".join([*modifiers, name])
    if whole in _SENT_AS:
        raise KeyNameError(f"a terminal sends it as {NAMED[_SENT_AS[whole]]}", "choose another one")
    return whole


def shown_name(textual: str) -> str:
    """How a key is written on the screen: `+`, `Ctrl-F`, `⇧Tab`."""
    *modifiers, name = textual.split("+")
    shown = NAMED.get(name) or _character_of(name) or name
    if modifiers == ["shift"]:
        return f"⇧{shown}"
    words = [modifier.capitalize() for modifier in modifiers]
    return "-".join([*words, shown.upper() if words and len(shown) == 1 else shown])


def is_typed(textual: str) -> bool:
    """Whether the key puts a character into a line of input."""
    return textual == "space" or ("+" not in textual and textual not in NAMED)


def _parts(written: str) -> tuple[list[str], str]:
    """Modifiers in Textual's order, and the rest; `-` joins as well as `+`; both may be the key itself."""
    modifiers: set[str] = set()
    rest = written
    while True:
        word = rest.replace("-", "+").partition("+")[0]
        modifier = _MODIFIERS.get(word.lower())
        if modifier is None or len(rest) <= len(word) + 1 or modifier in modifiers:
            return [each for each in ("alt", "ctrl", "shift") if each in modifiers], rest
        modifiers.add(modifier)
        rest = rest[len(word) + 1 :]


def _of_character(character: str) -> str:
    if character == " ":
        return "space"
    if character.isalnum():
        return character
    name = unicodedata.name(character, "")
    if not name or not character.isprintable():
        raise KeyNameError("it is no character that can be seen", "write its name, such as Tab or Enter")
    name = name.lower().replace("-", "_").replace(" ", "_")
    return _FRIENDLY.get(name, name)


def _character_of(name: str) -> str:
    """The character of a Textual name such as `question_mark`; empty when it is none."""
    original = {friendly: long for long, friendly in _FRIENDLY.items()}.get(name, name)
    for spelled in (original.replace("_", " "), original.replace("_", "-")):
        try:
            return unicodedata.lookup(spelled.upper())
        except KeyError:
            continue
    return {"less_than_sign": "<", "greater_than_sign": ">"}.get(name, "")


def _is_character(name: str) -> bool:
    character = _character_of(name)
    return bool(character) and not character.isalnum() and _of_character(character) == name


def _meant(name: str) -> str:
    close = get_close_matches(name, [*NAMED, *_OTHERWISE], 1)
    allowed = 'one character, or a name such as "enter", "ctrl+f", "f5"'
    return f'did you mean "{close[0]}"? allowed: {allowed}' if close else f"allowed: {allowed}"
