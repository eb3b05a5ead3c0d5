"""Read-only, what is told and where, the first time, and what is remembered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from textual.widgets import Button, Static

from routemq_tui.config.model import UiConfig
from routemq_tui.engine.commands import KillWorker, Stop
from routemq_tui.engine.snapshot import EngineState
from routemq_tui.tui.keys import KEYS
from routemq_tui.tui.layout_memory import LayoutMemory
from routemq_tui.tui.notices import Sayings, Toast
from routemq_tui.tui.palette import KeyCommands
from routemq_tui.tui.read_only import REASON, ReadOnlyEngine
from routemq_tui.tui.screens.confirm import Confirm
from routemq_tui.tui.screens.stopping import Stopping
from routemq_tui.tui.theme import ANSI, CONTRAST, DARK, LIGHT, first_theme, remember_theme
from tests.fakes.engine import FakeEngine
from tests.fakes.snapshots import busy
from tests.tui.conftest import Sit

NARROW = (80, 24)
READ_ONLY = UiConfig(read_only=True)


# Read-only


async def test_read_only_keys_are_dim_and_say_why(sit: Sit) -> None:
    changing = [key for key in KEYS if key.changes]
    assert len(changing) >= 9
    async with sit(ui=READ_ONLY, size=NARROW) as seat:
        for route, slot in (("temperature", None), ("temperature", 1), ("alerts", 2)):
            await seat.select(route, slot)
            for key in changing:
                seat.app.clear_notifications()
                await seat.press(key.keys.split(",")[0])
                assert seat.toasts() == [REASON], key.id
                assert seat.app.screen is seat.main
        assert seat.engine.commands == []
        assert "read-only" in seat.text("#keys") or REASON[:9] in seat.text("#keys")


async def test_read_only_holds_for_mouse_and_palette(sit: Sit) -> None:
    async with sit(ui=READ_ONLY) as seat:
        await seat.pilot.click("#keys", offset=(seat.text("#keys").index("Add"), 0))
        for wanted in ("pause", "save worker"):
            seat.app.clear_notifications()
            await seat.press("ctrl+p", *wanted)
            await seat.app.workers.wait_for_complete()
            await seat.press("enter")
            await seat.pilot.pause()
            assert seat.engine.commands == []
            assert seat.toasts() == [REASON]


async def test_read_only_still_looks_and_filters(sit: Sit) -> None:
    async with sit(ui=READ_ONLY, size=NARROW) as seat:
        await seat.press("slash", *"device 1", "enter")
        assert seat.main.logs.filter.text == "device 1"


async def test_read_only_asks_before_its_own_engine_is_ended(sit: Sit) -> None:
    async with sit(ui=READ_ONLY, size=NARROW) as seat:
        await seat.press("q")
        assert isinstance(seat.app.screen, Confirm)
        assert "all workers are drained" in seat.text()
        await seat.press("n")
        assert seat.engine.commands == []
        await seat.press("q", "y")
        assert seat.engine.commands == [Stop()]
        assert isinstance(seat.app.screen, Stopping)


def test_a_read_only_engine_takes_nothing_but_the_end() -> None:
    inner = FakeEngine(busy())
    engine = ReadOnlyEngine(inner)
    engine.send(KillWorker("temperature", 1))
    engine.send(Stop())
    assert inner.commands == [Stop()]
    assert engine.snapshot() is inner.snapshot()
    assert engine.logs is inner.logs


@pytest.mark.parametrize("key", ["q", "Q", "ctrl+c"])
async def test_a_screen_without_an_engine_of_its_own_leaves_it_running(sit: Sit, key: str) -> None:
    async with sit(owns_engine=False, size=(120, 60)) as seat:
        await seat.press("question_mark")
        assert "the engine goes on" in seat.text()
        await seat.press("escape", key)
        assert seat.app._exit is True
        assert seat.engine.commands == []


async def test_a_screen_in_a_browser_ends_with_the_engine(sit: Sit) -> None:
    async with sit(owns_engine=False, size=NARROW) as seat:
        seat.engine.show(state=EngineState.STOPPED)
        await seat.tick()
        assert seat.app._exit is True


# What is told


async def test_what_is_told_covers_no_row_and_no_line(sit: Sit) -> None:
    # given
    async with sit(size=NARROW) as seat:
        before = seat.text().splitlines()
        # when
        seat.engine.notice("temperature/2 was killed", "error")
        await seat.tick()
        # then all is as it was but the bottom line, which keeps help and quit
        now = seat.text().splitlines()
        assert now[:-1] == before[:-1]
        assert now[-1].startswith(" ✗ temperature/2 was killed ")
        assert now[-1].rstrip().endswith("? Help  q Quit")


async def test_more_than_one_is_counted_and_a_click_takes_them_away(sit: Sit) -> None:
    async with sit(size=(120, 36)) as seat:
        keys = seat.text("#keys")
        for text in ("one", "two", "three"):
            seat.engine.notice(text)
        await seat.tick()
        assert " ● three (+2 more) " in seat.text("#keys")
        await seat.pilot.click("#keys", offset=(3, 0))
        await seat.pilot.pause()
        assert seat.text("#keys") == keys


async def test_a_long_text_is_cut_with_an_ellipsis(sit: Sit) -> None:
    async with sit(size=NARROW) as seat:
        seat.engine.notice("x" * 200, "warning")
        await seat.tick()
        line = seat.text("#keys")
        assert len(line) == 80
        assert line.rstrip().endswith("x…  ? Help")


def test_sayings_go_when_their_time_is_over() -> None:
    sayings = Sayings()
    sayings.add(Toast("old", "warning", 5), now=0)
    sayings.add(Toast("new", "warning", 1), now=1)
    assert [toast.text for toast in sayings.current(1.5)] == ["new", "old"]
    assert [toast.text for toast in sayings.current(3)] == ["old"]
    sayings.add(Toast("old", "warning", 5), now=3)
    assert [toast.text for toast in sayings.current(7)] == ["old"]
    assert sayings.current(8.1) == ()


# The first time


@pytest.mark.parametrize("away", ["escape", "question_mark", "click"])
async def test_the_hint_comes_once(sit: Sit, tmp_path: Path, away: str) -> None:
    file = tmp_path / "layout.json"
    async with sit(memory=LayoutMemory(file), size=NARROW) as seat:
        assert "New here?" in seat.text("#hint")
        for part in ("+ adds a worker · j to one, X kills it", "? all keys", "Esc hides this"):
            assert part in seat.text("#hint")
        if away == "click":
            await seat.pilot.click("#hint", offset=(5, 0))
        else:
            await seat.press(away)
        await seat.press("escape")
        assert "New here?" not in seat.text()
    async with sit(memory=LayoutMemory(file), size=NARROW) as seat:
        assert "New here?" not in seat.text()


async def test_without_a_memory_there_is_no_hint(sit: Sit) -> None:
    async with sit(size=NARROW) as seat:
        assert "New here?" not in seat.text()


# What is remembered


async def test_columns_order_and_pane_are_there_again_and_no_zoom(sit: Sit, tmp_path: Path) -> None:
    # given somebody who arranged the screen
    file = tmp_path / "layout.json"
    async with sit(memory=LayoutMemory(file)) as seat:
        await seat.press("escape")
        seat.main.table.hide_columns(frozenset({"cpu"}))
        seat.main.table.sort_by("rate")
        await seat.press("3", "z")
    # when the screen is started again
    async with sit(memory=LayoutMemory(file)) as seat:
        # then
        assert seat.main.panes.zoomed == ""
        assert seat.app.focused is seat.main.logs
        assert seat.main.table.hidden == frozenset({"cpu"})
        assert seat.main.table.order.sort.column == "rate"
        heading = seat.text("#routes-heading")
        assert "cpu" not in heading
        assert "▼" in heading


async def test_a_broken_file_is_told_and_not_used(sit: Sit, tmp_path: Path) -> None:
    file = tmp_path / "layout.json"
    file.write_text("{ no json")
    async with sit(memory=LayoutMemory(file), size=NARROW) as seat:
        assert "The remembered layout is broken" in seat.toasts()[0]
        await seat.press("3")
    assert json.loads(file.read_text())["main.pane"] == "logs"


@pytest.mark.parametrize(
    "text", ["[1]", '{"main.zoom": 5, "table.hidden": [1], "table.sort": "nowhere", "main.pane": "x"}', "{}"]
)
async def test_strange_values_do_no_harm(sit: Sit, tmp_path: Path, text: str) -> None:
    file = tmp_path / "layout.json"
    file.write_text(text)
    async with sit(memory=LayoutMemory(file), size=NARROW) as seat:
        assert seat.app.focused is seat.main.table
        assert seat.main.panes.zoomed == ""


def test_memory_gives_the_default_for_another_type(tmp_path: Path) -> None:
    memory = LayoutMemory(tmp_path / "layout.json")
    memory.update({"a": True, "b": ["x"], "c": 3})
    again = LayoutMemory(tmp_path / "layout.json")
    assert (again.get("a", False), again.get("b", list[str]()), again.get("c", 0)) == (True, ["x"], 3)
    assert (again.get("a", 1), again.get("b", "y"), again.get("c", "z")) == (1, "y", "z")
    assert again.get("none", 0.5) == 0.5


def test_a_folder_that_is_not_there_is_told_once(tmp_path: Path) -> None:
    memory = LayoutMemory(tmp_path / "gone" / "layout.json")
    memory.set("a", 1)
    assert "cannot be remembered" in memory.problem
    assert not memory.lasts
    assert memory.get("a", 0) == 1


def test_nothing_is_written_when_nothing_changed(tmp_path: Path) -> None:
    file = tmp_path / "layout.json"
    LayoutMemory(file).set("a", 1)
    file.chmod(0o600)
    before = file.stat().st_ino
    LayoutMemory(file).set("a", 1)
    assert file.stat().st_ino == before
    assert [each.name for each in tmp_path.iterdir()] == ["layout.json"]


# Themes


def test_the_theme_of_the_command_line_wins_over_the_remembered_one(tmp_path: Path) -> None:
    memory = LayoutMemory(tmp_path / "layout.json")
    ui = UiConfig(theme="dark")
    assert first_theme(ui, memory, "truecolor") == DARK.name
    remember_theme(ui, memory, LIGHT.name)
    assert first_theme(ui, memory, "truecolor") == LIGHT.name
    assert first_theme(UiConfig(theme="contrast", theme_asked=True), memory, "truecolor") == CONTRAST.name
    # A configuration that was changed since is newer than the choice.
    assert first_theme(UiConfig(theme="contrast"), memory, "truecolor") == CONTRAST.name


@pytest.mark.parametrize(
    ("colours", "theme"), [("truecolor", DARK), ("256", DARK), ("standard", ANSI), (None, ANSI)]
)
def test_few_colours_get_the_theme_of_few_colours(colours: str | None, theme: object) -> None:
    assert first_theme(UiConfig(), LayoutMemory(), colours) == theme.name  # type: ignore[attr-defined]


async def test_a_theme_from_the_palette_is_remembered(sit: Sit, tmp_path: Path) -> None:
    memory = LayoutMemory(tmp_path / "layout.json")
    async with sit(memory=memory, size=NARROW) as seat:
        assert KeyCommands in seat.app.COMMANDS
        await seat.press("ctrl+p", *"contrast")
        await seat.app.workers.wait_for_complete()
        await seat.press("enter")
        await seat.pilot.pause()
        assert seat.app.theme == CONTRAST.name
    assert first_theme(UiConfig(), LayoutMemory(tmp_path / "layout.json"), "truecolor") == CONTRAST.name


# The mouse


@pytest.mark.parametrize("key", ["question_mark", "C", "slash", "X"])
async def test_a_click_beside_a_dialog_closes_it(sit: Sit, key: str) -> None:
    async with sit(size=(200, 50)) as seat:
        await seat.select("alerts", 1)
        await seat.press(key)
        assert seat.app.screen is not seat.main
        await seat.pilot.click(offset=(2, 20))
        await seat.pilot.pause()
        assert seat.app.screen is seat.main
        assert seat.engine.commands == []


async def test_a_click_kills_what_does_not_drain(sit: Sit) -> None:
    async with sit(size=NARROW) as seat:
        await seat.press("q", "enter")
        assert seat.engine.commands == [Stop()]
        await seat.pilot.click("#force")
        await seat.pilot.pause()
        assert seat.engine.commands == [Stop(), Stop(force=True)]
        assert "Kill them now" not in seat.text()


async def test_a_pane_that_has_no_room_now_is_not_focused(sit: Sit, tmp_path: Path) -> None:
    # given a wide screen that was left in the detail
    memory = LayoutMemory(tmp_path / "layout.json")
    memory.update({"main.pane": "detail", "main.hint_seen": True})
    # when the next one is narrow, then the focus is on something that is seen
    async with sit(memory=memory, size=NARROW) as seat:
        assert seat.app.focused is not None
        assert seat.app.focused.region.area > 0
        await seat.press("escape", "1", "j")
        assert seat.main.table.selected.slot == 1


async def test_the_way_to_help_stays_under_a_long_word(sit: Sit) -> None:
    async with sit(busy(), size=(80, 24)) as seat:
        seat.app.notify("orders/1 gave up orders/north: " + "a long reason " * 10, severity="warning")
        await seat.pilot.pause()
        last = seat.text("#keys")
        assert "! orders/1 gave up" in last
        assert "? Help" in last


async def test_a_snapshot_that_comes_while_the_way_out_is_built_ends_nothing(sit: Sit) -> None:
    async with sit() as seat:
        screen = Stopping(busy(), lambda: None, "Q")
        await seat.app.push_screen(screen)
        title = screen.query_one("#stopping-title", Static)
        assert "Stopping: draining" in str(title.render())
        await screen.query_one(Button).remove()  # as before it is mounted
        screen.show_snapshot(busy())
