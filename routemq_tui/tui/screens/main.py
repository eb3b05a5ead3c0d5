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
from textual.widget import Widget
from textual.widgets import Static

from routemq_tui.engine.log_filter import LogFilter
from routemq_tui.engine.port import EnginePort
from routemq_tui.engine.snapshot import Snapshot
from routemq_tui.tui.bindings import bindings
from routemq_tui.tui.first_hint import HINT_SECONDS, FirstHint
from routemq_tui.tui.habits import Habits
from routemq_tui.tui.keys import CHANGING, KEY_BY_ID, KEYS_BY_ORDER, Group, Key, called
from routemq_tui.tui.main_layout import MainLayout
from routemq_tui.tui.notices import Severity, Toast, Toasts
from routemq_tui.tui.orders import Order, Refused, count_problem, plan, plan_exact
from routemq_tui.tui.read_only import REASON as READ_ONLY
from routemq_tui.tui.row_order import RowOrder
from routemq_tui.tui.rows import Row, RowKey
from routemq_tui.tui.screens.columns_chooser import ColumnsChooser
from routemq_tui.tui.screens.confirm import Confirm
from routemq_tui.tui.screens.help import Help, Wording
from routemq_tui.tui.screens.leaving import Leaving
from routemq_tui.tui.screens.log_desk import LogDesk
from routemq_tui.tui.screens.prompt import Prompt
from routemq_tui.tui.screens.record_desk import RecordDesk
from routemq_tui.tui.surroundings import Surroundings
from routemq_tui.tui.widgets.detail import Detail, DetailHeading
from routemq_tui.tui.widgets.header import Header
from routemq_tui.tui.widgets.key_bar import KeyBar
from routemq_tui.tui.widgets.lines import Motion
from routemq_tui.tui.widgets.log_strip import LogStrip
from routemq_tui.tui.widgets.log_view import LogView
from routemq_tui.tui.widgets.route_table import RouteTable, TableHeading

PANES = ("routes", "detail", "logs")
WIDE = 110
"""Columns from which on the detail has a place beside the table."""


class MainScreen(Screen[None]):
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
        self.zoomed = ""
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
        with Vertical(id="logs", classes="pane"):
            yield LogStrip(id="logs-strip", classes="heading")
            yield LogView(self._engine.logs, id="logs-view")
        yield FirstHint(id="hint")
        yield KeyBar(id="keys")
        yield Static("routemq needs more room:\nat least 60 columns and 15 lines.", id="too-small")

    def on_mount(self) -> None:
        self.table = self.query_one(RouteTable)
        self.table.changed = self._show_selected
        self.logs = self.query_one(LogView)
        self._header, self._strip = self.query_one(Header), self.query_one(LogStrip)
        self._detail_heading, self._detail = self.query_one(DetailHeading), self.query_one(Detail)
        around = Surroundings(self._engine, self.fill, self._select_named, self._habits.ui.read_only)
        self.records = RecordDesk(self, around, lambda: self.table.row, self._tell)
        self.desk = LogDesk(self, self.logs, lambda: self.table.row, self._tell, self.fill)
        self.bindings_updated_signal.subscribe(self, lambda _: self._show_keys())
        self._leaving = Leaving(cast(App[int], self.app), self._engine, self._habits)
        self.tick()
        self._layout = MainLayout(self._habits.memory, self)
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
            self.logs.pull()

    def watch_snapshot(self, snapshot: Snapshot | None) -> None:
        if snapshot is None:
            return
        self._header.show_snapshot(snapshot)
        self.table.show_snapshot(snapshot)
        for toast in self._toasts.take(snapshot):
            self._show_toast(toast)
        self._leaving.show_snapshot(snapshot)

    def _tell(self, text: str, severity: Severity) -> None:
        self._show_toast(Toast(self.fill(text), severity, 4.0))

    def _show_toast(self, toast: Toast) -> None:
        self.app.notify(toast.text, severity=toast.severity, timeout=toast.seconds, markup=False)

    def _show_selected(self) -> None:
        row = self.table.row
        self._detail_heading.show_row(row, self._detail.span)
        self._detail.show_row(row)
        self.logs.show_row(row)
        self._show_strip()
        self._show_keys()

    @on(LogView.Changed)
    def _show_strip(self) -> None:
        self._strip.show_status(self.logs.status, self.table.row)

    def _show_keys(self) -> None:
        first = Group.LOGS if self.focused is self.logs else None
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

    def press_key(self, key: Key) -> None:
        """Do what the key does, from the palette or the bottom line."""
        refusal = self.refusal(key)
        if refusal:
            self._refuse(refusal)
        else:
            self.call_later(self.run_action, key.action)

    @on(KeyBar.Pressed)
    def _on_key_bar(self, event: KeyBar.Pressed) -> None:
        self.press_key(event.key)

    def _refuse(self, reason: str) -> None:
        self._tell(reason, "warning")

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
        self.app.push_screen(prompt, self._set_exact)

    def _set_exact(self, text: str | None) -> None:
        if text:
            self._give(plan_exact(self.table.row, int(text)), f"Set {int(text)}")

    def _give(self, order: Order | Refused, yes: str) -> None:
        if isinstance(order, Refused):
            self._refuse(order.reason)
        elif order.question:
            self.app.push_screen(
                Confirm(order.question, order.loss, f"Yes, {yes.lower()}"),
                lambda answer: self._send(order) if answer else None,
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
        panes = [name for name in PANES if self._pane(name).display and self._is_shown(name)]
        here = self.pane_of_focus
        place = panes.index(here) if here in panes else 0
        self._focus(panes[(place + step) % len(panes)])

    def action_pane(self, name: str) -> None:
        """To a pane; one that has no place on a narrow screen takes all of it."""
        if self.zoomed and self.zoomed != name:
            self._zoom("")
        if not self._is_shown(name):
            self._zoom(name)
        self._focus(name)

    def action_open(self) -> None:
        row = self.table.row
        if self.focused is not self.table or row is None:
            return
        if row.worker is not None:
            self._zoom("detail")
            self._focus("detail")
        else:
            self.table.toggle_fold()

    @on(RouteTable.Opened)
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
    def _on_heading(self, event: TableHeading.Clicked) -> None:
        self.table.sort_by(event.column)

    @on(RouteTable.Rearranged)
    def _show_heading(self) -> None:
        table = self.table
        self.query_one(TableHeading).show_columns(table.hidden, table.order.sort, table.order.wanted)
        self._layout.keep()

    def action_find_routes(self) -> None:
        hint = "text in name, topic or handler · Enter shows only these · empty shows all"
        prompt = Prompt("Routes:", hint, lambda text: "", self.table.order.wanted)
        self.app.push_screen(prompt, lambda text: None if text is None else self.table.show_only(text))

    def action_columns(self) -> None:
        self.app.push_screen(ColumnsChooser(self.table.hidden, self.table.hide_columns, self.fill))

    def action_fold(self) -> None:
        self.table.toggle_fold()

    def action_zoom(self) -> None:
        if self.zoomed:
            self.action_back()
            return
        name = self.pane_of_focus
        if name == "routes" and self.has_class("-narrow"):
            name = "detail"
        self._zoom(name)
        self._focus(name)

    def action_back(self) -> None:
        """Out of a selection, then of a zoom, then to the routes, then without a filter."""
        if self.has_class("-hint"):
            self._hide_hint()
            return
        if self.logs.back():
            return
        if self.zoomed:
            was = self.zoomed
            self._zoom("")
            self._focus(was if self._is_shown(was) else "routes")
        elif self.pane_of_focus != "routes":
            self._focus("routes")
        elif self.table.order.wanted:
            self.table.show_only("")
        elif self.logs.filter.text:
            self.logs.set_filter(LogFilter().with_level(self.logs.filter.level))

    def select(self, key: RowKey) -> None:
        self.table.select(key)
        self._focus("routes")

    def all_rows(self) -> list[Row]:
        return RowOrder().rows(self.snapshot) if self.snapshot is not None else []

    def _zoom(self, name: str) -> None:
        self.zoomed = name
        for pane in PANES:
            self.set_class(pane == name, f"-zoom-{pane}")
        self._layout.keep()

    def show_pane(self, pane: str, zoomed: str) -> None:
        """As it was left the last time, as far as there is room for it now."""
        if zoomed in PANES:
            self._zoom(zoomed)
        # By the size: the classes that say how wide the screen is come with its first event.
        fits = pane != "detail" or bool(zoomed) or self.app.size.width >= WIDE
        if pane in PANES and fits and self._is_shown(pane):
            self._focus(pane)

    def on_descendant_focus(self) -> None:
        self._layout.keep()

    def _is_shown(self, name: str) -> bool:
        if self.zoomed:
            return name == self.zoomed
        return name != "detail" or not self.has_class("-narrow")

    def _pane(self, name: str) -> Widget:
        return self.query_one(f"#{name}")

    @property
    def pane_of_focus(self) -> str:
        focused = self.focused
        return focused.id.partition("-")[0] if focused is not None and focused.id else "routes"

    def _focus(self, name: str) -> None:
        target = {"routes": "#routes-table", "detail": "#detail-lines", "logs": "#logs-view"}[name]
        # At once, not after the next drawing: the next key may have been pressed already.
        self.set_focus(self.query_one(target))

    def _select_named(self, name: str) -> None:
        route, _, slot = name.rpartition("/")
        self.select(RowKey(route, int(slot)) if route and slot.isdigit() else RowKey(name))

    def action_records(self, name: str) -> None:
        self.records.actions[name]()

    def action_logs(self, name: str) -> None:
        self.desk.actions[name]()

    def action_help(self) -> None:
        self._hide_hint()
        self.app.push_screen(Help(Wording(self.refusal, self.display_of, self.help_of, self.fill)))
