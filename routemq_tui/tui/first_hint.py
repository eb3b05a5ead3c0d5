"""One line for somebody who sees the screen for the first time; never again after that."""

from __future__ import annotations

from textual.message import Message

from routemq_tui.tui.keymap import KeyNames
from routemq_tui.tui.tones import Fragment, Tone
from routemq_tui.tui.widgets.lines import Line, Lines, clipped

HINT_SECONDS = 60.0
BEGIN = " New here?"
PARTS = (
    ("«add»", "adds a worker"),
    ("«kill»", "kills one"),
    ("«filter»", "filters the log"),
    ("«pane.next»", "goes on"),
    ("«help»", "shows all keys"),
    ("«back»", "hides this"),
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
        if sum(len(names.fill(f" {key} {does} ·")) for key, does in chosen) + len(BEGIN) <= width:
            break
        chosen.remove(PARTS[place])
    line: list[Fragment] = [Fragment(BEGIN, Tone.STRONG)]
    for index, (key, does) in enumerate(chosen):
        line += [
            Fragment(" · " if index else " ", Tone.MUTED),
            Fragment(names.fill(key), Tone.KEY),
            Fragment(f" {does}"),
        ]
    return clipped(line, width)
