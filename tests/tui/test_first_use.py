"""What somebody runs into who uses the screen for the first time: names, labels, hints, reasons."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from routemq_tui.engine.commands import AddWorker, KillWorker
from routemq_tui.tui.layout_memory import LayoutMemory
from routemq_tui.tui.rows import Row, RowKey
from routemq_tui.tui.widgets.detail import detail_lines
from tests.fakes.snapshots import busy
from tests.tui.conftest import Sit

SMALL = (80, 24)


@pytest.mark.parametrize("wrap", [False, True])
async def test_lines_keep_the_names_of_workers_that_are_gone(sit: Sit, wrap: bool) -> None:
    async with sit(size=SMALL) as seat:
        # given the log of a route
        seat.engine.logs.add("temperature/8", "far " * 30)
        await seat.select("temperature")
        if wrap:
            await seat.press("w")
        await seat.tick()
        assert "temperature/8 far" in seat.text("#logs-view")
        # when it has no worker any more
        routes = seat.engine.snapshot().routes
        seat.engine.show(routes=tuple(replace(route, workers=(), desired=0) for route in routes))
        await seat.tick()
        # then its names are whole, now and when it is looked at anew
        assert "temperature/8 far" in seat.text("#logs-view")
        await seat.select("orders")
        await seat.select("temperature")
        assert "temperature/8 far" in seat.text("#logs-view")


def test_no_label_of_the_detail_touches_its_value() -> None:
    counts = replace(
        busy().metrics, retried=1, dead_lettered=3, dropped=1, duplicates=1, log_dropped=1, rss_bytes=1
    )
    row = Row(RowKey(), replace(busy(), metrics=counts))
    text = "\n".join("".join(part.text for part in line) for line in detail_lines(row, 60))
    assert re.search(r"^ dead letter +3$", text, re.MULTILINE)


async def test_the_first_hint_can_be_followed_from_where_the_cursor_is(sit: Sit, tmp_path: Path) -> None:
    async with sit(memory=LayoutMemory(tmp_path / "layout.json"), size=SMALL) as seat:
        assert "+ adds a worker · j to one, X kills it" in seat.text("#hint")
        await seat.press("+", "j", "X")
        assert seat.engine.commands == [AddWorker("temperature"), KillWorker("temperature", 1)]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (("L", "L", "L"), "no lines at error or above · L shows more"),
        (("slash", *"zzz", "enter"), "no line matches /zzz · / changes it"),
        (
            ("L", "L", "slash", *"zzz", "enter"),
            "no line at warn or above matches /zzz · / changes it, L the level",
        ),
        (("c",), "cleared: only what comes from now on is shown"),
    ],
)
async def test_an_empty_log_says_why_and_what_changes_it(sit: Sit, keys: tuple[str, ...], words: str) -> None:
    async with sit(size=SMALL, log_lines=5) as seat:
        await seat.press(*keys)
        assert words in seat.text("#logs-view")


async def test_a_log_that_never_had_a_line_says_so(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        await seat.select("archive")
        assert "no lines yet" in seat.text("#logs-view")


@pytest.mark.parametrize(
    ("text", "told"), [("ERROR", True), ("!INFO", True), ("warn", True), ("device", False)]
)
async def test_a_level_typed_as_a_filter_is_pointed_to_its_key(sit: Sit, text: str, told: bool) -> None:
    async with sit(size=SMALL) as seat:
        await seat.press("slash", *text, "enter")
        assert ("level is L" in seat.text("#logs-strip")) is told
