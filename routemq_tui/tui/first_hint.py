"""One line for somebody who sees the screen for the first time; never again after that.

Its keys work where the cursor is at the start, on a route.
"""

from __future__ import annotations

import re

from textual.message import Message

from routemq_tui.tui.keymap import KeyNames
from routemq_tui.tui.tones import Fragment, Tone
from routemq_tui.tui.widgets.lines import Line, Lines, clipped

HINT_SECONDS = 60.0
BEGIN = " New here?"
PARTS = (
    "«add» adds a worker",
    "«move.down» to one, «kill» kills it",
    "«filter» filters the log",
    "«pane.next» next pane",
    "«help» all keys",
    "«back» hides this",
)
LEFT_OUT = (3, 2, 1, 0)
"""Where there is no room, in this order."""


class FirstHint(Lines):
    class Clicked(Message):
        """It was seen."""

    def show_names(self, names: KeyNames) -> None:
        self.show(lambda width: [hint_line(names, width)])

    def on_click(self) -> None:
        self.post_message(self.Clicked())


def hint_line(names: KeyNames, width: int) -> Line:
    """As many parts as fit; how to hide it always does."""
    chosen = list(PARTS)
    for place in LEFT_OUT:
        if sum(len(names.fill(f"{part} · ")) for part in chosen) + len(BEGIN) <= width + 2:
            break
        chosen.remove(PARTS[place])
    line: list[Fragment] = [Fragment(BEGIN, Tone.STRONG)]
    for index, part in enumerate(chosen):
        line.append(Fragment(" · " if index else " ", Tone.MUTED))
        pieces = re.split("(«[^»]+»)", part)
        line += [Fragment(names.fill(piece), Tone.KEY if piece[:1] == "«" else Tone.TEXT) for piece in pieces]
    return clipped(line, width)
