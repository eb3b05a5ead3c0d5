"""Log lines of which only those in sight are read and drawn; they follow their end, or are paused at a line.

While paused nothing on the screen moves and what comes is counted exactly. Filter and search go over all that
the store holds, in slices, so that keys are answered meanwhile. A view that cannot be seen does nothing.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip

from routemq_tui.engine.log_filter import LogFilter
from routemq_tui.engine.port import LogLine, LogReader
from routemq_tui.engine.time_limit import TooSlowError
from routemq_tui.tui.logs.feed import LogFeed
from routemq_tui.tui.logs.index import LogIndex
from routemq_tui.tui.logs.page import ALL, LogPage, LogRow
from routemq_tui.tui.logs.scan import LogWork
from routemq_tui.tui.logs.status import LogStatus
from routemq_tui.tui.logs.text import TimeMode
from routemq_tui.tui.rows import Row, RowKey
from routemq_tui.tui.tones import Fragment, Tone
from routemq_tui.tui.widgets.lines import TONE_CLASSES, Inks, LineView, paint, visible_width
from routemq_tui.tui.widgets.log_absence import absence
from routemq_tui.tui.widgets.log_painter import LogPainter, Look, Piece
from routemq_tui.tui.widgets.source_column import SourceColumn

ROOMY = 100
"""From this width on, lines have milliseconds and the whole word of their level."""
AT_ONCE, SLICE, REST = 0.02, 0.005, 0.002
"""Seconds: work that nobody notices, a slice of longer work, and the rest for keys and drawing after one."""
MOST_RESTS = 10
"""So often a slice waits while keys and drawing take more time than a rest has."""
SHOW_EVERY = 0.1


class LogCanvas(LineView, inherit_bindings=False):
    COMPONENT_CLASSES: ClassVar[set[str]] = {"row--current", "row--picked"} | TONE_CLASSES
    ALLOW_SELECT = False
    ALLOW_MAXIMIZE = False

    class Changed(Message):
        """The status is another one."""

    def __init__(self, reader: LogReader, fill: Callable[[str], str], *, id: str | None = None) -> None:
        """`fill` writes the keys of «ids» into a text."""
        super().__init__(id=id, can_focus=True)
        self._fill = fill
        self.inks = Inks(self)
        self._feed = LogFeed(reader)
        self._index = self._feed.index
        self._page = LogPage(self._index)
        self._work = LogWork(self._index)
        self._working = False
        self._painter = LogPainter(self.inks)
        self._sources = SourceColumn()
        self._shown_key: RowKey | None = None
        self._loaded = False
        self._now = 0.0
        self._mode = TimeMode.CLOCK
        self._wrap = False
        self._shift = 0
        self._search: re.Pattern[str] | None = None
        self._current = ALL
        """The `seq` of the current line; it, the next or the last one is drawn as such while paused."""

    @property
    def status(self) -> LogStatus:
        feed, index = self._feed, self._index
        return LogStatus(
            feed.following,
            feed.new,
            feed.missed,
            len(index),
            index.held,
            index.filter.text,
            index.filter.level,
            self._wrap,
            self._shift,
            self._search.pattern if self._search else "",
            self._work.told,
            index.skipped,
            0 if feed.following else self._page.let_go,
        )

    @property
    def filter(self) -> LogFilter:
        return self._index.filter

    @property
    def current(self) -> LogLine | None:
        """The line that keys work on; the last one while following."""
        return self._page.nearest(ALL if self._feed.following else self._current)

    # What is shown

    def show_row(self, row: Row | None) -> None:
        """Show the logs of a row, from the end when it is another one."""
        self._feed.sources = None if row is None else row.sources()
        self._now_of(row)
        key = None if row is None else row.key
        if key != self._shown_key:
            self._sources.begin()
        if self._sources.show_row(row) and self._wrap and key == self._shown_key:
            self._show_from_top()
        if key != self._shown_key or not self._loaded:
            self._shown_key, self._loaded = key, True
            self._start_again()

    def _now_of(self, row: Row | None) -> None:
        if row is not None and self._feed.following and row.snapshot.time != self._now:
            self._now = row.snapshot.time
            if self._mode is TimeMode.AGO:
                self.refresh()

    def set_filter(self, chosen: LogFilter) -> None:
        """Show other lines. Paused, the current line stays, or the one nearest to it."""
        near = ALL if self._feed.following else self._current
        self._feed.set_filter(chosen)
        self._restarted()
        self._page.empty()
        self._work.forget_search()
        self._work.came(near)
        if self._working:
            self._slice(AT_ONCE)  # what is nearest at once, though other work was under way
        self.work()
        self._show()

    def toggle_wrap(self) -> None:
        self._wrap, self._shift = not self._wrap, 0
        self._show_from_top()

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
        self._restarted()
        self._feed.follow()
        self._came()

    def clear(self) -> None:
        """Empty the view; the store keeps everything."""
        self._feed.clear()
        self._start_again()

    def _pause(self, current: int | None = None) -> None:
        if self._feed.following:
            last = self._page.rows[-1].line.seq if self._page.rows else ALL
            self._feed.pause()
            self._current = last if current is None else current
            self._tell()
            self.refresh()

    def pull(self) -> None:
        """Take what is new; cheap when nothing is, and free while the view is hidden."""
        if self._feed.idle or not self.size.height:
            return
        self._feed.look()
        self._came()

    def _came(self) -> None:
        self._work.came(ALL if self._feed.following else self._current)
        self.work()
        self._show()

    def _start_again(self) -> None:
        self._restarted()
        self._page.empty()
        self._work.forget_search()
        self._feed.reload()
        self._came()

    # Work over all lines

    def work(self) -> None:
        """Do what is to be done, at once or in slices."""
        if not self._working and self._slice(AT_ONCE):
            self._working = True
            self.run_worker(self._work_on(), group="log", exit_on_error=False)

    async def _work_on(self) -> None:
        shown = time.perf_counter()
        try:
            while self.size.height:
                await _others_rest()
                more = self._slice(SLICE)
                if not more or time.perf_counter() - shown > SHOW_EVERY:
                    self._show()
                    shown = time.perf_counter()
                if not more:
                    return
        finally:
            self._working = False

    def _slice(self, seconds: float) -> bool:
        """Work for so long; True when there is more to do. Without an expression that takes too long."""
        try:
            return self._work.slice(seconds)
        except TooSlowError:
            what = "search" if self._work.forget_search() else "filter"
            if what == "search":
                self._search = None
            else:
                self.set_filter(LogFilter(level=self.filter.level))
            self.app.notify(
                f"The {what} takes too long on a line, and is left out: make it simpler", severity="warning"
            )
            return self._work.under_way

    def cancel(self) -> bool:
        """Leave a filter or a search at what it has found; False when none is under way."""
        had = self._work.cancel()
        self._tell()
        return had

    # Rows and places

    def _look(self) -> Look:
        width = visible_width(self)
        patterns = [self._search] if self._search else []
        if self.filter.expression is not None and not self.filter.inverted:
            patterns.append(self.filter.expression)
        return Look(
            width,
            self._sources.width,
            width >= ROOMY,
            self._mode,
            self._now,
            self._wrap,
            self._shift,
            tuple(patterns),
        )

    def _fit(self) -> None:
        self._page.fit(self._look().text_width if self._wrap else 0, self.size.height)

    def _show(self) -> None:
        """Fill the page: with the end, or so that what is in sight stays where it is."""
        self._fit()
        page = self._page
        if self._feed.following:
            page.show_end()
        elif not page.rows:
            self._show_current()
        elif len(page.rows) < page.height or self._work.under_way:
            self._show_around()
        self._size_up()

    def _show_around(self) -> None:
        """The rows anew; the current line, or the one at the top, keeps its row."""
        at = self._page.row_of(self._current)
        row = self._page.rows[at or 0]
        self._page.show(row.line.seq, row.number, -(at or 0))

    def _show_from_top(self) -> None:
        """The rows anew, for another width or height."""
        top = self._page.rows[0] if self._page.rows else None
        self._fit()
        if self._feed.following or top is None:
            self._show()
            return
        self._page.show(top.line.seq, self._page.row_at(top.line, top.start))
        self._keep_current_in_sight()

    def _show_current(self) -> None:
        """The current line in the middle."""
        line = self._page.nearest(self._current)
        if line is not None:
            self._page.show(line.seq, 0, -(self._page.height // 2))

    def _keep_current_in_sight(self) -> None:
        rows = self._page.rows
        if rows:
            self._current = max(rows[0].line.seq, min(self._current, rows[-1].line.seq))
        self._moved()
        self._size_up()

    def _size_up(self) -> None:
        """Let the scroll bar say where the page is among all lines, draw, and tell."""
        if self._sources.see(row.line for row in self._page.rows) and self._wrap:
            self._show_from_top()
            return
        page, count = self._page, len(self._index)
        # The bar counts lines, not rows: only those in sight are ever wrapped.
        hidden = count - len({row.line.seq for row in page.rows})
        if hidden <= 0 and page.rows and not (page.at_end and page.at_top):
            hidden = 1
        size = Size(visible_width(self), page.height + hidden if hidden > 0 else len(page.rows))
        if size != self.virtual_size:
            self.virtual_size = size
        at_end = self._feed.following or page.at_end
        y = max(0, hidden) if at_end else self._index.before(page.rows[0].line.seq)
        if y != self.scroll_offset.y:
            self.scroll_to(y=y, animate=False, force=True, immediate=True)
        self._index.watch = page.rows[-1].line.seq if page.rows else self._index.mark
        self.refresh()
        self._tell()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self.inks.clear()

    def on_resize(self, event: events.Resize) -> None:
        self._show_from_top()
        self.pull()
        self.work()

    # Drawing

    def render_line(self, y: int) -> Strip:
        look = self._look()
        rows = self._page.rows
        if y >= len(rows):
            return paint(self.inks, self._why_empty() if not rows and y == 0 else [], look.width)
        row = rows[y]
        before = self._page.time_above(y) if self._mode is TimeMode.DELTA else None
        current = not self._feed.following and self._is_current(y)
        marked, selected = self._stands_out(row)
        fold = self._index.fold(row.line)
        piece = Piece(row.start, row.end, before, current, marked, selected, fold)
        return self._painter.row(row.line, piece, look)

    def _why_empty(self) -> list[Fragment]:
        if self._work.under_way:
            return [Fragment(f" {self._work.told}", Tone.MUTED)]
        index = self._index
        return [Fragment(f" {self._fill(absence(index.filter, index.held, index.cleared > 0))}", Tone.MUTED)]

    def _is_current(self, y: int) -> bool:
        """A row of the current line, or of the one nearest to it."""
        rows, wanted = self._page.rows, self._current
        nearest = next((row.line.seq for row in rows if row.line.seq >= wanted), rows[-1].line.seq)
        return rows[y].line.seq == nearest

    # What a view that searches and selects knows beside

    def _restarted(self) -> None:
        """Other lines are shown."""

    def _moved(self) -> None:
        """Another line is the current one."""

    def _stands_out(self, row: LogRow) -> tuple[bool, tuple[int, int] | None]:
        """Whether a line is marked, and which of its characters are selected."""
        return False, None

    def _tell(self) -> None:
        self.post_message(self.Changed())


async def filter_all(lines: LogIndex) -> None:
    """Filter what waits, so that all lines can be read; raises TooSlowError. Keys are answered meanwhile.

    Not in a thread: only here can a search be interrupted.
    """
    work = LogWork(lines)
    work.came(ALL)
    while work.slice(SLICE):
        await _others_rest()


async def _others_rest() -> None:
    """Wait until the loop had nothing else to do for the time of a rest, but not for ever."""
    for _ in range(MOST_RESTS):
        begun = time.perf_counter()
        await asyncio.sleep(REST)
        if time.perf_counter() - begun < 2 * REST:
            return
