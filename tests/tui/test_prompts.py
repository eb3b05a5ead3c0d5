"""Prompts: what is applied while it is typed, what Esc undoes, what Up brings back, what is proposed."""

from __future__ import annotations

import pytest

from routemq_tui.engine.commands import Publish
from routemq_tui.tui.publish_text import proposed_topic, publish_problem, read_publish
from routemq_tui.tui.rows import RowKey
from routemq_tui.tui.screens.log_desk import DEBOUNCE
from routemq_tui.tui.screens.messages import MessagesScreen
from routemq_tui.tui.screens.prompt import Prompt
from routemq_tui.tui.screens.prompt_history import MOST, PromptHistory
from tests.fakes.messages import told
from tests.tui.conftest import Seat, Sit

SMALL = (80, 24)


def hint(seat: Seat) -> tuple[str, bool]:
    """What stands below the input, and whether it is loud."""
    widget = seat.app.screen.query_one("#prompt-hint")
    return str(widget.render()), widget.has_class("-problem")


def typed(seat: Seat) -> str:
    return str(seat.app.screen.query_one("#prompt-input").value)  # type: ignore[attr-defined]


async def debounced(seat: Seat) -> None:
    await seat.pilot.pause(2 * DEBOUNCE)


async def test_routes_are_found_while_typing_and_esc_brings_all_back(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        await seat.select("orders", 1)
        await seat.press("F", *"ale")
        assert "alerts" in seat.text("#routes-table")
        assert "orders" not in seat.text("#routes-table")
        await seat.press("escape")
        assert "orders" in seat.text("#routes-table")
        assert seat.main.table.selected == RowKey("orders", 1)
        await seat.press("F", *"ale", "enter")
        assert seat.main.table.order.wanted == "ale"


async def test_no_route_that_matches_is_told_with_the_key(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        await seat.press("F", *"zzz")
        assert "no route matches 'zzz' · F changes it" in seat.text("#routes-table")
        await seat.press("escape")
        assert "no route matches" not in seat.text()


async def test_the_log_is_filtered_while_typing_and_esc_undoes_it(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        await seat.press("slash", *"device 1", "enter")
        await seat.press("slash", *"stored")
        assert seat.main.logs.filter.text == "device 1"  # not with every key
        await debounced(seat)
        assert seat.main.logs.filter.text == "stored"
        assert isinstance(seat.app.screen, Prompt)
        await seat.press(*"x", "escape")
        assert seat.main.logs.filter.text == "device 1"
        await debounced(seat)
        assert seat.main.logs.filter.text == "device 1"


async def test_an_unfinished_expression_is_no_error_until_it_is_entered(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        await seat.press("slash", *"[de")
        await debounced(seat)
        words, loud = hint(seat)
        assert "Not a regular expression" in words
        assert not loud
        assert seat.main.logs.filter.text == ""
        await seat.press("enter")
        assert isinstance(seat.app.screen, Prompt)
        assert hint(seat)[1]
        await seat.press(*"]v")
        await debounced(seat)
        assert seat.main.logs.filter.text == "[de]v"
        assert not hint(seat)[1]


async def test_messages_are_filtered_while_typing(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        seat.engine.messages.messages = told()
        await seat.press("g", "4", "slash", *"failed")
        below = seat.app.screen_stack[-2]
        assert isinstance(below, MessagesScreen)
        shown = below.records._records
        # then those of every outcome but ok are there
        assert {each.outcome for each in shown} == {each.outcome for each in told()} - {"ok"}
        await seat.press("escape")
        assert below.wanted == ""
        assert len(below.records._records) > len(shown)


async def test_up_brings_back_what_was_entered_and_down_what_was_typed(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        for text in ("one", "two"):
            await seat.press("ctrl+f", "ctrl+u", *text, "enter")
        await seat.press("ctrl+f", "ctrl+u", *"thr", "up")
        assert typed(seat) == "two"
        await seat.press("up", "up", "up")
        assert typed(seat) == "one"
        await seat.press("down", "down", *"ee")
        assert typed(seat) == "three"
        # what another prompt was given is not there
        await seat.press("escape", "slash", "up")
        assert typed(seat) == ""


def test_a_history_has_each_text_once_and_not_too_many() -> None:
    history = PromptHistory()
    for text in ["a", "b", "a", " ", *map(str, range(MOST - 1))]:
        history.add(text)
    walk = history.walk()
    seen = [walk.step(-1, "") for _ in range(MOST + 1)]
    assert seen[MOST - 1 :] == ["a", None]


@pytest.mark.parametrize(
    ("template", "topic"),
    [
        ("jobs/new", "jobs/new"),
        ("sensors/{device_id}/temperature", "sensors/{int:1..9}/temperature"),
        ("a/{n:int}/{x:float}/{rest:path}", "a/{int:1..9}/{float:0..9}/{int:1..9}"),
        ("a/+/#", "a/{int:1..9}/{int:1..9}"),
    ],
)
def test_a_topic_that_the_route_takes_is_proposed(template: str, topic: str) -> None:
    assert proposed_topic(template) == topic


def test_placeholders_of_a_topic_are_drawn_and_a_payload_is_left_alone() -> None:
    sent = read_publish('a/{int:3..3}/b {"n": "{int:1..9}"}')
    assert sent == Publish("a/3/b", b'{"n": "{int:1..9}"}')
    assert "is not a range" in publish_problem("a/{int:9}")


async def test_typing_replaces_the_topic_that_was_proposed(sit: Sit) -> None:
    async with sit(size=SMALL) as seat:
        await seat.press("P")
        assert typed(seat) == "sensors/{int:1..9}/temperature "
        await seat.press(*"x/y 1", "enter", "P", "up", "enter")
        assert seat.engine.commands == [Publish("x/y", b"1")] * 2


@pytest.mark.parametrize("keys", ["F", "/", "J", "P", "e /", "4 /", "d /"])
async def test_what_a_prompt_says_has_room_in_80_columns(sit: Sit, keys: str) -> None:
    async with sit(size=SMALL) as seat:
        await seat.press(*keys.split())
        words, _ = hint(seat)
        assert len(words) <= seat.app.screen.query_one("#prompt-hint").size.width
