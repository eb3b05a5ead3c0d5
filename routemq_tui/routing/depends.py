"""What a handler depends on: made by functions of the user's, once a message or once a worker, closed again.

A factory is a function, sync or async, or a generator that yields the value once and cleans up after it. It
may ask for what a handler may ask for, other dependencies included; one of a worker only for others of the
worker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import Any, Literal

from routemq_tui.routing.handler import plain_function
from routemq_tui.routing.invocation import CallFull

Scope = Literal["message", "worker"]
_NO_PARAMS: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Depends:
    """The value of a parameter: its default, or in `Annotated[Type, Depends(factory)]`.

    `scope`: `message` makes it for each message, `worker` once, before the first one; then it is closed at
    the end of the worker.
    """

    factory: Callable[..., Any]
    scope: Scope = "message"

    def __post_init__(self) -> None:
        if not callable(self.factory):
            raise TypeError(f"Depends wants a function, not {self.factory!r}")
        if self.scope not in ("message", "worker"):
            raise ValueError(f'the scope is "message" or "worker", not {self.scope!r}')


class Kind(Enum):
    PLAIN = auto()
    ASYNC = auto()
    GENERATOR = auto()
    ASYNC_GENERATOR = auto()

    @classmethod
    def of(cls, factory: Callable[..., Any]) -> Kind:
        function: Any = plain_function(factory)
        if isasyncgenfunction(function):
            return cls.ASYNC_GENERATOR
        if isgeneratorfunction(function):
            return cls.GENERATOR
        return cls.ASYNC if iscoroutinefunction(function) else cls.PLAIN


@dataclass(frozen=True, slots=True)
class Need:
    """One dependency of a handler; those that it depends on itself come before it."""

    call: CallFull
    kind: Kind
    scope: Scope
    cell: list[Any]
    """Its only item is the value: compiled calls read it at the moment they are called."""

    @property
    def is_async(self) -> bool:
        return self.kind in (Kind.ASYNC, Kind.ASYNC_GENERATOR)


Values = list[tuple[list[Any], Any]]
"""Cells and what belongs in them. They are filled right before each call: handlers may run at once."""


def _place(values: Values) -> None:
    for cell, value in values:
        cell[0] = value


def with_needs(call: CallFull, needs: Sequence[Need]) -> CallFull:
    """A handler's call after what it needs was made, which is closed when it has ended; all of it sync."""

    def call_full(message: Any, text: str, params: Mapping[str, Any], payload: Any) -> Any:
        values: Values = []
        with ExitStack() as stack:
            for need in needs:
                _place(values)
                if need.kind is Kind.GENERATOR:
                    made = stack.enter_context(contextmanager(need.call)(message, text, params, payload))
                else:
                    made = need.call(message, text, params, payload)
                values.append((need.cell, made))
            _place(values)
            return call(message, text, params, payload)

    return call_full


def with_async_needs(call: CallFull, needs: Sequence[Need], is_async: bool) -> CallFull:
    """The same where the handler (`is_async`) or something it needs is awaited."""

    async def call_full(message: Any, text: str, params: Mapping[str, Any], payload: Any) -> Any:
        values: Values = []
        async with AsyncExitStack() as stack:
            for need in needs:
                _place(values)
                values.append((need.cell, await _made(need, stack, message, text, params, payload)))
            _place(values)
            result = call(message, text, params, payload)
            return await result if is_async else result

    return call_full


async def _made(need: Need, stack: AsyncExitStack, *given: Any) -> Any:
    if need.kind is Kind.GENERATOR:
        return stack.enter_context(contextmanager(need.call)(*given))
    if need.kind is Kind.ASYNC_GENERATOR:
        return await stack.enter_async_context(asynccontextmanager(need.call)(*given))
    made = need.call(*given)
    return await made if need.kind is Kind.ASYNC else made


class WorkerNeeds:
    """What a worker's handler needs for as long as the worker lives."""

    def __init__(self, needs: Sequence[Need]) -> None:
        self._needs = needs
        self._stack = AsyncExitStack()

    def __len__(self) -> int:
        return len(self._needs)

    async def open(self) -> None:
        """Make all of it; raises what a factory raises, with what was made before closed again."""
        values: Values = []
        try:
            for need in self._needs:
                _place(values)
                values.append((need.cell, await _made(need, self._stack, None, "", _NO_PARAMS, b"")))
        except BaseException:
            await self._stack.aclose()
            raise
        _place(values)

    async def close(self) -> None:
        """In the opposite order; raises what one of them raises, after the others were closed."""
        await self._stack.aclose()
