"""Finding routes by a text: the table shows them while it is typed, and is as before when that is left."""

from __future__ import annotations

from textual.app import App

from routemq_tui.tui.net import guard
from routemq_tui.tui.screens.prompt import Prompt
from routemq_tui.tui.widgets.route_table import RouteTable

HINT = "text in name, topic or handler · empty: all · Enter keeps it · Esc undoes"


def find_routes(app: App[object], table: RouteTable) -> None:
    before, selected = table.order.wanted, table.selected

    def chosen(text: str | None) -> None:
        if text is not None:
            table.show_only(text)
        elif table.order.wanted != before:
            table.show_only(before)
            table.select(selected)

    prompt = Prompt("Routes:", HINT, lambda text: "", before, live=table.show_only)
    app.push_screen(prompt, guard(table, chosen))
