"""From a log line to all of it, to its message, its error and back; and to a time."""

from __future__ import annotations

import pytest
from textual import events

from routemq_tui.tui.logs.moment import parse_moment
from routemq_tui.tui.logs.whole import laid_out
from routemq_tui.tui.screens.errors import ErrorsScreen
from routemq_tui.tui.screens.log_line import LogLineScreen
from routemq_tui.tui.screens.messages import MessagesScreen
from tests.fakes.lines import failure
from tests.fakes.messages import failed, groups, message
from tests.fakes.snapshots import NOW
from tests.tui.conftest import Sit


@pytest.mark.parametrize(
    ("text", "before", "lines"),
    [
        ('{"event": "stored", "n": 1}', "", ["{", '  "event": "stored",', '  "n": 1', "}"]),
        ('reading [x] {"a": [1]}', "reading [x]", ["{", '  "a": [', "    1", "  ]", "}"]),
        ("nothing [here", "nothing [here", []),
        ("empty {}", "empty {}", []),
        ("[" * 50_000, "[" * 50_000, []),
    ],
)
def test_the_json_at_the_end_of_a_line(text: str, before: str, lines: list[str]) -> None:
    assert laid_out(text) == (before, lines)


async def test_enter_shows_a_line_whole_with_its_json_laid_out(sit: Sit) -> None:
    async with sit() as seat:
        seat.engine.logs.add("temperature/1", 'stored {"device": "a7", "value": 21.5}', NOW)
        await seat.tick()
        await seat.press("3", "enter")
        assert isinstance(seat.app.screen, LogLineScreen)
        assert '"device": "a7",' in seat.text()
        await seat.press("y")
        assert seat.app.clipboard == 'stored\n{\n  "device": "a7",\n  "value": 21.5\n}'
        await seat.press("escape")
        # and the view is where it was
        assert seat.app.screen is seat.main
        assert not seat.main.logs.status.following


async def test_a_line_leads_to_its_message_and_that_to_its_error_and_back_to_the_log(sit: Sit) -> None:
    async with sit() as seat:
        # given a message that failed, and what its worker logged of it, among others
        of_it = {"worker": "temperature/1", "route": "temperature", "duration": 0.02}
        seat.engine.messages.add(failed(1, time=NOW, **of_it))
        seat.engine.messages.add(message(2, time=NOW, worker="temperature/2", duration=0.02))
        seat.engine.messages.add(message(3, time=NOW - 5, **of_it))
        head = failure(seat.engine.logs, "temperature/1", NOW + 0.001)
        seat.engine.logs.add("temperature/1", "much later", NOW + 60)
        seat.engine.show(errors=groups())
        await seat.tick()
        # when somebody looks at the line and asks for its message
        await seat.press("3", "[", "4")
        screen = seat.app.screen
        assert isinstance(screen, MessagesScreen)
        assert screen.records.record is not None
        assert screen.records.record.seq == 1
        # then it leads back to the log, at that time
        await seat.press("l")
        assert seat.app.screen is seat.main
        assert seat.main.table.row is not None
        assert seat.main.table.row.key == ("temperature", 1)
        assert seat.main.logs.current is not None
        assert seat.main.logs.current.seq == head
        # and the line leads to the error
        await seat.press("e")
        assert isinstance(seat.app.screen, ErrorsScreen)


async def test_a_line_of_no_message_says_so(sit: Sit) -> None:
    async with sit() as seat:
        await seat.press("3", "f", "4")
        assert isinstance(seat.app.screen, MessagesScreen)
        assert "No message that is kept was handled then" in " ".join(seat.toasts())


async def test_jumping_to_a_time(sit: Sit) -> None:
    async with sit(log_lines=0) as seat:
        for number in range(600):
            seat.engine.logs.add("temperature/1", f"second {number}", NOW - 600 + number)
        await seat.tick()
        await seat.press("J", *"5m", "enter")
        assert seat.main.logs.current is not None
        assert seat.main.logs.current.text == "second 300"
        assert "second 300" in seat.text("#logs-view")
        await seat.press("J", *"soon", "enter")
        assert "Not a time" in seat.text()


@pytest.mark.parametrize(
    ("text", "ago"),
    [("5m", 300), ("-90s", 90), ("22:13", 20), ("22:13:19.5", 0.5), ("22:14", 86_400 - 40)],
)
def test_moments(text: str, ago: float) -> None:
    assert NOW - parse_moment(text, NOW) == pytest.approx(ago)


@pytest.mark.parametrize("text", ["", "soon", "25:00", "12:61"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match="Not a time"):
        parse_moment(text, NOW)


async def test_what_is_typed_right_after_enter_is_for_the_screen_below(sit: Sit) -> None:
    async with sit() as seat:
        # given keys that come faster than a message goes round
        await seat.press("J")
        for key in ("2", "s", "enter", "w"):
            seat.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await seat.pilot.pause()
        await seat.pilot.pause()
        # then the prompt has had what was before Enter, and the screen the rest
        assert seat.app.screen is seat.main
        assert seat.main.logs.status.wrap
        assert not seat.main.logs.status.following
