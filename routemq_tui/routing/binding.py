"""Handlers bound to templates: what each parameter gets is decided once; after that there are only calls."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import msgspec

from routemq_tui.errors import ExitCode, RoutemqError
from routemq_tui.routing.depends import Depends, Kind, Need, with_async_needs, with_needs
from routemq_tui.routing.handler import Handler, location, plain_function
from routemq_tui.routing.invocation import (
    Argument,
    Call,
    CallFull,
    CallParts,
    Source,
    refuse_awaitable,
    write_calls,
)
from routemq_tui.routing.message import Message
from routemq_tui.routing.payload import UndecodableError, payload_decoder
from routemq_tui.routing.template import RESERVED, Param, Template, read_float, read_int

Convert = Callable[[Any], Any]


class BindError(RoutemqError):
    """A handler whose parameters and topic template do not fit. `hint` says what would."""

    exit_code = ExitCode.IMPORT_FAILED

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(f"{reason} ({hint})" if hint else reason)
        self.reason = reason
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Bound:
    """A handler ready to be called with messages."""

    call: Call
    """Calls the handler; gives an awaitable when `is_async`. Raises PayloadError, or as the handler does."""
    is_async: bool
    location: str
    """`routes/sensors.py:12`."""
    uses: tuple[str, ...]
    """The parameters that are filled, in order."""
    call_full: CallFull
    """The same for a message whose parameters and payload were changed."""
    call_parts: CallParts | None = None
    """The same call by topic, parameters and payload, if the handler needs no more of a message."""
    worker_needs: tuple[Need, ...] = ()
    """What is made once, before the first call."""

    def around(self, call: Call, is_async: bool) -> Bound:
        """The same handler, called through something else."""
        return replace(self, call=call, call_parts=None, is_async=is_async)


def bind(function: Handler, template: Template, root: Path | None = None) -> Bound:
    """Decide how `function` is called for messages of `template`; raises BindError.

    `root` only shortens the path in messages.
    """
    where = location(function, root)
    target = plain_function(function)
    if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
        raise BindError(
            f"the handler is a generator, so calling it runs nothing ({where})", "take the yield out"
        )
    needs: dict[Depends, Need] = {}
    arguments = _Binder(function, template, where, needs, root).arguments()
    runs_async, adaptive = _asynchrony(function)
    call, call_parts, full = write_calls(function, arguments, None if runs_async else refuse_awaitable(where))
    if adaptive:
        call, call_parts, full = _await_if_needed(call), None, _await_if_needed(full)
    of_message = [need for need in needs.values() if need.scope == "message"]
    if of_message:
        awaits = runs_async or any(need.is_async for need in of_message)
        full = with_async_needs(full, of_message, runs_async) if awaits else with_needs(full, of_message)
        call, call_parts, runs_async = _by_message(full), None, awaits
    of_worker = tuple(need for need in needs.values() if need.scope == "worker")
    uses = tuple(f"**{each.name}" if each.source is Source.REST else each.name for each in arguments)
    return Bound(call, runs_async, where, uses, full, call_parts, of_worker)


class _Binder:
    """One function's parameters, looked at one by one."""

    def __init__(
        self,
        function: Handler,
        template: Template,
        where: str,
        needs: dict[Depends, Need],
        root: Path | None,
        within: tuple[Depends, ...] = (),
    ) -> None:
        """`needs` is filled with what the function depends on; `within`: the factories it is asked for by."""
        self._where, self._template, self._root = where, template, root
        self._needs, self._within = needs, within
        self._topic = {param.name: param for param in template.params}
        self._globals = getattr(plain_function(function), "__globals__", {})
        try:
            self._parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError) as error:
            raise BindError(f"the handler's parameters cannot be read: {error} ({where})") from error

    def arguments(self) -> list[Argument]:
        found: list[Argument] = []
        for parameter in self._parameters:
            if parameter.kind is parameter.VAR_KEYWORD:
                taken = {each.name for each in self._parameters}
                names = tuple(name for name in self._topic if name not in taken)
                found.append(Argument(parameter.name, Source.REST, names=names))
            elif parameter.kind is not parameter.VAR_POSITIONAL:
                keyword = parameter.kind is parameter.KEYWORD_ONLY
                found.append(replace(self._argument(parameter), keyword=keyword))
        return found

    def _argument(self, parameter: inspect.Parameter) -> Argument:
        name = parameter.name
        depends = self._depends(parameter)
        if depends is not None:
            return Argument(name, Source.DEPENDS, fixed=self._need(depends).cell)
        if name in self._topic:
            return Argument(name, Source.PARAM, self._param_converter(self._topic[name], parameter))
        if name == "message" or self._is_message(parameter):
            return Argument(name, Source.MESSAGE)
        if name == "payload":
            decode = self._payload_decoder(parameter)
            return Argument(name, Source.PAYLOAD, decode, annotation=self._annotation(parameter))
        if name == "client":
            return Argument(name, Source.CLIENT)
        if parameter.default is not parameter.empty:
            return Argument(name, Source.FIXED, fixed=parameter.default)
        self._refuse_unless_sole(parameter)
        return Argument(name, Source.MESSAGE)

    def _depends(self, parameter: inspect.Parameter) -> Depends | None:
        if isinstance(parameter.default, Depends):
            return parameter.default
        if parameter.annotation is parameter.empty:
            return None
        known = parameter.name in self._topic or parameter.name in RESERVED
        if (known or parameter.default is not parameter.empty) and "Depends" not in str(parameter.annotation):
            return None
        annotation = self._annotation(parameter)
        if typing.get_origin(annotation) is not Annotated:
            return None
        return next((each for each in typing.get_args(annotation)[1:] if isinstance(each, Depends)), None)

    def _need(self, depends: Depends) -> Need:
        """What makes the value, and before it what that one depends on."""
        if depends in self._needs:
            return self._needs[depends]
        where = location(depends.factory, self._root)
        if depends in self._within:
            raise BindError(f"it depends on itself ({where})")
        within = (*self._within, depends)
        binder = _Binder(depends.factory, self._template, where, self._needs, self._root, within)
        arguments = binder.arguments()
        if depends.scope == "worker":
            self._refuse_message_in_worker(arguments, where)
        full = write_calls(depends.factory, arguments, None).full
        need = Need(full, Kind.of(depends.factory), depends.scope, [None])
        self._needs[depends] = need
        return need

    def _refuse_message_in_worker(self, arguments: list[Argument], where: str) -> None:
        cells = [need.cell for need in self._needs.values() if need.scope == "message"]
        for argument in arguments:
            of_message = argument.source not in (Source.FIXED, Source.DEPENDS)
            if of_message or any(argument.fixed is cell for cell in cells):
                raise BindError(
                    f"{argument.name!r} is of a message, and this is made once for a worker ({where})",
                    'give it scope = "message", or take the parameter out',
                )

    def _refuse_unless_sole(self, parameter: inspect.Parameter) -> None:
        close = get_close_matches(parameter.name, (*self._topic, *RESERVED), 1, 0.7)
        typed = parameter.annotation is not parameter.empty and self._annotation(parameter) is not Any
        if len(self._parameters) == 1 and not close and not typed:
            return
        known = ", ".join(self._topic) or "no parameters"
        hint = f"the template has {known}; there are also {', '.join(RESERVED)}"
        if close:
            hint = f'did you mean "{close[0]}"? {hint}'
        raise BindError(f"nothing is known for the parameter {parameter.name!r} ({self._where})", hint)

    def _param_converter(self, param: Param, parameter: inspect.Parameter) -> Convert | None:
        name = param.name
        annotation = self._annotation(parameter)
        given = {"int": int, "float": float}.get(param.kind, str)
        if annotation in (Any, object, given):
            return None
        if param.typed and not (given is int and annotation is float):
            shown = getattr(annotation, "__name__", annotation)
            raise BindError(
                f"{name!r} is annotated {shown}, but the template makes it {param.kind} ({self._where})"
            )
        return self._converter(name, annotation)

    def _converter(self, name: str, annotation: Any) -> Convert:
        if annotation is int:
            return read_int
        if annotation is float:
            return lambda value: read_float(value) if isinstance(value, str) else float(value)
        try:
            msgspec.json.Decoder(annotation)
            custom = isinstance(msgspec.inspect.type_info(annotation), msgspec.inspect.CustomType)
        except TypeError as error:
            raise BindError(f"the parameter {name!r} cannot be converted: {error} ({self._where})") from error
        if custom:
            raise BindError(f"the parameter {name!r} cannot be made a {annotation} ({self._where})")
        return lambda value: msgspec.convert(value, annotation, strict=False)

    def _payload_decoder(self, parameter: inspect.Parameter) -> Convert | None:
        annotation = self._annotation(parameter)
        try:
            return payload_decoder(annotation)
        except UndecodableError as error:
            shown = getattr(annotation, "__name__", annotation)
            raise BindError(f"a payload cannot be decoded to {shown}: {error} ({self._where})") from error

    def _is_message(self, parameter: inspect.Parameter) -> bool:
        if isinstance(parameter.annotation, str) and "Message" not in parameter.annotation:
            return False
        return self._annotation(parameter) is Message

    def _annotation(self, parameter: inspect.Parameter) -> Any:
        """The annotation as a type, Any when there is none."""
        if parameter.annotation is parameter.empty:
            return Any
        holder = type("holder", (), {"__annotations__": {"value": parameter.annotation}})
        try:
            hints = typing.get_type_hints(holder, self._globals, include_extras=True)
        except (NameError, TypeError, SyntaxError, AttributeError) as error:
            raise BindError(
                f"the annotation of {parameter.name!r} cannot be resolved: {error} ({self._where})",
                "import the name when the module runs, not only for type checking",
            ) from error
        return hints["value"]


def _asynchrony(function: Handler) -> tuple[bool, bool]:
    """Whether the handler is awaited, and whether that is only known when it was called.

    A plain wrapper around an async function may return a coroutine or may have run it: both must work.
    """
    bare: Any = function
    while isinstance(bare, functools.partial):
        bare = bare.func
    if inspect.iscoroutinefunction(bare) or inspect.iscoroutinefunction(getattr(bare, "__call__", None)):  # noqa: B004
        return True, False
    wrapped = inspect.iscoroutinefunction(plain_function(function))
    return wrapped, wrapped


def _await_if_needed(invoke: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*given: Any) -> Any:
        result = invoke(*given)
        return await result if inspect.isawaitable(result) else result

    return call


def _by_message(full: CallFull) -> Call:
    def call(message: Message) -> Any:
        return full(message, message.topic, message.params, message.payload)

    return call
