"""What a handler gets as its payload when middleware has read, changed or replaced it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routemq_tui.routing.message import Message
from routemq_tui.routing.middleware import Context, Middleware
from routemq_tui.routing.payload import PayloadError, Seen
from tests.routing.wrapping import Adds, called, wrapped


def handler_of(annotation: Any) -> Callable[..., Any]:
    def handler(payload):  # type: ignore[no-untyped-def]
        return payload

    handler.__annotations__ = {"payload": annotation}
    return handler


def got(annotation: Any, payload: bytes, *middleware: Any) -> Any:
    return called(
        wrapped(handler_of(annotation), *middleware), Message("sensors/7/data", {"id": "7"}, payload)
    )


@dataclass
class Reading:
    value: float


@pytest.mark.parametrize(
    ("annotation", "put", "expected"),
    [
        (Any, {"a": object}, {"a": object}),
        (dict, {"value": 6}, {"value": 6}),
        (Reading, {"value": 6}, Reading(6.0)),
        (Reading, Reading(7.0), Reading(7.0)),
        (bytes, {"value": 6}, b'{"value":6}'),
        (bytes, "text", b"text"),
        (str, b"text", "text"),
        (Reading, b'{"value": 8}', Reading(8.0)),
        (list[int], [1, 2], [1, 2]),
        (bytes | None, "text", b"text"),
        (bytes | None, None, None),
        (str | None, {"value": 6}, '{"value":6}'),
        (Reading | None, {"value": 6}, Reading(6.0)),
        (Annotated[Reading, "of now"], Reading(7.0), Reading(7.0)),
        (Annotated[str, "of now"], "text", "text"),
        (Annotated[int, msgspec.Meta(ge=0)], 5, 5),
    ],
)
def test_a_payload_put_in_place_is_what_the_annotation_says(annotation: Any, put: Any, expected: Any) -> None:
    class Puts(Middleware):
        async def handle(self, context: Context, next_handler: Any) -> Any:
            context["payload"] = put
            return await next_handler(context)

    assert called(wrapped(handler_of(annotation), Puts())) == expected


class Reads(Middleware):
    async def handle(self, context: Context, next_handler: Any) -> Any:
        context["payload"]
        return await next_handler(context)


class Model(TypedDict):
    a: Decimal


@pytest.mark.parametrize(
    ("annotation", "payload"),
    [
        (bytes, b'{"a": 1.50}'),
        (bytes, b"\xff no JSON"),
        (bytearray, b"[1 ,2]"),
        (str, b"1e2"),
        (str, b'"quoted"'),
        (str | None, b""),
        (str | None, b"null"),
        (bytes | None, b'"YQ=="'),
        (Decimal, b"1.000000000000000000000000000001"),
        (dict[str, Decimal], b'{"a": 1.10}'),
        (dict[int, float], b'{"1": 2.0}'),
        (Annotated[dict[int, float], "with", ["unhashable"]], b'{"1": 2.0}'),
        (Model, b'{"a": 1.10}'),
        (list[int] | str, b"[1, 2]"),
        (Any, b'{"a": [1, 1.0, true]}'),
        (dict, b'{"a": [1, 1.0, true]}'),
        (float, b"1"),
        (int, b"7"),
    ],
    ids=str,
)
def test_a_payload_that_is_only_read_comes_as_if_it_were_not(annotation: Any, payload: bytes) -> None:
    plain = got(annotation, payload)
    assert repr(got(annotation, payload, Reads())) == repr(plain)
    assert repr(got(annotation, payload, Copies("item"), Reads())) == repr(plain)


def test_what_does_not_fit_does_not_fit_after_reading_either() -> None:
    with pytest.raises(PayloadError, match="the payload does not fit"):
        got(dict[int, float], b"[]", Reads())
    with pytest.raises(PayloadError, match=">= 0"):
        got(dict[str, Annotated[int, msgspec.Meta(ge=0)]], b'{"a": -5}', Reads())


@pytest.mark.parametrize(
    ("annotation", "payload", "now", "expected"),
    [
        (bytes, b'{"a": 1}', True, b'{"a":true}'),
        (bytes, b'{"a": 1}', 1.0, b'{"a":1.0}'),
        (str, b'{"a": "2026-01-02T03:04:05"}', datetime(2026, 1, 2, 3, 4, 5), '{"a":"2026-01-02T03:04:05"}'),
        (dict, b'{"a": "2026-01-02T03:04:05"}', datetime(2026, 1, 2), {"a": datetime(2026, 1, 2)}),
        (dict[str, datetime], b'{"a": ""}', datetime(2026, 1, 2), {"a": datetime(2026, 1, 2)}),
        (dict[str, int], b'{"a": 1}', 2, {"a": 2}),
        (Model, b'{"a": 1}', 1.1, {"a": Decimal("1.1")}),
    ],
)
def test_what_is_changed_within_it_is_seen(annotation: Any, payload: bytes, now: Any, expected: Any) -> None:
    class Changes(Middleware):
        async def handle(self, context: Context, next_handler: Any) -> Any:
            context["payload"]["a"] = now
            return await next_handler(context)

    assert repr(got(annotation, payload, Changes())) == repr(expected)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2**70)
    | st.sampled_from([0.0, 1.0, -0.5])
    | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)


def same(one: Any, other: Any) -> bool:
    """Plainly: of the same types, and equal, and in the same order."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return same([*map(list, one.items())], [*map(list, other.items())])
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@given(JSON, JSON | st.just((1,)) | st.just([datetime(2026, 1, 2)]))
def test_whether_it_was_changed(came: Any, now: Any) -> None:
    payload = msgspec.json.encode(came)
    assert Seen(msgspec.json.decode(payload), payload).unchanged
    assert Seen(now, payload).unchanged == same(now, msgspec.json.decode(payload))


def test_a_value_is_not_encoded_to_be_decoded_again() -> None:
    class Puts(Middleware):
        async def handle(self, context: Context, next_handler: Any) -> Any:
            context["payload"] = {**context["payload"], 2: 3.0}
            return await next_handler(context)

    assert got(dict[int, float], b'{"1": 2.0}', Puts()) == {1: 2.0, 2: 3.0}


class Copies(Middleware):
    def __init__(self, way: str) -> None:
        self.way = way

    async def handle(self, context: Context, next_handler: Any) -> Any:
        copied = COPIES[self.way](context)
        assert copied["payload"] == context["payload"]
        assert copied["own"] == 1
        return await next_handler(copied)


COPIES: dict[str, Callable[[Context], Context]] = {
    "item": lambda context: {**context, "own": 1},
    "dict": lambda context: dict(context, own=1),
    "or": lambda context: context | {"own": 1},
    "of": lambda context: {"own": 1} | context,
    "update": lambda context: updated({"own": 1}, context),
    "copy": lambda context: updated(context.copy(), {"own": 1}),
    "module": lambda context: updated(copy.copy(context), {"own": 1}),
    "items": lambda context: {"own": 1, **{key: value for key, value in context.items()}},  # noqa: C416
    "keys": lambda context: {"own": 1, **{key: context[key] for key in context}},
}


def updated(context: Context, more: Context) -> Context:
    context.update(more)
    return context


@pytest.mark.parametrize("way", COPIES)
def test_the_payload_is_in_a_copy_of_the_context(way: str) -> None:
    assert got(bytes, b'{"a": 1.50}', Copies(way), Reads()) == b'{"a": 1.50}'
    assert got(Any, b"[1]", Adds("a", []), Copies(way), lambda message, call_next: call_next(message)) == [1]


def test_the_payload_can_be_taken_out_of_the_context_and_set_at_first() -> None:
    class Takes(Middleware):
        async def handle(self, context: Context, next_handler: Any) -> Any:
            assert len(context) == 7
            payload = context.pop("payload")
            assert context.setdefault("payload", 5) == payload == {"a": 1}
            assert "'payload': {'a': 1}" in repr(context)
            return await next_handler(context)

    assert got(bytes, b'{"a": 1}', Takes()) == b'{"a": 1}'


def test_another_message_counts_over_what_was_read_of_the_one_before() -> None:
    def other(message: Message, call_next: Any) -> Any:
        return call_next(Message("sensors/8/data", {"id": "8"}, b'{"value": 8}', qos=2))

    class Looks(Middleware):
        async def handle(self, context: Context, next_handler: Any) -> Any:
            assert context["topic"] == "sensors/8/data"
            assert (context["params"], context["qos"]) == ({"id": "8"}, 2)
            assert context["payload"] == {"value": 8}
            return await next_handler(context)

    def handler(id: str, payload: Any) -> Any:
        return id, payload

    for before in (Reads(), Copies("item")):
        assert called(wrapped(handler, before, other)) == ("8", {"value": 8})
        assert called(wrapped(handler, before, other, Looks())) == ("8", {"value": 8})
