"""Middleware: what runs around a handler. Without any, the handler's compiled call stays as it is.

Two forms. A class with `async def handle(self, context, next_handler)`, whose context is a dict; and a plain
function `def timed(message, call_next)`, sync or async. The outermost comes first. One that does not call the
next lets nothing happen, and the message counts as handled; what it raises is a failure of the handler's.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from sys import getrefcount
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from routemq_tui.routing.handler import plain_function
from routemq_tui.routing.invocation import CallFull, Given
from routemq_tui.routing.message import Message
from routemq_tui.routing.payload import Seen, json_or_bytes

if TYPE_CHECKING:
    from routemq_tui.routing.binding import Bound

Context = dict[str, Any]
NextHandler = Callable[[Context], Awaitable[Any]]


class Middleware:
    """The base of middleware classes; an object of one is made once and serves all messages of a worker."""

    logger = logging.getLogger("routemq.middleware")

    async def handle(self, context: Context, next_handler: NextHandler) -> Any:
        """Go on with `await next_handler(context)`, or do not.

        The context holds `topic`, `payload` (JSON decoded, else the bytes), `params`, `client`, `qos`,
        `retain` and `message`. The handler gets the `params` and `payload` that are there in the end; a
        payload that was only read comes to it as if it had not been.
        """
        raise NotImplementedError(f"{type(self).__name__} has no handle(context, next_handler)")


class MiddlewareError(TypeError):
    """Something that is neither form of middleware."""


class _MessageContext(dict[str, Any]):
    """Decodes the payload when it is first asked for, also by a copy of the context."""

    handed: Any = None
    """What a class was given last by its next handler, to be awaited by it."""
    by: Any = None
    """That class."""

    def __missing__(self, key: str) -> Any:
        if key != "payload":
            raise KeyError(key)
        value = self["payload"] = json_or_bytes(self["message"].payload)
        return value

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key == "payload" else super().get(key, default)

    def __contains__(self, key: object) -> bool:
        return key == "payload" or super().__contains__(key)


def _decoding(name: str) -> Callable[..., Any]:
    method = getattr(dict, name)

    def called(context: _MessageContext, *given: Any) -> Any:
        context["payload"]
        return method(context, *given)

    return called


# What looks at a dict as a whole does not ask `__missing__`. With `__iter__` among them, `{**context}` and
# `dict(context)` go by the keys as well.
for _looks in (
    *("__iter__", "__reversed__", "__len__", "__eq__", "__ne__", "__or__", "__ror__", "__repr__"),
    *("keys", "values", "items", "copy", "pop", "popitem", "setdefault"),
):
    setattr(_MessageContext, _looks, _decoding(_looks))


def check_middleware(middleware: Any) -> None:
    """Raises MiddlewareError for what is neither a class's object with `handle` nor a function of two."""
    if isinstance(middleware, type):
        raise MiddlewareError(f"{middleware.__name__} is a class: an object of it is needed")
    if hasattr(middleware, "handle"):
        return
    if not callable(middleware):
        raise MiddlewareError(f"{middleware!r} is no middleware: it has no handle, and is no function")
    try:
        inspect.signature(middleware, follow_wrapped=False).bind(None, None)
    except TypeError:
        raise MiddlewareError(f"{_name(middleware)} does not take (message, call_next)") from None


def with_middleware(bound: Bound, middlewares: Sequence[Any]) -> Bound:
    """The handler with these around it; itself when there is none. Raises MiddlewareError."""
    if not middlewares:
        return bound
    for each in middlewares:
        check_middleware(each)
    if bound.is_async or any(map(_may_be_async, middlewares)):
        chain = _context_chain if any(hasattr(each, "handle") for each in middlewares) else _message_chain
        return bound.around(chain(bound, middlewares), is_async=True)
    return bound.around(_sync_chain(bound.call, middlewares), is_async=False)


def _is_async(middleware: Any) -> bool:
    """It surely gives something to await."""
    called = middleware if inspect.isroutine(middleware) else getattr(type(middleware), "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(middleware) or inspect.iscoroutinefunction(called)


def _may_be_async(middleware: Any) -> bool:
    """A plain wrapper around an async function may give its coroutine or have run it."""
    if hasattr(middleware, "handle") or _is_async(middleware):
        return True
    return inspect.iscoroutinefunction(plain_function(middleware))


def _sync_chain(call: Callable[[Message], Any], middlewares: Sequence[Any]) -> Callable[[Message], Any]:
    for middleware in reversed(middlewares):
        call = _checked_step(middleware, call)
    return call


def _checked_step(middleware: Any, following: Callable[[Message], Any]) -> Callable[[Message], Any]:
    def step(message: Message) -> Any:
        result = middleware(message, following)
        if result is not None and inspect.isawaitable(result):
            _refuse(middleware, result)
        return result

    return step


def _refuse(middleware: Any, result: Awaitable[Any]) -> None:
    """Nobody awaits it: the handler would not run, and the message would count as handled."""
    if inspect.iscoroutine(result):
        result.close()
    raise TypeError(
        f"the middleware {_name(middleware)} returned something to await, which cannot be seen before: "
        "write it as async def, or as a class with async def handle"
    )


def _name(middleware: Any) -> str:
    return getattr(middleware, "__qualname__", None) or type(middleware).__qualname__


def _step(middleware: Any, following: Callable[[Message], Any]) -> Callable[[Message], Any]:
    def step(message: Message) -> Any:
        return _run(middleware, message, following)

    return step


async def _run(middleware: Any, message: Message, following: Callable[[Message], Any]) -> Any:
    """One function, sync or async, which may call the next one, and must not lose what that gave."""
    handed: Any = None

    def call_next(message: Message) -> Any:
        nonlocal handed
        handed = following(message)
        return handed

    result = middleware(message, call_next)
    if result.__class__ is CoroutineType or (result is not None and inspect.isawaitable(result)):
        result = await result
        if getattr(handed, "cr_frame", None) and _is_left(handed):
            _forgotten(middleware, handed)
    elif getattr(handed, "cr_frame", None) and _is_left(handed):
        returned = await handed  # beside a sync handler the call alone is enough: so it is here
        return returned if result is None else result
    return result


def _forgotten(middleware: Any, handed: Any) -> None:
    """Without `await` the handler has not run, and the message would count as handled."""
    handed.close()
    raise TypeError(
        f"the middleware {_name(middleware)} calls the next one without await: the handler did not run"
    )


def _message_chain(bound: Bound, middlewares: Sequence[Any]) -> Callable[[Message], Any]:
    """Functions only: nothing but the message goes from one to the next."""
    following = bound.call if bound.is_async else _awaitable(bound.call)
    for middleware in reversed(middlewares):
        following = _step(middleware, following)
    return following


def _references(handed: Any) -> int:
    return getrefcount(handed)


def _references_of_our_own() -> int:
    async def nothing() -> None: ...

    handed = nothing()

    def call_next() -> Any:
        return handed

    handed.close()
    return _references(handed)


_UNKEPT = _references_of_our_own()
"""References to a coroutine that nothing but `handed` holds."""


def _is_left(handed: Any) -> bool:
    """Not begun, and nobody keeps it who might begin it, such as a task. Callers look at `cr_frame` first:
    nearly all are done, and that is the cheapest sign of it."""
    return (
        handed.__class__ is CoroutineType
        and getrefcount(handed) == _UNKEPT
        and inspect.getcoroutinestate(handed) == inspect.CORO_CREATED
    )


def _awaitable(call: Callable[[Message], Any]) -> Callable[[Message], Awaitable[Any]]:
    async def called(message: Message) -> Any:
        result = call(message)
        return await result if result is not None and inspect.isawaitable(result) else result

    return called


def _context_chain(bound: Bound, middlewares: Sequence[Any]) -> Callable[[Message], Any]:
    """Both forms in any order: each step takes a context, from which either form gets its own."""
    following: NextHandler = _last(bound)
    for middleware in reversed(middlewares):
        following = (
            _class_step(middleware, following)
            if hasattr(middleware, "handle")
            else _function_step(middleware, following)
        )

    async def call(message: Message) -> Any:
        context = _MessageContext(
            topic=message.topic,
            params=message.params,
            client=message.client,
            qos=message.qos,
            retain=message.retain,
            message=message,
        )
        result: Any = following(context)
        if result.__class__ is CoroutineType or inspect.isawaitable(result):
            result = await result
        handed, context.handed = context.handed, None
        if getattr(handed, "cr_frame", None) and _is_left(handed):
            _forgotten(context.by, handed)
        return result

    return call


def _class_step(middleware: Any, following: NextHandler) -> NextHandler:
    handle = middleware.handle

    def next_handler(context: Context) -> Awaitable[Any]:
        handed = following(context)
        if context.__class__ is _MessageContext:
            context.handed, context.by = handed, middleware
        return handed

    def step(context: Context) -> Awaitable[Any]:
        return handle(context, next_handler)  # type: ignore[no-any-return]

    return step


def _function_step(middleware: Any, following: NextHandler) -> NextHandler:
    def step(context: Context) -> Awaitable[Any]:
        def onward(message: Message) -> Awaitable[Any]:
            if message is not context["message"]:
                _put_message(context, message)
            return following(context)

        return _run(middleware, context["message"], onward)

    return step


def _put_message(context: Context, message: Message) -> None:
    """In the place of the one before; what that one was read as is not this one's."""
    before: Message = context["message"]
    if message.payload is not before.payload and dict.__contains__(context, "payload"):
        context["payload"] = json_or_bytes(message.payload)
    if message.params is not before.params:
        context["params"] = message.params
    context.update(
        topic=message.topic, client=message.client, qos=message.qos, retain=message.retain, message=message
    )


def _last(bound: Bound) -> NextHandler:
    call, full, is_async = bound.call, bound.call_full, bound.is_async

    async def last(context: Context) -> Any:
        message: Message = context["message"]
        untouched = not dict.__contains__(context, "payload") and context["params"] is message.params
        result = call(message) if untouched else _call_changed(full, context, message)
        return await result if is_async or (result is not None and inspect.isawaitable(result)) else result

    return last


def _call_changed(full: CallFull, context: Context, message: Message) -> Any:
    """With the payload and the parameters that the context has now."""
    payload: Any = message.payload
    if dict.__contains__(context, "payload"):
        payload = Given(Seen(context["payload"], message.payload))
    return full(message, message.topic, context["params"], payload)
