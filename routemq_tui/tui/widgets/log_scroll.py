"""Log lines of which only those in sight are drawn; it follows their end, or is paused at a current line.

Scrolling up pauses. While paused nothing on the screen moves and what comes is counted exactly; at the end it
follows again. The view reads only while it can be seen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollDown, ScrollTo, ScrollUp
from textual.strip import Strip

from routemq_tui.engine.port import LogLine, LogReader
from routemq_tui.tui.log_buffer import LogFilter
from routemq_tui.tui.log_feed import LogFeed
from routemq_tui.tui.log_rows import LogRows
from routemq_tui.tui.log_text import TimeMode
from routemq_tui.tui.rows import Row, RowKey
from routemq_tui.tui.tones import Fragment, Tone
from routemq_tui.tui.widgets.lines import TONE_CLASSES, Inks, paint, visible_width
from routemq_tui.tui.widgets.log_painter import LogPainter, Look, Piece

ROOMY = 100
"""From this width on, lines have milliseconds and the whole word of their level."""
LONGEST_SOURCE = 20
PAST_END = 1 << 62
WHEEL = 3
"""Lines a turn of the mouse wheel moves."""
SIDEWAYS = 8


@dataclass(frozen=True, slots=True)
class LogStatus:
    """All that the line above the logs says about them."""

    following: bool = True
    new: int = 0
    """Lines that came since the view was paused."""
    missed: int = 0
    """Lines that the store let go before a paused view had counted them."""
    shown: int = 0
    held: int = 0
    filter: str = ""
    level: int = 0
    wrap: bool = False
    shift: int = 0
    """Cells that are scrolled out at the left."""
    search: str = ""


class LogScroll(ScrollView, inherit_bindings=False):
    COMPONENT_CLASSES: ClassVar[set[str]] = {"row--current", "row--picked"} | TONE_CLASSES
    ALLOW_SELECT = False
    ALLOW_MAXIMIZE = False

    class Changed(Message):
        """The status is another one."""

    def __init__(self, reader: LogReader, *, id: str | None = None, capacity: int = 10_000) -> None:
        super().__init__(id=id, can_focus=True)
        self.inks = Inks(self)
        self._feed = LogFeed(reader, capacity)
        self._rows = LogRows()
        self._painter = LogPainter(self.inks)
        self._source_width = 0
        self._shown_key: RowKey | None = None
        self._loaded = False
        self._now = 0.0
        self._mode = TimeMode.CLOCK
        self._wrap = False
        self._shift = 0
        self._rows_width = 0
        self._search: re.Pattern[str] | None = None
        self._current = 0

    @property
    def status(self) -> LogStatus:
        feed, chosen = self._feed, self._feed.buffer.filter
        return LogStatus(
            feed.following,
            feed.new,
            feed.missed,
            len(feed.buffer.shown),
            len(feed.buffer.lines),
            chosen.text,
            chosen.level,
            self._wrap,
            self._shift,
            self._search.pattern if self._search else "",
        )

    @property
    def filter(self) -> LogFilter:
        return self._feed.buffer.filter

    @property
    def shown(self) -> list[LogLine]:
        return self._feed.buffer.shown

    # What is shown

    def show_row(self, row: Row | None) -> None:
        """Show the logs of a row, from the end when it is another one."""
        self._feed.sources = None if row is None else row.sources()
        self._source_width = source_width(row)
        if row is not None and self._feed.following and row.snapshot.time != self._now:
            self._now = row.snapshot.time
            if self._mode is TimeMode.AGO:
                self.refresh()
        key = None if row is None else row.key
        if key != self._shown_key or not self._loaded:
            self._shown_key, self._loaded = key, True
            self._feed.reload()
            self._start_again()

    def set_filter(self, chosen: LogFilter) -> None:
        """Show other lines. Paused, the current line stays, or the one nearest to it."""
        current = self._line_at(self._current)
        kept = self._feed.set_filter(chosen)
        if not kept or current is None:
            self._start_again()
            return
        self._restarted()
        self._lay_out()
        self._to_line(min(self._feed.buffer.place_of(current.seq), len(self.shown) - 1))

    def toggle_wrap(self) -> None:
        anchor = self._anchor()
        self._wrap, self._shift = not self._wrap, 0
        self._lay_out()
        self._return_to(anchor)

    def next_time_mode(self) -> None:
        self._mode = self._mode.next
        self.refresh()

    def toggle_follow(self) -> None:
        if self._feed.following:
            self._pause()
        else:
            self.follow()

    def follow(self) -> None:
        """Go to the end and stay there."""
        kept = self._feed.follow()
        self._restarted()
        if kept:
            self._to_end()
            self._tell()
        else:
            self._start_again()

    def clear(self) -> None:
        """Empty the view; the store keeps everything."""
        self._feed.clear()
        self._start_again()

    def _pause(self, current: int | None = None) -> None:
        if self._feed.following:
            self._feed.pause()
            self._current = max(0, len(self.shown) - 1) if current is None else current
            self._tell()
            self.refresh()

    def pull(self) -> None:
        """Take what is new; cheap when nothing is, and free while the view is hidden."""
        if self._feed.idle or not self.size.height:
            return
        update = self._feed.pull()
        if update.rebuilt or self._rows_width != visible_width(self) or not len(self._rows):
            self._lay_out()
        elif update.added:
            self._rows.append(self.shown, update.added)
            self._size_up()
        if self._feed.following:
            self._to_end()
        self._tell()

    def _start_again(self) -> None:
        self._restarted()
        self._lay_out()
        self._to_end()
        self._tell()

    # Rows and places

    def _look(self) -> Look:
        width = visible_width(self)
        patterns = [self._search] if self._search else []
        if self.filter.expression is not None and not self.filter.inverted:
            patterns.append(self.filter.expression)
        return Look(
            width,
            self._source_width,
            width >= ROOMY,
            self._mode,
            self._now,
            self._wrap,
            self._shift,
            tuple(patterns),
        )

    def _lay_out(self) -> None:
        self._rows_width = visible_width(self)
        self._rows.lay_out(self.shown, self._look().text_width if self._wrap else 0)
        self._current = max(0, min(self._current, len(self.shown) - 1))
        self._size_up()

    def _size_up(self) -> None:
        self.virtual_size = Size(visible_width(self), len(self._rows))
        self.refresh()

    def _line_at(self, place: int) -> LogLine | None:
        return self.shown[place] if 0 <= place < len(self.shown) else None

    def _to_end(self) -> None:
        self.set_scroll_y(max(0, len(self._rows) - self.size.height))
        self.refresh()

    def set_scroll_y(self, y: int) -> None:
        self.scroll_to(y=y, animate=False, force=True, immediate=True)

    def _anchor(self) -> int:
        """The `seq` of the line at the top; beyond the last one while following."""
        line = self._line_at(self._rows.line_at(self.scroll_offset.y)) if len(self._rows) else None
        return PAST_END if self._feed.following or line is None else line.seq

    def _return_to(self, seq: int) -> None:
        if seq == PAST_END:
            self._to_end()
        else:
            self.set_scroll_y(self._rows.first_of(self._feed.buffer.place_of(seq)))
            self._keep_current_in_sight()
        self._tell()

    def _to_line(self, place: int) -> None:
        """Make a line the current one and bring it into sight: by a step, or into the middle from afar."""
        self._current = max(0, min(place, len(self.shown) - 1))
        self._moved()
        first, last = self._rows.first_of(self._current), self._rows.last_of(self._current)
        top, height = self.scroll_offset.y, max(1, self.size.height)
        if first < top - height or first > top + 2 * height:
            self.set_scroll_y(max(0, first - height // 2))
        elif first < top:
            self.set_scroll_y(first)
        elif last >= top + height:
            self.set_scroll_y(min(first, last - height + 1))
        self.refresh()

    # Moving

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
            self._pause()
            self._to_line(0)
        elif motion in ("up", "down"):
            self._step(1 if motion == "down" else -1)
        else:
            self._turn(page if motion == "page_down" else -page)

    def _step(self, step: int) -> None:
        if self._feed.following and step > 0:
            return
        self._pause()
        if self._current + step >= len(self.shown):
            self.follow()
        else:
            self._to_line(self._current + step)

    def _turn(self, rows: int) -> None:
        """A page: the current line keeps its place in the view where it can."""
        was = self._rows.last_of(len(self.shown) - 1 if self._feed.following else self._current)
        self._go(self.scroll_offset.y + rows)
        if not self._feed.following:
            self._to_line(self._rows.line_at(was + rows))

    def _go(self, y: int) -> None:
        """Scroll because somebody wants to: up pauses, down to the end follows again."""
        end = len(self._rows) - self.size.height
        if y < self.scroll_offset.y:
            self._pause()
        elif y >= end and not self._feed.following:
            self.follow()
            return
        if self._feed.following:
            self._to_end()
            return
        top = max(0, min(y, end))
        self.set_scroll_y(top)
        self._keep_current_in_sight()

    def _keep_current_in_sight(self) -> None:
        top = self.scroll_offset.y
        lowest = self._rows.line_at(top + self.size.height - 1)
        self._current = max(self._rows.line_at(top), min(self._current, lowest))
        self._moved()
        self.refresh()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._taken(event)
        self._go(self.scroll_offset.y - WHEEL)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._taken(event)
        self._go(self.scroll_offset.y + WHEEL)

    def on_scroll_up(self, event: ScrollUp) -> None:
        self._taken(event)
        self.move("page_up")

    def on_scroll_down(self, event: ScrollDown) -> None:
        self._taken(event)
        self.move("page_down")

    def on_scroll_to(self, event: ScrollTo) -> None:
        self._taken(event)
        if event.y is not None:
            self._go(round(event.y))

    def _taken(self, event: Message) -> None:
        event.stop()
        event.prevent_default()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self.inks.clear()

    def on_resize(self, event: events.Resize) -> None:
        anchor = self._anchor()
        self._lay_out()
        self._return_to(anchor)
        self.pull()

    # Drawing

    def render_line(self, y: int) -> Strip:
        index = y + self.scroll_offset.y
        look = self._look()
        if index >= len(self._rows):
            empty = [Fragment(" no lines", Tone.MUTED)] if not len(self._rows) and y == 0 else []
            return paint(self.inks, empty, look.width)
        row = self._rows[index]
        line = self.shown[row.line]
        before = self.shown[row.line - 1].time if row.line else None
        current = not self._feed.following and row.line == self._current
        marked, selected = self._stands_out(row.line)
        return self._painter.row(line, Piece(row.start, row.end, before, current, marked, selected), look)

    # What a view that searches and selects knows beside

    def _restarted(self) -> None:
        """Places among the lines mean nothing any more."""

    def _moved(self) -> None:
        """Another line is the current one."""

    def _stands_out(self, place: int) -> tuple[bool, tuple[int, int] | None]:
        """Whether a line is marked, and which of its characters are selected."""
        return False, None

    def _tell(self) -> None:
        self.post_message(self.Changed())


def source_width(row: Row | None) -> int:
    """Room for the longest source of the row; none where all lines have the same one."""
    if row is None:
        return len("traffic")
    if row.worker is not None:
        return 0
    routes = row.snapshot.routes if row.route is None else (row.route,)
    longest = max((len(worker.name) for route in routes for worker in route.workers), default=1)
    return min(LONGEST_SOURCE, max(longest, len("traffic")) if row.route is None else longest)
