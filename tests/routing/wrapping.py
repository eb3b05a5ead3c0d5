"""Handlers with middleware around them, called as a worker would."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from routemq_tui.routing.binding import Bound, bind
from routemq_tui.routing.message import Message
from routemq_tui.routing.middleware import Context, Middleware, with_middleware
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
