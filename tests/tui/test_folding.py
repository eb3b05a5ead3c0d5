"""Tracebacks are a line until somebody opens them; nothing of them is out of reach."""

from __future__ import annotations

import random

from routemq_tui.engine.log_filter import LogFilter
from routemq_tui.engine.log_store import LogStore
from routemq_tui.engine.port import LogLine
from routemq_tui.tui.logs.index import LogIndex
from routemq_tui.tui.logs.page import ALL
from routemq_tui.tui.logs.scan import LogWork
from tests.fakes.lines import TRACEBACK, failure
from tests.tui.conftest import Sit


def write(store: LogStore, dice: random.Random, count: int) -> None:
    for _ in range(count):
        source = dice.choice(("a/1", "a/2"))
        if dice.random() < 0.1:
            lines = [(text, None) for text in ("failed", *TRACEBACK * dice.randrange(1, 4))]
            store.add(source, lines, 40, "log", continued=range(1, len(lines)))  # type: ignore[arg-type]
        else:
            store.add_text(source, f"line {store.last_seq}", 20, "log")


def shown(index: LogIndex) -> list[LogLine]:
    work = LogWork(index)
    work.came(ALL)
    while work.slice(1.0):
        pass
    return [place.line for place in index.forward(0)]


def test_any_order_of_coming_opening_and_filtering_shows_what_it_should() -> None:
    dice = random.Random(3)
    store, index = LogStore(100_000), LogIndex()
    opened: set[int] = set()
    for turn in range(60):
        write(store, dice, 120)
        index.look(store.holdings())
        if turn % 4 == 1:
            index.set_filter(LogFilter(level=40 if turn % 8 == 1 else 0))
        heads = [line for line in shown(index) if index.fold(line) is not None]
        for line in dice.sample(heads, min(3, len(heads))):
            assert index.turn_fold(line) == line
            opened ^= {line.seq}
        # then the shown lines are the beginnings, and of the opened ones all of them
        expected, head = [], 0
        for line in store.read(limit=10**9).lines:
            if line.source == "a/1":
                continue
            head = head if line.continued else line.seq
            if line.level >= index.filter.level and (not line.continued or head in opened):
                expected.append(line.seq)
        assert [line.seq for line in shown(index) if line.source == "a/2"] == expected
        assert len(index) == len(shown(index))


async def test_enter_opens_and_folds(sit: Sit) -> None:
    async with sit() as seat:
        # given a failure in the log
        failure(seat.engine.logs)
        await seat.tick()
        assert "▸" in seat.text("#logs-view").splitlines()[-1]
        assert "+5 lines: ValueError: could not" in seat.text("#logs-view").splitlines()[-1]
        assert "File" not in seat.text("#logs-view")
        # when its line is opened
        await seat.press("3", "enter")
        # then all of it is in sight, and the line is the current one
        seen = seat.text("#logs-view").splitlines()
        assert [text in row for text, row in zip(TRACEBACK, seen[-5:], strict=True)] == [True] * 5
        assert "▾" in seen[-6]
        assert not seat.main.logs.status.following
        # and once more folds it
        await seat.press("enter")
        assert "File" not in seat.text("#logs-view")


async def test_a_click_on_the_sign_in_the_margin_does_the_same(sit: Sit) -> None:
    async with sit() as seat:
        failure(seat.engine.logs)
        await seat.tick()
        row = len(seat.text("#logs-view").splitlines()) - 1
        await seat.pilot.click("#logs-view", offset=(0, row))
        assert "return float(reading)" in seat.text("#logs-view")
        head = next(y for y, text in enumerate(seat.text("#logs-view").splitlines()) if "▾" in text)
        await seat.pilot.click("#logs-view", offset=(0, head))
        assert "return float(reading)" not in seat.text("#logs-view")


async def test_copying_a_folded_traceback_takes_all_of_it(sit: Sit) -> None:
    async with sit() as seat:
        failure(seat.engine.logs)
        await seat.tick()
        await seat.press("3", "f", "y")
        assert seat.app.clipboard.splitlines()[1:] == list(TRACEBACK)


async def test_a_search_opens_what_hides_its_match(sit: Sit) -> None:
    async with sit() as seat:
        failure(seat.engine.logs)
        for number in range(60):
            seat.engine.logs.add("temperature/1", f"later {number}")
        await seat.tick()
        await seat.press("ctrl+f", *"float.reading", "enter")
        assert "return float(reading)" in seat.text("#logs-view")
        assert seat.main.logs.current is not None
        assert seat.main.logs.current.text.strip() == "return float(reading)"


async def test_the_next_error_is_the_next_failure_not_the_next_line_of_it(sit: Sit) -> None:
    async with sit(log_lines=0) as seat:
        heads = [failure(seat.engine.logs) for _ in range(3)]
        await seat.tick()
        went = []
        for _ in heads:
            await seat.press("[")
            assert seat.main.logs.current is not None
            went.append(seat.main.logs.current.seq)
        assert went == heads[::-1]


async def test_lines_that_match_a_filter_are_shown_one_by_one(sit: Sit) -> None:
    async with sit() as seat:
        failure(seat.engine.logs)
        await seat.tick()
        await seat.press("/", *"ValueError: could", "enter")
        assert "ValueError: could not convert" in seat.text("#logs-view")


async def test_an_export_has_what_is_folded(sit: Sit) -> None:
    async with sit() as seat:
        failure(seat.engine.logs)
        await seat.tick()
        texts = [line.text for line in seat.main.logs.all_lines().lines()]
        assert [text for text in texts if text in TRACEBACK] == list(TRACEBACK)
