"""An error of the screen itself ends neither it nor the workers: it is told, noted, and all else goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from textual.widget import Widget

from routemq_tui.engine.commands import AddWorker
from routemq_tui.engine.port import EnginePort, LogLine
from routemq_tui.tui.app import note_in
from routemq_tui.tui.net import MOST, QUIET, Guarded, Net
from routemq_tui.tui.read_only import ReadOnlyEngine
from routemq_tui.tui.screens.records import RecordsScreen
from routemq_tui.tui.widgets import log_painter
from tests.fakes.engine import FakeEngine
from tests.fakes.messages import letters
from tests.fakes.snapshots import busy
from tests.tui.conftest import Seat, Sit

TOLD = "That did not work, please report it: RuntimeError: broken"
PARTS = "routemq_tui.tui"


def fail(*arguments: object, **names: object) -> None:
    raise RuntimeError("broken\nin two lines")


async def fail_later(*arguments: object) -> None:
    fail()


Break = Callable[[str], None]


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Break:
    return lambda name: monkeypatch.setattr(f"{PARTS}.{name}", fail)


async def assert_goes_on(seat: Seat) -> None:
    """What was wrong is told and noted once, and the keys work."""
    seat.faulty = True
    await seat.pilot.pause()
    assert seat.toasts() == [TOLD]
    (trace,) = seat.app.net.faults
    assert "RuntimeError: broken" in trace
    assert "in fail" in trace
    await seat.press("escape")
    seat.engine.commands.clear()
    await seat.select("temperature")
    await seat.press("plus")
    assert seat.engine.commands == [AddWorker("temperature")]


async def test_an_action(sit: Sit, broken: Break) -> None:
    async with sit() as seat:
        broken("widgets.log_view.LogView.toggle_mark")
        await seat.press("m", "m")
        await assert_goes_on(seat)


async def test_the_mouse(sit: Sit, broken: Break) -> None:
    async with sit() as seat:
        broken("widgets.log_view.LogView._place_at")
        await seat.pilot.click("#logs-view", offset=(30, 3))
        await assert_goes_on(seat)


async def test_the_check_of_what_is_typed_and_the_answer(sit: Sit, broken: Break) -> None:
    async with sit() as seat:
        broken("screens.main.count_problem")
        await seat.select("temperature")
        await seat.press("S", "5")
        await assert_goes_on(seat)
    async with sit() as seat:
        broken("widgets.route_table.RouteTable.show_only")
        await seat.press("F", "enter")
        await assert_goes_on(seat)


async def test_work_beside_the_screen(sit: Sit, broken: Break) -> None:
    async with sit() as seat:
        broken("screens.log_desk.write_lines")
        await seat.press("E", "enter")
        await seat.app.workers.wait_for_complete(
            [worker for worker in seat.app.workers if not worker.is_finished]
        )
        await assert_goes_on(seat)


async def test_the_work_of_a_filter(sit: Sit, monkeypatch: pytest.MonkeyPatch) -> None:
    async with sit() as seat:
        monkeypatch.setattr(f"{PARTS}.widgets.log_canvas.AT_ONCE", 0.0)
        monkeypatch.setattr(f"{PARTS}.widgets.log_canvas._others_rest", fail_later)
        await seat.press("slash", *"device", "enter")
        await seat.pilot.pause()
        await assert_goes_on(seat)


async def test_drawing_a_line(sit: Sit, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: Callable[[LogLine], object] = vars(log_painter)["body_of"]

    def body_of(line: LogLine) -> object:
        if "POISON" in line.text:
            fail()
        return drawn(line)

    monkeypatch.setattr(log_painter, "body_of", body_of)
    async with sit() as seat:
        for text in ("before it", "POISON", "after it"):
            seat.engine.logs.add("temperature/1", text)
        await seat.tick()
        # then the others are there
        text = seat.text("#logs-view")
        assert "before it" in text
        assert "after it" in text
        await assert_goes_on(seat)


async def test_a_drawing_counts_once_however_many_lines_it_has(
    sit: Sit, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sit(size=(120, 70)) as seat:
        seat.faulty = True
        await seat.press("3", "z")
        monkeypatch.setattr(log_painter, "body_of", lambda _line: fail())
        for number in range(100):
            seat.engine.logs.add("temperature/1", f"line {number}")
        await seat.tick()
        assert seat.app.net.faults
        assert len(seat.app.net._times) < 30


async def test_a_pane_that_cannot_show_a_snapshot(sit: Sit, broken: Break) -> None:
    async with sit() as seat:
        broken("widgets.header.Header.show_snapshot")
        seat.engine.show(routes=seat.engine.snapshot().routes[:1])
        for _ in range(3):
            await seat.tick()
        # then the others show it
        assert "orders" not in seat.text("#routes-table")
        await assert_goes_on(seat)


async def test_a_list_of_records(sit: Sit, broken: Break) -> None:
    async with sit() as seat:
        seat.engine.letters.lines = letters()
        broken("screens.dead_letters.DeadLettersScreen.detail")
        await seat.press("d")
        assert isinstance(seat.app.screen, RecordsScreen)
        assert "alerts/20/fire" in seat.text()
        await assert_goes_on(seat)


async def test_what_is_told_cannot_be_told(sit: Sit, broken: Break) -> None:
    async with sit() as seat:
        seat.faulty = True
        broken("widgets.key_bar.KeyBar.show_told")
        await seat.press("m", "F", "enter")
        seat.app.notify("something")
        await seat.pilot.pause()
        assert len(seat.app.net.faults) == 1
        await seat.press("plus")
        assert seat.engine.commands == [AddWorker("temperature")]


async def test_a_screen_that_cannot_be_built_ends_the_program_as_ever(
    sit: Sit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{PARTS}.screens.main.MainScreen.compose", fail)
    with pytest.raises(RuntimeError, match="broken"):
        async with sit():
            pass


class Told:
    def __init__(self) -> None:
        self.told: list[str] = []
        self.noted: list[str] = []
        self.net = Net(self.told.append, self.noted.append)

    def take(self, error: Exception) -> None:
        try:
            raise error
        except Exception as raised:
            self.net.take(raised)


def test_an_error_that_comes_again_and_again_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    told = Told()
    for _ in range(8):
        told.take(ValueError("7"))
        now[0] += 0.25
    assert told.told == ["That did not work, please report it: ValueError: 7"]
    assert "Traceback" in told.noted[0]
    # when it comes after a while, then it is news
    now[0] += QUIET
    told.take(ValueError("7"))
    assert len(told.told) == len(told.noted) == 2
    assert len(told.net.faults) == 1


def test_errors_without_end_end_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    told = Told()
    for _ in range(MOST - 1):
        told.take(ValueError("7"))
    with pytest.raises(ValueError, match="7"):
        told.take(ValueError("7"))


def test_every_widget_and_screen_of_ours_is_guarded() -> None:
    def below(kind: type[Widget]) -> set[type[Widget]]:
        return {kind}.union(*map(below, kind.__subclasses__()))

    ours = {kind for kind in below(Widget) if kind.__module__.startswith(PARTS)}
    assert len(ours) > 20
    assert [kind.__name__ for kind in ours if not issubclass(kind, Guarded)] == []


@pytest.mark.parametrize("read_only", [False, True])
def test_the_traceback_is_in_the_log_of_an_engine_that_has_one(read_only: bool) -> None:
    noted: list[tuple[str, int]] = []

    class Engine(FakeEngine):
        def note(self, text: str, level: int) -> None:
            noted.append((text, level))

    engine: EnginePort = Engine(busy())
    note_in(ReadOnlyEngine(engine) if read_only else engine, "trace")
    assert noted == [("trace", logging.ERROR)]
    note_in(FakeEngine(busy()), "trace")
