"""What the screen says of messages in hand at a death, of dead letters, and of a worker that holds one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from routemq_tui.engine.snapshot import FAILED, Ledger, LedgerEntry, Outcome
from routemq_tui.tui.columns import Layout
from routemq_tui.tui.ledgers import ENTRIES, OUTCOME_FACES, entry_lines, headline, ledgers_of
from routemq_tui.tui.row_cells import reason_of
from routemq_tui.tui.row_order import RowOrder
from routemq_tui.tui.rows import RowKey
from routemq_tui.tui.tones import Tone
from routemq_tui.tui.widgets.detail import detail_lines
from routemq_tui.tui.widgets.header import figures_line
from routemq_tui.tui.widgets.lines import length
from tests.fakes.snapshots import NOW, after_kills, busy, entries
from tests.tui.conftest import Sit

D, H, R, T, A, U = (
    Outcome.DEAD_LETTERED,
    Outcome.HANDLED,
    Outcome.REDELIVERED,
    Outcome.HANDLED_TWICE,
    Outcome.AWAITED,
    Outcome.UNKNOWABLE,
)


def ledger(
    *outcomes: Outcome, settled: bool = False, in_flight: int | None = None, concurrent: int = 0
) -> Ledger:
    held = len(outcomes) if in_flight is None else in_flight
    whole = Ledger("jobs/1", 7, NOW - 4, "killed by hand", held, entries(*outcomes), settled)
    return replace(whole, handled_before=concurrent)


@pytest.mark.parametrize(
    ("given", "words", "tone"),
    [
        (ledger(H, H, T, R, H, H, H), "7 redelivered in 0.1-0.3 s, 1 handled twice", Tone.WARN),
        (ledger(H), "1 in flight, 1 redelivered in 0.1 s", Tone.OK),
        (ledger(H, A, A), "3 in flight, 1 redelivered in 0.1 s, 2 not seen again yet", Tone.WARN),
        (ledger(H, A, settled=True), "1 not seen again", Tone.BAD),
        (
            replace(ledger(settled=True), in_flight=1, entries=(LedgerEntry(1, "t", A, 1, 0.3),)),
            "1 in flight, 1 redelivered in 0.3 s, 1 with the broker",
            Tone.WARN,
        ),
        (
            replace(ledger(U, U), qos=0),
            "2 in flight, at least 2 lost; what it had not read yet is not known (QoS 0: never sent again)",
            Tone.WARN,
        ),
        (
            replace(ledger(U, U, U), qos=0, handled_before=1),
            "1 handled before, at least 2 lost; what it had not read yet is not known "
            "(QoS 0: never sent again)",
            Tone.WARN,
        ),
        (ledger(), "nothing in hand", Tone.OK),
        (
            replace(ledger(), qos=0),
            "nothing in hand, what it had not read yet is not known (QoS 0: never sent again)",
            Tone.WARN,
        ),
        (ledger(H, D, D), "3 redelivered in 0.1-0.2 s, 2 dead letters", Tone.BAD),
        (ledger(Outcome.DROPPED, Outcome.STOPPED), "1 dropped, 1 stopped its worker", Tone.BAD),
        (ledger(H, H, concurrent=1), "1 handled before, not known which", Tone.WARN),
        (
            ledger(H, H, in_flight=900),
            "900 in flight, 2 redelivered in 0.1 s, only the first 2 followed",
            Tone.OK,
        ),
        (
            replace(ledger(), in_flight=1, entries=(LedgerEntry(1, "t", H, 1, 0.0123),)),
            "1 redelivered in 12 ms",
            Tone.OK,
        ),
    ],
)
def test_a_headline_tells_all_in_one_sentence(given: Ledger, words: str, tone: Tone) -> None:
    told = headline(given, NOW, named=False)
    assert told.text.startswith("killed by hand 4s ago: ")
    assert told.text.endswith(words)
    assert told.tone is tone
    assert headline(given, NOW, named=True).text.startswith("jobs/1 killed by hand")


def test_every_outcome_has_a_symbol_and_a_word() -> None:
    assert set(OUTCOME_FACES) == set(Outcome)
    assert len({face.word for face in OUTCOME_FACES.values()}) == len(OUTCOME_FACES)
    assert {outcome for outcome, face in OUTCOME_FACES.items() if face.symbol == "✗"} == set(FAILED)


@pytest.mark.parametrize(
    ("why", "note"),
    [("poison", "  not run again"), ("timeout", "  not run again"), ("payload", "  not run")],
)
def test_what_was_begun_before_is_not_run_again(why: str, note: str) -> None:
    given = replace(ledger(), in_flight=1, entries=(LedgerEntry(1, "jobs/a", D, 1, 0.02, why),))
    assert "".join(text for text, _ in entry_lines(given, 60)[2]).endswith(f"jobs/a{note}")


@pytest.mark.parametrize("settled", [False, True])
def test_what_nobody_runs_is_with_the_broker(settled: bool) -> None:
    given = replace(ledger(settled=settled), in_flight=1, entries=(LedgerEntry(1, "jobs/a", A, 1, 0.3),))
    line = entry_lines(given, 60)[2]
    assert "".join(text for text, _ in line) == " … with broker    /1  300ms  jobs/a"
    assert line[0].tone is Tone.WARN


def test_what_was_given_up_says_whether_it_was_run() -> None:
    poison = LedgerEntry(1, "jobs/a-rather-long-name-of-a-topic", D, 1, 0.02, "poison")
    given = replace(ledger(), in_flight=1, entries=(poison,))
    assert headline(given, NOW, named=False).text.endswith("1 dead letter (not run again: poison)")
    for width in (60, 80):
        line = entry_lines(given, width)[2]
        text = "".join(text for text, _ in line)
        assert text.startswith(" ✗ dead letter    /1   20ms  jobs/a-ra")
        assert text.endswith("  not run again")
        assert line[0].tone is Tone.BAD
        assert length(line) < width


def test_an_older_ledger_stands_below_a_death_with_nothing_in_hand() -> None:
    bare = Ledger("temperature/2", 9, NOW - 1, "killed by hand", 0, settled=True)
    snapshot = replace(after_kills(), ledgers=(*after_kills().ledgers, bare))
    row = next(row for row in RowOrder().rows(snapshot) if row.key == RowKey("temperature", 2))
    assert [each.in_flight for each in ledgers_of(row)] == [0, 7]
    shown = " ".join("".join(text for text, _ in line).strip() for line in detail_lines(row, 78))
    newest, older = shown.index("killed by hand 1s ago: nothing in hand"), shown.index("7 in flight")
    assert newest < older < shown.index("In hand when temperature/2 pid 4002 died")
    assert "pid 9" not in shown


def test_at_qos_0_the_unfinished_are_lost() -> None:
    given = replace(ledger(U), qos=0)
    assert "✗ lost" in entry_lines(given, 80)[2][0].text
    assert "? unknown" in entry_lines(replace(given, handled_before=1), 80)[2][0].text


def test_a_row_has_its_own_ledgers_newest_first() -> None:
    rows = {row.key: row for row in RowOrder().rows(after_kills())}
    workers = lambda key: [each.worker for each in ledgers_of(rows[key])]  # noqa: E731
    assert workers(RowKey("temperature")) == ["temperature/1", "temperature/2", "temperature/3"]
    assert workers(RowKey("temperature", 2)) == ["temperature/2"]
    assert workers(RowKey("alerts")) == ["alerts/1"]
    assert workers(RowKey("orders")) == []
    assert workers(RowKey()) == ["temperature/1", "temperature/2", "alerts/1"]


def test_an_unseen_message_of_a_settled_ledger_is_bad() -> None:
    line = entry_lines(ledger(A, settled=True), 80)[2]
    assert (line[0].text.strip(), line[0].tone) == ("✗ not seen", Tone.BAD)
    assert "…" in entry_lines(ledger(A), 80)[2][0].text


def test_very_many_entries_are_cut_with_their_number() -> None:
    lines = entry_lines(ledger(*[H] * (ENTRIES + 7)), 80)
    assert len(lines) == 2 + ENTRIES + 1
    assert "and 7 more" in lines[-1][0].text


@pytest.mark.parametrize("width", [28, 38, 60, 78, 118])
def test_no_line_is_wider_than_the_pane(width: int) -> None:
    for row in RowOrder().rows(after_kills()):
        assert max(map(length, detail_lines(row, width))) <= width


async def test_the_detail_of_a_killed_worker_shows_each_message(sit: Sit) -> None:
    async with sit(after_kills(), size=(120, 36)) as seat:
        await seat.select("temperature", 2)
        assert "7 redelivered" in " ".join(seat.text("#detail-lines").split())
        await seat.press("2", "z")
        shown = seat.text("#detail-lines")
    assert "² twice" in shown
    assert "↪ running" in shown
    assert shown.count("✓ handled") == 5
    assert "/2  133ms  sensors/1/temperature" in shown


async def test_a_worker_that_holds_a_message_says_why(sit: Sit) -> None:
    async with sit(after_kills(), size=(80, 24)) as seat:
        await seat.select("jobs", 2)
        table = seat.text("#routes-table")
        assert "! 1/2 up" in table
        assert "‖ paused" in table
        assert "cannot store the dead letter of jobs/9" in table
        # when it is folded, then its route says so
        await seat.select("jobs")
        await seat.press("space")
        assert "jobs/2 holds a message" in seat.text("#routes-table")


def test_a_worker_paused_by_hand_keeps_its_figures() -> None:
    row = next(row for row in RowOrder().rows(after_kills()) if row.key == RowKey("jobs", 2))
    assert row.worker is not None
    assert reason_of(row) is not None
    assert reason_of(replace(row, worker=replace(row.worker, reason=""))) is None


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_header_shows_dead_letters_when_there_are_any(width: int) -> None:
    line = "".join(text for text, _ in figures_line(after_kills(), width))
    assert "dead letters 12" in line
    assert "broker dropped 3" in line
    assert "dead letters" not in "".join(text for text, _ in figures_line(busy(), 200))


def test_retried_and_dead_letters_are_counted() -> None:
    row = next(row for row in RowOrder().rows(after_kills()) if row.key == RowKey("temperature"))
    cells = "".join(text for text, _ in Layout.of(140).cells(row))
    assert " 12 " in cells
    assert " 21 " in cells
    facts = [" ".join(text for text, _ in line).split() for line in detail_lines(row, 60)]
    assert ["retried", "21"] in facts
    assert ["dead", "letter", "12"] in facts
