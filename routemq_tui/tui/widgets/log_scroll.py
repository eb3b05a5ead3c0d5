"""A log that is moved in, with keys, the wheel and the scroll bar.

Scrolling up pauses; down to the end follows again.
"""

from __future__ import annotations

from textual import events
from textual.message import Message
from textual.scrollbar import ScrollDown, ScrollTo, ScrollUp

from routemq_tui.engine.port import LogLine
from routemq_tui.tui.widgets.log_canvas import LogCanvas

WHEEL = 3
"""Lines a turn of the mouse wheel moves."""
SIDEWAYS = 8


class LogScroll(LogCanvas, inherit_bindings=False):
    def move(self, motion: str) -> None:
        page = max(1, self.size.height - 1)
        if motion in ("left", "right"):
            step = SIDEWAYS if motion == "right" else -SIDEWAYS
            self._shift = 0 if self._wrap else max(0, self._shift + step)
            self._tell()
            self.refresh()
        elif motion == "bottom":
            self.follow()
        elif motion == "top":
            self._to_top()
        elif motion in ("up", "down"):
            self._step(1 if motion == "down" else -1)
        else:
            self._turn(page if motion == "page_down" else -page)

    def _to_top(self) -> None:
        """To the oldest line that the store holds."""
        self._pause()
        self._work.came(0)
        self.work()
        first = next(self._index.forward(0), None)
        if first is not None:
            self._current = first.seq
            self._page.show(first.seq)
            self._moved()
            self._size_up()

    def _step(self, step: int) -> None:
        if self._feed.following and step > 0:
            return
        self._pause()
        here = self.current
        there = None
        if here is not None:
            there = next(self._page.after(here.seq + 1) if step > 0 else self._page.before(here.seq), None)
        if there is not None:
            self._to_line(there)
        elif step > 0:
            self.follow()

    def _turn(self, rows: int) -> None:
        """A page: the current line keeps its place in the view where it can."""
        here = self.current
        at = (self._page.row_of(here.seq) if here is not None else None) or 0
        if self._feed.following:
            at = len(self._page.rows) - 1
        moved = self._go(rows)
        if not self._feed.following and self._page.rows:
            at = max(0, min(at + rows - moved, len(self._page.rows) - 1))
            self._current = self._page.rows[at].line.seq
            self._moved()
            self.refresh()

    def _go(self, rows: int) -> int:
        """Scroll because somebody wants to: up pauses, down to the end follows again."""
        if rows < 0:
            self._pause()
        if self._feed.following:
            return 0
        self._fit()
        moved = self._page.scroll(rows)
        if rows > 0 and self._page.at_end:
            self.follow()
        else:
            self._keep_current_in_sight()
        return moved

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._taken(event)
        self._go(-WHEEL)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._taken(event)
        self._go(WHEEL)

    def on_scroll_up(self, event: ScrollUp) -> None:
        self._taken(event)
        self.move("page_up")

    def on_scroll_down(self, event: ScrollDown) -> None:
        self._taken(event)
        self.move("page_down")

    def on_scroll_to(self, event: ScrollTo) -> None:
        self._taken(event)
        if event.y is None:
            return
        if event.y >= self.max_scroll_y:
            self.follow()
            return
        self._pause()
        self._page.show(self._index.at(max(0, round(event.y))))
        self._keep_current_in_sight()

    def _taken(self, event: Message) -> None:
        event.stop()
        event.prevent_default()

    def _to_line(self, line: LogLine) -> None:
        """Make a line the current one and bring it into sight: by a step, or into the middle from afar."""
        self._current = line.seq
        self._moved()
        page = self._page
        rows = page.rows_of(line)
        seen = [row for row in page.rows if row.line.seq == line.seq]
        first, last = (page.rows[0].line, page.rows[-1].line) if page.rows else (line, line)
        if line.seq < first.seq or (seen and seen[0].number):
            far = self._index.before(first.seq) - self._index.before(line.seq) > page.height
            page.show(line.seq, 0, -(page.height // 2) if far else 0)
        elif line.seq > last.seq or not seen or not seen[-1].last:
            far = self._index.before(line.seq) - self._index.before(last.seq) > page.height
            above = page.height // 2 if far else max(0, page.height - len(rows))
            page.show(line.seq, 0, -above)
        self._size_up()
