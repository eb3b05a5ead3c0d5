"""Logs that change under somebody's hands: while the mouse is dragged, while lines are exported."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from textual import events

from tests.fakes.snapshots import busy
from tests.tui.conftest import Seat, Sit

SLOW = "(a+)+$"


async def mouse(seat: Seat, kind: type[events.MouseEvent], x: int, y: int) -> None:
    await seat.pilot._post_mouse_events([kind], "#logs-view", offset=(x, y), button=1)
    await seat.pilot.pause()


@pytest.mark.parametrize("how", ["cleared", "filtered", "another row"])
async def test_a_drag_ends_when_its_lines_go(sit: Sit, how: str) -> None:
    async with sit() as seat:
        await seat.select("temperature", 3)
        await seat.press("3")
        await mouse(seat, events.MouseDown, 30, 3)
        assert seat.app.mouse_captured is not None
        if how == "cleared":
            await seat.press("c")
        elif how == "filtered":
            await seat.press("slash", *"no such line", "enter")
        else:
            first, *others = busy().routes
            seat.engine.show(routes=(replace(first, workers=first.workers[:1]), *others))
            await seat.tick()
        # then nothing is selected by moving on, and the mouse is free
        await mouse(seat, events.MouseMove, 35, 4)
        assert not seat.app.mouse_captured
        assert not seat.main.logs.unselect()
        await mouse(seat, events.MouseUp, 35, 4)


async def test_a_drag_ends_when_a_prompt_comes_over_it(sit: Sit) -> None:
    async with sit() as seat:
        await seat.press("3")
        await mouse(seat, events.MouseDown, 30, 3)
        await seat.press("slash", "escape")
        await mouse(seat, events.MouseMove, 35, 4)
        assert not seat.main.logs.unselect()


def old_slow_line(seat: Seat) -> None:
    """In the oldest of several blocks."""
    seat.engine.logs.block_lines = 20
    for text in ("a" * 40 + "!", *(f"baa {n} a" for n in range(200))):
        seat.engine.logs.add("temperature/1", text)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Lines are filtered a block a slice, and none beyond the first until the event is set."""
    go_on = asyncio.Event()
    for name in ("AT_ONCE", "SLICE"):
        monkeypatch.setattr(f"routemq_tui.tui.widgets.log_canvas.{name}", 0.0)
    monkeypatch.setattr("routemq_tui.tui.widgets.log_canvas._others_rest", go_on.wait)
    return go_on


async def test_an_export_while_the_filter_is_at_work_waits_for_all_lines(
    sit: Sit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: asyncio.Event
) -> None:
    monkeypatch.chdir(tmp_path)
    async with sit() as seat:
        old_slow_line(seat)
        await seat.tick()
        await seat.press("slash", *"baa .*a$", "enter")
        assert seat.main.logs.status.busy.startswith("filtering")
        await seat.press("E", *["backspace"] * 40, *"x.log", "enter")
        # then keys are answered meanwhile
        await seat.press("question_mark", "escape")
        assert not (tmp_path / "x.log").exists()
        held.set()
        await seat.app.workers.wait_for_complete()
        await seat.pilot.pause()
        assert len((tmp_path / "x.log").read_text().splitlines()) == 200
        assert "200 lines written to" in seat.toasts()[-1]


async def test_an_export_whose_filter_would_never_end_is_given_up(
    sit: Sit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: asyncio.Event
) -> None:
    monkeypatch.chdir(tmp_path)
    async with sit() as seat:
        old_slow_line(seat)
        await seat.tick()
        await seat.press("slash", *SLOW, "enter")
        await seat.press("E", *["backspace"] * 40, *"x.log", "enter")
        held.set()
        await seat.app.workers.wait_for_complete()
        await seat.pilot.pause()
        assert "Nothing exported to x.log: the filter takes too long on a line" in seat.toasts()
        assert not (tmp_path / "x.log").exists()
