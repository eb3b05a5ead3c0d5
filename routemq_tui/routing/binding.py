"""Handlers bound to templates: what each parameter gets is decided once; after that there are only calls."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from routemq_tui.errors import ExitCode, RoutemqError
from routemq_tui.routing.handler import Handler, location, plain_function
from routemq_tui.routing.message import Message
from routemq_tui.routing.payload import DECODE_FAILURES, UndecodableError, payload_decoder
from routemq_tui.routing.template import RESERVED, Param, Template, read_float, read_int

Get = Callable[[Message], Any]
Call = Callable[[Message], Any]


class BindError(RoutemqError):
    """A handler whose parameters and topic template do not fit. `hint` says what would."""

    exit_code = ExitCode.IMPORT_FAILED

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(f"{reason} ({hint})" if hint else reason)
        self.reason = reason
        self.hint = hint


class PayloadError(RoutemqError, ValueError):
    """A message that is not what the handler's annotations say; raised by the call, before the handler."""

    def __init__(self, topic: str, what: str, reason: str) -> None:
        super().__init__(f"{topic}: {what}: {reason}")
        self.topic = topic
        self.reason = reason


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


class _Argument(NamedTuple):
    name: str
    get: Get
    keyword: bool


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
    binder = _Binder(function, template, where)
    arguments = binder.arguments()
    runs_async, adaptive = _asynchrony(function)
    invoke = _invocation(function, arguments)
    if adaptive:
        call: Call = _await_if_needed(invoke)
    else:
        call = invoke if runs_async else _refuse_awaitables(invoke, where)
    uses = tuple(argument.name for argument in arguments)
    return Bound(call=call, is_async=runs_async, location=where, uses=uses)


class _Binder:
    """One function's parameters, looked at one by one."""

    def __init__(self, function: Handler, template: Template, where: str) -> None:
        self._where = where
        self._topic = {param.name: param for param in template.params}
        self._globals = getattr(plain_function(function), "__globals__", {})
        try:
            self._parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError) as error:
            raise BindError(f"the handler's parameters cannot be read: {error} ({where})") from error

    def arguments(self) -> list[_Argument]:
        found: list[_Argument] = []
        for parameter in self._parameters:
            if parameter.kind is parameter.VAR_KEYWORD:
                found.append(_Argument(f"**{parameter.name}", self._rest(), keyword=True))
            elif parameter.kind is not parameter.VAR_POSITIONAL:
                keyword = parameter.kind is parameter.KEYWORD_ONLY
                found.append(_Argument(parameter.name, self._getter(parameter), keyword))
        return found

    def _getter(self, parameter: inspect.Parameter) -> Get:
        name = parameter.name
        if name in self._topic:
            return self._topic_getter(self._topic[name], parameter)
        if name == "message" or self._is_message(parameter):
            return _the_message
        if name == "payload":
            return self._payload_getter(parameter)
        if name == "client":
            return _the_client
        if parameter.default is not parameter.empty:
            default = parameter.default
            return lambda message: default
        self._refuse_unless_sole(parameter)
        return _the_message

    def _rest(self) -> Get:
        taken = {parameter.name for parameter in self._parameters}
        names = tuple(name for name in self._topic if name not in taken)
        return lambda message: {name: message.params[name] for name in names}

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

    def _topic_getter(self, param: Param, parameter: inspect.Parameter) -> Get:
        name = param.name
        annotation = self._annotation(parameter)
        given = {"int": int, "float": float}.get(param.kind, str)
        if annotation in (Any, object, given):
            return lambda message: message.params[name]
        if param.typed and not (given is int and annotation is float):
            shown = getattr(annotation, "__name__", annotation)
            raise BindError(
                f"{name!r} is annotated {shown}, but the template makes it {param.kind} ({self._where})"
            )
        convert = self._converter(name, annotation)

        def get(message: Message) -> Any:
            value = message.params[name]
            try:
                return convert(value)
            except DECODE_FAILURES as error:
                raise PayloadError(message.topic, f"{name} = {value!r}", str(error)) from error

        return get

    def _converter(self, name: str, annotation: Any) -> Callable[[Any], Any]:
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

    def _payload_getter(self, parameter: inspect.Parameter) -> Get:
        annotation = self._annotation(parameter)
        try:
            decode = payload_decoder(annotation)
        except UndecodableError as error:
            shown = getattr(annotation, "__name__", annotation)
            raise BindError(f"a payload cannot be decoded to {shown}: {error} ({self._where})") from error
        if decode is None:
            return lambda message: message.payload
        to_value = decode

        def get(message: Message) -> Any:
            try:
                return to_value(message.payload)
            except DECODE_FAILURES as error:
                raise PayloadError(message.topic, "the payload does not fit", str(error)) from error

        return get

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


def _the_message(message: Message) -> Message:
    return message


def _the_client(message: Message) -> Any:
    return message.client


def _invocation(function: Handler, arguments: list[_Argument]) -> Call:
    """The call itself. The usual arities are spelled out: a list and a star cost as much as the rest."""
    if any(argument.keyword for argument in arguments):
        return _keyword_invocation(function, arguments)
    gets = [argument.get for argument in arguments]
    match gets:
        case []:
            return lambda message: function()
        case [one]:
            if one is _the_message:
                return function
            return lambda message: function(one(message))
        case [one, two]:
            return lambda message: function(one(message), two(message))
        case [one, two, three]:
            return lambda message: function(one(message), two(message), three(message))
    return lambda message: function(*[get(message) for get in gets])


def _keyword_invocation(function: Handler, arguments: list[_Argument]) -> Call:
    positional = [argument.get for argument in arguments if not argument.keyword]
    named = [(a.name, a.get) for a in arguments if a.keyword and not a.name.startswith("**")]
    rest = next((argument.get for argument in arguments if argument.name.startswith("**")), None)

    def call(message: Message) -> Any:
        keywords = rest(message) if rest is not None else {}
        for name, get in named:
            keywords[name] = get(message)
        return function(*[get(message) for get in positional], **keywords)

    return call


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


def _await_if_needed(invoke: Call) -> Call:
    async def call(message: Message) -> Any:
        result = invoke(message)
        return await result if inspect.isawaitable(result) else result

    return call


def _refuse_awaitables(invoke: Call, where: str) -> Call:
    """A sync handler that returns a coroutine has done nothing: an error, not a message lost in silence."""

    def call(message: Message) -> Any:
        result = invoke(message)
        if result is not None and inspect.isawaitable(result):
            if inspect.iscoroutine(result):
                result.close()
            raise TypeError(f"the handler returned something to await: write it as async def ({where})")
        return result

    return call
