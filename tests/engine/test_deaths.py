"""The table of the messages that were being handled at deaths, and what is told of those given up."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from routemq_tui.engine import reports
from routemq_tui.engine.deaths import FORGET_AFTER, DeathTable
from routemq_tui.worker import cells
from routemq_tui.worker.spec import ErrorsCounted, Fate, GivenUp, Seen, WorkerReport


def board() -> memoryview:
    return memoryview(bytearray(cells.WORDS * 8)).cast("B").cast("Q")


def test_the_table_is_on_every_board_and_forgets() -> None:
    table, first, second = DeathTable(2), board(), board()
    table.join(first)
    assert table.add(7, 0.0) == 1
    table.join(second)
    assert cells.read_suspects(first) == cells.read_suspects(second) == {7: 1}
    assert not table.explains(7)
    assert table.add(7, 1.0) == 2
    assert table.explains(7)
    table.leave(second)
    table.add(8, FORGET_AFTER + 2.0)
    assert cells.read_suspects(first) == {8: 1}
    assert cells.read_suspects(second) == {7: 2}
    table.clear()
    assert cells.read_suspects(first) == {}


def test_who_was_handled_after_all_is_suspected_no_longer() -> None:
    table, words = DeathTable(2), board()
    table.join(words)
    table.add(7, 0.0)
    table.survived(8)
    assert cells.read_suspects(words) == {7: 1}
    table.survived(7)
    assert cells.read_suspects(words) == {}
    # but one that was given up is not run again: its end says nothing
    table.add(7, 1.0)
    table.add(7, 2.0)
    table.survived(7)
    assert cells.read_suspects(words) == {7: 2}


@pytest.mark.parametrize(
    ("fate", "unrun", "suspected"),
    [
        ("came", "", True),
        ("handled", "", False),
        ("handled before", "", False),
        ("dead-lettered", "", False),
        ("dropped", "", False),
        ("dropped", "payload", False),
        ("dead-lettered", "poison", True),
        ("dead-lettered", "timeout", True),
        ("stopped", "", True),
    ],
)
def test_only_who_was_run_and_left_its_worker_alive_is_suspected_no_longer(
    fate: Fate, unrun: str, suspected: bool
) -> None:
    table = DeathTable(9)  # a worker with a lower limit, from before a reload, may give it up
    table.add(7, 0.0)
    ledgers = SimpleNamespace(seen=lambda *told: None)
    slot = SimpleNamespace(
        around=SimpleNamespace(ledgers=ledgers), route=SimpleNamespace(name="jobs"), number=1, deaths=table
    )
    reports.take(slot, Seen(7, "jobs/7", True, fate, unrun), 1.0)  # type: ignore[arg-type]
    assert bool(table.deaths_of(7)) is suspected


def test_the_log_says_how_many_were_given_up_though_few_are_reported() -> None:
    # given a worker that reports the first message it gives up and the fourth, of which its cells know first
    words, said, noticed = board(), [], []
    slot = SimpleNamespace(
        words=words,
        name="jobs/1",
        given_up=reports.GivenUpLines(),
        around=SimpleNamespace(
            journal=SimpleNamespace(notice=lambda severity, text, source: noticed.append(text)),
            told=SimpleNamespace(count=lambda *told: None),
        ),
        say=lambda text, level: said.append(text),
    )

    def hear(report: WorkerReport, dead_letters: int) -> None:
        words[cells.DEAD_LETTERED] = dead_letters
        reports.take(slot, report, 100.0)  # type: ignore[arg-type]

    given_up = GivenUp("jobs/4", "ValueError: 4", "handler", 1, "stored")
    hear(given_up, 1)
    hear(ErrorsCounted([]), 3)
    hear(ErrorsCounted([]), 4)
    hear(given_up, 4)
    hear(given_up, 1004)
    words[cells.DROPPED] = 2
    hear(GivenUp("jobs/5", "ValueError: 5", "handler", 1, "stopped"), 1004)
    hear(ErrorsCounted([]), 1004)
    line = "gave up jobs/4: ValueError: 4; it is a dead letter"
    # then the lines add up
    assert noticed == [f"jobs/1 {line}"]
    assert said == [
        "gave up 2 more since",
        "gave up 1 more since",
        f"{line} (counted above)",
        f"{line} (and 999 more since)",
        "gave up jobs/5: ValueError: 5; the worker stops",
        "gave up 2 more since",
    ]


def test_who_was_added_for_nothing_is_taken_out_again() -> None:
    table, words = DeathTable(2), board()
    table.join(words)
    table.add(7, 0.0)
    table.add(7, 1.0)
    table.withdraw(7)
    assert cells.read_suspects(words) == {7: 1}
    table.withdraw(7)
    table.withdraw(7)
    assert cells.read_suspects(words) == {}


def test_the_table_keeps_the_newest() -> None:
    table, words = DeathTable(3), board()
    table.join(words)
    for number in range(1, cells.SUSPECTS_MOST + 3):
        table.add(number, 0.0)
    table.add(3, 0.0)
    assert len(cells.read_suspects(words)) == cells.SUSPECTS_MOST
    assert cells.read_suspects(words)[3] == 2
    assert table.deaths_of(1) == table.deaths_of(2) == 0
