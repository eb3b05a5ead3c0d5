"""The tree-table: selection by identity, stable columns, folding, mouse; header and detail beside it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual import events

from routemq_tui.engine.snapshot import Metrics
from routemq_tui.engine.states import WorkerState
from routemq_tui.tui.columns import COLUMNS, Layout
from routemq_tui.tui.row_cells import share_cell
from routemq_tui.tui.row_order import RowOrder, Sort
from routemq_tui.tui.rows import RowKey, place_of
from routemq_tui.tui.widgets.header import figures_line, identity_line
from routemq_tui.tui.widgets.lines import length
from tests.fakes.snapshots import all_failed, broker_down, busy, route, snapshot, worker
from tests.tui.conftest import Seat, Sit


def many(count: int) -> object:
    return snapshot(
        (route("bulk", tuple(worker("bulk", slot) for slot in range(1, count + 1)), max_workers=99),)
    )


async def test_selection_stays_on_its_worker_when_rows_come_and_go(sit: Sit) -> None:
    async with sit(size=(80, 24)) as seat:
        await seat.select("orders", 1)
        # when a route above gets two more workers
        first, *rest = busy().routes
        grown = replace(first, workers=(*first.workers, worker("temperature", 4), worker("temperature", 5)))
        seat.engine.show(routes=(grown, *rest))
        await seat.tick()
        assert seat.main.table.selected == RowKey("orders", 1)
        # when its route goes, then a row near it is selected
        seat.engine.show(routes=(grown,))
        await seat.tick()
        assert seat.main.table.selected == RowKey("temperature", 5)


async def test_a_worker_that_goes_leaves_the_selection_to_the_one_below(sit: Sit) -> None:
    async with sit() as seat:
        await seat.select("temperature", 3)
        first, *rest = busy().routes
        seat.engine.show(routes=(replace(first, workers=first.workers[:2]), *rest))
        await seat.tick()
        assert seat.main.table.selected == RowKey("temperature", 2)


async def test_the_selected_row_is_always_in_sight(sit: Sit) -> None:
    async with sit(many(40), size=(80, 24)) as seat:
        await seat.press("G")
        assert "bulk/40" in seat.text("#routes-table")
        await seat.pilot.resize_terminal(80, 16)
        await seat.pilot.pause()
        assert "bulk/40" in seat.text("#routes-table")
        await seat.press("pageup", "k")
        assert seat.main.table.selected.slot == 34
        await seat.press("g")
        assert "all routes" in seat.text("#routes-table")


async def test_a_selected_row_that_was_scrolled_away_stays_at_the_edge(sit: Sit) -> None:
    async with sit(many(60), size=(80, 24)) as seat:
        table = seat.main.table
        await seat.select("bulk", 5)
        await seat.pilot._post_mouse_events([events.MouseScrollDown] * 12, "#routes-table")
        await seat.pilot.pause()
        rows = seat.text("#routes-table").splitlines()
        assert table.scroll_offset.y > 7
        assert rows[0].startswith("▴  bulk/5 ")
        # when a snapshot comes, then the view stays; a click on the row goes back to it
        seat.engine.show()
        await seat.tick()
        assert seat.text("#routes-table").splitlines() == rows
        await seat.pilot.click("#routes-table", offset=(20, 0))
        assert table.selected == RowKey("bulk", 5)
        assert seat.text("#routes-table").startswith("   bulk/5 ")
        await seat.press("G")
        await seat.pilot._post_mouse_events([events.MouseScrollUp] * 12, "#routes-table")
        await seat.pilot.pause()
        assert seat.text("#routes-table").splitlines()[-1].startswith("▾  bulk/60")


async def test_columns_do_not_move_with_their_numbers(sit: Sit) -> None:
    async with sit() as seat:
        before = seat.text("#routes-table").splitlines()[2]
        first, *rest = busy().routes
        big = Metrics(
            rate=99_950.0, error_rate=1.0, p95=3599.0, cpu_percent=799.0, rss_bytes=9 << 40, in_flight=20
        )
        loaded = replace(first.workers[0], metrics=big, share=1.0, restarts=9_999)
        seat.engine.show(routes=(replace(first, workers=(loaded, *first.workers[1:])), *rest))
        await seat.tick()
        after = seat.text("#routes-table").splitlines()[2]
    layout = Layout.of(len(before) - 1)
    end = 1
    for column, width in layout.columns:
        end += width
        assert len(before[:end]) == len(after[:end])
        if column.align == "right":
            # numbers end at the same cell
            assert before[end - 1] != " "
            assert after[end - 1] != " "
        end += layout.gap


@pytest.mark.parametrize("width", range(60, 240, 7))
def test_rows_are_never_wider_than_the_table(width: int) -> None:
    layout = Layout.of(width)
    for row in [*RowOrder().rows(busy()), *RowOrder().rows(all_failed())]:
        assert length(layout.cells(row)) <= width
    assert layout.columns[0][1] >= 14


def test_eighty_columns_have_all_that_was_promised() -> None:
    shown = {column.id for column, _ in Layout.of(79).columns}
    assert shown >= {"name", "state", "rate", "share", "errors", "p95", "cpu", "memory", "restarts", "flight"}
    assert {column.id for column, _ in Layout.of(136).columns} == {column.id for column in COLUMNS}


async def test_a_failed_worker_says_why_and_which_key_starts_it(sit: Sit) -> None:
    async with sit(all_failed(), size=(80, 24)) as seat:
        assert "[s] starts it · cannot import routes.sensors" in seat.text("#routes-table")
        await seat.press("j", "enter")
        detail = " ".join(seat.text("#detail-lines").split())
        assert "No module named 'numpy' (routes/sensors.py:3)" in detail
        assert "IMPORT_FAILED (3)" in detail


async def test_mouse_selects_folds_and_opens(sit: Sit) -> None:
    async with sit() as seat:
        await seat.pilot.click("#routes-table", offset=(20, 3))
        assert seat.main.table.selected == RowKey("temperature", 2)
        await seat.pilot.click("#routes-table", offset=(1, 1))
        await seat.pilot.pause()
        assert "temperature/1" not in seat.text("#routes-table")
        await seat.pilot.click("#routes-table", offset=(20, 3), times=2)
        await seat.pilot.pause()
        assert seat.app.focused is not None
        assert seat.app.focused.id == "detail-lines"


async def test_arrows_fold_and_unfold(sit: Sit) -> None:
    async with sit() as seat:
        await seat.press("j", "left")
        assert seat.main.table.selected == RowKey("temperature")
        await seat.press("left")
        assert "temperature/1" not in seat.text("#routes-table")
        await seat.press("right")
        assert "temperature/1" in seat.text("#routes-table")
        await seat.press("g", "space")
        assert "orders/1" not in seat.text("#routes-table")


async def test_detail_follows_the_selection_and_costs_nothing_hidden(sit: Sit) -> None:
    async with sit() as seat:
        await seat.select("alerts", 2)
        assert "ValueError: payload has" in seat.text("#detail-lines")
        assert "0 of 20" in seat.text("#detail-lines")
        await seat.select("temperature")
        assert "12s ago  killed 2" in seat.text("#detail-lines")
    async with sit(size=(80, 24)) as seat:
        seat.engine.show()
        await seat.tick()
        assert seat.main.query_one("#detail-lines")._lines == []  # type: ignore[attr-defined]


async def test_a_worker_without_the_broker_is_offline(sit: Sit) -> None:
    async with sit(broker_down(), size=(80, 24)) as seat:
        assert seat.text("#routes-table").count("◌ offline") == 3
        assert "broker down: connection refused" in seat.text("#header")


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_the_header_never_overlaps(width: int) -> None:
    for given in (busy(), broker_down(), all_failed()):
        for line in (identity_line(given, width), figures_line(given, width)):
            assert length(line) <= width
        assert given.health.value in "".join(text for text, _ in identity_line(given, width))


async def test_notices_become_toasts_once(sit: Sit) -> None:
    async with sit() as seat:
        seat.engine.notice("alerts/2 [red]crashed[/]", "error")
        await seat.tick()
        await seat.tick()
        assert seat.toasts() == ["alerts/2 [red]crashed[/]"]
        for number in range(10):
            seat.engine.notice(f"event {number}")
        await seat.tick()
        assert seat.toasts()[1:] == ["8 more events: see the logs", "event 8", "event 9"]


async def test_too_small_a_terminal_is_told_so(sit: Sit) -> None:
    async with sit(size=(59, 24)) as seat:
        assert "routemq needs more room" in seat.text()
        await seat.pilot.resize_terminal(60, 15)
        await seat.pilot.pause()
        assert "temperature" in seat.text("#routes-table")
        await seat.pilot.resize_terminal(60, 14)
        await seat.pilot.pause()
        assert "routemq needs more room" in seat.text()


def test_place_of_falls_back_to_the_route() -> None:
    rows = RowOrder().rows(busy(), frozenset({"temperature"}))
    assert rows[place_of(rows, RowKey("temperature", 2))].key == RowKey("temperature")
    assert place_of([], RowKey("temperature"), 5) == 0


def test_every_state_has_a_symbol_and_a_word() -> None:
    from routemq_tui.tui.tones import WORKER_FACES

    assert set(WORKER_FACES) == set(WorkerState)
    symbols = [face.symbol for face in WORKER_FACES.values()]
    assert len(set(symbols)) == len(symbols)


def names(seat: Seat) -> list[str]:
    return [row.key.label for row in seat.main.table.rows]


async def test_rows_are_sorted_by_a_column_and_stay_put_between(sit: Sit) -> None:
    async with sit(size=(200, 50)) as seat:
        configured = names(seat)
        # when it is sorted by the slowest first, then by the errors and on to the rate
        await seat.press(">")
        assert "▼p95" in seat.text("#routes-heading")
        await seat.press("<")
        assert "▼err" in seat.text("#routes-heading")
        await seat.press("<", "<", "<")
        assert "▼msg/s" in seat.text("#routes-heading")
        rates = [row.metrics.rate for row in seat.main.table.rows if row.worker is None][1:]
        assert rates == sorted(rates, reverse=True)
        workers = [row.metrics.rate for row in seat.main.table.rows if row.key.route == "temperature"][1:]
        assert workers == sorted(workers, reverse=True)
        # then other figures a moment later move no row, and later they do
        order = names(seat)
        quiet = tuple(replace(each, metrics=replace(each.metrics, rate=0.0)) for each in busy().routes[:1])
        seat.engine.show(routes=(*quiet, *busy().routes[1:]))
        await seat.tick()
        assert names(seat) == order
        seat.engine.show(time=busy().time + 3)
        await seat.tick()
        assert names(seat) != order
        # and the other way round, and as configured again
        await seat.press("o")
        assert "▲msg/s" in seat.text("#routes-heading")
        await seat.press("<", "<")
        assert names(seat) == configured


async def test_a_click_on_a_heading_sorts_by_it(sit: Sit) -> None:
    async with sit(size=(200, 50)) as seat:
        at = seat.text("#routes-heading").index("p95")
        await seat.pilot.click("#routes-heading", offset=(at, 0))
        assert "▼p95" in seat.text("#routes-heading")
        await seat.pilot.click("#routes-heading", offset=(at, 0))
        assert "▲p95" in seat.text("#routes-heading")


async def test_only_routes_that_are_looked_for_are_shown(sit: Sit) -> None:
    async with sit(size=(120, 36)) as seat:
        await seat.press("F", *"TEMP", "enter")
        assert {row.key.route for row in seat.main.table.rows} == {"", "temperature"}
        assert "only: temp" in seat.text("#routes-heading")
        await seat.press("escape")
        assert len({row.key.route for row in seat.main.table.rows}) == len(busy().routes) + 1


async def test_columns_are_chosen_from_a_list(sit: Sit) -> None:
    async with sit(size=(200, 50)) as seat:
        assert "msg/s" in seat.text("#routes-heading")
        await seat.press("C", "space", "down", "space", "escape")
        heading = seat.text("#routes-heading")
        assert "msg/s" not in heading
        assert "trend" not in heading
        assert "p95" in heading
        await seat.press("C", "a", "escape")
        assert "msg/s" in seat.text("#routes-heading")


def test_a_member_far_from_its_fair_part_is_marked() -> None:
    # given three workers of which one takes nearly all
    route = busy().routes[0]
    workers = tuple(
        replace(each, state=WorkerState.RUNNING, connected=True, uptime=60.0, share=share)
        for each, share in zip(route.workers[:3], (0.9, 0.06, 0.04), strict=True)
    )
    shown = replace(busy(), routes=(replace(route, workers=workers, metrics=Metrics(rate=100.0)),))
    cells = [share_cell(row).text for row in RowOrder().rows(shown)[2:]]
    assert cells == ["▲90%", "▼6.0%", "▼4.0%"]
    # then not when it has only begun, or when chance rules
    young = replace(shown.routes[0], workers=(replace(workers[0], uptime=1.0), *workers[1:]))
    assert share_cell(RowOrder().rows(replace(shown, routes=(young,)))[2]).text == "90%"
    slow = replace(shown.routes[0], metrics=Metrics(rate=3.0))
    assert share_cell(RowOrder().rows(replace(shown, routes=(slow,)))[2]).text == "90%"


async def test_curves_are_of_the_last_minute_ten_minutes_or_hour(sit: Sit) -> None:
    async with sit(size=(200, 50)) as seat:
        assert "1 min" in seat.text("#detail-heading")
        assert "41s ago" in seat.text("#detail-lines")
        await seat.press("i")
        assert "10 min" in seat.text("#detail-heading")
        assert "6m50s ago" in seat.text("#detail-lines")
        await seat.press("i")
        assert "1 h" in seat.text("#detail-heading")
        await seat.press("i")
        assert "1 min" in seat.text("#detail-heading")


async def test_a_mark_says_what_followed(sit: Sit) -> None:
    first, *rest = busy().routes
    marks = (replace(first.history.marks[0], effect="rate +31 %, p95 -12 ms"),)
    shown = replace(busy(), routes=(replace(first, history=replace(first.history, marks=marks)), *rest))
    async with sit(shown, size=(200, 50)) as seat:
        assert "+1 worker  rate +31 %, p95 -12 ms" in seat.text("#detail-lines")


def test_workers_that_are_nearly_equal_do_not_change_places() -> None:
    order = RowOrder()
    order.sort = Sort("rate")
    first, *rest = busy().routes

    def slots(*rates: float) -> list[int | None]:
        workers = tuple(
            replace(each, metrics=replace(each.metrics, rate=rate))
            for each, rate in zip(first.workers, rates, strict=True)
        )
        order.sort = Sort("rate")  # at once
        rows = order.rows(replace(busy(), routes=(replace(first, workers=workers), *rest)))
        return [row.key.slot for row in rows if row.key.route == first.name][1:]

    assert slots(12.1, 12.2, 12.0) == [1, 2, 3]
    assert slots(12.1, 30.0, 12.0) == [2, 1, 3]
