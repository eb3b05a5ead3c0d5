"""Every key: the command it sends, or what the screen shows then."""

from __future__ import annotations

import pytest

from routemq_tui.engine.commands import (
    AddWorker,
    Command,
    DrainWorker,
    KillWorker,
    PauseRoute,
    RestartWorker,
    ResumeRoute,
    RollingRestart,
    SaveCounts,
    SetWorkers,
    StartWorker,
    Stop,
)
from routemq_tui.engine.snapshot import EngineState
from routemq_tui.tui.keymap import KeyNames
from routemq_tui.tui.keys import KEYS
from routemq_tui.tui.rows import RowKey
from routemq_tui.tui.screens.confirm import Confirm
from routemq_tui.tui.screens.help import Help
from routemq_tui.tui.screens.stopping import Stopping
from tests.fakes.snapshots import all_failed, no_routes, route, snapshot, worker
from tests.tui.conftest import Sit

NARROW = (80, 24)


ORDERS: tuple[tuple[tuple[str, int | None], tuple[str, ...], Command], ...] = (
    (("temperature", None), ("plus",), AddWorker("temperature")),
    (("temperature", 2), ("equals_sign",), AddWorker("temperature")),
    (("temperature", None), ("minus",), DrainWorker("temperature")),
    (("temperature", 1), ("minus",), DrainWorker("temperature")),
    (("temperature", None), ("S", "5", "enter"), SetWorkers("temperature", 5)),
    (("alerts", 2), ("s",), StartWorker("alerts", 2)),
    (("alerts", None), ("s",), StartWorker("alerts", 2)),
    (("temperature", 2), ("x",), DrainWorker("temperature", 2)),
    (("temperature", 2), ("X",), KillWorker("temperature", 2)),
    (("orders", None), ("X",), KillWorker("orders", 1)),
    (("temperature", 3), ("r",), RestartWorker("temperature", 3)),
    (("temperature", 3), ("R",), RollingRestart("temperature")),
    (("temperature", 3), ("p",), PauseRoute("temperature")),
)
REFUSALS: tuple[tuple[tuple[str, int | None], str, str], ...] = (
    (("", None), "plus", "Select a route"),
    (("orders", None), "plus", "not shared"),
    (("orders", None), "S", "not shared"),
    (("archive", None), "minus", "no worker to drain"),
    (("temperature", None), "x", "has 3 workers: go to one of them, then x drains it"),
    (("temperature", None), "X", "has 3 workers: go to one of them, then X kills it"),
    (("temperature", None), "r", "go to one of them, then r restarts it; R restarts all"),
    (("archive", None), "X", "archive has no worker: + adds one"),
    (("temperature", 1), "s", "needs no start"),
    (("alerts", 2), "X", "no process to kill"),
    (("alerts", 2), "r", "s starts it"),
    (("archive", None), "R", "No worker of archive runs"),
    (("archive", None), "s", "press + to add one"),
)


async def test_a_key_sends_its_command(sit: Sit) -> None:
    async with sit(size=NARROW) as seat:
        for place, pressed, command in ORDERS:
            seat.engine.commands.clear()
            await seat.select(*place)
            await seat.press(*pressed)
            assert seat.engine.commands == [command], (place, pressed)


async def test_a_key_that_cannot_be_used_says_why(sit: Sit) -> None:
    async with sit(size=NARROW) as seat:
        for place, key, reason in REFUSALS:
            seat.app.clear_notifications()
            await seat.select(*place)
            await seat.press(key)
            assert len(seat.toasts()) == 1, (place, key)
            assert reason in seat.toasts()[0]
        assert seat.engine.commands == []


async def test_p_lets_a_paused_route_go_on(sit: Sit) -> None:
    paused = route("temperature", (worker("temperature", 1),), paused=True)
    async with sit(snapshot((paused,))) as seat:
        await seat.press("p")
        assert seat.engine.commands == [ResumeRoute("temperature")]


async def test_s_on_a_route_starts_all_that_are_down(sit: Sit) -> None:
    async with sit(all_failed()) as seat:
        await seat.press("s")
        assert seat.engine.commands == [StartWorker("temperature", slot) for slot in (1, 2, 3)]


async def test_nothing_can_be_ordered_without_routes(sit: Sit) -> None:
    async with sit(no_routes()) as seat:
        await seat.press("plus", "minus", "p", "enter", "space", "j", "G")
        assert seat.engine.commands == []
        assert all("routemq.toml" in toast for toast in seat.toasts())


async def test_loss_is_asked_about_and_no_is_the_default(sit: Sit) -> None:
    # given a worker at QoS 0 with a message in its hands
    async with sit(size=NARROW) as seat:
        await seat.select("alerts", 1)
        # when it is to be killed, then the loss is named first
        await seat.press("X")
        assert isinstance(seat.app.screen, Confirm)
        assert "1 message in flight at QoS 0 would be lost" in seat.text()
        await seat.press("enter")
        assert seat.engine.commands == []
        await seat.press("X", "y")
        assert seat.engine.commands == [KillWorker("alerts", 1)]


@pytest.mark.parametrize("key", ["minus", "x"])
async def test_the_last_worker_of_a_route_is_asked_about(sit: Sit, key: str) -> None:
    async with sit(size=NARROW) as seat:
        await seat.select("orders", 1)
        await seat.press(key)
        assert "Nothing consumes sensors/{device_id}/orders then" in seat.text()
        await seat.press("escape")
        assert seat.engine.commands == []
        await seat.press(key, "y")
        assert seat.engine.commands == [DrainWorker("orders", None if key == "minus" else 1)]


async def test_an_exact_count_is_checked_as_it_is_typed(sit: Sit) -> None:
    async with sit(size=NARROW) as seat:
        await seat.press("S", "9")
        assert "At most 8 (max_workers of temperature)" in seat.text()
        await seat.press("enter")
        assert seat.engine.commands == []
        await seat.press("backspace", "a", "enter", "escape")
        assert seat.engine.commands == []
        await seat.press("S", "0", "enter", "y")
        assert seat.engine.commands == [SetWorkers("temperature", 0)]


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_quit_drains_says_so_and_ends_when_the_engine_has_stopped(sit: Sit, key: str) -> None:
    async with sit(size=NARROW) as seat:
        await seat.press(key)
        assert seat.engine.commands == [Stop()]
        assert "draining 5 of 6 workers" in seat.text()
        assert "Q  Kill them now" in seat.text()
        seat.engine.show(state=EngineState.STOPPING)
        await seat.tick()
        assert seat.app.is_running
        assert seat.app._exit is False
        seat.engine.show(state=EngineState.STOPPED)
        await seat.tick()
        assert seat.app._exit is True
        assert seat.app.return_code == 0


@pytest.mark.parametrize("second", ["Q", "ctrl+c"])
async def test_a_second_time_forces(sit: Sit, second: str) -> None:
    async with sit(size=NARROW) as seat:
        await seat.press("q", second)
        assert seat.engine.commands == [Stop(), Stop(force=True)]


async def test_quit_now_asks_only_when_messages_are_lost(sit: Sit) -> None:
    async with sit(size=NARROW) as seat:
        await seat.press("Q")
        assert isinstance(seat.app.screen, Confirm)
        await seat.press("n")
        assert seat.engine.commands == []
        await seat.press("Q", "y")
        assert seat.engine.commands == [Stop(force=True)]
        assert isinstance(seat.app.screen, Stopping)
    safe = snapshot((route("orders", (worker("orders", 1),)),))
    async with sit(safe, size=NARROW) as seat:
        await seat.press("Q")
        assert seat.engine.commands == [Stop(force=True)]


async def test_help_names_every_key(sit: Sit) -> None:
    async with sit(size=(120, 90)) as seat:
        await seat.press("question_mark")
        assert isinstance(seat.app.screen, Help)
        text = seat.text()
        names = KeyNames()
        assert [key.id for key in KEYS if names.help_of(key) not in text] == []
        await seat.press("escape")
        assert not isinstance(seat.app.screen, Help)


async def test_help_is_scrolled_where_it_is_too_long(sit: Sit) -> None:
    async with sit(size=NARROW) as seat:
        await seat.press("question_mark", "G")
        assert "messages received" in seat.text()


@pytest.mark.parametrize("key", ["ctrl+p", "colon"])
async def test_palette_does_what_a_key_does(sit: Sit, key: str) -> None:
    async with sit(size=NARROW) as seat:
        await seat.press(key)
        await seat.press(*"rolling")
        await seat.app.workers.wait_for_complete()
        await seat.press("enter")
        await seat.pilot.pause()
        assert seat.engine.commands == [RollingRestart("temperature")]


async def test_palette_saves_the_worker_counts(sit: Sit) -> None:
    async with sit(size=NARROW) as seat:
        await seat.press("ctrl+p", *"save worker")
        await seat.app.workers.wait_for_complete()
        await seat.press("enter")
        await seat.pilot.pause()
        assert seat.engine.commands == [SaveCounts()]


async def test_palette_goes_to_a_worker_and_changes_the_theme(sit: Sit) -> None:
    async with sit(size=NARROW) as seat:
        for typed in ("orders/1", "theme: light"):
            await seat.press("ctrl+p", *(" " if each == " " else each for each in typed))
            await seat.app.workers.wait_for_complete()
            await seat.press("enter")
            await seat.pilot.pause()
        assert seat.main.table.selected == RowKey("orders", 1)
        assert seat.app.theme == "routemq-light"


async def test_tab_and_numbers_move_between_panes(sit: Sit) -> None:
    async with sit() as seat:
        seen = []
        for key in ("tab", "tab", "tab", "shift+tab", "2", "1", "3", "escape"):
            await seat.press(key)
            assert seat.app.focused is not None
            seen.append(seat.app.focused.id)
    detail, logs, routes = "detail-lines", "logs-view", "routes-table"
    assert seen == [detail, logs, routes, logs, detail, routes, logs, routes]


async def test_keys_pressed_ahead_of_the_screen_go_where_they_should(sit: Sit) -> None:
    async with sit() as seat:
        for key in ("3", "k", "k"):
            seat.app.simulate_key(key)
        await seat.pilot.pause()
        assert not seat.main.logs.status.following
        assert seat.main.table.selected == RowKey("temperature")
        for key in ("1", "j", "2", "z"):
            seat.app.simulate_key(key)
        await seat.pilot.pause()
        assert seat.main.table.selected == RowKey("temperature", 1)
        assert "workers-pi-temperature-1" in seat.text("#detail-lines")


async def test_zoom_and_back(sit: Sit) -> None:
    async with sit() as seat:
        await seat.press("3", "z")
        assert seat.main.query_one("#logs").region.height == 33
        await seat.press("z")
        assert seat.main.query_one("#body").region.height > 10
        assert seat.app.focused is seat.main.logs


@pytest.mark.parametrize("key", ["z", "2"])
async def test_narrow_screens_have_the_detail_as_a_pane_of_its_own(sit: Sit, key: str) -> None:
    async with sit(size=NARROW) as seat:
        assert seat.main.query_one("#detail").region.area == 0
        await seat.press(key)
        assert "$share/workers/sensors/+/temperature" in seat.text("#detail-lines")
        await seat.press("escape")
        assert seat.app.focused is seat.main.table


async def test_enter_opens_a_worker_and_folds_a_route(sit: Sit) -> None:
    async with sit(size=NARROW) as seat:
        await seat.press("enter")
        assert "temperature/1" not in seat.text("#routes-table")
        await seat.press("space")
        assert "temperature/1" in seat.text("#routes-table")
        await seat.press("j", "enter")
        assert "workers-pi-temperature-1" in seat.text("#detail-lines")


async def test_keys_can_be_given_others(sit: Sit) -> None:
    async with sit() as seat:
        seat.app.set_keymap({"add": "a"})
        await seat.press("plus")
        assert seat.engine.commands == []
        await seat.press("a")
        assert seat.engine.commands == [AddWorker("temperature")]
        assert "a Add" in seat.text("#keys")


async def test_the_bottom_line_can_be_clicked(sit: Sit) -> None:
    async with sit() as seat:
        where = seat.text("#keys").index("+ Add")
        await seat.pilot.click("#keys", offset=(where, 0))
        await seat.pilot.pause()
        assert seat.engine.commands == [AddWorker("temperature")]


def test_ids_and_keys_are_given_once() -> None:
    ids = [key.id for key in KEYS]
    assert len(ids) == len(set(ids))
    pressed = [each for key in KEYS for each in key.keys.split(",")]
    assert len(pressed) == len(set(pressed))
