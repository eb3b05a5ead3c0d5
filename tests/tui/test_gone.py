"""What was selected, named or asked about goes meanwhile: nothing else is meant instead."""

from __future__ import annotations

import pytest
from textual import events

from routemq_tui.engine.commands import SetWorkers
from routemq_tui.tui.rows import RowKey
from routemq_tui.tui.screens.errors import ErrorsScreen
from routemq_tui.tui.screens.prompt import Prompt
from tests.fakes.messages import group
from tests.fakes.snapshots import NOW, busy
from tests.tui.conftest import Seat, Sit


async def without_first_route(seat: Seat) -> None:
    """As after a reload."""
    seat.engine.show(routes=busy().routes[1:])
    await seat.tick()


async def test_a_number_of_workers_is_for_the_route_that_was_named(sit: Sit) -> None:
    async with sit() as seat:
        await seat.select("temperature")
        await seat.press("S")
        # when another route is selected meanwhile, then the number is still for the first one
        await seat.select("orders")
        await seat.press("5", "enter")
        assert seat.engine.commands == [SetWorkers("temperature", 5)]


async def test_a_number_of_workers_of_a_route_that_is_gone_is_refused(sit: Sit) -> None:
    async with sit() as seat:
        await seat.select("temperature")
        await seat.press("S")
        await without_first_route(seat)
        await seat.press("5", "enter")
        assert seat.engine.commands == []
        assert seat.toasts() == ["temperature is gone"]


async def test_a_number_with_thousands_of_digits_is_too_large(sit: Sit) -> None:
    async with sit() as seat:
        await seat.select("temperature")
        await seat.press("S")
        seat.app.post_message(events.Paste("1" * 5000))
        await seat.pilot.pause()
        assert "At most" in seat.text()
        await seat.press("enter")
        assert isinstance(seat.app.screen, Prompt)
        assert seat.engine.commands == []


async def test_the_palette_orders_about_no_other_row_than_the_one_that_was_selected(sit: Sit) -> None:
    async with sit() as seat:
        await seat.select("temperature")
        await seat.press("ctrl+p")
        await without_first_route(seat)
        await seat.press(*"rolling")
        await seat.app.workers.wait_for_complete()
        await seat.press("enter")
        await seat.pilot.pause()
        assert seat.engine.commands == []
        assert seat.toasts() == ["temperature is gone"]


@pytest.mark.parametrize("key", [RowKey("alerts", 1), RowKey("orders")])
async def test_to_go_to_a_row_that_the_filter_hides_ends_the_filter(sit: Sit, key: RowKey) -> None:
    async with sit() as seat:
        await seat.press("F", *"temperature", "enter")
        seat.main.select(key)
        await seat.pilot.pause()
        assert seat.main.table.selected == key
        assert key.label in seat.text("#routes-table")
        assert "only:" not in seat.text("#routes-heading")
        assert seat.toasts() == []


@pytest.mark.parametrize("key", [RowKey("orders", 9), RowKey("nowhere"), RowKey("nowhere", 1)])
async def test_to_go_to_a_row_that_is_gone_changes_nothing(sit: Sit, key: RowKey) -> None:
    async with sit() as seat:
        await seat.press("F", *"temperature", "enter")
        await seat.select("temperature", 2)
        await seat.press("3")
        seat.main.select(key)
        await seat.pilot.pause()
        assert seat.main.table.selected == RowKey("temperature", 2)
        assert seat.main.table.order.wanted == "temperature"
        assert seat.main.focused is seat.main.logs
        assert seat.toasts() == [f"{key.label} is gone"]


@pytest.mark.parametrize("key", ["w", "l"])
async def test_an_error_of_a_worker_that_is_gone_leads_nowhere(sit: Sit, key: str) -> None:
    async with sit() as seat:
        seat.engine.show(errors=(group(workers=("alerts/1",), example=0), group("b", workers=("gone/7",))))
        await seat.press("F", *"temperature", "enter", "e")
        await seat.press("slash", *"gone", "enter", key)
        assert isinstance(seat.app.screen, ErrorsScreen)
        assert seat.toasts()[-1] == "gone/7 is gone"
        # while that of one that the filter of routes hides leads to it
        await seat.press("slash", *["backspace"] * 4, *"alerts/1", "enter", key)
        assert len(seat.app.screen_stack) == 1
        assert seat.main.table.selected == RowKey("alerts", 1)


async def test_logs_of_a_worker_that_is_gone_are_not_those_of_another(sit: Sit) -> None:
    async with sit() as seat:
        await seat.select("temperature", 2)
        seat.main._show_logs_at("orders/9", NOW)
        await seat.pilot.pause()
        assert seat.main.logs.status.following
        assert seat.main.focused is seat.main.table
        assert seat.toasts() == ["orders/9 is gone"]
