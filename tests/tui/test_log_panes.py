"""Several logs side by side: each with its own filter, follow and search."""

from __future__ import annotations

from pathlib import Path

from routemq_tui.tui.layout_memory import LayoutMemory
from routemq_tui.tui.widgets.log_panes import MOST, LogPanes
from tests.tui.conftest import Seat, Sit


def strips(seat: Seat) -> list[str]:
    """What stands above each pane that is shown."""
    panes = seat.main.query_one(LogPanes)
    return [seat.text(f"#{view.id}".replace("view", "strip")) for view in panes.shown_views]


async def test_a_kept_pane_stays_when_another_worker_is_selected(sit: Sit) -> None:
    async with sit(size=(200, 50)) as seat:
        # given the logs of a worker, kept
        await seat.select("temperature", 1)
        await seat.press("|")
        # when others are selected
        await seat.select("alerts", 1)
        seat.engine.logs.add("temperature/1", "only of the first")
        seat.engine.logs.add("alerts/1", "only of the alerts")
        await seat.tick()
        # then each pane shows its own
        assert "Kept temperature/1" in strips(seat)[1]
        assert "Logs alerts/1" in strips(seat)[0]
        assert "only of the first" in seat.text("#logs-view-2")
        assert "only of the first" not in seat.text("#logs-view")
        assert "only of the alerts" in seat.text("#logs-view")


async def test_keys_work_on_the_pane_that_has_the_focus(sit: Sit) -> None:
    async with sit(size=(200, 50)) as seat:
        await seat.select("temperature", 1)
        await seat.press("|", "3", "tab")
        assert seat.app.focused is not None
        assert seat.app.focused.id == "logs-view-2"
        await seat.press("/", *"reads", "enter", "f")
        assert "/reads" in strips(seat)[1]
        assert "paused" in strips(seat)[1]
        assert "/reads" not in strips(seat)[0]
        assert "follow" in strips(seat)[0]


async def test_up_to_four_and_never_the_same_twice(sit: Sit) -> None:
    async with sit(size=(200, 50)) as seat:
        for slot in (1, 2, 3):
            await seat.select("temperature", slot)
            await seat.press("|")
        await seat.press("|")
        assert "have a pane already" in seat.toasts()[-1]
        await seat.select("alerts", 1)
        await seat.press("|")
        assert "4 panes of logs already" in seat.toasts()[-1]
        assert len(strips(seat)) == MOST
        for left in (3, 2, 1):
            await seat.press("\\")
            assert len(strips(seat)) == left
        await seat.press("\\")
        assert "one pane of logs" in seat.toasts()[-1]


async def test_where_there_is_no_room_it_says_so(sit: Sit) -> None:
    async with sit(size=(60, 24)) as seat:
        await seat.select("temperature", 1)
        await seat.press("|")
        assert "no room" in seat.toasts()[-1]


async def test_a_narrow_screen_hides_panes_and_a_wide_one_shows_them_again(sit: Sit) -> None:
    async with sit(size=(200, 50)) as seat:
        for slot in (1, 2, 3):
            await seat.select("temperature", slot)
            await seat.press("|")
        await seat.press("3", "shift+tab")
        await seat.pilot.resize_terminal(80, 24)
        await seat.pilot.pause()
        assert len(strips(seat)) == 2
        await seat.press("3", "tab")
        await seat.pilot.resize_terminal(60, 15)
        await seat.pilot.pause()
        assert len(strips(seat)) == 1
        assert seat.app.focused is seat.main.logs  # what was hidden has not kept it
        await seat.pilot.resize_terminal(200, 50)
        await seat.pilot.pause()
        assert len(strips(seat)) == 4


async def test_kept_panes_are_there_at_the_next_start(sit: Sit, tmp_path: Path) -> None:
    memory = LayoutMemory(tmp_path / "layout.json")
    async with sit(size=(200, 50), memory=memory) as seat:
        await seat.select("temperature", 2)
        await seat.press("|")
    async with sit(size=(200, 50), memory=LayoutMemory(tmp_path / "layout.json")) as seat:
        await seat.tick()
        assert "Kept temperature/2" in strips(seat)[1]
        assert "device" in seat.text("#logs-view-2")
