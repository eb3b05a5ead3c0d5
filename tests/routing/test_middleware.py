"""What runs around a handler, in both forms, and what the handler then gets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from routemq_tui.routing.binding import Bound, bind
from routemq_tui.routing.message import Message
from routemq_tui.routing.middleware import Context, Middleware, MiddlewareError, with_middleware
from routemq_tui.routing.template import Template

TEMPLATE = Template.parse("sensors/{id}/data")
MESSAGE = Message("sensors/7/data", {"id": "7"}, b'{"value": 5}', qos=1)


def called(bound: Bound, message: Message = MESSAGE) -> Any:
    result = bound.call(message)
    if bound.is_async:

        async def wait() -> Any:
            return await result

        return asyncio.run(wait())
    return result


def wrapped(handler: Callable[..., Any], *middleware: Any) -> Bound:
    return with_middleware(bind(handler, TEMPLATE), middleware)


class Adds(Middleware):
    def __init__(self, name: str, seen: list[str]) -> None:
        self.name, self.seen = name, seen

    async def handle(self, context: Context, next_handler: Any) -> Any:
        self.seen.append(f"{self.name} in")
        result = await next_handler(context)
        self.seen.append(f"{self.name} out")
        return result


def test_without_any_the_call_is_the_very_one() -> None:
    bound = bind(lambda id: id, TEMPLATE)
    assert with_middleware(bound, ()) is bound


def test_the_first_is_the_outermost_in_either_form() -> None:
    seen: list[str] = []

    def plain(message: Message, call_next: Any) -> Any:
        seen.append("plain in")
        return call_next(message)

    async def waits(message: Message, call_next: Any) -> Any:
        result = await call_next(message)
        seen.append("waits out")
        return result

    def handler(id: str) -> str:
        seen.append("handler")
        return id

    bound = wrapped(handler, Adds("a", seen), plain, waits, Adds("b", seen))
    assert called(bound) == "7"
    assert seen == ["a in", "plain in", "b in", "handler", "b out", "waits out", "a out"]


@pytest.mark.parametrize("is_async", [False, True])
def test_plain_functions_keep_a_handler_what_it_is(is_async: bool) -> None:
    def through(message: Message, call_next: Any) -> Any:
        return call_next(message)

    def handler(id: str) -> str:
        return id

    async def waits(id: str) -> str:
        await asyncio.sleep(0)
        return id

    bound = wrapped(waits if is_async else handler, through, through)
    assert bound.is_async is is_async
    assert called(bound) == "7"


def test_what_the_context_holds_and_what_is_changed_in_it() -> None:
    class Changes(Middleware):
        async def handle(self, context: Context, next_handler: Any) -> Any:
            assert context["topic"] == "sensors/7/data"
            assert context["payload"] == {"value": 5}
            assert (context["qos"], context["retain"], context["message"]) == (1, False, MESSAGE)
            assert "payload" in context
            assert context.get("nothing") is None
            context["own"] = 1
            context["params"] = {"id": "8"}
            context["payload"]["more"] = [1]
            return await next_handler(context)

    def handler(id: str, payload: Any, message: Message) -> Any:
        return id, payload, message.payload

    assert called(wrapped(handler, Changes())) == ("8", {"value": 5, "more": [1]}, b'{"value": 5}')


@dataclass
class Reading:
    value: float


@pytest.mark.parametrize(
    ("annotation", "put", "got"),
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
    ],
)
def test_a_payload_put_in_place_is_what_the_annotation_says(annotation: Any, put: Any, got: Any) -> None:
    class Puts(Middleware):
        async def handle(self, context: Context, next_handler: Any) -> Any:
            context["payload"] = put
            return await next_handler(context)

    def handler(payload):  # type: ignore[no-untyped-def]
        return payload

    handler.__annotations__ = {"payload": annotation}
    assert called(wrapped(handler, Puts())) == got


def test_a_function_may_hand_on_another_message() -> None:
    def loud(message: Message, call_next: Any) -> Any:
        return call_next(Message(message.topic, message.params, message.payload.upper()))

    def handler(payload: bytes) -> bytes:
        return payload

    assert called(wrapped(handler, loud)) == b'{"VALUE": 5}'
    assert called(wrapped(handler, Adds("a", []), loud, Adds("b", []))) == b'{"VALUE": 5}'


def test_one_that_does_not_go_on_lets_nothing_happen() -> None:
    class Stops(Middleware):
        async def handle(self, context: Context, next_handler: Any) -> Any:
            return None

    assert called(wrapped(lambda id: pytest.fail("called"), Stops())) is None


def test_what_is_raised_comes_through_all_of_them() -> None:
    def handler(id: str) -> None:
        raise LookupError(id)

    seen: list[str] = []
    with pytest.raises(LookupError):
        called(wrapped(handler, Adds("a", seen), lambda message, call_next: call_next(message)))
    assert seen == ["a in"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [(Adds, "Adds is a class"), (5, "5 is no middleware"), (lambda message: None, "does not take")],
)
def test_what_is_no_middleware(wrong: Any, said: str) -> None:
    with pytest.raises(MiddlewareError, match=said):
        wrapped(lambda id: id, wrong)
