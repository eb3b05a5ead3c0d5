"""Placeholders: what is replaced, what is left alone, and what is told about a wrong one."""

from __future__ import annotations

import json
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routemq_tui.publisher.traffic import Template, compile_message


def fill(payload: object, *, topic: str = "t", seed: int = 1, **values: object) -> bytes:
    template = compile_message(topic, payload, values)
    template.random = random.Random(seed)
    return template.make(1700000000.1234)[1]


def fill_many(template: Template, count: int = 200) -> list[tuple[str, bytes]]:
    return [template.make(float(number)) for number in range(count)]


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("{int:1..20}", r"\d+"),
        ("{int:-5..-1}", r"-[1-5]"),
        ("{float:15..30}", r"\d\d\.\d{1,2}"),
        ("{float:0.0001..0.0002}", r"(0\.0001|0\.0002)"),
        ("{choice:on|off}", "(on|off)"),
        ("{choice:}", ""),
        ("{seq}", "1"),
        ("{time}", r"1700000000\.123"),
        ("{uuid}", r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
        ("{{seq}}", re.escape("{seq}")),
    ],
)
def test_a_placeholder_in_a_plain_text_is_filled(text: str, pattern: str) -> None:
    assert re.fullmatch(f"<{pattern}>", fill(f"<{text}>").decode())


@pytest.mark.parametrize(
    "text",
    ['{"celsius": 21}', '{"a": {"b": {}}}', "{", "}", "{}", "{{", "{ seq }", "{1}", "}{", '[{"x":[]}]'],
)
def test_any_other_brace_is_a_brace(text: str) -> None:
    assert fill(text).decode() == text


def test_json_around_a_placeholder_needs_no_escaping() -> None:
    value = json.loads(fill('{"reading": {"celsius": {float:15..30}}}'))
    assert 15 <= value["reading"]["celsius"] <= 30


@given(low=st.integers(-1000, 1000), width=st.integers(0, 50), seed=st.integers(0, 2**32))
def test_an_integer_lies_within_its_range(low: int, width: int, seed: int) -> None:
    value = int(fill(f"{{int:{low}..{low + width}}}", seed=seed))
    assert low <= value <= low + width


def test_both_ends_of_a_range_are_drawn() -> None:
    drawn = {payload for _, payload in fill_many(compile_message("t", "{int:1..3}"))}
    assert drawn == {b"1", b"2", b"3"}


def test_a_name_has_one_value_in_topic_and_payload_of_a_message() -> None:
    template = compile_message("s/{id}/{kind}", {"id": "{id}", "text": "{kind}-{id}"}, {"kind": ["a", "b"]})
    for topic, payload in fill_many(template):
        _, number, kind = topic.split("/")
        assert json.loads(payload) == {"id": int(number), "text": f"{kind}-{number}"}
        assert 1 <= int(number) <= 10


def test_a_typed_topic_parameter_is_a_name_as_in_a_route() -> None:
    topic, payload = compile_message("m/{id:int}/{x:float}", ["{id}", "{x}"]).make(0.0)
    _, number, level = topic.split("/")
    assert json.loads(payload) == [int(number), float(level)]


def test_one_numeric_placeholder_alone_is_a_json_number_at_any_depth() -> None:
    payload = {"n": "{int:1..9}", "deep": [{"f": "{float:0..1}"}], "s": "{seq}.", "v": "{v}", "ok": True}
    value = json.loads(fill(payload, v=[7]))
    assert isinstance(value["n"], int)
    assert isinstance(value["deep"][0]["f"], float)
    assert value["s"] == "1."
    assert (value["v"], value["ok"]) == (7, True)


def test_seq_counts_messages() -> None:
    assert [payload for _, payload in fill_many(compile_message("t", "{seq}"), 3)] == [b"1", b"2", b"3"]


@pytest.mark.parametrize(
    ("topic", "payload", "values", "told"),
    [
        ("t", "{sek}", {}, "unknown placeholder {sek} (did you mean {seq…}"),
        ("t", {"a": ["{nobody}"]}, {}, "unknown placeholder {nobody}"),
        ("t", "{itn:1..2}", {}, "did you mean {int…}"),
        ("t", "{int:5}", {}, '{int:5}: "5" is not a range of integers'),
        ("t", "{int:1.5..2}", {}, "is not a range of integers"),
        ("t", "{int:9..1}", {}, "ends before it starts"),
        ("t", "{float:a..b}", {}, "is not a range of numbers"),
        ("t", "{choice}", {}, "{choice} lacks its values"),
        ("t/{x}", "", {"x": []}, "values.x: give a list"),
        ("t/{x}", "", {"x": "abc"}, 'values.x: "abc" is not a range'),
        ("t/{x}", "", {"x": ["a#"]}, "values.x: a topic to publish to cannot hold '#'"),
        ("t/+", "", {}, "topic: a topic to publish to cannot hold '+'"),
        ("", "", {}, "the topic is empty"),
    ],
)
def test_a_mistake_is_told(topic: str, payload: object, values: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        compile_message(topic, payload, values)


def test_without_strictness_an_unknown_placeholder_is_text() -> None:
    assert compile_message("t", "{nobody} {a:1}", strict=False).make(0.0)[1] == b"{nobody} {a:1}"
