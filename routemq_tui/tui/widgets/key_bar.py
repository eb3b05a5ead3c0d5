"""The bottom line: the keys of now, from the table of keys. What cannot be done is dim; a click does it."""

from __future__ import annotations

from collections.abc import Callable

from textual import events
from textual.message import Message

from routemq_tui.tui.keys import KEYS, Group, Key
from routemq_tui.tui.tones import Fragment, Tone
from routemq_tui.tui.widgets.lines import Line, Lines

Shown = tuple[Key, str, bool]
"""A key, how it is written, whether it can be used now."""


class KeyBar(Lines):
    class Pressed(Message):
        def __init__(self, key: Key) -> None:
            super().__init__()
            self.key = key

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._spans: list[tuple[int, int, Key]] = []

    def show_keys(
        self, possible: Callable[[Key], bool], display: Callable[[Key], str], first: Group | None = None
    ) -> None:
        """Draw the keys that fit, those with the lowest number first of all; of a group before others."""
        keys = [(key, display(key), possible(key)) for key in KEYS if key.footer]
        self.show(lambda width: [self._line(keys, width, first)])

    def _line(self, keys: list[Shown], width: int, first: Group | None) -> Line:
        fragments: list[Fragment] = []
        self._spans = []
        used = 0
        for key, shown, enabled in fitting(keys, width, first):
            text, label = f" {shown} ", f"{key.label} "
            fragments += [
                Fragment(text, Tone.KEY if enabled else Tone.MUTED),
                Fragment(label, Tone.TEXT if enabled else Tone.MUTED),
            ]
            self._spans.append((used, used + len(text) + len(label), key))
            used += len(text) + len(label)
        return fragments

    def on_click(self, event: events.Click) -> None:
        for start, end, key in self._spans:
            if start <= event.x < end:
                self.post_message(self.Pressed(key))


def fitting(keys: list[Shown], width: int, first: Group | None = None) -> list[Shown]:
    """As many keys as fit, the most important ones, in the order of the table."""
    kept: list[Shown] = []
    left = width
    for each in sorted(keys, key=lambda shown: _weight(shown[0], first)):
        size = len(each[1]) + len(each[0].label) + 3
        if size <= left:
            kept.append(each)
            left -= size
    return sorted(kept, key=keys.index)


def _weight(key: Key, first: Group | None) -> tuple[bool, int]:
    """Help and quit before all, then the group of the focused pane."""
    return key.footer > 0 and first is not None and key.group is not first, key.footer
