"""The main screen: places the panes, hands them the snapshot, and turns keys into commands.

Once a tick it asks the engine for its newest snapshot and the log view for new lines; nothing else polls.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar, cast

from textual import on
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.reactive import reactive
from textual.screen import Screen
from textual.widgets import Static

from routemq_tui.engine.log_filter import LogFilter
from routemq_tui.engine.port import EnginePort, LogLine
from routemq_tui.engine.snapshot import Snapshot
from routemq_tui.tui.bindings import bindings
from routemq_tui.tui.first_hint import HINT_SECONDS, FirstHint
from routemq_tui.tui.habits import Habits
from routemq_tui.tui.keys import CHANGING, KEY_BY_ID, KEYS_BY_ORDER, Group, Key, called
from routemq_tui.tui.main_layout import MainLayout
from routemq_tui.tui.net import Guarded, guard, guarded
from routemq_tui.tui.notices import Severity, Toast, Toasts
from routemq_tui.tui.orders import Order, Refused, count_problem, plan, plan_exact
from routemq_tui.tui.read_only import REASON as READ_ONLY
from routemq_tui.tui.row_order import RowOrder
from routemq_tui.tui.rows import EVERYTHING, Row, RowKey, key_named
from routemq_tui.tui.screens.columns_chooser import ColumnsChooser
from routemq_tui.tui.screens.confirm import Confirm
from routemq_tui.tui.screens.find_routes import find_routes
from routemq_tui.tui.screens.help import Wording, help_of_all
from routemq_tui.tui.screens.leaving import Leaving
from routemq_tui.tui.screens.log_desk import LogDesk
from routemq_tui.tui.screens.panes import Panes
from routemq_tui.tui.screens.prompt import Prompt
from routemq_tui.tui.screens.record_desk import RecordDesk
from routemq_tui.tui.surroundings import Surroundings
from routemq_tui.tui.widgets.detail import Detail, DetailHeading
from routemq_tui.tui.widgets.header import Header
from routemq_tui.tui.widgets.key_bar import KeyBar
from routemq_tui.tui.widgets.lines import Motion
from routemq_tui.tui.widgets.log_panes import LogPanes
from routemq_tui.tui.widgets.log_view import LogView
from routemq_tui.tui.widgets.route_table import RouteTable, TableHeading


class MainScreen(Guarded, Screen[None]):
    BINDINGS: ClassVar[list[BindingType]] = bindings()
    AUTO_FOCUS = "#routes-table"

    snapshot: reactive[Snapshot | None] = reactive(None, repaint=False)

    def __init__(
        self,
        engine: EnginePort,
        tick: float | None,
        habits: Habits,
    ) -> None:
        super().__init__()
        self._engine, self._tick, self._habits = engine, tick, habits
        self._toasts = Toasts()

    def compose(self) -> ComposeResult:
        yield Header(id="header")
        with Horizontal(id="body"):
            with Vertical(id="routes", classes="pane"):
                yield TableHeading(id="routes-heading", classes="heading")
                yield RouteTable(id="routes-table")
            with Vertical(id="detail", classes="pane"):
                yield DetailHeading(id="detail-heading", classes="heading")
                yield Detail(self._engine.history, id="detail-lines")
        yield LogPanes(self._engine.logs, self.fill, id="logs")
        yield FirstHint(id="hint")
        yield KeyBar(id="keys")
        yield Static("routemq needs more room:\nat least 60 columns and 15 lines.", id="too-small")

    def on_mount(self) -> None:
        self.table = self.query_one(RouteTable)
        self.table.changed, self.table.fill = self._show_selected, self.fill
        self._log_panes = self.query_one(LogPanes)
        self._header = self.query_one(Header)
        self._detail_heading, self._detail = self.query_one(DetailHeading), self.query_one(Detail)
        self.panes = Panes(self, self.layout_changed)
        self._layout = MainLayout(self._habits.memory, self)
        around = Surroundings(
            self._engine, self.fill, self._select_named, self._show_logs_at, self._habits.ui.read_only
        )
        self.records = RecordDesk(self, around, lambda: self.table.row, self._chosen_line, self._tell)
        self.desk = LogDesk(self, self._log_panes, self._tell, self.fill)
        self.bindings_updated_signal.subscribe(self, lambda _: self._show_keys())
        self._leaving = Leaving(cast(App[int], self.app), self._engine, self._habits)
        self.tick()
        self._layout.restore()
        if self._layout.wants_hint():
            self.query_one(FirstHint).show_names(self._habits.key_names())
            self.add_class("-hint")
            self.set_timer(HINT_SECONDS, self._hide_hint)
        if self._habits.ui.read_only:
            self.query_one(KeyBar).show_mark("read-only")
        if self._habits.memory.problem:
            self._tell(self._habits.memory.problem, "warning")
        if self._tick is not None:
            self.set_interval(self._tick, self.tick)

    # Once a tick

    def tick(self) -> None:
        """Take what the engine has that is new."""
        with self.app.batch_update():
            self.snapshot = self._engine.snapshot()
            guard(self, self._log_panes.pull)()

    def watch_snapshot(self, snapshot: Snapshot | None) -> None:
        if snapshot is None:
            return
        # One by one: what cannot show it keeps none of the others from that.
        for show in (self._header.show_snapshot, self.table.show_snapshot, self._tell_news):
            guard(self, show)(snapshot)
        self._leaving.show_snapshot(snapshot)

    def _tell_news(self, snapshot: Snapshot) -> None:
        for toast in self._toasts.take(snapshot):
            self._show_toast(toast)

    def _tell(self, text: str, severity: Severity) -> None:
        self._show_toast(Toast(self.fill(text), severity, 4.0))

    def _show_toast(self, toast: Toast) -> None:
        self.app.notify(toast.text, severity=toast.severity, timeout=toast.seconds, markup=False)

    def _show_selected(self) -> None:
        row = self.table.row
        self._detail_heading.show_row(row, self._detail.span)
        self._detail.show_row(row)
        self._log_panes.show_row(row)
        self._show_keys()

    @property
    def logs(self) -> LogView:
        """The one that keys work on."""
        return self._log_panes.active.view

    @property
    def log_panes(self) -> LogPanes:
        return self._log_panes

    def _show_keys(self) -> None:
        first = Group.LOGS if isinstance(self.focused, LogView) else None
        self.query_one(KeyBar).show_keys(lambda key: not self.refusal(key), self.display_of, first)

    # Keys

    def display_of(self, key: Key) -> str:
        """The key as it is bound now."""
        return self._habits.key_names().of(key)

    def help_of(self, key: Key) -> str:
        return self._habits.help_of(key)

    def fill(self, text: str) -> str:
        """A text that names keys by «id», with the keys as they are bound."""
        return self._habits.key_names().fill(text)

    def refusal(self, key: Key) -> str:
        """Why a key cannot do its work now; empty when it can."""
        if key.changes and self._habits.ui.read_only:
            return READ_ONLY
        if key.order:
            planned = plan(key.order, self.table.row)
            return planned.reason if isinstance(planned, Refused) else ""
        if key.action in ("open", "fold") and self.table.row is None:
            return "There is no route yet: put one in routemq.toml"
        return ""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """None (dim) for an order that cannot be given now."""
        if self._habits.ui.read_only and called(action, parameters) in CHANGING:
            return None
        if action == "order" or action == "exact":
            name = str(parameters[0]) if parameters else action
            return None if isinstance(plan(name, self.table.row), Refused) else True
        return True

    def refuse_key(self, name: str) -> bool:
        """Say why a key that is dim does nothing; False for every other key."""
        active = self.active_bindings.get(name)
        if active is None or active.enabled or active.binding.id not in KEY_BY_ID:
            return False
        self._refuse(self.refusal(KEY_BY_ID[active.binding.id]))
        return True

    def press_key(self, key: Key, meant: RowKey | None = None) -> None:
        """Do what the key does, from the palette or the bottom line.

        `meant`: the row that was selected when somebody began to choose; another one is not ordered about.
        """
        refusal = self.refusal(key)
        if key.changes and meant is not None and meant != self.table.selected:
            self._refuse(f"{meant.label} is gone")
        elif refusal:
            self._refuse(refusal)
        else:
            self.call_later(self.run_action, key.action)

    @on(KeyBar.Pressed)
    @guarded
    def _on_key_bar(self, event: KeyBar.Pressed) -> None:
        self.press_key(event.key)

    def _refuse(self, reason: str) -> None:
        self._tell(reason, "warning")

    @on(Header.Clicked)
    @guarded
    def _on_header(self, event: Header.Clicked) -> None:
        if event.target == "engine":
            self.table.select(EVERYTHING)
            self.panes.go("logs")
        elif event.target == "concern":
            self.table.select(RowKey(event.route))
        else:
            self.records.actions[event.target]()

    @on(FirstHint.Clicked)
    def _hide_hint(self) -> None:
        self.remove_class("-hint")

    # Orders to the engine

    def action_order(self, name: str) -> None:
        self._give(plan(name, self.table.row), KEYS_BY_ORDER[name].label)

    def action_exact(self) -> None:
        row = self.table.row
        if row is None or row.route is None:
            return
        route = row.route
        hint = f"0 to {route.max_workers} · now {route.desired} · Enter sets it · Esc leaves it"
        prompt = Prompt(f"Workers of {route.name}:", hint, partial(count_problem, route))
        self.app.push_screen(prompt, guard(self, partial(self._set_exact, route.name)))

    def _set_exact(self, name: str, text: str | None) -> None:
        if text:
            self._give(plan_exact(self._engine.snapshot(), name, text), f"Set {text}")

    def _give(self, order: Order | Refused, yes: str) -> None:
        if isinstance(order, Refused):
            self._refuse(order.reason)
        elif order.question:
            self.app.push_screen(
                Confirm(order.question, order.loss, f"Yes, {yes.lower()}"),
                guard(self, lambda answer: self._send(order) if answer else None),
            )
        else:
            self._send(order)

    def _send(self, order: Order) -> None:
        for command in order.commands:
            self._engine.send(command)

    def action_quit(self) -> None:
        self._leaving.quit()

    def action_quit_now(self) -> None:
        self._leaving.quit_now()

    # Panes

    def action_move(self, motion: str) -> None:
        focused = self.focused
        pane = focused if isinstance(focused, RouteTable | LogView | Detail) else self.table
        cast(Motion, pane).move(motion)

    def action_next_pane(self, step: int) -> None:
        self.panes.next(step)

    def action_pane(self, name: str) -> None:
        self.panes.go(name)

    def action_open(self) -> None:
        row = self.table.row
        if isinstance(self.focused, LogView):
            self.desk.open()
        elif self.focused is not self.table or row is None:
            return
        elif row.worker is not None:
            self.panes.zoom("detail")
            self.panes.focus("detail")
        else:
            self.table.toggle_fold()

    @on(RouteTable.Opened)
    @guarded
    def _on_opened(self) -> None:
        self.action_open()

    def action_span(self) -> None:
        self._detail.next_span()
        self._show_selected()

    def action_sort_next(self, step: int) -> None:
        self.table.sort_by_next(step)

    def action_sort_reverse(self) -> None:
        self.table.sort_by(self.table.order.sort.column or "name")

    @on(TableHeading.Clicked)
    @guarded
    def _on_heading(self, event: TableHeading.Clicked) -> None:
        self.table.sort_by(event.column)

    @on(RouteTable.Rearranged)
    @guarded
    def _show_heading(self) -> None:
        table = self.table
        self.query_one(TableHeading).show_columns(table.hidden, table.order.sort, table.order.wanted)
        self._layout.keep()

    def action_find_routes(self) -> None:
        find_routes(self.app, self.table)

    def action_columns(self) -> None:
        self.app.push_screen(ColumnsChooser(self.table.hidden, self.table.hide_columns, self.fill))

    def action_fold(self) -> None:
        self.table.toggle_fold()

    def action_zoom(self) -> None:
        self.panes.toggle_zoom()

    def action_back(self) -> None:
        """Out of a selection, then of a zoom, then to the routes, then without a filter."""
        if self.has_class("-hint"):
            self._hide_hint()
            return
        if self.logs.back():
            return
        if self.panes.leave_zoom():
            return
        if self.panes.focused != "routes":
            self.panes.focus("routes")
        elif self.table.order.wanted:
            self.table.show_only("")
        elif self.logs.filter.text:
            self.logs.set_filter(LogFilter().with_level(self.logs.filter.level))

    def select(self, key: RowKey) -> bool:
        """Select a row and go to it; says so when it is gone."""
        found = self.table.select(key)
        if found:
            self.panes.focus("routes")
        else:
            self._refuse(f"{key.label} is gone")
        return found

    def all_rows(self) -> list[Row]:
        return RowOrder().rows(self.snapshot) if self.snapshot is not None else []

    def on_descendant_focus(self) -> None:
        self.layout_changed()

    def layout_changed(self) -> None:
        self._layout.keep()

    def _select_named(self, name: str) -> bool:
        key = key_named(self.snapshot, name) if self.snapshot is not None else None
        return self.select(key or RowKey(name))

    def _show_logs_at(self, worker: str, time: float) -> None:
        """The logs of a worker, paused at the first line of a time."""
        if self._select_named(worker):
            self.panes.go("logs")
            self._log_panes.focus_first()
            self.logs.to_time(time)

    def _chosen_line(self) -> LogLine | None:
        """The line of the log that is looked at; None while another pane has the focus, or it follows."""
        at_logs = isinstance(self.focused, LogView) and not self.logs.status.following
        return self.logs.current if at_logs else None

    def action_records(self, name: str) -> None:
        self.records.actions[name]()

    def action_logs(self, name: str) -> None:
        self.desk.actions[name]()

    def action_help(self) -> None:
        self._hide_hint()
        self.app.push_screen(help_of_all(Wording(self.refusal, self.display_of, self.help_of, self.fill)))
