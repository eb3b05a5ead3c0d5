"""What the log keys do: the prompts they open, what they tell, and where copies and exports go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from routemq_tui.engine.log_filter import LogFilter, expression_of
from routemq_tui.engine.time_limit import TooSlowError
from routemq_tui.tui.logs.export import name_problem, proposed_name, write_lines
from routemq_tui.tui.logs.index import LogIndex
from routemq_tui.tui.logs.moment import HINT, moment_problem, parse_moment
from routemq_tui.tui.net import guard
from routemq_tui.tui.notices import Severity
from routemq_tui.tui.screens.log_line import LogLineScreen
from routemq_tui.tui.screens.prompt import Prompt
from routemq_tui.tui.screens.prompt_history import PromptHistory
from routemq_tui.tui.widgets.log_canvas import filter_all
from routemq_tui.tui.widgets.log_panes import LogPanes
from routemq_tui.tui.widgets.log_view import LogView

if TYPE_CHECKING:
    from routemq_tui.tui.screens.main import MainScreen

LEVELS = (0, 20, 30, 40)
ERRORS = LogFilter(level=40)
FILTER_HINT = "lines that match · !text: the others · empty: all · Enter keeps · Esc undoes"
SEARCH_HINT = (
    "Enter goes to the match above · «search.next» «search.previous» to the next ones · empty ends it · "
    "Esc leaves it"
)
DEBOUNCE = 0.15
"""Seconds from the last key until a filter is applied: it may go over a million lines."""
EXPORT_HINT = "Enter writes the lines of the view to this new file · Esc leaves it"

Tell = Callable[[str, Severity], None]


class LogDesk:
    def __init__(self, screen: MainScreen, panes: LogPanes, tell: Tell, fill: Callable[[str], str]) -> None:
        """`tell` and `fill` write the keys of «ids» into a text."""
        self._screen, self._panes, self._tell, self._fill = screen, panes, tell, fill
        self._filters, self._searches, self._moments = PromptHistory(), PromptHistory(), PromptHistory()
        self.actions: dict[str, Callable[[], None]] = {
            "filter": self.filter,
            "search": self.search,
            "next": lambda: self.match(1),
            "previous": lambda: self.match(-1),
            "next_error": lambda: self.error(1),
            "previous_error": lambda: self.error(-1),
            "level": self.level,
            "follow": lambda: self._logs.toggle_follow(),
            "wrap": lambda: self._logs.toggle_wrap(),
            "time": lambda: self._logs.next_time_mode(),
            "jump": self.jump,
            "mark": lambda: self._logs.toggle_mark(),
            "next_mark": self.next_mark,
            "select": lambda: self._logs.toggle_selecting(),
            "copy": self.copy,
            "export": self.export,
            "clear": lambda: self._logs.clear(),
            "split": self.split,
            "unsplit": self.unsplit,
        }

    @property
    def _logs(self) -> LogView:
        return self._panes.active.view

    def open(self) -> None:
        """A traceback in its place, or folded again; any other line whole, over the screen."""
        logs = self._logs
        if logs.turn_fold():
            return
        line = logs.current
        if line is None:
            self._tell("There is no line to open", "warning")
            return

        def closed(wanted: str | None) -> None:
            if wanted:
                self._screen.records.actions[wanted]()

        logs.hold()
        self._screen.app.push_screen(
            LogLineScreen(line, logs.below(line), self._fill), guard(self._screen, closed)
        )

    def jump(self) -> None:
        """To a time."""
        logs, now = self._logs, self._now()

        def chosen(text: str | None) -> None:
            if text and not logs.to_time(parse_moment(text, now)):
                self._tell("There is no line yet", "warning")

        self._ask(
            Prompt("Go to:", HINT, lambda text: moment_problem(text, now), history=self._moments), chosen
        )

    def split(self) -> None:
        row = self._panes.active.row
        problem = self._panes.split(row) if row is not None else "There is no route yet"
        if problem:
            self._tell(problem, "warning")
        self._screen.layout_changed()

    def unsplit(self) -> None:
        if not self._panes.unsplit():
            self._tell("There is one pane of logs: «split» keeps its lines in another", "warning")
        self._screen.layout_changed()

    def _now(self) -> float:
        row = self._panes.active.row
        return time.time() if row is None else row.snapshot.time

    def filter(self) -> None:
        logs = self._logs
        before = logs.filter

        def show(wanted: LogFilter) -> None:
            if wanted != logs.filter or logs.status.skipped:
                logs.set_filter(wanted)

        def typed(text: str) -> None:
            show(LogFilter.parse(text, before.level))

        def chosen(text: str | None) -> None:
            show(before if text is None else LogFilter.parse(text, before.level))

        self._ask(
            Prompt(
                "Filter:",
                FILTER_HINT,
                filter_problem,
                before.text,
                live=typed,
                delay=DEBOUNCE,
                patient=True,
                history=self._filters,
            ),
            chosen,
        )

    def search(self) -> None:
        logs = self._logs

        def chosen(text: str | None) -> None:
            if text is not None:
                logs.set_search(expression_of(text) if text else None)
                if text:
                    self._to_match(logs, 0)

        self._ask(
            Prompt(
                "Search:",
                self._fill(SEARCH_HINT),
                search_problem,
                logs.status.search,
                patient=True,
                history=self._searches,
            ),
            chosen,
        )

    def match(self, step: int) -> None:
        """To a match of the last search; asks for one when there is none."""
        if self._logs.status.search:
            self._to_match(self._logs, step)
        else:
            self.search()

    def _to_match(self, logs: LogView, step: int) -> None:
        logs.find_match(step, self._went(step, f"No line here matches {logs.status.search}"))

    def error(self, step: int) -> None:
        self._logs.find(ERRORS, step, self._went(step, "No error among the lines here"), True)

    def next_mark(self) -> None:
        self._went(1, "No line is marked: «mark» marks one")(self._logs.find_mark())

    def _went(self, step: int, none: str) -> Callable[[bool | None], None]:
        """What is told where a search has ended."""

        def told(round_the_end: bool | None) -> None:
            if round_the_end is None:
                self._tell(none, "warning")
            elif round_the_end and step:
                self._tell("On from the first line" if step > 0 else "On from the last line", "information")

        return told

    def level(self) -> None:
        chosen = self._logs.filter
        now = LEVELS.index(chosen.level)
        self._logs.set_filter(chosen.with_level(LEVELS[(now + 1) % len(LEVELS)]))

    def copy(self) -> None:
        text = self._logs.selected_text()
        if text is None:
            self._tell(
                "Choose a line first: «follow» pauses, «move.down» «move.up» go to it, «select» selects more",
                "warning",
            )
            return
        self._screen.app.copy_to_clipboard(text)
        self._logs.unselect()

    def export(self) -> None:
        row = self._panes.active.row
        title = "logs" if row is None else row.key.label
        name = proposed_name(title, row.snapshot.time if row is not None else 0.0)
        lines = self._logs.all_lines()
        if not len(lines) and not lines.waiting:
            self._tell("There is no line to export", "warning")
            return

        def chosen(text: str | None) -> None:
            if text:
                self._screen.run_worker(self._write(text, lines), exit_on_error=False)

        count = "the lines that match" if lines.waiting else f"{len(lines)} lines"
        self._ask(Prompt(f"Export {count} to:", EXPORT_HINT, name_problem, name), chosen)

    async def _write(self, name: str, lines: LogIndex) -> None:
        try:
            await filter_all(lines)
            path = await asyncio.to_thread(write_lines, name, lines.lines())
        except TooSlowError:
            self._tell(f"Nothing exported to {name}: the filter takes too long on a line", "error")
        except OSError as error:
            self._tell(f"Nothing exported to {name}: {error.strerror}", "error")
        else:
            self._tell(f"{len(lines)} lines written to {path}", "information")

    def _ask(self, prompt: Prompt, answer: Callable[[str | None], None]) -> None:
        self._screen.app.push_screen(prompt, guard(self._screen, answer))


def search_problem(text: str) -> str:
    """What is wrong with an expression; empty when nothing is."""
    try:
        expression_of(text)
    except ValueError as error:
        return str(error)
    return ""


def filter_problem(text: str) -> str:
    return search_problem(text.removeprefix("!"))
