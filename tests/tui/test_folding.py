"""Tracebacks are a line until somebody opens them; nothing of them is out of reach."""

from __future__ import annotations

import random

from routemq_tui.engine.log_filter import LogFilter
from routemq_tui.engine.log_store import LogStore
from routemq_tui.engine.port import LogLine
from routemq_tui.engine.sanitise import CleanLine
from routemq_tui.tui.logs.index import Fold, LogIndex
from routemq_tui.tui.logs.page import ALL
from routemq_tui.tui.logs.scan import LogSearch, LogWork
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


class Model:
    """Which traceback each line belongs to, and which of them are open."""

    def __init__(self) -> None:
        self.begun: dict[int, int] = {}
        self.opened: set[int] = set()
        self._last: dict[str, int] = {}

    def see(self, lines: list[LogLine]) -> None:
        for line in lines:
            if line.seq not in self.begun:
                self.begun[line.seq] = self.begun[self._last[line.source]] if line.continued else line.seq
                self._last[line.source] = line.seq

    def clear(self, lines: list[LogLine], seq: int) -> None:
        """A traceback whose first line is cleared away is folded."""
        self.opened -= {self.begun[line.seq] for line in lines if line.seq <= seq}

    def shown(self, lines: list[LogLine], level: int) -> list[int]:
        firsts: dict[str, int] = {}
        for line in lines:
            firsts.setdefault(line.source, line.seq)
        return [
            line.seq
            for line in lines
            if line.level >= level
            and (not line.continued or line.seq in firsts.values() or self.begun[line.seq] in self.opened)
        ]


def test_any_order_of_coming_opening_clearing_and_filtering_shows_what_it_should() -> None:
    dice = random.Random(3)
    store, index, model = LogStore(100_000), LogIndex(), Model()
    stood_in = 0
    for turn in range(120):
        write(store, dice, 120)
        held = [line for line in store.read(limit=10**9).lines if line.seq > index.cleared]
        model.see(held)
        if turn % 20 == 19:
            index.cleared = dice.choice([line.seq for line in held])
            model.clear(held, index.cleared)
            held = [line for line in held if line.seq > index.cleared]
            index.reset()
        index.look(store.holdings())
        if turn % 4 == 1:
            index.set_filter(LogFilter(level=40 if turn % 8 == 1 else 0))
        heads = [line for line in shown(index) if index.fold(line) is not None]
        stood_in += sum(line.continued for line in heads)
        for line in dice.sample(heads, min(3, len(heads))):
            assert index.turn_fold(line) == line
            model.opened ^= {model.begun[line.seq]}
        # then the shown lines are the first ones that are held, and of the opened ones all of them
        expected = model.shown(held, index.filter.level)
        assert [line.seq for line in shown(index)] == expected
        assert len(index) == len(expected)
        for line in shown(index):
            fold = index.fold(line)
            if fold is not None:
                assert fold.is_open is (model.begun[line.seq] in model.opened)
                of_it = [each for each in held if model.begun[each.seq] == model.begun[line.seq]]
                assert [place.line for place in index.traceback(of_it[-1])] == of_it
                assert fold[::2] == (len(of_it) - 1, of_it[-1].text)
    assert stood_in


def failed(store: LogStore, frames: int, source: str = "a/1") -> list[str]:
    texts = [
        "failed",
        TRACEBACK[0],
        *(f"  frame {number}" + "." * 60 for number in range(frames)),
        TRACEBACK[-1],
    ]
    clean = [CleanLine(text, None) for text in texts]
    store.add(source, clean, 40, "log", continued=range(1, len(texts)))
    return texts


def test_of_a_traceback_that_is_half_let_go_the_first_line_left_stands_for_it() -> None:
    store, index = LogStore(64 * 1024), LogIndex()
    texts = failed(store, 300)
    while store.read().lines[0].text == "failed":
        store.add_text("a/1", "later", 20, "log")
    index.look(store.holdings())
    head, *others = shown(index)
    assert head.continued
    assert {line.text for line in others} == {"later"}
    # then it says how the traceback ends, a search finds it, and it is copied whole and opened
    left = texts[texts.index(head.text) :]
    assert index.fold(head) == Fold(len(left) - 1, False, TRACEBACK[-1])
    assert [place.line.text for place in index.traceback(head)] == left
    error = LogFilter(level=40)
    for step in (1, -1):
        search = LogSearch(index, error, 0 if step > 0 else ALL, step, beginnings=True)
        assert search.slice(float("inf"))
        assert search.found == head.seq
    search = LogSearch(index, LogFilter.parse("frame 299"), ALL, -1)
    assert search.slice(float("inf"))
    found = index.place(search.found or 0)
    assert found is not None
    assert index.turn_fold(found.line) == head
    assert [line.text for line in shown(index)][: len(left)] == left
    # and what is left of it stays open when more of it goes
    while store.read().lines[0].seq <= head.seq:
        store.add_text("a/1", "later", 20, "log")
    index.look(store.holdings())
    first = store.read().lines[0]
    assert first.continued
    assert [line.text for line in shown(index)][:50] == left[first.seq - head.seq :][:50]


def test_the_rest_of_an_open_traceback_is_shown_as_it_comes() -> None:
    store, index = LogStore(10**6), LogIndex()
    failed(store, 3)
    index.look(store.holdings())
    assert index.turn_fold(shown(index)[0]) is not None
    store.add("a/1", [CleanLine("  more", None)], 40, "log", continued=(0,))
    index.look(store.holdings())
    assert shown(index)[-1].text == "  more"


def test_no_line_of_a_long_traceback_is_out_of_reach() -> None:
    store, index = LogStore(10**7), LogIndex()
    texts = failed(store, 9_000)
    index.look(store.holdings())
    (head,) = shown(index)
    assert index.fold(head) == Fold(len(texts) - 1, False, texts[-1])
    assert index.turn_fold(head) == head
    assert [line.text for line in shown(index)] == texts


def test_lines_that_come_between_hide_nothing_of_a_traceback() -> None:
    """A record may come to the store between two readings of stderr; one of a low level is filtered away."""
    store, index = LogStore(10**6), LogIndex()
    store.add("a/1", [CleanLine(text, None) for text in TRACEBACK[:3]], 30, "stderr", continued=(1, 2))
    store.add_text("a/1", "something else", 20, "log")
    store.add("a/1", [CleanLine(text, None) for text in TRACEBACK[3:]], 30, "stderr", continued=(0, 1))
    for level, texts in ((0, [TRACEBACK[0], "something else", TRACEBACK[3]]), (30, TRACEBACK[::3])):
        index.set_filter(LogFilter(level=level))
        index.look(store.holdings())
        assert [line.text for line in shown(index)] == list(texts)
    assert [fold and fold.last for fold in map(index.fold, shown(index))] == [TRACEBACK[2], TRACEBACK[4]]


async def test_a_traceback_that_is_cleared_in_its_middle_goes_on_in_sight(sit: Sit) -> None:
    async with sit(log_lines=0) as seat:
        for text in TRACEBACK[:2]:
            seat.engine.logs.add("temperature/1", text, level=30, continued=text is not TRACEBACK[0])
        await seat.tick()
        await seat.press("3", "c")
        for text in TRACEBACK[2:]:
            seat.engine.logs.add("temperature/1", text, level=30, continued=True)
        await seat.tick()
        # then it is a line to be opened, copied and found
        assert "+2 lines: ValueError: could not" in seat.text("#logs-view")
        await seat.press("f", "y")
        assert seat.app.clipboard.splitlines() == list(TRACEBACK[2:])
        await seat.press("enter")
        assert "+2 lines" not in seat.text("#logs-view")
        assert "ValueError: could not" in seat.text("#logs-view")
        await seat.press("enter", "ctrl+f", *"to float", "enter")
        assert seat.main.logs.current is not None
        assert seat.main.logs.current.text == TRACEBACK[-1]


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
