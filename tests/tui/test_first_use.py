"""What somebody runs into who uses the screen for the first time: names, labels, hints, reasons."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from routemq_tui.engine.commands import AddWorker, KillWorker
from routemq_tui.engine.snapshot import BrokerState
from routemq_tui.tui.layout_memory import LayoutMemory
from routemq_tui.tui.notices import Toast
from routemq_tui.tui.payload_text import payload_lines
from routemq_tui.tui.rows import EVERYTHING, Row, RowKey
from routemq_tui.tui.tones import Tone
from routemq_tui.tui.widgets.detail import detail_lines, engine_facts
from routemq_tui.tui.widgets.header import broker_parts
from routemq_tui.tui.widgets.key_bar import said_line
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
    assert re.search(r"^ dead letter +3 of this run$", text, re.MULTILINE)


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


# The broker that had to take another port; words that are told


MOVED = "port 1883 is in use: the embedded broker listens on 38715"


async def test_a_broker_on_another_port_stands_out(sit: Sit) -> None:
    broker = replace(busy().broker, address="127.0.0.1:38715", reason=MOVED)
    async with sit(replace(busy(), broker=broker)) as seat:
        parts = broker_parts(broker, version=False)
        assert {part.tone for part in parts} == {Tone.WARN}
        await seat.press("g")
        facts = {label: (value, tone) for label, value, tone in engine_facts(seat.main.table.row)}
        assert facts["reason"] == (MOVED, Tone.WARN)
        assert facts["address"] == ("127.0.0.1:38715", Tone.WARN)
        assert MOVED[:18] in seat.text("#detail-lines")


def test_a_broker_that_is_down_names_its_address_once() -> None:
    broker = replace(
        busy().broker,
        state=BrokerState.DOWN,
        reason="127.0.0.1:18999: Connection refused",
        address="127.0.0.1:18999",
    )
    words = "".join(part.text for part in broker_parts(broker, version=True))
    assert words.count("18999") == 1
    words = "".join(part.text for part in broker_parts(replace(broker, reason="no answer"), version=True))
    assert words.endswith("no answer (127.0.0.1:18999)")


def test_where_more_is_told_is_said_once() -> None:
    toasts = (
        Toast("4 more events: see the logs", "warning", 5),
        Toast("a", "error", 5),
        Toast("b", "error", 5),
    )
    text = "".join(part.text for part in said_line(toasts, 80))
    assert text == " ! 4 more events: see the logs (+2 more) "


def test_one_byte_is_one_byte() -> None:
    told = ["".join(part.text for part in payload_lines(b"x" * size, size)[0]) for size in (1, 2)]
    assert "1 byte," in told[0]
    assert "2 bytes," in told[1]


# Screens of records


async def test_an_empty_list_of_messages_is_told_in_full_where_it_is_narrow(sit: Sit) -> None:
    async with sit(size=(60, 15)) as seat:
        await seat.press("4")
        shown = " ".join(seat.app.screen.query_one("#records-list").render_line(y).text for y in range(4))
        assert "its messages come here." in " ".join(shown.split())


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("key", ["4", "e", "d"])
async def test_the_footer_of_records_ends_with_the_key_for_all_keys(sit: Sit, key: str, width: int) -> None:
    async with sit(size=(width, 24)) as seat:
        await seat.press(key)
        footer = seat.app.screen.query_one("#records-hint").render_line(0).text.rstrip()
        assert footer.endswith(" · ? all keys")
        assert "…" not in footer
        await seat.press("question_mark")
        help_text = seat.text()
        assert "Text or hex" in help_text
        assert ("Replay" in help_text) is (key == "d")


# The header is clicked


@pytest.mark.parametrize(
    ("words", "screen"), [("dead", "Dead letters"), ("failed", "Errors"), ("embedded", ""), ("degraded", "")]
)
async def test_the_header_leads_to_what_it_tells_of(sit: Sit, words: str, screen: str) -> None:
    metrics = replace(busy().metrics, dead_lettered=13)
    async with sit(replace(busy(), metrics=metrics)) as seat:
        rows = seat.text("#header").splitlines()
        y = next(y for y, row in enumerate(rows) if words in row)
        await seat.pilot.click("#header", offset=(rows[y].index(words) + 1, y))
        await seat.pilot.pause()
        if screen:
            assert screen in seat.text()
        else:
            assert seat.main.table.selected == EVERYTHING
            assert seat.app.focused is seat.main.logs


async def test_a_click_between_the_words_of_the_header_does_nothing(sit: Sit) -> None:
    async with sit() as seat:
        gap = seat.text("#header").splitlines()[0].index("   ", 60) + 1
        await seat.pilot.click("#header", offset=(gap, 0))
        assert seat.main.table.selected == RowKey("temperature")
