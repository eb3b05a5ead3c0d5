"""The main screen: places the panes, hands them the snapshot, and turns keys into commands.

Once a tick it asks the engine for its newest snapshot and the log view for new lines; nothing else polls.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.reactive import reactive
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from routemq_tui.engine.commands import Stop
from routemq_tui.engine.port import EnginePort
from routemq_tui.engine.snapshot import EngineState, Snapshot
from routemq_tui.errors import ExitCode
from routemq_tui.tui.keys import KEY_BY_ID, KEYS, Group, Key, bindings
from routemq_tui.tui.log_buffer import LogFilter
from routemq_tui.tui.notices import Severity, Toast, Toasts
from routemq_tui.tui.orders import Order, Refused, count_problem, plan, plan_exact, unanswered_loss
from routemq_tui.tui.row_order import RowOrder
from routemq_tui.tui.rows import Row, RowKey
from routemq_tui.tui.screens.columns_chooser import ColumnsChooser
from routemq_tui.tui.screens.confirm import Confirm
from routemq_tui.tui.screens.help import Help
from routemq_tui.tui.screens.log_desk import LogDesk
from routemq_tui.tui.screens.prompt import Prompt
from routemq_tui.tui.screens.stopping import Stopping
from routemq_tui.tui.widgets.detail import Detail, DetailHeading
from routemq_tui.tui.widgets.header import Header
from routemq_tui.tui.widgets.key_bar import KeyBar
from routemq_tui.tui.widgets.lines import Motion
from routemq_tui.tui.widgets.log_strip import LogStrip
from routemq_tui.tui.widgets.log_view import LogView
from routemq_tui.tui.widgets.route_table import RouteTable, TableHeading

PANES = ("routes", "detail", "logs")


class MainScreen(Screen[None]):
    BINDINGS: ClassVar[list[BindingType]] = bindings()
    AUTO_FOCUS = "#routes-table"

    snapshot: reactive[Snapshot | None] = reactive(None, repaint=False)

    def __init__(self, engine: EnginePort, tick: float | None) -> None:
        super().__init__()
        self._engine, self._tick = engine, tick
        self._zoomed = ""
        self._toasts = Toasts()
        self._stopping: Stopping | None = None
        self._displays: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        yield Header(id="header")
        with Horizontal(id="body"):
            with Vertical(id="routes", classes="pane"):
                yield TableHeading(id="routes-heading", classes="heading")
                yield RouteTable(id="routes-table")
            with Vertical(id="detail", classes="pane"):
                yield DetailHeading(id="detail-heading", classes="heading")
                yield Detail(id="detail-lines")
        with Vertical(id="logs", classes="pane"):
            yield LogStrip(id="logs-strip", classes="heading")
            yield LogView(self._engine.logs, id="logs-view")
        yield KeyBar(id="keys")
        yield Static("routemq needs more room:\nat least 60 columns and 15 lines.", id="too-small")

    def on_mount(self) -> None:
        self.table = self.query_one(RouteTable)
        self.logs = self.query_one(LogView)
        self.desk = LogDesk(self, self.logs, lambda: self.table.row, self._tell)
        self.bindings_updated_signal.subscribe(self, lambda _: self._show_keys())
        self.tick()
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
        self.query_one(Header).show_snapshot(snapshot)
        self.table.show_snapshot(snapshot)
        for toast in self._toasts.take(snapshot):
            self._show_toast(toast)
        if snapshot.state is EngineState.STOPPED:
            self.app.exit(ExitCode.OK)
        elif snapshot.state is EngineState.STOPPING:
            self._show_stopping()
        if self._stopping is not None:
            self._stopping.show_snapshot(snapshot)

    def _tell(self, text: str, severity: Severity) -> None:
        self._show_toast(Toast(text, severity, 4.0))

    def _show_toast(self, toast: Toast) -> None:
        self.app.notify(toast.text, severity=toast.severity, timeout=toast.seconds, markup=False)

    @on(RouteTable.Selected)
    def _on_selected(self) -> None:
        row = self.table.row
        self.query_one(DetailHeading).show_row(row)
        self.query_one(Detail).show_row(row)
        self.logs.show_row(row)
        self._show_strip()
        self._show_keys()

    @on(LogView.Changed)
    def _show_strip(self) -> None:
        self.query_one(LogStrip).show_status(self.logs.status, self.table.row)

    def _show_keys(self) -> None:
        if self._displays == {}:
            self._displays = self._key_displays()
        first = Group.LOGS if self.focused is self.logs else None
        self.query_one(KeyBar).show_keys(lambda key: not self.refusal(key), self.display_of, first)

    # Keys

    def display_of(self, key: Key) -> str:
        """The key as it is bound now."""
        return self._displays.get(key.id, key.shown)

    def _key_displays(self) -> dict[str, str]:
        """What to show for keys that were given another one by `set_keymap`."""
        bound: dict[str, list[str]] = {}
        for active in self.active_bindings.values():
            if active.binding.id:
                bound.setdefault(active.binding.id, []).append(self.app.get_key_display(active.binding))
        return {
            key.id: " ".join(bound[key.id])
            for key in KEYS
            if key.id in bound and set(bound[key.id]) != self._usual(key)
        }

    def _usual(self, key: Key) -> set[str]:
        usual = Binding.make_bindings([Binding(key.keys, key.action)])
        return {self.app.get_key_display(binding) for binding in usual}

    def refusal(self, key: Key) -> str:
        """Why a key cannot do its work now; empty when it can."""
        if key.order:
            planned = plan(key.order, self.table.row)
            return planned.reason if isinstance(planned, Refused) else ""
        if key.action in ("open", "fold") and self.table.row is None:
            return "There is no route yet: put one in routemq.toml"
        return ""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """None (dim) for an order that cannot be given now."""
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
        self._engine.send(Stop())
        self._show_stopping()

    def action_quit_now(self) -> None:
        loss = unanswered_loss(self.snapshot) if self.snapshot is not None else ""
        if loss:
            confirm = Confirm("Kill all workers and leave?", loss, "Yes, leave now")
            self.app.push_screen(confirm, lambda answer: self._stop_now() if answer else None)
        else:
            self._stop_now()

    def _stop_now(self) -> None:
        self._show_stopping()
        if self._stopping is not None:
            self._stopping.action_force()

    def _show_stopping(self) -> None:
        if self._stopping is None and self.snapshot is not None:
            self._stopping = Stopping(self.snapshot, lambda: self._engine.send(Stop(force=True)))
            self.app.push_screen(self._stopping)

    # Panes

    def action_move(self, motion: str) -> None:
        focused = self.focused
        pane = focused if isinstance(focused, RouteTable | LogView | Detail) else self.table
        cast(Motion, pane).move(motion)

    def action_next_pane(self, step: int) -> None:
        panes = [name for name in PANES if self._pane(name).display and self._is_shown(name)]
        here = self._pane_of_focus()
        place = panes.index(here) if here in panes else 0
        self._focus(panes[(place + step) % len(panes)])

    def action_pane(self, name: str) -> None:
        """To a pane; one that has no place on a narrow screen takes all of it."""
        if self._zoomed and self._zoomed != name:
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

    # The table's order, columns and routes

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

    def action_find_routes(self) -> None:
        hint = "text in name, topic or handler · Enter shows only these · empty shows all"
        prompt = Prompt("Routes:", hint, lambda text: "", self.table.order.wanted)
        self.app.push_screen(prompt, lambda text: None if text is None else self.table.show_only(text))

    def action_columns(self) -> None:
        self.app.push_screen(ColumnsChooser(self.table.hidden, self.table.hide_columns))

    def action_fold(self) -> None:
        self.table.toggle_fold()

    def action_zoom(self) -> None:
        if self._zoomed:
            self.action_back()
            return
        name = self._pane_of_focus()
        if name == "routes" and self.has_class("-narrow"):
            name = "detail"
        self._zoom(name)
        self._focus(name)

    def action_back(self) -> None:
        """Out of a selection, then of a zoom, then to the routes, then without a filter."""
        if self.logs.unselect():
            return
        if self._zoomed:
            was = self._zoomed
            self._zoom("")
            self._focus(was if self._is_shown(was) else "routes")
        elif self._pane_of_focus() != "routes":
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
        self._zoomed = name
        for pane in PANES:
            self.set_class(pane == name, f"-zoom-{pane}")

    def _is_shown(self, name: str) -> bool:
        if self._zoomed:
            return name == self._zoomed
        return name != "detail" or not self.has_class("-narrow")

    def _pane(self, name: str) -> Widget:
        return self.query_one(f"#{name}")

    def _pane_of_focus(self) -> str:
        focused = self.focused
        return focused.id.partition("-")[0] if focused is not None and focused.id else "routes"

    def _focus(self, name: str) -> None:
        target = {"routes": "#routes-table", "detail": "#detail-lines", "logs": "#logs-view"}[name]
        # At once, not after the next drawing: the next key may have been pressed already.
        self.set_focus(self.query_one(target))

    def action_logs(self, name: str) -> None:
        self.desk.actions[name]()

    def action_help(self) -> None:
        self.app.push_screen(Help(self.refusal, self.display_of))


KEYS_BY_ORDER = {key.order: key for key in KEYS if key.order}
