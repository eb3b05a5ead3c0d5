"""The log view: follow and pause, exact counts, filter, level, wrap, harmless text, the strip above it."""

from __future__ import annotations

import asyncio

import pytest

from routemq_tui.engine.port import LogLine
from routemq_tui.tui.logs.status import LogStatus
from routemq_tui.tui.logs.text import body_of, breaks, safe
from routemq_tui.tui.widgets.log_strip import strip_line
from tests.fakes.lines import HOSTILE
from tests.tui.conftest import Seat, Sit

SMALL = (80, 24)


def line(seq: int, text: str = "text", level: int = 20) -> LogLine:
    return LogLine(seq, 0.0, "temperature/1", level, "log", "", text)


def flood(seat: Seat, count: int, source: str = "temperature/1") -> None:
    for _ in range(count):
        seat.engine.logs.add(source, f"flood {seat.engine.logs.last_seq + 1}")


async def test_following_shows_the_newest_line(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        flood(seat, 30_000)
        await seat.tick()
        assert "flood 30045" not in seat.text("#logs-view")
        assert f"flood {seat.engine.logs.last_seq}" in seat.text("#logs-view").splitlines()[-1]
        # then the oldest line is reached too, and the end again
        assert seat.main.logs.status.held == 30_027
        await seat.press("3", "g")
        assert "device 0 reads 20.0" in seat.text("#logs-view").splitlines()[0]
        await seat.press("G")
        assert f"flood {seat.engine.logs.last_seq}" in seat.text("#logs-view").splitlines()[-1]


@pytest.mark.parametrize("how", ["key", "wheel"])
async def test_scrolling_up_pauses_and_nothing_moves_while_lines_are_counted(sit: Sit, how: str) -> None:
    async with sit(size=SMALL) as seat:
        flood(seat, 100)
        await seat.tick()
        if how == "key":
            await seat.press("3", "k", "k")
        else:
            await seat.pilot._post_mouse_events([_wheel_up()], "#logs-view")
            await seat.pilot.pause()
        before = [each[:-1] for each in seat.text("#logs-view").splitlines()]
        # when far more lines come than the view can hold, some of them of another route
        flood(seat, 25_000)
        flood(seat, 500, "orders/1")
        for _ in range(3):
            await seat.tick()
        # then only the scroll bar moves
        assert [each[:-1] for each in seat.text("#logs-view").splitlines()] == before
        assert "‖ paused +25000 new" in seat.text("#logs-strip")
        # when it follows again, then it is at the end at once
        await seat.press("f")
        assert "● follow" in seat.text("#logs-strip")
        assert "flood 25" in seat.text("#logs-view").splitlines()[-1]


def _wheel_up() -> type:
    from textual.events import MouseScrollUp

    return MouseScrollUp


async def test_lines_that_came_while_paused_can_be_scrolled_to(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        flood(seat, 50)
        await seat.tick()
        await seat.press("3", "k")
        flood(seat, 5)
        await seat.tick()
        assert seat.main.logs.status.new == 5
        last = seat.engine.logs.last_seq
        await seat.press(*["j"] * 6)
        assert seat.main.logs.status.following is False
        await seat.press("j")
        assert seat.main.logs.status.following is True
        assert f"flood {last}" in seat.text("#logs-view").splitlines()[-1]


async def test_the_end_key_follows_again(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        flood(seat, 50)
        await seat.tick()
        await seat.press("3", "g")
        assert not seat.main.logs.status.following
        await seat.press("end")
        assert seat.main.logs.status.following


async def test_lines_the_store_let_go_while_paused_are_told(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        flood(seat, 50)
        await seat.tick()
        await seat.press("f")
        seat.engine.logs.block_lines = 1
        flood(seat, 1_000)
        seat.engine.logs.let_go(len(seat.engine.logs.lines) - 400)
        await seat.tick()
        assert seat.main.logs.status.new == 400
        assert "!600 gone" in seat.text("#logs-strip")


async def test_logs_are_those_of_the_selection(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        seat.engine.logs.add("engine", "engine says hello")
        await seat.select("alerts", 1)
        assert "temperature/" not in seat.text("#logs-view")
        assert "Logs alerts/1" in seat.text("#logs-strip")
        await seat.select("temperature")
        assert {"temperature/1", "temperature/2", "temperature/3"} <= set(seat.text("#logs-view").split())
        assert "alerts/1" not in seat.text("#logs-view")
        await seat.press("g")
        assert "engine says hello" in seat.text("#logs-view")


async def test_nothing_is_read_when_nothing_came_or_the_view_is_hidden(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        reads = seat.engine.logs.reads
        for _ in range(5):
            seat.engine.show()
            await seat.tick()
        assert seat.engine.logs.reads == reads
        await seat.press("2")
        flood(seat, 10)
        await seat.tick()
        assert seat.engine.logs.reads == reads
        await seat.press("escape")
        await seat.tick()
        assert "flood" in seat.text("#logs-view")


async def test_filter_by_expression_and_inverted(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        await seat.press("slash", *"DEVICE", "enter")
        assert seat.main.logs.status.shown == 0
        await seat.press("slash", *["backspace"] * 6, *"device [01]", "enter")
        shown = seat.text("#logs-view").split("\n")
        assert shown[0].count("device") == 1
        assert all("device 0" in each or "device 1" in each for each in shown if each.strip())
        assert "/device [01]" in seat.text("#logs-strip")
        await seat.press("slash", "home", "exclamation_mark", "enter")
        assert "device 0" not in seat.text("#logs-view")
        await seat.press("escape")
        assert seat.main.logs.filter.text == ""


async def test_a_broken_expression_is_told_and_changes_nothing(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        await seat.press("slash", "left_parenthesis", "enter")
        assert "Not a regular expression" in seat.text()
        await seat.press("escape")
        assert seat.main.logs.filter.text == ""


async def test_level_goes_round(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        seen = []
        for _ in range(4):
            await seat.press("L")
            seen.append(seat.text("#logs-strip").split("level")[1].split()[0])
            if seen[-1] == "≥error":
                assert " W " not in seat.text("#logs-view")
                assert "ValueError" in seat.text("#logs-view")
    assert seen == ["≥info", "≥warn", "≥error", "all"]


async def test_clear_empties_the_view_and_not_the_store(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        held = len(seat.engine.logs.lines)
        await seat.press("c")
        assert seat.text("#logs-view").strip() == "cleared: only what comes from now on is shown"
        flood(seat, 1)
        await seat.tick()
        assert seat.main.logs.status.shown == 1
        assert len(seat.engine.logs.lines) == held + 1


async def test_wrap_shows_the_whole_line_and_keeps_the_place(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        seat.engine.logs.add("temperature/1", "start " + "word " * 60 + "finish")
        flood(seat, 30)
        await seat.tick()
        assert "finish" not in seat.text("#logs-view")
        await seat.press("3", "w", *["k"] * 30)
        assert "wrap" in seat.text("#logs-strip")
        assert "finish" in seat.text("#logs-view")


async def test_long_lines_are_cut_with_an_ellipsis_and_scrolled_sideways(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        seat.engine.logs.add("temperature/1", "".join(f"{number:04d}" for number in range(300_000 // 4)))
        await seat.tick()
        assert seat.text("#logs-view").splitlines()[-1].rstrip().endswith("…")
        await seat.press("3", "l", "l")
        assert "00040005" in seat.text("#logs-view").splitlines()[-1]
        assert "→16" in seat.text("#logs-strip")


@pytest.mark.parametrize("wrap", [False, True])
async def test_a_resize_leaves_a_paused_line_in_its_place(sit: Sit, wrap: bool) -> None:
    async with sit(size=(120, 36)) as seat:
        for number in range(200):
            seat.engine.logs.add("temperature/1", f"number {number} " + "x" * 150)
        await seat.tick()
        await seat.press("3", *(["w"] if wrap else []), "pageup", "pageup")
        top = seat.text("#logs-view").split("number ")[1].split()[0]
        await seat.pilot.resize_terminal(80, 24)
        await seat.pilot.pause()
        assert f"number {top} " in seat.text("#logs-view")
        assert not seat.main.logs.status.following


async def test_a_growing_terminal_does_not_pause(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        flood(seat, 100)
        await seat.tick()
        await seat.pilot.resize_terminal(120, 50)
        await seat.pilot.pause()
        assert seat.main.logs.status.following
        assert f"flood {seat.engine.logs.last_seq}" in seat.text("#logs-view").splitlines()[-1]


# Work over all that the store holds


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """A block a slice, and none beyond the first until the event is set."""
    go_on = asyncio.Event()
    canvas = "routemq_tui.tui.widgets.log_canvas"
    for name in ("AT_ONCE", "SLICE"):
        monkeypatch.setattr(f"{canvas}.{name}", 0.0)
    monkeypatch.setattr(f"{canvas}._others_rest", go_on.wait)
    return go_on


async def test_a_long_filter_shows_the_newest_at_once_and_is_ended_by_escape(
    slow: asyncio.Event, sit: Sit
) -> None:
    async with sit(size=(120, 36)) as seat:
        flood(seat, 20_000)
        await seat.tick()
        # when it is filtered, then the newest are there while it says how far it is
        await seat.press("slash", *"flood .*7$", "enter")
        assert "flood 20037" in seat.text("#logs-view")
        assert "filtering" in seat.text("#logs-strip")
        assert "Esc ends it" in seat.text("#logs-strip")
        # and keys are answered: nothing waits for its end
        await seat.press("3", "k", "k")
        assert not seat.main.logs.status.following
        # when it is ended, then the strip says what is missing
        await seat.press("escape")
        status = seat.main.logs.status
        assert status.busy == ""
        assert 0 < status.skipped < 20_027
        assert "left out" in seat.text("#logs-strip")
        # and the filter is still there, for what comes too
        slow.set()
        await seat.press("f")
        flood(seat, 10)
        await seat.tick()
        await seat.app.workers.wait_for_complete()
        assert seat.main.logs.status.shown == status.shown + 1
        assert seat.main.logs.status.filter == "flood .*7$"


async def test_a_long_filter_ends_by_itself_and_reaches_the_oldest_line(
    slow: asyncio.Event, sit: Sit
) -> None:
    async with sit(size=SMALL) as seat:
        flood(seat, 2_000)
        await seat.tick()
        await seat.press("slash", *"flood .*99$", "enter")
        assert seat.main.logs.status.busy.startswith("filtering ")
        slow.set()
        await seat.app.workers.wait_for_complete()
        assert seat.main.logs.status.busy == ""
        assert seat.main.logs.status.shown == 20
        await seat.press("3", "g")
        assert "flood 99 " in seat.text("#logs-view").splitlines()[0]


async def test_a_long_search_goes_to_its_line_when_it_is_found(slow: asyncio.Event, sit: Sit) -> None:
    async with sit(size=(120, 36)) as seat:
        flood(seat, 3_000)
        await seat.tick()
        await seat.press("ctrl+f", *"flood 60$", "enter")
        assert seat.main.logs.status.busy.startswith("searching ")
        assert seat.main.logs.status.following
        slow.set()
        await seat.app.workers.wait_for_complete()
        await seat.pilot.pause()
        assert seat.main.logs.current is not None
        assert seat.main.logs.current.text == "flood 60"
        assert "flood 60 " in seat.text("#logs-view")
        # when a search is ended by Esc, then nothing moves and nothing is told
        slow.clear()
        await seat.press("ctrl+f", *["backspace"] * 9, *"nowhere", "enter")
        assert seat.main.logs.status.busy.startswith("searching ")
        await seat.press("escape")
        slow.set()
        assert seat.main.logs.status.busy == ""
        await seat.app.workers.wait_for_complete()
        assert seat.main.logs.current.text == "flood 60"
        assert seat.main.logs.status.search == "nowhere"


async def test_a_hidden_view_does_no_work(slow: asyncio.Event, sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        flood(seat, 4_000)
        await seat.tick()
        await seat.press("slash", *"flood .*99$", "enter", "2")
        slow.set()
        await seat.app.workers.wait_for_complete()
        assert seat.main.logs.status.busy.startswith("filtering ")
        # when it is seen again, then it goes on
        await seat.press("escape")
        await seat.app.workers.wait_for_complete()
        assert seat.main.logs.status.busy == ""
        assert seat.main.logs.status.shown == 40


async def test_a_paused_page_stays_when_the_store_lets_its_lines_go(sit: Sit) -> None:
    async with sit(size=(120, 36)) as seat:
        flood(seat, 300)
        await seat.tick()
        await seat.press("3", "pageup")
        before = [each[:-1] for each in seat.text("#logs-view").splitlines()]
        seat.engine.logs.block_lines = 1
        flood(seat, 1_000)
        await seat.tick()
        # when all that is in sight is let go
        seat.engine.logs.let_go(len(seat.engine.logs.lines) - 600)
        flood(seat, 1)
        await seat.tick()
        # then it stays, and the strip says what has become of it
        assert [each[:-1] for each in seat.text("#logs-view").splitlines()] == before
        strip = seat.text("#logs-strip")
        lowest = int(before[-1].split("flood ")[1])
        gone = seat.engine.logs.lines[0].seq - 1 - lowest
        assert gone > 300
        assert f"! these and {gone} more gone from the store" in strip
        assert seat.main.logs.status.new == 1_001
        # then one can go on to what there is
        await seat.press("g")
        assert "these" not in seat.text("#logs-strip")
        assert f"flood {seat.engine.logs.lines[0].seq}" in seat.text("#logs-view").splitlines()[0]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_drawn_as_text(text: str) -> None:
    shown = body_of(line(1, text)).plain
    assert shown == safe(text)
    assert not any(
        ord(each) < 32 or 0x7F <= ord(each) < 0xA0 or 0x202A <= ord(each) <= 0x202E for each in shown
    )
    shown.encode()


def test_only_colours_are_taken_from_a_line() -> None:
    coloured = "\x1b[31mred\x1b[0m \x1b[5;7;8mplain\x1b[0m \x1b[2J\x1b]8;;http://example.net\x07"
    body = body_of(LogLine(1, 0.0, "a/1", 20, "stdout", "", "red plain", coloured))
    assert "\x1b" not in body.plain
    assert [
        (body.plain[start:end], str(style)) for start, end, style in body.runs if str(style) != "none"
    ] == [("red", "color(1)")]


def test_wrapping_never_splits_a_wide_character() -> None:
    assert breaks("漢" * 5, 5) == [0, 2, 4]
    assert breaks("abcdef", 3) == [0, 3]
    assert breaks("", 10) == [0]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_strip_hides_no_state(width: int) -> None:
    status = LogStatus(False, 1234, 9, 5, 100, "!timeout", 30, True, 16, let_go=3)
    text = "".join(part for part, _ in strip_line("temperature (3 workers)", status, 7, width))
    assert len(text) <= width
    for state in ("7 dropped", "!!9 gone", "/!timeout", "≥warn", "wrap", "→16", "paused +1234"):
        assert state.replace(" ", "") in text.replace(" ", ""), state
