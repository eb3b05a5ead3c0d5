"""The screen with an engine that does nothing by itself: every step is taken by the test."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

import pytest
from textual import events
from textual.keys import _character_to_key
from textual.pilot import Pilot

from routemq_tui.engine.snapshot import Snapshot
from routemq_tui.tui.app import RouteMQApp
from routemq_tui.tui.rows import RowKey
from routemq_tui.tui.screens.main import MainScreen
from tests.fakes import lines
from tests.fakes.engine import FakeEngine
from tests.fakes.snapshots import busy


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> object:
    """Log times are shown in local time."""
    monkeypatch.setenv("TZ", "UTC")
    # No copy of a test may end up on the clipboard of whoever runs it.
    for name in ("TMUX", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("textual.constants.TEXTUAL_ANIMATIONS", "none")
    # The pilot takes a process that rests for so long as idle; its own 20 ms make each key cost 40.
    monkeypatch.setattr("textual._wait.SLEEP_GRANULARITY", 1 / 200)
    monkeypatch.setattr("textual._wait.SLEEP_IDLE", 1 / 4000)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@dataclass
class Seat:
    """Somebody in front of the screen."""

    app: RouteMQApp
    engine: FakeEngine
    pilot: Pilot[int]
    faulty: bool = False
    """The screen is made to make errors, which it would otherwise hide from a test."""

    @property
    def main(self) -> MainScreen:
        return cast(MainScreen, self.app.screen_stack[0])

    async def press(self, *keys: str) -> None:
        """Press keys one after the other; characters that follow each other as fast as nobody types."""
        for typed, group in groupby(keys, key=lambda key: len(key) == 1):
            if typed:
                for character in group:
                    self.app.post_message(events.Key(_character_to_key(character), character))
                await self.pilot.pause()
            else:
                await self.pilot.press(*group)
        await self.pilot.pause()

    async def tick(self) -> None:
        self.main.tick()
        await self.pilot.pause()

    async def select(self, route: str, slot: int | None = None) -> None:
        self.main.table.select(RowKey(route, slot))
        await self.pilot.pause()

    def text(self, selector: str = "") -> str:
        """What a part of the screen shows, or all of it."""
        widget = self.app.screen if not selector else self.main.query_one(selector)
        region = widget.region
        rows = self.app.screen._compositor.render_strips()
        return "\n".join(row.crop(region.x, region.right).text for row in rows[region.y : region.bottom])

    def toasts(self) -> list[str]:
        return [toast.text for toast in reversed(self.app.sayings.current(time.monotonic()))]


Sit = Callable[..., AbstractAsyncContextManager[Seat]]


@pytest.fixture
def sit() -> Sit:
    @asynccontextmanager
    async def sitting(
        snapshot: Snapshot | None = None,
        size: tuple[int, int] = (120, 36),
        log_lines: int = 40,
        **habits: Any,
    ) -> AsyncIterator[Seat]:
        engine = FakeEngine(snapshot or busy())
        lines.usual(engine.logs, log_lines)
        app = RouteMQApp(engine, tick=None, **habits)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            seat = Seat(app, engine, pilot)
            yield seat
            assert seat.faulty or not app.net.faults, "\n".join(app.net.faults)

    return sitting
