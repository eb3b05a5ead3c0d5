"""What runs around a handler, in both forms, and what the handler then gets."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest

from routemq_tui.routing.binding import bind
from routemq_tui.routing.message import Message
from routemq_tui.routing.middleware import Context, Middleware, MiddlewareError, with_middleware
from tests.routing.wrapping import MESSAGE, TEMPLATE, Adds, called, wrapped


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


async def tagged(tag: str, message: Message, call_next: Any) -> Any:
    return tag, await call_next(message)


class Tags:
    async def __call__(self, message: Message, call_next: Any) -> Any:
        return await tagged("t", message, call_next)


class TagsUnseen:
    def __call__(self, message: Message, call_next: Any) -> Any:
        return tagged("t", message, call_next)


@functools.wraps(tagged)
def around_async(message: Message, call_next: Any) -> Any:
    return tagged("t", message, call_next)


def runs_it(middleware: Any) -> Any:
    """A wrapper that looks async and is not: the coroutine is run in it."""

    @functools.wraps(middleware)
    def wrapper(*given: Any) -> Any:
        try:
            middleware(*given).send(None)
        except StopIteration as end:
            return end.value

    return wrapper


async def waits_for(message: Message, call_next: Any) -> Any:
    return "t", await call_next(message)


SEEN = [
    functools.partial(tagged, "t"),
    functools.partial(functools.partial(tagged), "t"),
    Tags(),
    Tags().__call__,
    functools.partial(Tags()),
    around_async,
    runs_it(waits_for),
]
UNSEEN = [lambda message, call_next: tagged("t", message, call_next), TagsUnseen()]


@pytest.mark.parametrize("middleware", SEEN)
@pytest.mark.parametrize("is_async", [False, True])
def test_async_functions_are_known_in_every_wrapping(middleware: Any, is_async: bool) -> None:
    def handler(id: str) -> str:
        return id

    async def waits(id: str) -> str:
        return id

    def through(message: Message, call_next: Any) -> Any:
        return call_next(message)

    assert called(wrapped(waits if is_async else handler, middleware)) == ("t", "7")
    assert called(wrapped(waits if is_async else handler, through, middleware)) == ("t", "7")
    assert called(wrapped(waits if is_async else handler, Adds("a", []), middleware)) == ("t", "7")


def forgets(message: Message, call_next: Any) -> None:
    call_next(message)


@pytest.mark.parametrize("middleware", UNSEEN)
@pytest.mark.parametrize("outer", [(), (forgets,)])
def test_what_nobody_would_await_is_an_error_and_no_message_lost(middleware: Any, outer: Any) -> None:
    with pytest.raises(TypeError, match=r"(lambda|TagsUnseen).* to await.*: write it as async def"):
        called(wrapped(lambda id: pytest.fail("called"), *outer, middleware))


@pytest.mark.parametrize("middleware", UNSEEN)
def test_what_is_awaited_anyway_may_be_any_function(middleware: Any) -> None:
    assert called(wrapped(lambda id: id, Adds("a", []), middleware)) == ("t", "7")


@pytest.mark.parametrize("others", [(), (forgets,), (Adds("a", []),)])
@pytest.mark.parametrize("is_async", [False, True])
def test_a_plain_function_that_does_not_return_what_it_got_lets_the_handler_run(
    is_async: bool, others: tuple[Any, ...]
) -> None:
    ran: list[str] = []

    async def waits(id: str) -> None:
        await asyncio.sleep(0)
        ran.append(id)

    called(wrapped(waits if is_async else lambda id: ran.append(id), *others, forgets))
    assert ran == ["7"]


@pytest.mark.parametrize("others", [(), (forgets,), (Adds("a", []),)])
@pytest.mark.parametrize("later", [False, True])
def test_a_plain_function_may_keep_what_it_got_for_somebody_else(
    later: bool, others: tuple[Any, ...]
) -> None:
    # given one that puts the handler in the background, or collects it to be awaited later
    kept: list[Any] = []
    ran: list[str] = []

    def keeps(message: Message, call_next: Any) -> None:
        got = call_next(message)
        kept.append(got if later else asyncio.create_task(got))

    async def waits(id: str) -> str:
        await asyncio.sleep(0)
        ran.append(id)
        return id

    async def two_messages() -> list[str]:
        bound = wrapped(waits, *others, keeps)
        assert [await bound.call(MESSAGE), await bound.call(MESSAGE)] == [None, None]
        return list(await asyncio.gather(*kept))

    # then the handler runs once a message, where they have it run
    assert asyncio.run(two_messages()) == ["7", "7"]
    assert ran == ["7", "7"]


@pytest.mark.parametrize("others", [(), (Adds("a", []),)])
def test_a_plain_function_may_return_something_of_its_own(others: tuple[Any, ...]) -> None:
    ran: list[str] = []

    async def waits(id: str) -> None:
        ran.append(id)

    def answers(message: Message, call_next: Any) -> str:
        call_next(message)
        return "own"

    assert called(wrapped(waits, *others, answers)) == "own"
    assert ran == ["7"]


class NoAwait(Middleware):
    async def handle(self, context: Context, next_handler: Any) -> None:
        next_handler(context)


async def no_await(message: Message, call_next: Any) -> None:
    call_next(message)


@pytest.mark.parametrize("wrong", [NoAwait(), no_await])
@pytest.mark.parametrize("before", [(), (Adds("a", []),), (forgets,)])
@pytest.mark.parametrize("after", [(), (Adds("b", []),), (forgets,)])
@pytest.mark.parametrize("is_async", [False, True])
def test_one_that_forgets_to_await_is_an_error(
    wrong: Any, before: tuple[Any, ...], after: tuple[Any, ...], is_async: bool
) -> None:
    async def waits(id: str) -> None:
        pytest.fail("it was not awaited")

    def handler(id: str) -> None:
        pytest.fail("it was not awaited")

    with pytest.raises(TypeError, match=r"(NoAwait|no_await).* calls the next one without await"):
        called(wrapped(waits if is_async else handler, *before, wrong, *after))


def test_a_class_may_run_the_handler_in_the_background() -> None:
    ran: list[str] = []
    tasks: list[asyncio.Task[Any]] = []

    class Background(Middleware):
        async def handle(self, context: Context, next_handler: Any) -> None:
            tasks.append(asyncio.create_task(next_handler(context)))

    async def waits(id: str) -> None:
        ran.append(id)

    async def both() -> None:
        await wrapped(waits, Background()).call(MESSAGE)
        await tasks[0]

    asyncio.run(both())
    assert ran == ["7"]
