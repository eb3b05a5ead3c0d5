"""The logs of the selection, to be searched, marked, selected with keys or the mouse, and copied."""

from __future__ import annotations

import re
from collections.abc import Callable

from textual import events

from routemq_tui.engine.port import LogLine, LogReader
from routemq_tui.tui.log_rows import Place, Selection
from routemq_tui.tui.log_text import offset_at, prefix_width, safe
from routemq_tui.tui.widgets.log_scroll import LogScroll


class LogView(LogScroll):
    def __init__(self, reader: LogReader, *, id: str | None = None, capacity: int = 10_000) -> None:
        super().__init__(reader, id=id, capacity=capacity)
        self._marks: set[int] = set()
        self._selection: Selection | None = None
        self._drag: tuple[Place, bool] | None = None

    def _restarted(self) -> None:
        self._selection = None

    def _moved(self) -> None:
        if self._selection is not None and self._selection.lines:
            self._selection = Selection(self._selection.anchor, Place(self._current, 0), lines=True)

    def _stands_out(self, place: int) -> tuple[bool, tuple[int, int] | None]:
        line = self.shown[place]
        chosen = self._selection
        return line.seq in self._marks, None if chosen is None else chosen.span(place, len(line.text))

    def set_search(self, expression: re.Pattern[str] | None) -> None:
        self._search = expression
        self._tell()
        self.refresh()

    # Searching, marks, copying

    def find(self, wanted: Callable[[LogLine], bool], step: int) -> bool | None:
        """Go to the next line that is wanted; True when that went round the end, None when there is none.

        A view that follows begins at its end, and a step of 0 at the current line itself, backwards.
        """
        last = len(self.shown) - 1
        start = last if self._feed.following else self._current + step
        if self._feed.following or step == 0:
            step = -1
        place = self._feed.buffer.find(wanted, start, step)
        if place is None:
            return None
        round_the_end = place < start if step > 0 else place > start
        self._pause()
        self._to_line(place)
        return round_the_end

    def find_match(self, step: int) -> bool | None:
        expression = self._search
        return (
            None if expression is None else self.find(lambda line: bool(expression.search(line.text)), step)
        )

    def find_mark(self) -> bool | None:
        return self.find(lambda line: line.seq in self._marks, 1)

    def toggle_mark(self) -> None:
        """Mark the current line; the last one while following."""
        line = self._line_at(len(self.shown) - 1 if self._feed.following else self._current)
        if line is not None:
            self._marks ^= {line.seq}
            self.refresh()

    def toggle_selecting(self) -> None:
        """Begin to select whole lines from the current one on, or let the selection go."""
        if self._selection is not None:
            self.unselect()
        elif self.shown:
            self._pause()
            here = Place(self._current, 0)
            self._selection = Selection(here, here, lines=True)
            self.refresh()

    def unselect(self) -> bool:
        """Let the selection go; False when there is none."""
        had, self._selection = self._selection, None
        self.refresh()
        return had is not None

    def selected_text(self) -> str | None:
        """The text that is selected, or the current line; None while it follows and nothing is selected."""
        if self._selection is not None:
            return self._selection.text(self.shown)
        line = None if self._feed.following else self._line_at(self._current)
        return None if line is None else safe(line.text)

    # The mouse selects text

    def on_mouse_down(self, event: events.MouseDown) -> None:
        if event.button != 1 or not self.shown:
            return
        followed = self._feed.following
        self._pause()
        self._selection = None
        place = self._place_at(event.x, event.y)
        self._drag = place, followed
        self._to_line(place.line)
        self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._drag is None:
            return
        if event.y < 0 or event.y >= self.size.height:
            end = len(self._rows) - self.size.height
            self.set_scroll_y(max(0, min(end, self.scroll_offset.y + (-1 if event.y < 0 else 1))))
        place = self._place_at(event.x, event.y)
        if place != self._drag[0] or self._selection is not None:
            self._selection = Selection(self._drag[0], place)
            self._current = place.line
            self.refresh()

    def on_mouse_up(self, event: events.MouseUp) -> None:
        if self._drag is None:
            return
        _, followed = self._drag
        self._drag = None
        self.release_mouse()
        if followed and self._selection is None:
            self.follow()  # only a click, to give the pane the focus

    def _place_at(self, x: int, y: int) -> Place:
        y = max(0, min(y, self.size.height - 1))
        index = self.scroll_offset.y + y
        if index >= len(self._rows):
            last = len(self.shown) - 1
            return Place(last, len(safe(self.shown[last].text)))
        row, look = self._rows[index], self._look()
        text = safe(self.shown[row.line].text)
        cells = x - prefix_width(look.source_width, look.roomy)
        start = row.start if self._wrap else self._shift
        offset = offset_at(text[: row.end] if self._wrap else text, start, cells) if cells > 0 else start
        return Place(row.line, offset)
