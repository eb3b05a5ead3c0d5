"""Pictures of every screen and state, looked at before they were accepted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from routemq_tui.config.model import UiConfig
from routemq_tui.engine.snapshot import Snapshot
from routemq_tui.tui.app import RouteMQApp
from routemq_tui.tui.layout_memory import LayoutMemory
from routemq_tui.tui.rows import RowKey
from routemq_tui.tui.theme import ANSI, CONTRAST, DARK, LIGHT
from tests.fakes import lines
from tests.fakes.engine import FakeEngine
from tests.fakes.messages import letters, told, with_errors
from tests.fakes.snapshots import (
    NOW,
    after_kills,
    all_failed,
    autoscaled,
    broker_down,
    busy,
    draining,
    no_routes,
    with_exits,
)

SMALL, MIDDLE, LARGE = (80, 24), (120, 36), (200, 50)
SIZES = [pytest.param(SMALL, id="80x24"), pytest.param(MIDDLE, id="120x36")]
ALL_SIZES = [*SIZES, pytest.param(LARGE, id="200x50")]
THEMES = [pytest.param(theme.name, id="dark" if theme.dark else "light") for theme in (DARK, LIGHT)]
OTHER_THEMES = [pytest.param(CONTRAST.name, id="contrast"), pytest.param(ANSI.name, id="ansi")]
Compare = Callable[..., bool]


def screen(snapshot: Snapshot, theme: str = DARK.name, hostile: bool = False) -> RouteMQApp:
    engine = FakeEngine(snapshot)
    if hostile:
        lines.hostile(engine.logs)
    elif snapshot.routes:
        lines.usual(engine.logs)
    return RouteMQApp(engine, tick=None, theme=theme)


def told_screen() -> RouteMQApp:
    """With messages, errors and dead letters."""
    engine = FakeEngine(with_errors(busy()))
    lines.usual(engine.logs)
    engine.messages.messages = told()
    engine.letters.lines = letters()
    return RouteMQApp(engine, tick=None, theme=DARK.name)


def keys(*pressed: str) -> Callable[[Pilot[int]], Awaitable[None]]:
    async def press(pilot: Pilot[int]) -> None:
        await pilot.pause()
        for key in pressed:
            await pilot.press(key)
            await pilot.pause()

    return press


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", ALL_SIZES)
def test_main(snap_compare: Compare, size: tuple[int, int], theme: str) -> None:
    assert snap_compare(screen(busy(), theme), terminal_size=size, run_before=keys())


@pytest.mark.parametrize("key", ["e", "4", "d"])
@pytest.mark.parametrize("size", ALL_SIZES)
def test_records(snap_compare: Compare, size: tuple[int, int], key: str) -> None:
    assert snap_compare(told_screen(), terminal_size=size, run_before=keys(key))


@pytest.mark.parametrize("key", ["e", "4", "d"])
def test_records_that_are_empty(snap_compare: Compare, key: str) -> None:
    assert snap_compare(screen(busy()), terminal_size=SMALL, run_before=keys(key))


def test_one_message_alone(snap_compare: Compare) -> None:
    pressed = keys("4", *["j"] * 12, "enter")
    assert snap_compare(told_screen(), terminal_size=MIDDLE, run_before=pressed)


@pytest.mark.parametrize("theme", OTHER_THEMES)
@pytest.mark.parametrize("size", SIZES)
def test_other_themes(snap_compare: Compare, size: tuple[int, int], theme: str) -> None:
    given = keys("3", "k", "k", "v", "k") if size == SMALL else keys("j", "j")
    assert snap_compare(screen(busy(), theme), terminal_size=size, run_before=given)


@pytest.mark.parametrize("theme", OTHER_THEMES)
def test_dialogs_in_other_themes(snap_compare: Compare, theme: str) -> None:
    async def kill(pilot: Pilot[int]) -> None:
        await pilot.pause()
        pilot.app.screen.select(RowKey("alerts", 1))  # type: ignore[attr-defined]
        await keys("X")(pilot)

    assert snap_compare(screen(busy(), theme), terminal_size=SMALL, run_before=kill)


@pytest.mark.parametrize("size", SIZES)
def test_no_colour(snap_compare: Compare, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    given = keys("3", "k", "k", "v", "k") if size == SMALL else keys("j", "j")
    assert snap_compare(screen(after_kills()), terminal_size=size, run_before=given)


@pytest.mark.parametrize("size", SIZES)
def test_first_time(snap_compare: Compare, size: tuple[int, int], tmp_path: Path) -> None:
    engine = FakeEngine(busy())
    lines.usual(engine.logs)
    app = RouteMQApp(engine, tick=None, memory=LayoutMemory(tmp_path / "layout.json"))
    assert snap_compare(app, terminal_size=size, run_before=keys())


@pytest.mark.parametrize("size", SIZES)
def test_read_only(snap_compare: Compare, size: tuple[int, int]) -> None:
    engine = FakeEngine(busy())
    lines.usual(engine.logs)
    app = RouteMQApp(engine, tick=None, ui=UiConfig(read_only=True))
    given = keys("+") if size == MIDDLE else keys("q")
    assert snap_compare(app, terminal_size=size, run_before=given)


@pytest.mark.parametrize("size", SIZES)
def test_worker_detail(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(screen(busy()), terminal_size=size, run_before=keys("j", "enter"))


@pytest.mark.parametrize("size", SIZES)
def test_autoscale(snap_compare: Compare, size: tuple[int, int]) -> None:
    given = keys("2") if size == SMALL else keys()
    assert snap_compare(screen(autoscaled()), terminal_size=size, run_before=given)


def test_autoscale_paused(snap_compare: Compare) -> None:
    assert snap_compare(screen(autoscaled(), CONTRAST.name), terminal_size=LARGE, run_before=keys(*"jjjjjj"))


@pytest.mark.parametrize("size", SIZES)
def test_after_kills(snap_compare: Compare, size: tuple[int, int]) -> None:
    given = keys("j", "j", *(("2", "z") if size == MIDDLE else ()))
    assert snap_compare(screen(after_kills()), terminal_size=size, run_before=given)


def test_after_kills_with_room(snap_compare: Compare) -> None:
    assert snap_compare(screen(after_kills()), terminal_size=LARGE, run_before=keys())


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES)
def test_help(snap_compare: Compare, size: tuple[int, int], theme: str) -> None:
    assert snap_compare(screen(busy(), theme), terminal_size=size, run_before=keys("question_mark"))


@pytest.mark.parametrize("size", SIZES)
def test_columns_chooser(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(screen(busy()), terminal_size=size, run_before=keys("C", "down", "space"))


def test_sorted_and_only_some_routes(snap_compare: Compare) -> None:
    pressed = keys(">", "F", *"er", "enter")
    assert snap_compare(screen(busy()), terminal_size=LARGE, run_before=pressed)


async def open_palette(pilot: Pilot[int]) -> None:
    await keys("ctrl+p")(pilot)
    await pilot.press(*"drain")
    await pilot.app.workers.wait_for_complete()
    pilot.app.screen.query_one("Input").cursor_blink = False  # type: ignore[attr-defined]
    await pilot.pause()


@pytest.mark.parametrize("size", SIZES)
def test_palette(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(screen(busy()), terminal_size=size, run_before=open_palette)


@pytest.mark.parametrize("theme", OTHER_THEMES)
def test_palette_in_other_themes(snap_compare: Compare, theme: str) -> None:
    assert snap_compare(screen(busy(), theme), terminal_size=SMALL, run_before=open_palette)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES)
def test_confirm(snap_compare: Compare, size: tuple[int, int], theme: str) -> None:
    async def kill(pilot: Pilot[int]) -> None:
        await pilot.pause()
        pilot.app.screen.select(RowKey("alerts", 1))  # type: ignore[attr-defined]
        await keys("X")(pilot)

    assert snap_compare(screen(busy(), theme), terminal_size=size, run_before=kill)


def test_filter_prompt_with_a_problem(snap_compare: Compare) -> None:
    given = keys("slash", "left_square_bracket", "a")
    assert snap_compare(screen(busy()), terminal_size=SMALL, run_before=given)


def test_filtered_and_paused(snap_compare: Compare) -> None:
    given = keys("slash", *"device 1", "enter", "3", "k", "k")
    assert snap_compare(screen(busy()), terminal_size=SMALL, run_before=given)


def log_screen() -> RouteMQApp:
    """With a failure, one of the workers killed before, and a line of JSON."""
    engine = FakeEngine(with_exits(busy()))
    lines.usual(engine.logs)
    lines.failure(engine.logs, "temperature/1", NOW - 1)
    engine.logs.add("temperature/2", '{"event": "stored", "device": "a7", "value": 21.5, "tags": ["x"]}', NOW)
    return RouteMQApp(engine, tick=None, theme=DARK.name)


@pytest.mark.parametrize("size", ALL_SIZES)
def test_logs_side_by_side(snap_compare: Compare, size: tuple[int, int]) -> None:
    """As many as there is room for; in the first a traceback is open."""
    moves = ("j", "|") * 4
    assert snap_compare(
        log_screen(), terminal_size=size, run_before=keys("j", *moves, "g", "3", "[", "enter")
    )


@pytest.mark.parametrize("size", SIZES)
def test_a_folded_traceback(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(log_screen(), terminal_size=size, run_before=keys("3", "f", "k"))


@pytest.mark.parametrize("size", SIZES)
def test_a_log_line_whole(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(log_screen(), terminal_size=size, run_before=keys("3", "f", "enter"))


def test_going_to_a_time(snap_compare: Compare) -> None:
    assert snap_compare(log_screen(), terminal_size=SMALL, run_before=keys("J", "5", "x"))


@pytest.mark.parametrize("size", SIZES)
def test_detail_of_a_worker_that_ended_before(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(log_screen(), terminal_size=size, run_before=keys("j", "enter", "G"))


@pytest.mark.parametrize("size", SIZES)
def test_no_routes(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(screen(no_routes()), terminal_size=size, run_before=keys())


@pytest.mark.parametrize("size", SIZES)
def test_broker_down(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(screen(broker_down()), terminal_size=size, run_before=keys())


@pytest.mark.parametrize("size", SIZES)
def test_all_workers_failed(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(screen(all_failed()), terminal_size=size, run_before=keys("j"))


@pytest.mark.parametrize("wrap", [False, True], ids=["cut", "wrapped"])
@pytest.mark.parametrize("size", SIZES)
def test_hostile_lines(snap_compare: Compare, size: tuple[int, int], wrap: bool) -> None:
    given = keys("3", "z", *(("w", "g") if wrap else ()))
    assert snap_compare(screen(busy(), hostile=True), terminal_size=size, run_before=given)


@pytest.mark.parametrize("size", SIZES)
def test_stopping(snap_compare: Compare, size: tuple[int, int]) -> None:
    engine = FakeEngine(busy())
    lines.usual(engine.logs)

    async def quit_and_drain(pilot: Pilot[int]) -> None:
        await keys("q")(pilot)
        stopping = draining()
        engine.show(state=stopping.state, routes=stopping.routes)
        pilot.app.screen_stack[0].tick()  # type: ignore[attr-defined]
        await pilot.pause()

    assert snap_compare(RouteMQApp(engine, tick=None), terminal_size=size, run_before=quit_and_drain)


def test_refusal_as_a_toast(snap_compare: Compare) -> None:
    given = keys("g", "plus")
    assert snap_compare(screen(busy()), terminal_size=SMALL, run_before=given)


def test_no_room(snap_compare: Compare) -> None:
    assert snap_compare(screen(busy()), terminal_size=(56, 12), run_before=keys())
