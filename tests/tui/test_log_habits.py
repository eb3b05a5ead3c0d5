"""What people do with logs: search, jump, mark, select, copy, export, read times; each by its key."""

from __future__ import annotations

import base64
import time
from pathlib import Path

import pytest
from textual import events

from routemq_tui.engine.commands import SetWorkers
from routemq_tui.tui.logs.export import name_problem, proposed_name, write_lines
from routemq_tui.tui.logs.selection import Place, Selection
from routemq_tui.tui.logs.text import TimeMode, offset_at, time_text
from routemq_tui.tui.screens.prompt import Prompt
from routemq_tui.tui.widgets.log_painter import MATCHES, matches_of
from tests.fakes.snapshots import NOW
from tests.tui.conftest import Seat, Sit
from tests.tui.test_logs import line

SMALL = (80, 24)


def current(seat: Seat) -> str:
    """The text of the current line."""
    return seat.main.logs.current.text


async def logged(seat: Seat, *texts: str, **other: object) -> None:
    for text in texts:
        seat.engine.logs.add("temperature/1", text, **other)  # type: ignore[arg-type]
    await seat.tick()


# Search


async def test_search_goes_to_matches_and_leaves_the_other_lines(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        await logged(seat, *(f"line {n} {'needle' if n % 50 == 0 else 'hay'}" for n in range(200)))
        shown = seat.main.logs.status.shown
        # when it is searched, then the last match is the current line
        await seat.press("ctrl+f", *"needle", "enter")
        assert current(seat) == "line 150 needle"
        assert seat.main.logs.status.shown == shown
        assert "line 149 hay" in seat.text("#logs-view")
        # then n and N go on from there, and round the end
        await seat.press("N")
        assert current(seat) == "line 100 needle"
        await seat.press("n", "n")
        assert current(seat) == "line 0 needle"
        assert seat.toasts()[-1] == "On from the first line"
        await seat.press("N")
        assert current(seat) == "line 150 needle"
        assert seat.toasts()[-1] == "On from the last line"
        assert "line 150 needle" in seat.text("#logs-view")


async def test_search_and_filter_at_once(sit: Sit) -> None:
    async with sit(size=(120, 36)) as seat:
        await logged(seat, *(f"line {n} {'odd' if n % 2 else 'even'} x{n % 5}" for n in range(100)))
        await seat.press("slash", *"even", "enter", "n", *"x3", "enter")
        assert current(seat) == "line 98 even x3"
        await seat.press("N")
        assert current(seat) == "line 88 even x3"
        strip = seat.text("#logs-strip")
        assert "/even" in strip
        assert "?x3" in strip


async def test_n_asks_when_nothing_was_searched_and_says_when_nothing_matches(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        await seat.press("n")
        assert isinstance(seat.app.screen, Prompt)
        await seat.press(*"nowhere", "enter")
        assert seat.toasts() == ["No line here matches nowhere"]
        assert seat.main.logs.status.following
        # when the search is emptied, then it is over
        await seat.press("ctrl+f", *["backspace"] * 7, "enter")
        assert seat.main.logs.status.search == ""


async def test_a_broken_search_is_told(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        await seat.press("ctrl+f", "asterisk", "enter")
        assert "Not a regular expression" in seat.text()
        await seat.press("escape")


async def test_brackets_go_to_errors(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        await seat.press("right_square_bracket")
        errors = [each for each in seat.main.logs.all_lines().lines() if each.level >= 40]
        assert current(seat) == errors[-1].text
        await seat.press("left_square_bracket")
        assert current(seat) == errors[-2].text
        await seat.press("right_square_bracket", "right_square_bracket")
        assert current(seat) == errors[0].text


async def test_a_filter_that_goes_leaves_the_current_line_in_its_place(sit: Sit) -> None:
    """Find a line by a filter, take the filter away, and see what stood around it."""
    async with sit(size=SMALL) as seat:
        await logged(seat, *(f"line {n}" for n in range(300)))
        await seat.press("slash", *"line 77$", "enter", "3", "f")
        assert current(seat) == "line 77"
        await seat.press("1", "escape")
        assert current(seat) == "line 77"
        assert "line 76" in seat.text("#logs-view")
        # then what comes is counted as before
        await logged(seat, "later")
        assert seat.main.logs.status.new == 1


# Time, marks


@pytest.mark.parametrize(
    ("mode", "roomy", "shown"),
    [
        (TimeMode.CLOCK, True, "22:13:15.500"),
        (TimeMode.CLOCK, False, "22:13:15"),
        (TimeMode.AGO, True, "    4.5s ago"),
        (TimeMode.AGO, False, "    4.5s"),
        (TimeMode.DELTA, True, "     +1.250s"),
        (TimeMode.DELTA, False, " +1.250s"),
    ],
)
def test_times_keep_their_width(mode: TimeMode, roomy: bool, shown: str) -> None:
    at = NOW - 4.5
    assert time_text(mode, at, at - 1.25, NOW, roomy) == shown
    for seconds in (0.0, 59.96, 99.9996, 3_600.0, 9 * 86_400.0, 400 * 86_400.0):
        assert len(time_text(mode, NOW - seconds, NOW, NOW, roomy)) == len(shown)
        assert len(time_text(mode, NOW, NOW - seconds, NOW, roomy)) == len(shown)
    assert len(time_text(mode, at, None, NOW, roomy)) == len(shown)


async def test_t_changes_the_times(sit: Sit) -> None:
    async with sit() as seat:
        last = lambda: seat.text("#logs-view").splitlines()[-1]  # noqa: E731
        await logged(seat, "one", time=NOW - 2)
        await logged(seat, "two", time=NOW - 1.5)
        assert "22:13:18.500" in last()
        await seat.press("t")
        assert "1.5s ago" in last()
        # when time passes, then it grows; but not while paused
        seat.engine.now = NOW + 3
        seat.engine.show()
        await seat.tick()
        assert "4.5s ago" in last()
        await seat.press("f")
        seat.engine.now = NOW + 9
        seat.engine.show()
        await seat.tick()
        assert "4.5s ago" in last()
        await seat.press("t")
        assert "+0.500s" in last()
        await seat.press("t")
        assert "22:13:18.500" in last()


async def test_marks_are_shown_and_gone_to(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        await seat.press("apostrophe")
        assert seat.toasts() == ["No line is marked: m marks one"]
        await logged(seat, *(f"line {n}" for n in range(90)))
        await seat.press("m")
        assert "◆" in seat.text("#logs-view").splitlines()[-1]
        await seat.press("3", "pageup", "pageup", "pageup", "m")
        low = current(seat)
        await seat.press("apostrophe")
        assert current(seat) == "line 89"
        await seat.press("apostrophe")
        assert current(seat) == low
        await seat.press("m")
        assert "◆" not in seat.text("#logs-view")


# Selecting and copying


async def test_y_copies_the_current_line_as_it_is_seen(sit: Sit) -> None:
    long = "wide 漢字 e\u0301 \u202e[red]x[/] " + "word " * 60 + "end"
    for wrap in (False, True):
        async with sit(size=SMALL) as seat:
            await logged(seat, "before", long, "after")
            await seat.press("3", *(["w"] if wrap else []), "k", "y")
            assert seat.app.clipboard == long.replace("\u202e", "\ufffd")
            assert seat.toasts() == [
                f"Sent 1 line, {len(long)} characters to the terminal's clipboard (OSC 52)"
            ]
            assert not seat.main.logs.status.following


async def test_copying_needs_something_selected(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        await seat.press("y")
        assert seat.app.clipboard == ""
        assert "f pauses" in seat.toasts()[0]


async def test_v_selects_lines(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        await logged(seat, "one", "two", "three", "four")
        await seat.press("3", "k", "v", "k", "k", "y")
        assert seat.app.clipboard == "one\ntwo\nthree"
        # when it is copied, then nothing is selected any more; nor after Esc
        await seat.press("y")
        assert seat.app.clipboard == "one"
        await seat.press("v", "j", "escape", "y")
        assert seat.app.clipboard == "two"


async def drag(seat: Seat, *points: tuple[int, int]) -> None:
    for index, offset in enumerate(points):
        kind = events.MouseDown if index == 0 else events.MouseMove
        await seat.pilot._post_mouse_events([kind], "#logs-view", offset=offset, button=1)
    await seat.pilot._post_mouse_events([events.MouseUp], "#logs-view", offset=points[-1], button=1)
    await seat.pilot.pause()


@pytest.mark.parametrize("wrap", [False, True])
async def test_the_mouse_selects_exactly_what_it_was_drawn_over(sit: Sit, wrap: bool) -> None:
    async with sit(size=SMALL) as seat:
        await logged(seat, "alpha beta", "gamma delta", "epsilon 漢字 zeta")
        if wrap:
            await seat.press("w")
        rows = seat.text("#logs-view").splitlines()
        beta = (rows[-3].index("beta"), len(rows) - 3)
        zeta = (rows[-1].index("字") + 3, len(rows) - 1)
        await drag(seat, beta, (30, len(rows) - 2), zeta)
        await logged(seat, *(f"flood {n}" for n in range(50)))
        await seat.press("y")
        assert seat.app.clipboard == "beta\ngamma delta\nepsilon 漢字"
        # when it is drawn upwards, then it is the same
        await drag(seat, zeta, beta)
        await seat.press("y")
        assert seat.app.clipboard == "beta\ngamma delta\nepsilon 漢字"


async def test_a_wrapped_line_is_copied_in_one_piece(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        await logged(seat, "0123456789" * 20)
        await seat.press("w")
        count = len(seat.text("#logs-view").splitlines())
        await drag(seat, (27, count - 3), (29, count - 1))
        await seat.press("y")
        assert seat.app.clipboard in ("0123456789" * 20)
        assert "\n" not in seat.app.clipboard
        assert len(seat.app.clipboard) > 2 * (80 - 28)


async def test_a_click_alone_goes_on_following(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        await seat.pilot.click("#logs-view", offset=(30, 3))
        await seat.pilot.pause()
        assert seat.app.focused is seat.main.logs
        assert seat.main.logs.status.following
        # paused, a click chooses the line
        await seat.press("f")
        await seat.pilot.click("#logs-view", offset=(30, 3))
        await seat.pilot.pause()
        assert not seat.main.logs.status.following
        assert current(seat) in seat.text("#logs-view").splitlines()[3]


async def test_a_copy_goes_out_through_osc_52(sit: Sit, monkeypatch: pytest.MonkeyPatch) -> None:
    async with sit(size=SMALL) as seat:
        written: list[str] = []
        assert seat.app._driver is not None
        monkeypatch.setattr(seat.app._driver, "write", written.append)
        await logged(seat, "käse")
        await seat.press("f", "y")
        assert f"\x1b]52;c;{base64.b64encode('käse'.encode()).decode()}\x07" in written


async def test_a_very_long_copy_is_warned_about(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        await logged(seat, "x" * 80_000)
        await seat.press("f", "y")
        assert "more than some terminals take" in seat.toasts()[0]


def test_a_selection_is_the_same_from_both_ends() -> None:
    shown = [line(1, "first"), line(2, "second"), line(3, "third"), line(4, "fourth")]
    there, back = Place(1, 2), Place(3, 3)
    assert Selection(there, back).text(shown) == Selection(back, there).text(shown) == "rst\nsecond\nthi"
    assert Selection(there, there).text(shown) == ""
    assert Selection(there, back).span(4, 9) is None


def test_offsets_by_cells_count_wide_characters() -> None:
    assert [offset_at("a漢b", 0, cells) for cells in range(5)] == [0, 1, 1, 2, 3]


def test_a_line_full_of_matches_has_a_bound() -> None:
    import re

    assert len(matches_of("x" * 5_000, [re.compile("x")])) == MATCHES


# Export


async def test_an_export_holds_what_is_shown(
    sit: Sit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with sit(size=SMALL) as seat:
        await seat.press("slash", *"device 1", "enter", "E")
        assert "temperature-20231114-221320.log" in seat.text()
        await seat.press("enter")
        await seat.app.workers.wait_for_complete()
        await seat.pilot.pause()
        written = (tmp_path / "temperature-20231114-221320.log").read_text().splitlines()
        assert len(written) == seat.main.logs.status.shown
        assert written[0] == "2023-11-14T22:12:41.000 INFO  temperature/2 device 1 reads 20.1 °C"
        assert "lines written to" in seat.toasts()[-1]
        # when the file is there, then it is not written over
        await seat.press("E", "enter")
        assert isinstance(seat.app.screen, Prompt)
        assert "exists already" in seat.text()
        await seat.press("escape")


def test_an_export_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        write_lines(str(path), [line(1, "text")])
    assert path.read_text() == "mine"
    assert "exists already" in name_problem(str(path))
    assert "no folder" in name_problem(str(tmp_path / "none" / "a.log"))
    assert "Not a name" in name_problem("nul\0l")
    assert name_problem(str(tmp_path / "b.log")) == ""
    assert "/" not in proposed_name("jobs/1", NOW)


async def test_an_export_that_fails_is_told(sit: Sit, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(name: str, lines: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("routemq_tui.tui.screens.log_desk.write_lines", full)
    async with sit(size=SMALL) as seat:
        await seat.press("E", "enter")
        await seat.app.workers.wait_for_complete()
        await seat.pilot.pause()
        assert "No space left on device" in seat.toasts()[-1]


# Keys typed fast


async def test_keys_typed_before_a_prompt_is_there_are_not_lost(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        for key in ("S", "1", "2", "backspace", "4"):
            seat.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await seat.pilot.pause()
        await seat.pilot.pause()
        assert seat.app.screen.query_one("#prompt-input").value == "14"  # type: ignore[attr-defined]
        await seat.press("escape")
        for key in ("S", "5", "enter", "plus"):
            seat.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await seat.pilot.pause()
        await seat.pilot.pause()
        assert seat.engine.commands[0] == SetWorkers("temperature", 5)


async def test_the_bottom_line_shows_the_keys_of_the_logs_when_they_have_the_focus(sit: Sit) -> None:
    async with sit() as seat:
        assert "y Copy" not in seat.text("#keys")
        await seat.press("3")
        for shown in ("/ Filter", "n Next", "] Next error", "y Copy", "? Help", "q Quit"):
            assert shown in seat.text("#keys")


@pytest.mark.parametrize("key", ["slash", "ctrl+f"])
async def test_an_expression_that_would_never_end_is_given_up(sit: Sit, key: str) -> None:
    async with sit() as seat:
        await logged(seat, "a" * 40 + "!", "another line")
        began = time.monotonic()
        await seat.press(key, *"(a+)+$", "enter")
        await seat.tick()
        assert time.monotonic() - began < 10
        assert "takes too long on a line" in seat.toasts()[-1]
        # then all lines are there, and keys work
        assert "another line" in seat.text("#logs-view")
        assert (seat.main.logs.status.filter, seat.main.logs.status.search) == ("", "")
