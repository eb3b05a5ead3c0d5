"""Autoscale on the screen: its marks, its reasons, and the key that turns it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from routemq_tui.config.model import KeyWish, UiConfig
from routemq_tui.engine.commands import SetAutoscale
from routemq_tui.tui.columns import COLUMN_BY_ID
from routemq_tui.tui.row_cells import AUTOSCALED, state_cell
from routemq_tui.tui.rows import Row, RowKey
from tests.fakes.snapshots import autoscaled, route, worker
from tests.tui.conftest import Sit


async def test_routes_say_whether_they_scale_by_themselves(sit: Sit) -> None:
    async with sit(autoscaled(), size=(80, 60)) as seat:
        table = seat.text("#routes")
        assert "5/5 ⇅ " in table
        assert "2/2 ⇅‖" in table
        assert table.count(" up") == 3  # all routes, the one where it is off, the one that is not shared


@pytest.mark.parametrize("switch", AUTOSCALED)
def test_the_mark_fits_beside_two_digits(switch: str) -> None:
    workers = tuple(worker("jobs", slot) for slot in range(1, 33))
    scaling = replace(autoscaled().routes[0].scaling, switch=switch)  # type: ignore[type-var]
    jobs = route("jobs", workers, scaling=scaling)
    cell = state_cell(Row(RowKey("jobs"), autoscaled(), jobs))
    assert cell.text.endswith(AUTOSCALED[switch])
    assert cell_len(cell.text) <= COLUMN_BY_ID["state"].width


async def test_the_detail_tells_what_was_changed_and_why(sit: Sit) -> None:
    async with sit(autoscaled()) as seat:
        await seat.select("temperature")
        await seat.press("2", "z")
        text = " ".join(seat.text("#detail").split())
        assert "autoscale on, 1 to 8 workers by utilisation" in text
        assert "changed 12s ago 3 -> 5: 96% busy of 70% target, 56/s x 51ms = 2.9 workers' work" in text
        assert "looked 68% busy of 70% target; looks in 3s" in text
        assert "12s ago autoscale 3 → 5" in text  # beside its mark under the curves
        await seat.press("escape")
        await seat.select("alerts")
        await seat.press("2", "z")
        assert "autoscale paused: you set 2; [A] resumes it" in " ".join(seat.text("#detail").split())
        await seat.press("escape")
        await seat.select("archive")
        await seat.press("2", "z")
        assert "autoscale" not in seat.text("#detail")


@pytest.mark.parametrize(("name", "on"), [("temperature", False), ("alerts", True), ("archive", True)])
async def test_the_key_turns_it_for_the_selected_route(sit: Sit, name: str, on: bool) -> None:
    async with sit(autoscaled()) as seat:
        await seat.select(name)
        await seat.press("A")
        assert seat.engine.commands == [SetAutoscale(name, on)]


async def test_the_key_turns_it_for_the_route_of_a_worker(sit: Sit) -> None:
    async with sit(autoscaled()) as seat:
        await seat.select("temperature", 2)
        await seat.press("A")
        assert seat.engine.commands == [SetAutoscale("temperature", False)]


async def test_a_route_that_is_not_shared_refuses_with_the_reason(sit: Sit) -> None:
    async with sit(autoscaled()) as seat:
        await seat.select("orders")
        await seat.press("A")
        assert seat.engine.commands == []
        assert seat.toasts() == ["orders is not shared: it has exactly one worker, so that order is kept"]


async def test_a_route_without_room_refuses_with_the_reason(sit: Sit) -> None:
    first, *others = autoscaled().routes
    tight = replace(first, scaling=replace(first.scaling, switch="off", low=5, high=5))  # type: ignore[type-var]
    async with sit(replace(autoscaled(), routes=(tight, *others))) as seat:
        await seat.select("temperature")
        await seat.press("A")
        assert seat.engine.commands == []
        assert seat.toasts() == ["temperature has nothing to scale: at least and at most 5 workers"]


async def test_another_key_and_read_only(sit: Sit) -> None:
    moved = UiConfig(keys={"autoscale": KeyWish(("U",))})
    async with sit(autoscaled(), ui=moved) as seat:
        await seat.select("alerts")
        await seat.press("A")
        assert seat.engine.commands == []
        await seat.press("U")
        assert seat.engine.commands == [SetAutoscale("alerts", True)]
    async with sit(autoscaled(), ui=UiConfig(read_only=True)) as seat:
        await seat.select("alerts")
        await seat.press("A")
        assert seat.engine.commands == []


async def test_it_is_in_the_palette(sit: Sit) -> None:
    async with sit(autoscaled()) as seat:
        await seat.select("alerts")
        await seat.press("ctrl+p", *"autoscale")
        await seat.app.workers.wait_for_complete()
        await seat.pilot.pause()
        await seat.press("enter")
        assert seat.engine.commands == [SetAutoscale("alerts", True)]
