"""A handler's call, written out once as Python source and compiled: at run time it is one function call.

Closures that are called for each argument cost more than all the rest of a message. This is how dataclasses
make their `__init__`; the source is a dozen lines, and nothing of the user's text is in it but names of
parameters, which Python has found to be identifiers.
"""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from pathlib import Path
from typing import Any, NamedTuple

from routemq_tui.routing.handler import Handler
from routemq_tui.routing.payload import DECODE_FAILURES, PayloadError, payload_from_value

Call = Callable[[Any], Any]
"""Takes a message."""
CallParts = Callable[[str, Mapping[str, Any], bytes], Any]
"""Takes topic, parameters and payload."""
CallFull = Callable[[Any, str, Mapping[str, Any], Any], Any]
"""Takes a message, and topic, parameters and payload that may be others than its own."""


class Given:
    """A payload that is a value already, not bytes."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Source(Enum):
    """Where an argument comes from."""

    DEPENDS = auto()
    """Made by a function of the user's; `fixed` is a list that holds it, see `depends`."""
    MESSAGE = auto()
    PAYLOAD = auto()
    PARAM = auto()
    CLIENT = auto()
    FIXED = auto()
    """Always the same value."""
    REST = auto()
    """The parameters that nothing else takes, as a dict for `**`."""


@dataclass(frozen=True, slots=True)
class Argument:
    name: str
    source: Source
    convert: Callable[[Any], Any] | None = None
    """Makes the value of what is found; raises one of DECODE_FAILURES."""
    keyword: bool = False
    fixed: Any = None
    names: tuple[str, ...] = ()
    annotation: Any = Any
    """Of a payload: what a value is converted to that is none already."""


class Calls(NamedTuple):
    by_message: Call
    by_parts: CallParts | None
    """None when the handler needs more of a message."""
    full: CallFull


def write_calls(function: Handler, arguments: list[Argument], refuse: Callable[[Any], None] | None) -> Calls:
    """The ways to call a handler. All raise PayloadError before it runs. `refuse` is given any result that is
    not None.
    """
    names: dict[str, Any] = {
        "function": function,
        "refuse": refuse,
        "unfit": _unfit,
        "FAILURES": DECODE_FAILURES,
    }
    body = _body(arguments, names, refuse is not None)
    by_message = "    text, params, payload = message.topic, message.params, message.payload"
    source = ["def call(message):", by_message, *body]
    whole = any(argument.source in (Source.MESSAGE, Source.CLIENT) for argument in arguments)
    if not whole:
        source += ["def call_parts(text, params, payload):", *body]
    changeable = [
        replace(each, convert=value_or_bytes(each.convert, each.annotation))
        if each.source is Source.PAYLOAD
        else each
        for each in arguments
    ]
    full_body = _body(changeable, names, refuse is not None, "full_")
    source += ["def call_full(message, text, params, payload):", *full_body]
    where = getattr(function, "__qualname__", type(function).__name__)
    # In our folder, so that it is taken for ours where frames of ours are cut off a traceback.
    file = Path(__file__).with_name(f"<call of {where}>".replace("/", "_"))
    exec(compile("\n".join(source), str(file), "exec"), names)
    return Calls(names["call"], names.get("call_parts"), names["call_full"])


def _body(arguments: list[Argument], names: dict[str, Any], refuses: bool, prefix: str = "") -> list[str]:
    """The lines of a call; `prefix` keeps its names apart from those of another one."""
    body: list[str] = []
    given = [_expression(f"{prefix}{at}", argument, names, body) for at, argument in enumerate(arguments)]
    body.append(f"    result = function({', '.join(given)})")
    if refuses:
        body += ["    if result is not None:", "        refuse(result)"]
    return [*body, "    return result"]


def value_or_bytes(convert: Callable[[Any], Any] | None, annotation: Any) -> Callable[[Any], Any]:
    """For a payload that may have been made a value before."""

    def converted(found: Any) -> Any:
        if found.__class__ is Given:
            return payload_from_value(found.value, annotation)
        return found if convert is None else convert(found)

    return converted


def _expression(index: str, argument: Argument, names: dict[str, Any], body: list[str]) -> str:
    """What stands in the call for this argument; what is to be done before goes into `body`."""
    match argument.source:
        case Source.MESSAGE:
            value = "message"
        case Source.CLIENT:
            value = "message.client"
        case Source.DEPENDS:
            names[f"made_{index}"] = argument.fixed
            value = f"made_{index}[0]"
        case Source.FIXED:
            names[f"fixed_{index}"] = argument.fixed
            value = f"fixed_{index}"
        case Source.REST:
            pairs = ", ".join(f"{name!r}: params[{name!r}]" for name in argument.names)
            return f"**{{{pairs}}}"
        case Source.PAYLOAD | Source.PARAM:
            found = "payload" if argument.source is Source.PAYLOAD else f"params[{argument.name!r}]"
            value = found if argument.convert is None else _converted(index, argument, found, names, body)
    if not argument.keyword:
        return value
    return f"{argument.name}={value}" if _usable(argument.name) else f"**{{{argument.name!r}: {value}}}"


def _usable(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name)


def _converted(index: str, argument: Argument, found: str, names: dict[str, Any], body: list[str]) -> str:
    names[f"convert_{index}"] = argument.convert
    what = "the payload does not fit" if argument.source is Source.PAYLOAD else f"{argument.name} = "
    names[f"what_{index}"] = what
    value = f"value_{index}"
    told = f"what_{index}" if argument.source is Source.PAYLOAD else f"what_{index} + repr({found})"
    body += [
        "    try:",
        f"        {value} = convert_{index}({found})",
        "    except FAILURES as error:",
        f"        raise unfit(text, {told}, error, {found}) from error",
    ]
    return value


def _unfit(topic: str, what: str, error: Exception, found: object) -> PayloadError:
    return PayloadError(topic, what, "it is empty" if found == b"" else str(error))


def refuse_awaitable(where: str) -> Callable[[Any], None]:
    """A sync handler that returns a coroutine has done nothing: an error, not a message lost in silence."""

    def refuse(result: Any) -> None:
        if inspect.isawaitable(result):
            if inspect.iscoroutine(result):
                result.close()
            raise TypeError(f"the handler returned something to await: write it as async def ({where})")

    return refuse
