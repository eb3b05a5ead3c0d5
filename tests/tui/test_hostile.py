"""No text of somebody else's sends the terminal a sequence, whichever pane shows it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.fakes.snapshots import busy
from tests.tui.conftest import Sit

BAD = "a\x1b]0;x\x07[red]\x9b2J\u202e"


@pytest.mark.parametrize("tab", ["1", "2", "3"])
async def test_reasons_topics_and_errors_of_workers(sit: Sit, tab: str) -> None:
    shown = busy()
    routes = tuple(
        replace(
            route,
            reason=BAD,
            workers=tuple(
                replace(worker, reason=BAD, last_error=BAD, last_exit=BAD, current_topic=BAD, current_for=9.0)
                for worker in route.workers
            ),
        )
        for route in shown.routes
    )
    async with sit(replace(shown, routes=routes), size=(160, 50)) as seat:
        seat.app.notify(BAD, severity="error", markup=False)
        await seat.select(routes[0].name, routes[0].workers[0].slot)
        await seat.press(tab)
        await seat.tick()
        text = seat.text()
        assert "a␛]0;x␇" in text
        assert not any(each in text for each in "\x1b\x07\x9b\u202e")
