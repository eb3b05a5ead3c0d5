"""The logs of the selection: a ring of lines of which only those in sight are drawn.

Scrolling up pauses. While paused nothing on the screen moves, and what comes is counted exactly; at the end
it follows again. The view reads from the engine's store in batches and only while it can be seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollDown, ScrollTo, ScrollUp
from textual.strip import Strip

from routemq_tui.engine.port import LogLine, LogReader
from routemq_tui.tui.log_buffer import LogBuffer, LogFilter
from routemq_tui.tui.log_text import body_of, breaks, prefix_of, safe
from routemq_tui.tui.rows import Row, RowKey
from routemq_tui.tui.tones import Fragment, Tone
from routemq_tui.tui.widgets.lines import TONE_CLASSES, length, paint, visible_width

BATCH = 10_000
BATCHES_A_TICK = 6
"""While paused, so many batches are counted a tick; the rest waits for the next one."""
ROOMY = 100
"""From this width on, lines have milliseconds and the whole word of their level."""
LONGEST_SOURCE = 20
PAST_END = 1 << 62
WHEEL = 3
"""Lines a turn of the mouse wheel moves."""


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


class LogView(ScrollView, inherit_bindings=False):
    COMPONENT_CLASSES: ClassVar[set[str]] = set(TONE_CLASSES)
    ALLOW_SELECT = False
    ALLOW_MAXIMIZE = False

    class Changed(Message):
        """The status is another one."""

    def __init__(self, reader: LogReader, *, id: str | None = None, capacity: int = 10_000) -> None:
        super().__init__(id=id, can_focus=True)
        self._reader = reader
        self._buffer = LogBuffer(capacity)
        self._sources: frozenset[str] | None = None
        self._source_width = 0
        self._shown_key: RowKey | None = None
        self._loaded = False
        self._next = 0
        self._seen = -1
        self._cleared = 0
        self._following = True
        self._whole = True
        self._new = 0
        self._missed = 0
        self._wrap = False
        self._shift = 0
        self._rows: list[tuple[int, int]] = []
        self._rows_width = 0

    @property
    def status(self) -> LogStatus:
        chosen = self._buffer.filter
        return LogStatus(
            self._following,
            self._new,
            self._missed,
            len(self._buffer.shown),
            len(self._buffer.lines),
            chosen.text,
            chosen.level,
            self._wrap,
            self._shift,
        )

    @property
    def filter(self) -> LogFilter:
        return self._buffer.filter

    # What is shown

    def show_row(self, row: Row | None) -> None:
        """Show the logs of a row, from the end when it is another one."""
        sources = None if row is None else row.sources()
        self._source_width = source_width(row)
        self._sources = sources
        key = None if row is None else row.key
        if key != self._shown_key or not self._loaded:
            self._shown_key, self._loaded = key, True
            self._reload()

    def set_filter(self, chosen: LogFilter) -> None:
        self._buffer.set_filter(chosen)
        self._reload()

    def toggle_wrap(self) -> None:
        anchor = self._anchor()
        self._wrap, self._shift = not self._wrap, 0
        self._lay_out()
        self._return_to(anchor)

    def toggle_follow(self) -> None:
        if self._following:
            self._pause()
        else:
            self.follow()

    def follow(self) -> None:
        """Go to the end and stay there."""
        if not self._whole:
            self._reload()
            return
        self._following, self._new, self._missed = True, 0, 0
        self._to_end()
        self._tell()

    def clear(self) -> None:
        """Empty the view; the store keeps everything."""
        self._cleared = self._reader.last_seq
        self._reload()

    def _pause(self) -> None:
        if self._following:
            self._following = False
            self._tell()

    # Taking lines in

    def pull(self) -> None:
        """Take what is new; cheap when nothing is, and free while the view is hidden."""
        last = self._reader.last_seq
        if last == self._seen or not self.size.height:
            return
        self._seen = last
        if self._following:
            self._take_newest()
        else:
            self._take_in_order()
        self._tell()

    def _reload(self) -> None:
        """Start again from the newest lines of the store."""
        self._buffer.clear()
        self._next, self._seen = self._cleared, self._reader.last_seq
        self._following, self._whole, self._new, self._missed = True, True, 0, 0
        self._rows = []
        self._take_newest()
        self._tell()

    def _take_newest(self) -> None:
        batch = self._reader.read(self._sources, self._next, BATCH, newest=True)
        if batch.more:
            # Lines between the last ones and these are passed over: the view starts again with these.
            self._buffer.clear()
            self._rows = []
        self._next = max(self._next, batch.next_seq)
        change = self._buffer.extend(batch.lines)
        if change.evicted or self._rows_width != visible_width(self) or not self._rows:
            self._lay_out()
        else:
            self._append_rows(len(change.added))
        self._to_end()

    def _take_in_order(self) -> None:
        """Paused: keep lines while there is room below, count them all."""
        for _ in range(BATCHES_A_TICK):
            batch = self._reader.read(self._sources, self._next, BATCH)
            self._next = max(self._next, batch.next_seq)
            self._missed += batch.missed
            if self._whole and not batch.missed:
                change = self._buffer.extend(batch.lines, paused=True)
                self._whole = change.kept
                self._new += len(change.added)
                if change.kept:
                    self._append_rows(len(change.added))
            else:
                self._whole = False
                self._new += sum(1 for line in batch.lines if self._buffer.filter.passes(line))
            if not batch.more:
                return
        self._seen = -1

    # Rows: one a line, or several when lines are wrapped

    def _text_width(self) -> int:
        return max(8, visible_width(self) - self._prefix_width() - 1)

    def _prefix_width(self) -> int:
        roomy = visible_width(self) >= ROOMY
        source = self._source_width + 1 if self._source_width else 0
        return (20 if roomy else 12) + source

    def _lay_out(self) -> None:
        self._rows, self._rows_width = [], visible_width(self)
        self._append_rows(len(self._buffer.shown))

    def _append_rows(self, count: int) -> None:
        """Rows for the last `count` lines shown."""
        shown = self._buffer.shown
        first = len(shown) - count
        if self._wrap:
            width = self._text_width()
            for index in range(first, len(shown)):
                self._rows.extend((index, start) for start in breaks(safe(shown[index].text), width))
        else:
            self._rows.extend((index, 0) for index in range(first, len(shown)))
        self.virtual_size = Size(visible_width(self), len(self._rows))
        self.refresh()

    def _to_end(self) -> None:
        self.set_scroll_y(max(0, len(self._rows) - self.size.height))
        self.refresh()

    def set_scroll_y(self, y: int) -> None:
        self.scroll_to(y=y, animate=False, force=True, immediate=True)

    def _anchor(self) -> int:
        """The `seq` of the line at the top; beyond the last one while following."""
        top = self.scroll_offset.y
        if self._following or top >= len(self._rows):
            return PAST_END
        return self._buffer.shown[self._rows[top][0]].seq

    def _return_to(self, seq: int) -> None:
        if seq == PAST_END:
            self._to_end()
        else:
            line = self._buffer.place_of(seq)
            row = next((place for place, (index, _) in enumerate(self._rows) if index >= line), 0)
            self.set_scroll_y(row)
        self._tell()

    # Moving

    def move(self, motion: str) -> None:
        if motion in ("left", "right"):
            step = 8 if motion == "right" else -8
            self._shift = 0 if self._wrap else max(0, self._shift + step)
            self._tell()
            self.refresh()
        elif motion == "bottom":
            self.follow()
        else:
            page = max(1, self.size.height - 1)
            steps = {"up": -1, "down": 1, "page_up": -page, "page_down": page, "top": -len(self._rows)}
            self._go(round(self.scroll_y) + steps[motion])

    def _go(self, y: int) -> None:
        """Scroll because somebody wants to: up pauses, down to the end follows again."""
        end = len(self._rows) - self.size.height
        if y < round(self.scroll_y):
            self._pause()
        elif y >= end and not self._following:
            self.follow()
            return
        if self._following:
            self._to_end()
        else:
            self.set_scroll_y(max(0, min(y, end)))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._taken(event)
        self._go(round(self.scroll_y) - WHEEL)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._taken(event)
        self._go(round(self.scroll_y) + WHEEL)

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

    def on_resize(self, event: events.Resize) -> None:
        anchor = self._anchor()
        self._lay_out()
        self._return_to(anchor)
        self.pull()

    # Drawing

    def render_line(self, y: int) -> Strip:
        row = y + self.scroll_offset.y
        width = visible_width(self)
        if row >= len(self._rows):
            empty = [Fragment(" no lines", Tone.MUTED)] if not self._rows and y == 0 else []
            return paint(self, empty, width)
        index, start = self._rows[row]
        line = self._buffer.shown[index]
        prefix = prefix_of(line, self._source_width, width >= ROOMY)
        if start:
            prefix = [Fragment(" " * self._prefix_width())]
        room = width - length(prefix)
        return Strip.join([paint(self, prefix, length(prefix)), self._body(line, start, room)])

    def _body(self, line: LogLine, start: int, room: int) -> Strip:
        """The part of the text that belongs on this row, in exactly `room` cells."""
        text = body_of(line)
        if self._wrap:
            starts = breaks(text.plain, self._text_width())
            end = next((each for each in starts if each > start), len(text.plain))
        else:
            start = self._shift
            end = start + 4 * room
        tone = Tone.MUTED if line.stream == "event" and line.level < 30 else Tone.TEXT
        ground = self.rich_style + self.get_component_rich_style(f"tone--{tone}", partial=True)
        strip = Strip(self._segments(text, start, end, ground))
        if strip.cell_length < room or (strip.cell_length == room and len(text.plain) <= end):
            return strip.adjust_cell_length(room, ground)
        return Strip.join([strip.adjust_cell_length(room - 1, ground), Strip([Segment("…", ground)], 1)])

    def _segments(self, text: Text, start: int, end: int, ground: Style) -> list[Segment]:
        piece = text[start:end]
        match = self.get_component_rich_style("tone--match", partial=True)
        for begin, stop in self._buffer.filter.spans(text.plain[: end + 1_000]):
            if stop > start and begin < end:
                piece.stylize(match, max(0, begin - start), stop - start)
        return [
            Segment(part, ground + style if style else ground)
            for part, style, _ in piece.render(self.app.console)
            if part
        ]

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
