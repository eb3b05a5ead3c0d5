"""The logs of the selection, to be searched, marked, selected with keys or the mouse, and copied."""

from __future__ import annotations

import re
from collections.abc import Callable

from textual import events

from routemq_tui.engine.log_filter import LogFilter
from routemq_tui.engine.port import LogLine, LogReader
from routemq_tui.tui.logs.index import LogIndex
from routemq_tui.tui.logs.page import ALL, LogRow
from routemq_tui.tui.logs.scan import LogSearch
from routemq_tui.tui.logs.selection import Place, Selection
from routemq_tui.tui.logs.text import offset_at, prefix_width, safe
from routemq_tui.tui.widgets.log_scroll import LogScroll

Went = Callable[[bool | None], None]
"""Hears where a search ended: True beyond the end, where it went round; None: nothing is wanted."""


class LogView(LogScroll):
    def __init__(self, reader: LogReader, fill: Callable[[str], str], *, id: str | None = None) -> None:
        super().__init__(reader, fill, id=id)
        self._marks: set[int] = set()
        self._selection: Selection | None = None
        self._drag: tuple[Place, bool] | None = None

    def _restarted(self) -> None:
        self._selection = None
        if self._drag is not None:  # it began at a line that may not be shown any more
            self._drag = None
            self.release_mouse()

    def _moved(self) -> None:
        if self._selection is not None and self._selection.lines:
            self._selection = Selection(self._selection.anchor, Place(self._current, 0), lines=True)

    def _stands_out(self, row: LogRow) -> tuple[bool, tuple[int, int] | None]:
        line, chosen = row.line, self._selection
        return line.seq in self._marks, None if chosen is None else chosen.span(line.seq, len(line.text))

    def set_search(self, expression: re.Pattern[str] | None) -> None:
        self._search = expression
        self._work.forget_search()
        self._tell()
        self.refresh()

    # Searching, marks, copying

    def find(self, wanted: LogFilter, step: int, went: Went, beginnings: bool = False) -> None:
        """Go to the next line that is wanted, at once or when a longer search has found it.

        A folded traceback is opened for it; with `beginnings` only its first line is looked at.

        A view that follows begins at its end, and a step of 0 at the current line itself, backwards.
        """
        here = self.current
        start = ALL if here is None or self._feed.following else here.seq + step
        search = LogSearch(
            self._index, wanted, start, -1 if self._feed.following or not step else step, beginnings
        )

        def answered(ended: LogSearch) -> None:
            self._reveal(ended.found)
            self._to_seq(ended.found)
            went(None if ended.found is None else ended.round_the_end)

        self._work.search(search, answered)
        self.work()
        self._tell()

    def find_match(self, step: int, went: Went) -> None:
        if self._search is not None:
            self.find(LogFilter.matching(self._search), step, went)

    def find_mark(self) -> bool | None:
        """To the next mark; True when that went round the end, None when no line is marked."""
        here = self.current
        shown = [seq for seq in sorted(self._marks) if self._is_shown(seq)]
        if here is None or not shown:
            return None
        if self._feed.following:
            self._to_seq(shown[-1])
            return False
        later = [seq for seq in shown if seq > here.seq]
        self._to_seq(later[0] if later else shown[0])
        return not later

    def _is_shown(self, seq: int) -> bool:
        return self._index.before(seq + 1) > self._index.before(seq)

    def _to_seq(self, seq: int | None) -> None:
        line = None if seq is None else self._page.nearest(seq)
        if line is not None:
            self._pause(line.seq)
            self._to_line(line)

    def to_time(self, time: float) -> bool:
        """Go to the first line of a time or later, to the last one where all are older; False: no line."""
        seq = self._index.since(time)
        if not len(self._index):
            return False
        self._to_seq(self._index.newest if seq is None else seq)
        return True

    def hold(self) -> None:
        """Pause at the current line."""
        self._pause()
        self._size_up()

    # Tracebacks

    def turn_fold(self) -> bool:
        """Open the traceback of the current line, or fold it; False when it is no line of one."""
        line = self.current
        head = None if line is None else self._index.turn_fold(line)
        if head is None:
            return False
        self._pause(head.seq)
        self._current = head.seq
        self._page.forget_hidden()
        self._fit()
        at = self._page.row_of(head.seq)
        top = self._page.rows[0] if self._page.rows else None
        if top is None or at is None:
            self._show_current()
        else:
            fold = self._index.fold(head)
            opened = fold.lines + 1 if fold is not None and fold.is_open else 1
            # As much of it in sight as there is room for.
            down = min(at, max(0, at + opened - self._page.height))
            self._page.show(top.line.seq, top.number, down)
        self._moved()
        self._size_up()
        return True

    def below(self, line: LogLine) -> list[LogLine]:
        """The lines of its traceback."""
        return [place.line for place in self._index.traceback(line)[1:]]

    def _reveal(self, seq: int | None) -> None:
        """Open the traceback that hides a line."""
        place = None if seq is None or self._is_shown(seq) else self._index.place(seq)
        if place is not None:
            self._index.turn_fold(place.line)

    def toggle_mark(self) -> None:
        """Mark the current line; the last one while following."""
        line = self.current
        if line is not None:
            self._marks ^= {line.seq}
            self.refresh()

    def toggle_selecting(self) -> None:
        """Begin to select whole lines from the current one on, or let the selection go."""
        line = self.current
        if self._selection is not None:
            self.unselect()
        elif line is not None:
            self._pause()
            here = Place(line.seq, 0)
            self._selection = Selection(here, here, lines=True)
            self.refresh()

    def unselect(self) -> bool:
        """Let the selection go; False when there is none."""
        had, self._selection = self._selection, None
        self.refresh()
        return had is not None

    def back(self) -> bool:
        """One step back: out of work that is under way, then of a selection; False when there is neither."""
        return (bool(self.size.height) and self.cancel()) or self.unselect()

    def selected_text(self) -> str | None:
        """The text that is selected, or the current line with what is folded below it.

        None while it follows and nothing is selected.
        """
        if self._selection is not None:
            return self._selection.text(self._page.after(self._selection.first))
        line = None if self._feed.following else self.current
        if line is None:
            return None
        fold = self._index.fold(line)
        if fold is None or fold.is_open:
            return safe(line.text)
        return "\n".join(safe(place.line.text) for place in self._index.traceback(line))

    def all_lines(self) -> LogIndex:
        """Every line of the view as it is now, whatever comes or goes later; for an export."""
        return self._index.snapshot()

    # The mouse selects text

    def on_mouse_down(self, event: events.MouseDown) -> None:
        if event.button != 1 or not self._page.rows:
            return
        followed = self._feed.following
        self._pause()
        self._selection = None
        if event.x == 0 and event.y < len(self._page.rows):
            row = self._page.rows[event.y]
            if not row.number and self._index.fold(row.line) is not None:
                self._current = row.line.seq
                self.turn_fold()
                return
        place = self._place_at(event.x, event.y)
        self._drag = place, followed
        self._to_seq(place.line)
        self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._drag is None or not self._page.rows:
            return
        if event.y < 0 or event.y >= self.size.height:
            self._page.scroll(-1 if event.y < 0 else 1)
        place = self._place_at(event.x, event.y)
        if place != self._drag[0] or self._selection is not None:
            self._selection = Selection(self._drag[0], place)
            self._current = place.line
            self._size_up()

    def on_mouse_up(self, event: events.MouseUp) -> None:
        if self._drag is None:
            return
        _, followed = self._drag
        self._drag = None
        self.release_mouse()
        if followed and self._selection is None:
            self.follow()  # only a click, to give the pane the focus

    def on_mouse_release(self) -> None:
        # Another screen has come over this one: the button is let go there.
        self._drag = None

    def _place_at(self, x: int, y: int) -> Place:
        y = max(0, min(y, self.size.height - 1))
        rows = self._page.rows
        if y >= len(rows):
            return Place(rows[-1].line.seq, len(safe(rows[-1].line.text)))
        row, look = rows[y], self._look()
        text = safe(row.line.text)
        cells = x - prefix_width(look.source_width, look.roomy)
        start = row.start if self._wrap else self._shift
        offset = offset_at(text[: row.end] if self._wrap else text, start, cells) if cells > 0 else start
        return Place(row.line.seq, offset)
