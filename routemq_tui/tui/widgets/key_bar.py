"""The bottom line: the keys of now, from the table of keys. What cannot be done is dim; a click does it.

What is told for some seconds takes the left end of it, so that it covers neither rows nor prompts.
"""

from __future__ import annotations

from collections.abc import Callable

from rich.cells import cell_len
from textual import events
from textual.message import Message

from routemq_tui.tui.keys import KEYS, Group, Key
from routemq_tui.tui.notices import Toast
from routemq_tui.tui.tones import Fragment, Tone
from routemq_tui.tui.widgets.lines import Line, Lines, clipped, length

Shown = tuple[Key, str, bool]
"""A key, how it is written, whether it can be used now."""
FACES = {"information": ("●", Tone.OK), "warning": ("!", Tone.WARN), "error": ("✗", Tone.BAD)}


class KeyBar(Lines):
    class Pressed(Message):
        def __init__(self, key: Key) -> None:
            super().__init__()
            self.key = key

    class Dismissed(Message):
        """What is told was clicked: it may go."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._spans: list[tuple[int, int, Key]] = []
        self._keys: list[Shown] = []
        self._first: Group | None = None
        self._told: tuple[Toast, ...] = ()
        self._mark = ""

    def show_keys(
        self, possible: Callable[[Key], bool], display: Callable[[Key], str], first: Group | None = None
    ) -> None:
        """Draw the keys that fit, those with the lowest number first of all; of a group before others."""
        self._keys = [(key, display(key), possible(key)) for key in KEYS if key.footer]
        self._first = first
        self.show(lambda width: [self._line(width)])

    def show_mark(self, mark: str) -> None:
        """A word at the left end, for as long as the screen is there: what makes keys dim."""
        self._mark = mark

    def show_told(self, told: tuple[Toast, ...]) -> None:
        """What is told now, newest first; empty for nothing."""
        self._told = told
        self.show(lambda width: [self._line(width)])

    def _line(self, width: int) -> Line:
        mark = [Fragment(f" {self._mark} ", Tone.WARN)] if self._mark and not self._told else []
        # The way to all keys stays whatever is told.
        kept = sum(_size(each) for each in self._keys if each[0].action == "help")
        said = said_line(self._told, width - kept) or mark
        begin = length(said)
        chosen = fitting(self._keys, width - begin, self._first)
        if self._told:
            # At the right end, where they are without it too as far as there is room.
            free = width - begin - sum(_size(each) for each in chosen)
            said.append(Fragment(" " * free))
            begin += free
        return [*said, *self._key_fragments(chosen, begin)]

    def _key_fragments(self, chosen: list[Shown], begin: int) -> list[Fragment]:
        fragments: list[Fragment] = []
        self._spans = []
        for key, shown, enabled in chosen:
            text, label = f" {shown} ", f"{key.label} "
            fragments += [
                Fragment(text, Tone.KEY if enabled else Tone.MUTED),
                Fragment(label, Tone.TEXT if enabled else Tone.MUTED),
            ]
            end = begin + cell_len(text) + cell_len(label)
            self._spans.append((begin, end, key))
            begin = end
        return fragments

    def on_click(self, event: events.Click) -> None:
        for start, end, key in self._spans:
            if start <= event.x < end:
                self.post_message(self.Pressed(key))
                return
        if self._told:
            self.post_message(self.Dismissed())


def said_line(told: tuple[Toast, ...], width: int) -> list[Fragment]:
    """The newest, and how many more; in its own tone, with a symbol for its weight."""
    if not told:
        return []
    symbol, tone = FACES[told[0].severity]
    more = f" (+{len(told) - 1} more)" if len(told) > 1 else ""
    text = clipped([Fragment(told[0].text, tone)], max(0, width - 4 - len(more)))
    return [Fragment(f" {symbol} ", tone), *text, Fragment(f"{more} ", Tone.MUTED)]


def fitting(keys: list[Shown], width: int, first: Group | None = None) -> list[Shown]:
    """As many keys as fit, the most important ones, in the order of the table."""
    kept: list[Shown] = []
    left = width
    for each in sorted(keys, key=lambda shown: _weight(shown[0], first)):
        size = _size(each)
        if size <= left:
            kept.append(each)
            left -= size
    return sorted(kept, key=keys.index)


def _size(shown: Shown) -> int:
    return cell_len(shown[1]) + cell_len(shown[0].label) + 3


def _weight(key: Key, first: Group | None) -> tuple[bool, int]:
    """Help and quit before all, then the group of the focused pane."""
    return key.footer > 0 and first is not None and key.group is not first, key.footer
