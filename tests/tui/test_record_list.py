"""Lists of errors, messages and dead letters while records come: what is read stays in sight and selected."""

from __future__ import annotations

import threading

from textual import events

from routemq_tui.engine.commands import ReplayLetters
from routemq_tui.engine.letters import LetterLine
from routemq_tui.tui.screens.dead_letters import DeadLettersScreen
from routemq_tui.tui.screens.errors import ErrorsScreen
from routemq_tui.tui.screens.messages import MessagesScreen
from routemq_tui.tui.screens.records import RecordsScreen
from tests.fakes.messages import FakeLetters, group, letter_line, letters, message
from tests.tui.conftest import Seat, Sit


async def opened(seat: Seat, key: str) -> RecordsScreen[object]:
    await seat.press(key)
    screen = seat.app.screen
    assert isinstance(screen, RecordsScreen)
    return screen


async def wheel(seat: Seat, selector: str) -> None:
    await seat.pilot._post_mouse_events([events.MouseScrollDown] * 5, selector)
    await seat.pilot.pause()


async def refreshed(seat: Seat) -> None:
    screen = seat.app.screen
    assert isinstance(screen, RecordsScreen)
    screen.refresh_records()
    await screen.workers.wait_for_complete()
    await seat.pilot.pause()


def rows(seat: Seat) -> list[str]:
    """Those of the list, without the scroll bar."""
    return [row[:-3] for row in seat.text().splitlines()[2:12]]


async def test_a_list_stays_where_the_wheel_left_it(sit: Sit) -> None:
    async with sit() as seat:
        groups = tuple(group(f"{n:016x}", text=f"error {n}") for n in range(80))
        seat.engine.show(errors=groups)
        await seat.press("g")
        screen = await opened(seat, "e")
        assert isinstance(screen, ErrorsScreen)
        await wheel(seat, "#records-list")
        assert screen.records.scroll_offset.y > 0
        shown = rows(seat)
        await refreshed(seat)
        assert rows(seat) == shown
        # when somebody has gone to one, too
        await seat.pilot.click("#records-list", offset=(20, 2))
        await wheel(seat, "#records-list")
        shown = rows(seat)
        await refreshed(seat)
        assert rows(seat) == shown
        # and a key goes back to the selected one
        await seat.press("j", "k")
        assert screen.records.record in groups[:20]
        assert screen.records.scroll_offset.y < 20


async def test_what_is_read_stays_in_its_place_while_newer_ones_come(sit: Sit) -> None:
    async with sit() as seat:
        seat.engine.messages.messages = [message(n, topic=f"t/{n}/x") for n in range(1, 101)]
        await seat.select("temperature")
        screen = await opened(seat, "4")
        assert isinstance(screen, MessagesScreen)
        await wheel(seat, "#records-list")
        shown = rows(seat)
        seat.engine.messages.add(*(message(1, topic=f"new/{n}") for n in range(7)))
        await refreshed(seat)
        assert rows(seat) == shown
        # while a list at its top shows the newest
        await seat.press("g")
        seat.engine.messages.add(message(1, topic="the/newest"))
        await refreshed(seat)
        assert "the/newest" in rows(seat)[0]


async def test_the_selected_one_stays_in_sight_when_newer_ones_come(sit: Sit) -> None:
    async with sit() as seat:
        seat.engine.messages.messages = [message(n, topic=f"t/{n}/x") for n in range(1, 101)]
        await seat.select("temperature")
        await opened(seat, "4")
        await seat.press("j")
        seat.engine.messages.add(*(message(1, topic=f"new/{n}") for n in range(50)))
        await refreshed(seat)
        assert any("t/99/x" in row for row in seat.text().splitlines()[2:18])


async def test_another_record_is_shown_from_its_beginning(sit: Sit) -> None:
    async with sit(size=(120, 24)) as seat:
        seat.engine.letters.lines = letters()
        screen = await opened(seat, "d")
        await seat.press("tab", *"jjj")
        assert screen.detail_view.scroll_offset.y == 3
        # the same one stays as it is scrolled
        seat.engine.letters.lines = [letter_line(21), *seat.engine.letters.lines]
        await seat.pilot.pause(0.3)
        await refreshed(seat)
        assert screen.detail_view.scroll_offset.y == 3
        await seat.press("tab", "j")
        assert screen.detail_view.scroll_offset.y == 0


async def test_the_dead_letter_that_is_read_is_replayed_though_a_newer_one_came(sit: Sit) -> None:
    async with sit() as seat:
        seat.engine.letters.lines = letters()
        await opened(seat, "d")
        seat.engine.letters.lines = [letter_line(21), *letters()]
        await seat.pilot.pause(0.3)
        await refreshed(seat)
        assert "alerts/21/fire" in seat.text()
        await seat.press("a")
        assert seat.engine.commands == [ReplayLetters((20,))]


class WatchedLetters(FakeLetters):
    """Knows from which threads it was read, and can be made to take its time."""

    def __init__(self) -> None:
        super().__init__(letters())
        self.threads: list[bool] = []
        self.go_on = threading.Event()
        self.go_on.set()

    def read(self, after: int = 0, limit: int = 200, route: str | None = None) -> tuple[LetterLine, ...]:
        self.threads.append(threading.current_thread() is threading.main_thread())
        assert self.go_on.wait(10)
        return super().read(after, limit, route)


async def test_a_full_store_of_dead_letters_is_not_waited_for(sit: Sit) -> None:
    async with sit() as seat:
        seat.engine.letters = store = WatchedLetters()
        screen = await opened(seat, "d")
        assert isinstance(screen, DeadLettersScreen)
        await seat.pilot.pause(0.3)
        store.go_on.clear()
        screen.refresh_records()
        screen.refresh_records()
        await seat.press("j")
        # then the first look alone was taken here, and one goes on at a time
        assert store.threads.count(True) == 1
        reads = len(store.threads)
        screen.refresh_records()
        assert len(store.threads) == reads
        assert "dead letter 19" in seat.text()
        store.go_on.set()
        found = screen.load()
        await screen.workers.wait_for_complete()
        assert screen.load() is found, "equal ones are the same"
