"""Errors, messages and dead letters: shown, filtered, followed from one to the other, replayed."""

from __future__ import annotations

import pytest

from routemq_tui.engine.commands import Publish, PurgeLetters, ReplayLetters, SetTap
from routemq_tui.engine.snapshot import Snapshot
from routemq_tui.tui.payload_text import View, hex_lines, payload_lines
from routemq_tui.tui.rows import RowKey
from routemq_tui.tui.screens.dead_letters import DeadLettersScreen
from routemq_tui.tui.screens.errors import ErrorsScreen
from routemq_tui.tui.screens.messages import MessagesScreen
from tests.fakes.messages import failed, letter_line, letters, message, told, with_errors
from tests.fakes.snapshots import busy
from tests.tui.conftest import Seat, Sit


def full(seat: Seat) -> Seat:
    seat.engine.messages.messages = told()
    seat.engine.letters.lines = letters()
    return seat


def shown() -> Snapshot:
    return with_errors(busy())


async def test_an_error_leads_to_its_message_and_to_its_worker(sit: Sit) -> None:
    async with sit(shown(), size=(120, 36)) as seat:
        full(seat)
        await seat.select("alerts")
        await seat.press("e")
        assert isinstance(seat.app.screen, ErrorsScreen)
        # then only those of the selected route are shown, the traceback below
        text = seat.text()
        assert "only: alerts" in text
        assert 'level = LEVELS[payload["level"]]' in text
        assert "214" in text
        # when its example is followed
        await seat.press("e")
        assert isinstance(seat.app.screen, MessagesScreen)
        assert "dead letter 8" in seat.text()
        assert '"level": "severe"' in seat.text()
        # and then its worker
        await seat.press("w")
        await seat.press("escape", "escape")
        assert seat.main.table.selected == RowKey("alerts", 1)


async def test_a_message_leads_to_its_error(sit: Sit) -> None:
    async with sit(shown(), size=(120, 36)) as seat:
        full(seat)
        await seat.select("alerts")
        await seat.press("4")
        assert isinstance(seat.app.screen, MessagesScreen)
        await seat.press("e")
        assert isinstance(seat.app.screen, ErrorsScreen)
        assert "KeyError" in seat.text()


async def test_messages_are_filtered_by_outcome_and_time(sit: Sit) -> None:
    async with sit(shown(), size=(120, 36)) as seat:
        full(seat)
        await seat.select("temperature")
        await seat.press("4")
        assert "tapped: 16% of the messages" in seat.text()
        await seat.press("slash", *">1s", "enter")
        assert "1 of" in seat.text()
        assert "1.8s" in seat.text()
        # a time that is none is refused while it is typed
        await seat.press("slash", *"x", "escape")
        await seat.press("escape")
        await seat.press("slash", *"poison", "enter")
        assert "its worker process died 3 times" in seat.text()
        # what comes is shown, and the selection stays on its message
        await seat.press("escape")
        await seat.press("down", "down")
        screen = seat.app.screen
        assert isinstance(screen, MessagesScreen)
        chosen = screen.records.record
        seat.engine.messages.add(message(1, topic="sensors/new/temperature"))
        screen.refresh_records()
        await seat.pilot.pause()
        assert "sensors/new/temperature" in seat.text()
        assert screen.records.record == chosen


async def test_the_tap_is_turned_on_and_off(sit: Sit) -> None:
    async with sit(shown(), size=(120, 36)) as seat:
        await seat.select("orders")
        await seat.press("T")
        assert seat.engine.commands == [SetTap("orders", True)]
        await seat.select("temperature")
        await seat.press("4", "T")
        assert seat.engine.commands[-1] == SetTap("temperature", False)


async def test_dead_letters_are_replayed_and_removed(sit: Sit) -> None:
    async with sit(shown(), size=(120, 36)) as seat:
        full(seat)
        await seat.press("d")
        screen = seat.app.screen
        assert isinstance(screen, DeadLettersScreen)
        assert "19 in the store" in seat.text()
        # a count that is a second old does not contradict the list
        seat.engine.letters.count = lambda: 18  # type: ignore[method-assign]
        assert screen._look().total == 19
        await seat.press("a")
        assert seat.engine.commands == [ReplayLetters((20,))]
        # removing asks first
        await seat.press("X")
        await seat.press("n")
        assert len(seat.engine.commands) == 1
        await seat.press("X")
        await seat.press("y")
        assert seat.engine.commands[-1] == PurgeLetters((20,))
        # one that is gone is not replayed again
        await seat.press("slash", *"replayed", "enter")
        await seat.press("a")
        assert len(seat.engine.commands) == 2


async def test_a_message_is_published(sit: Sit) -> None:
    async with sit(shown(), size=(120, 36)) as seat:
        await seat.press("P", *"a/b {}", "enter")
        assert seat.engine.commands == [Publish("a/b", b"{}")]
        await seat.press("P", *"a/+ x")
        assert "+ and # are for filters" in seat.text()


async def test_empty_screens_say_what_would_fill_them(sit: Sit) -> None:
    async with sit(busy(), size=(80, 24)) as seat:
        await seat.select("orders")
        for key, words in (
            ("e", "No message has failed"),
            ("d", "There are none"),
            ("4", "T taps the route"),
        ):
            await seat.press(key)
            assert words in seat.text()
            await seat.press("escape")


async def test_copy_takes_the_traceback(sit: Sit) -> None:
    async with sit(shown(), size=(120, 36)) as seat:
        full(seat)
        await seat.select("alerts")
        await seat.press("e", "y")
        assert seat.app.clipboard.startswith("Traceback (most recent call last):")


@pytest.mark.parametrize(
    ("payload", "view", "expected"),
    [
        (b'{"a": [1]}', View.BEST, ["{", '  "a": [', "    1", "  ]", "}"]),
        (b'{"a": [1]}', View.TEXT, ['{"a": [1]}']),
        (b"plain", View.BEST, ["plain"]),
        (b"\xff\x00", View.BEST, ["000000  ff 00"]),
        (b"a\x1b[31mb\x00", View.TEXT, ["a"]),
    ],
)
def test_payloads_are_laid_out(payload: bytes, view: View, expected: list[str]) -> None:
    lines = ["".join(part.text for part in line)[3:] for line in payload_lines(payload, len(payload), view)]
    assert [line[: len(wanted)] for line, wanted in zip(lines[1:], expected, strict=False)] == expected
    assert not any(ord(each) < 32 for line in lines for each in line)


def test_a_long_payload_is_counted_where_it_is_cut() -> None:
    assert hex_lines(bytes(9000))[-1] == "… 808 bytes more"
    heading = "".join(part.text for part in payload_lines(b"x" * 64, 1_000_000)[0])
    assert "1,000,000 bytes, the first 64" in heading


async def test_hostile_texts_are_harmless(sit: Sit) -> None:
    async with sit(shown(), size=(120, 36)) as seat:
        bad = "a\x1b]0;x\x07[red]\x9b2J\u202e"
        seat.engine.messages.messages = [failed(1, topic=bad, error=bad, traceback=bad, payload=bad.encode())]
        seat.engine.letters.lines = [letter_line(1, topic=bad, error=bad)]
        await seat.select("alerts")
        for key in ("4", "d"):
            await seat.press(key)
            text = seat.text()
            assert not any(each in text for each in "\x1b\x07\x9b\u202e")
            await seat.press("escape")


async def test_an_opened_message_stays_while_newer_ones_come(sit: Sit) -> None:
    async with sit(shown(), size=(120, 36)) as seat:
        full(seat)
        await seat.select("temperature")
        await seat.press("4", "enter")
        screen = seat.app.screen
        assert isinstance(screen, MessagesScreen)
        opened = screen.records.record
        seat.engine.messages.add(message(1, topic="sensors/new/temperature"))
        screen.refresh_records()
        await seat.pilot.pause()
        assert screen.records.record == opened


@pytest.mark.parametrize("width", [80, 120])
async def test_a_heading_stands_over_its_column_and_every_row_has_room_for_its_text(
    sit: Sit, width: int
) -> None:
    async with sit(shown(), size=(width, 36)) as seat:
        full(seat)
        await seat.select("temperature")
        await seat.press("4")
        heading, row = seat.text().splitlines()[1:3]
        at = heading.index("topic")
        assert row[at:].startswith("sensors/")
        assert row[heading.index("payload") :].startswith('{"device"')
