"""A list of records of which only those in sight are drawn; the selection stays on its record."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar, Generic, TypeVar

from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip

from routemq_tui.tui.tones import Fragment, Tone
from routemq_tui.tui.widgets.lines import TONE_CLASSES, Inks, Line, LineView, clipped, paint, visible_width

T = TypeVar("T")


class RecordList(LineView, Generic[T], inherit_bindings=False):
    COMPONENT_CLASSES: ClassVar[set[str]] = {"row--selected"} | TONE_CLASSES
    ALLOW_SELECT = False
    ALLOW_MAXIMIZE = False

    class Opened(Message):
        """A record was clicked twice."""

    def __init__(
        self,
        draw: Callable[[T, int], Line],
        key: Callable[[T], Hashable],
        changed: Callable[[], None],
        *,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id, can_focus=True)
        self.inks = Inks(self)
        self.empty = ""
        self._draw, self._key, self._changed = draw, key, changed
        self._records: Sequence[T] = ()
        self._cursor = 0
        self._touched = False

    @property
    def record(self) -> T | None:
        """The selected one."""
        return self._records[self._cursor] if self._records else None

    def show_records(self, records: Sequence[T]) -> None:
        """Show these; the selection stays on its record, or at the top until somebody has moved it.

        A list that was scrolled stays at the record it was scrolled to.
        """
        before, place, top = self.record, self._cursor, self.scroll_offset.y
        first = self._records[top] if 0 < top < len(self._records) else None
        was_in_sight = top <= place < top + self.size.height
        self._records = records
        self._cursor = 0
        if before is not None and self._touched:
            found = self._place_of(before)
            self._cursor = min(place, max(0, len(records) - 1)) if found is None else found
        self.virtual_size = Size(self.size.width, len(records))
        at = None if first is None else self._place_of(first)
        if at is not None and at != top:
            self.scroll_to(y=at, animate=False, force=True, immediate=True)
        if was_in_sight:
            self._keep_in_sight()
        self.refresh()
        self._changed()

    def _place_of(self, record: T) -> int | None:
        wanted = self._key(record)
        return next((place for place, each in enumerate(self._records) if self._key(each) == wanted), None)

    def select(self, key: Hashable) -> bool:
        for index, each in enumerate(self._records):
            if self._key(each) == key:
                self._go_to(index)
                return True
        return False

    def hold(self) -> None:
        """Somebody reads the selected one: it stays selected when newer ones come."""
        self._touched = True

    def move(self, motion: str) -> None:
        page, last = max(1, self.size.height - 1), len(self._records) - 1
        steps = {"up": -1, "down": 1, "page_up": -page, "page_down": page, "top": -last, "bottom": last}
        if motion in steps and last >= 0:
            self._go_to(max(0, min(last, self._cursor + steps[motion])))

    def _go_to(self, place: int) -> None:
        self.hold()
        self._cursor = place
        self._keep_in_sight()
        self.refresh()
        self._changed()

    def _keep_in_sight(self) -> None:
        if self.size.height:
            self.scroll_to_region(Region(0, self._cursor, 1, 1), animate=False, force=True, immediate=True)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self.inks.clear()

    def on_resize(self) -> None:
        self._keep_in_sight()

    def render_line(self, y: int) -> Strip:
        width, index = visible_width(self), y + self.scroll_offset.y
        if not self._records:
            words = textwrap.wrap(self.empty, max(8, width - 3))
            text = words[y - 1] if 1 <= y <= len(words) else ""
            return paint(self.inks, [Fragment(f"  {text}", Tone.MUTED)], width)
        if index >= len(self._records):
            return paint(self.inks, (), width)
        line = clipped(self._draw(self._records[index], width), width)
        return paint(self.inks, line, width, "row--selected" if index == self._cursor else "")

    def on_click(self, event: events.Click) -> None:
        index = event.y + self.scroll_offset.y
        if index < len(self._records):
            again = index == self._cursor and event.chain == 2
            self._go_to(index)
            if again:
                self.post_message(self.Opened())
