"""A full screen of records: a list above, all of the selected one below. Errors, messages, dead letters."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import ClassVar, Generic, TypeVar

from rich.cells import cell_len
from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import Screen

from routemq_tui.tui.bindings import bindings
from routemq_tui.tui.dialog_keys import PLACED_KEYS, Place
from routemq_tui.tui.net import Guarded, guard, guarded
from routemq_tui.tui.payload_text import View
from routemq_tui.tui.record_columns import RecordColumn, heading_line, record_line
from routemq_tui.tui.screens.confirm import Confirm
from routemq_tui.tui.screens.help import help_of_place
from routemq_tui.tui.screens.prompt import Prompt
from routemq_tui.tui.surroundings import Surroundings
from routemq_tui.tui.tones import Fragment, Tone
from routemq_tui.tui.widgets.key_bar import KeyBar
from routemq_tui.tui.widgets.lines import Line, Lines, ScrolledLines, clipped, spread
from routemq_tui.tui.widgets.record_list import RecordList

T = TypeVar("T")
REFRESH = 0.25


class RecordsScreen(Guarded, Screen[None], Generic[T]):
    BINDINGS: ClassVar[list[BindingType]] = bindings(Place.RECORDS)
    AUTO_FOCUS = "#records-list"
    TITLE_TEXT = ""
    FILTER_HINT = "text · empty: all · Esc undoes"
    HINT = ""
    HOLDS = False
    """The first record stays selected when newer ones come, as one does that somebody has gone to."""

    def __init__(self, around: Surroundings, wanted: str = "", select: Hashable = None) -> None:
        """`wanted` filters from the start; `select` is the key of the record to begin with."""
        super().__init__()
        self.around = around
        self.wanted = self._came_with = wanted
        self.view = View.BEST
        self._select = select
        self._found: Sequence[T] | None = None
        self._filtered_by = ""
        self._detailed: Hashable = None
        """The key of the record below the list."""
        self._shown = 0
        self._all = 0

    # What a kind of records says

    def load(self) -> Sequence[T]:
        """All records, the newest first; the same list as before when nothing in it would look otherwise."""
        raise NotImplementedError

    def columns(self) -> Sequence[RecordColumn[T]]:
        raise NotImplementedError

    def key(self, record: T) -> Hashable:
        raise NotImplementedError

    def passes(self, record: T, words: Sequence[str]) -> bool:
        """Whether a record has all the words."""
        raise NotImplementedError

    def detail(self, record: T, width: int) -> list[Line]:
        raise NotImplementedError

    def text(self, record: T) -> str:
        """What is copied."""
        return "\n".join("".join(part.text for part in line).rstrip() for line in self.detail(record, 200))

    def empty(self) -> str:
        return "Nothing yet."

    # The screen

    def compose(self) -> ComposeResult:
        yield Lines(id="records-title", classes="heading")
        yield Lines(id="records-heading")
        with Vertical(id="records-body"):
            draw = partial(record_line, self.columns())
            yield RecordList(draw, self.key, self._changed, id="records-list")
            yield ScrolledLines(id="records-detail")
        yield Lines(id="records-hint")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        # The list has one cell less: its scroll bar.
        heading = partial(heading_line, self.columns())
        self.query_one("#records-heading", Lines).show(lambda width: [heading(width - 1)])
        self.query_one("#records-hint", Lines).show(self._hint)
        self.refresh_records()
        if self._select is not None:
            self.records.select(self._select)
        if self.HOLDS:
            self.records.hold()
        self.set_interval(REFRESH, self.refresh_records)

    def _hint(self, width: int) -> list[Line]:
        """As many keys as fit, and always that which shows all."""
        *parts, last = self.around.fill(f"{self.HINT} · «help» all keys").split(" · ")
        while parts and cell_len(" · ".join([*parts, last])) + 1 > width:
            parts.pop()
        return [clipped([Fragment(f" {' · '.join([*parts, last])}", Tone.MUTED)], width)]

    @property
    def records(self) -> RecordList[T]:
        return self.query_one("#records-list", RecordList)

    @property
    def detail_view(self) -> ScrolledLines:
        return self.query_one("#records-detail", ScrolledLines)

    @guarded
    def refresh_records(self) -> None:
        found = self.load()
        if found is self._found and self.wanted == self._filtered_by:
            self._show_title()
            return
        self._found, self._filtered_by = found, self.wanted
        words = self.wanted.lower().split()
        shown = [each for each in found if self.passes(each, words)] if words else found
        self._all, self._shown = len(found), len(shown)
        self.records.empty = self.empty() if not found else f"None of {len(found):,} has {self.wanted!r}."
        self.records.show_records(shown)
        self._show_title()

    def _show_title(self) -> None:
        self.query_one("#records-title", Lines).show(self._title)

    def _title(self, width: int) -> list[Line]:
        count = f"{self._shown:,}" if not self.wanted else f"{self._shown:,} of {self._all:,}"
        left: list[Fragment] = [
            Fragment(f" {self.TITLE_TEXT} ", Tone.TITLE),
            Fragment(f" {count} ", Tone.MUTED),
        ]
        if self.wanted:
            left.append(Fragment(f" only: {self.wanted} ", Tone.ACCENT))
        return [spread([*left, *self.more_title()], [Fragment("Esc back ", Tone.MUTED)], width)]

    def more_title(self) -> Line:
        return ()

    def _changed(self) -> None:
        record = self.records.record
        key = None if record is None else self.key(record)
        if key != self._detailed:
            self._detailed = key
            self.detail_view.move("top")
        self.detail_view.show(lambda width: [] if record is None else self._cut(record, width))

    def _cut(self, record: T, width: int) -> list[Line]:
        return [clipped(line, width) for line in self.detail(record, width)]

    # Keys

    def action_move(self, motion: str) -> None:
        if self.focused is self.detail_view:
            self.detail_view.move(motion)
        else:
            self.records.move(motion)

    def action_back(self) -> None:
        if self.has_class("-open"):
            self._open(False)
        elif self.wanted not in ("", self._came_with):  # one that was typed here
            self.wanted = self._came_with
            self.refresh_records()
        else:
            self.dismiss(None)

    def action_open(self) -> None:
        self._open(not self.has_class("-open"))

    @on(RecordList.Opened)
    @guarded
    def _on_opened(self) -> None:
        self.action_open()

    def _open(self, wide: bool) -> None:
        """The selected record alone, or beside the list."""
        self.set_class(wide and self.records.record is not None, "-open")
        if wide:
            self.records.hold()
        self.set_focus(self.detail_view if self.has_class("-open") else self.records)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        if event.widget is self.detail_view:
            self.records.hold()

    def action_switch(self) -> None:
        self.records.hold()
        self.set_focus(self.records if self.focused is self.detail_view else self.detail_view)

    def action_filter(self) -> None:
        before = self.wanted
        hint = self.around.fill(self.FILTER_HINT)
        prompt = Prompt(f"{self.TITLE_TEXT}:", hint, self.problem, before, live=self._filter_by)
        chosen = guard(self, lambda text: self._filter_by(before if text is None else text))
        self.app.push_screen(prompt, chosen)

    def problem(self, text: str) -> str:
        """What is wrong with a filter."""
        return ""

    def _filter_by(self, text: str) -> None:
        self.wanted = text.strip()
        self.refresh_records()

    def action_copy(self) -> None:
        if (record := self.records.record) is not None:
            self.app.copy_to_clipboard(self.text(record))

    def action_help(self) -> None:
        mine = [
            key for key in PLACED_KEYS[Place.RECORDS] if hasattr(self, f"action_{key.action.split('(')[0]}")
        ]
        mine.sort(key=lambda key: key.id.startswith("move."))
        self.app.push_screen(help_of_place(self.TITLE_TEXT, mine, self.around.fill))

    def action_view(self) -> None:
        self.view = self.view.next
        self._changed()

    def ask(self, question: str, loss: str, yes: str, then: Callable[[], None]) -> None:
        answered = guard(self, lambda answer: then() if answer else None)
        self.app.push_screen(Confirm(question, loss, yes), answered)

    def go_to_logs(self, worker: str, time: float) -> None:
        if self._leave_for(worker):
            self.around.show_logs(worker, time)

    def go_to_worker(self, name: str) -> None:
        if self._leave_for(name):
            self.around.select(name)

    def _leave_for(self, name: str) -> bool:
        """Back to the main screen, whichever way led here; not for a worker that is gone."""
        if not self.around.is_there(name):
            self.app.notify(f"{name} is gone", severity="warning", markup=False)
            return False
        while isinstance(self.app.screen, RecordsScreen):
            self.app.pop_screen()
        return True
