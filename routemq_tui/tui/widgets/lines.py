"""Drawing lines of fragments: what all panes share. A line is painted from tones, never from colours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, Protocol

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.reactive import Reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from routemq_tui.engine.sanitise import harmless
from routemq_tui.tui.fitting import clip
from routemq_tui.tui.net import GuardedDrawing
from routemq_tui.tui.tones import Fragment, Tone

TONE_CLASSES = frozenset(f"tone--{tone}" for tone in Tone)
Line = Sequence[Fragment]
Draw = Callable[[int], Iterable[Line]]
"""Lines for a width."""


def nothing(width: int) -> Iterable[Line]:
    return ()


def visible_width(view: ScrollView) -> int:
    """Cells of a line that are seen: `size` of a scroll view counts its scroll bar too."""
    return view.scrollable_content_region.width


class Inks:
    """The styles of one widget by name, kept until its style changes: one costs more than a row of text."""

    def __init__(self, widget: Widget) -> None:
        self._widget = widget
        self._known: dict[tuple[str, str], Style] = {}

    def part(self, name: str) -> Style:
        """A component class alone."""
        return self._widget.get_component_rich_style(name, partial=True)

    def ground(self, ground: str = "") -> Style:
        """The widget's own style, under that of a component class."""
        return self._of("", ground)

    def ink(self, tone: Tone, ground: str = "") -> Style:
        return self._of(f"tone--{tone}", ground)

    def clear(self) -> None:
        self._known.clear()

    def _of(self, name: str, ground: str) -> Style:
        known = self._known.get((name, ground))
        if known is None:
            known = self._widget.rich_style
            for each in (ground, name):
                if each:
                    known += self.part(each)
            if ground and known.reverse:
                known = known.without_color  # in reverse each colour would be a patch of ground
            self._known[name, ground] = known
        return known


def paint(inks: Inks, fragments: Iterable[Fragment], width: int, ground: str = "") -> Strip:
    """The fragments in exactly `width` cells, on the widget's own ground or that of a component class."""
    # Topics and payloads come from anybody: none may send the terminal a sequence.
    segments = [
        Segment(text if text.isprintable() else harmless(text), inks.ink(tone, ground))
        for text, tone in fragments
        if text
    ]
    return Strip(segments).adjust_cell_length(width, inks.ground(ground))


def length(fragments: Iterable[Fragment]) -> int:
    return sum(cell_len(text) for text, _ in fragments)


def joined(parts: Iterable[Line], separator: str = "  ") -> list[Fragment]:
    """Parts one after the other, with a space between them."""
    line: list[Fragment] = []
    for part in parts:
        if line and part:
            line.append(Fragment(separator))
        line.extend(part)
    return line


def clipped(fragments: Line, width: int) -> list[Fragment]:
    """The fragments in at most `width` cells, with an ellipsis where they were cut."""
    kept: list[Fragment] = []
    left = width
    for text, tone in fragments:
        if cell_len(text) > left or (left == 0 and text):
            if left:
                kept.append(Fragment(clip(text, left), tone))
            break
        kept.append(Fragment(text, tone))
        left -= cell_len(text)
    return kept


def spread(left: Line, right: Line, width: int) -> list[Fragment]:
    """Left and right ends of a line; the right end is kept whole, the left one is cut for it."""
    room = width - length(right) - 1
    left = clipped(left, max(0, room))
    gap = max(1, width - length(left) - length(right))
    return clipped([*left, Fragment(" " * gap), *right], width)


def beside(left: Sequence[Line], right: Sequence[Line], half: int, width: int) -> list[Fragment]:
    """One row of two columns, of at most one line each; the right one begins at `half`."""
    begin = [fragment for line in left for fragment in line]
    gap = Fragment(" " * max(0, half - length(begin)))
    return clipped([*begin, gap, *(fragment for line in right for fragment in line)], width)


def changed_lines(before: Sequence[Line], now: Sequence[Line]) -> list[int]:
    """The numbers of the lines that differ; both have as many."""
    return [y for y, (old, new) in enumerate(zip(before, now, strict=True)) if old != new]


class Lines(GuardedDrawing, Widget):
    """A few lines that are drawn for the width there is; redrawn only when they differ."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(TONE_CLASSES)
    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.inks = Inks(self)
        self._draw: Draw = nothing
        self._lines: list[Line] = []

    def show(self, draw: Draw) -> None:
        """Show what `draw` gives for a width, now and after each resize."""
        self._draw = draw
        self._fill()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self.inks.clear()

    def on_resize(self) -> None:
        self._fill()

    def _fill(self) -> None:
        before, self._lines = self._lines, list(self._draw(self.size.width))
        if len(before) != len(self._lines):
            self.refresh()
            return
        for y in changed_lines(before, self._lines):
            self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        line = self._lines[y] if y < len(self._lines) else ()
        return paint(self.inks, line, self.size.width)


class Motion(Protocol):
    """A pane that the moving keys move in."""

    def move(self, motion: str) -> None:
        """`up down left right page_up page_down top bottom`."""


class LineView(GuardedDrawing, ScrollView, inherit_bindings=False):
    """A scroll view that has its place whatever it shows: another length is no new layout of the screen."""

    virtual_size: Reactive[Size] = Reactive(Size(0, 0))

    def watch_virtual_size(self, size: Size) -> None:
        if self.show_vertical_scrollbar:
            self.vertical_scrollbar.window_virtual_size = size.height
        if self.scroll_y > self.max_scroll_y:
            self.scroll_to(y=self.max_scroll_y, animate=False, force=True, immediate=True)


class ScrolledLines(LineView, inherit_bindings=False):
    """Lines that may be longer than the pane is high."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(TONE_CLASSES)
    ALLOW_SELECT = False
    ALLOW_MAXIMIZE = False

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, can_focus=True)
        self.inks = Inks(self)
        self._draw: Draw = nothing
        self._lines: list[Line] = []

    def show(self, draw: Draw) -> None:
        """Show what `draw` gives for a width; costs nothing while the pane is hidden."""
        self._draw = draw
        if self.is_on_screen:
            self._fill()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self.inks.clear()

    def on_resize(self) -> None:
        self._fill()

    def on_show(self) -> None:
        self._fill()

    def _fill(self) -> None:
        before, self._lines = self._lines, list(self._draw(visible_width(self)))
        if len(before) != len(self._lines):
            self.virtual_size = self.virtual_size.with_height(len(self._lines))
            self.refresh()
            return
        for y in changed_lines(before, self._lines):
            self.refresh_line(y)

    def move(self, motion: str) -> None:
        page = max(1, self.size.height - 1)
        steps = {"up": -1, "down": 1, "page_up": -page, "page_down": page, "left": 0, "right": 0}
        target = {"top": 0, "bottom": self.max_scroll_y}.get(motion, self.scroll_y + steps.get(motion, 0))
        self.scroll_to(y=target, animate=False, immediate=True)

    def render_line(self, y: int) -> Strip:
        index = y + self.scroll_offset.y
        line = self._lines[index] if index < len(self._lines) else ()
        return paint(self.inks, line, visible_width(self))
