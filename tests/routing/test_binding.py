from __future__ import annotations

import asyncio
import functools
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypedDict

import msgspec
import pytest

from routemq_tui.routing.binding import BindError, bind
from routemq_tui.routing.message import Message
from routemq_tui.routing.payload import PayloadError
from routemq_tui.routing.template import Template

if TYPE_CHECKING:
    from nowhere import Missing

TEMPLATE = Template.parse("sensors/{device_id}/{metric}")


@dataclass
class Reading:
    value: float
    unit: str = "C"


class ReadingStruct(msgspec.Struct):
    value: float


class ReadingDict(TypedDict):
    value: float


class ReadingTuple(NamedTuple):
    value: float


class PydanticLike:
    """Has the two methods pydantic models are known by."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PydanticLike) and other.value == self.value

    @classmethod
    def model_validate_json(cls, text: bytes) -> PydanticLike:
        return cls.model_validate(msgspec.json.decode(text))

    @classmethod
    def model_validate(cls, value: Any) -> PydanticLike:
        if "value" not in value:
            raise ValueError("value is missing")
        return cls(value["value"])


def message(payload: bytes = b'{"value": 1}', device: str = "7", client: Any = None) -> Message:
    params = {"device_id": device, "metric": "t"}
    return Message(f"sensors/{device}/t", params, payload, client=client)


def decode(annotation: Any, payload: bytes) -> Any:
    def handler(payload: Any) -> Any:
        return payload

    handler.__annotations__["payload"] = annotation
    return bind(handler, TEMPLATE).call(message(payload))


@pytest.mark.parametrize(
    ("annotation", "payload", "expected"),
    [
        (dict, b'{"a": [1]}', {"a": [1]}),
        (dict[str, int], b'{"a": 1}', {"a": 1}),
        (list, b"[1]", [1]),
        (int, b"5", 5),
        (float, b"5", 5.0),
        (bool, b"true", True),
        (str, b'"as it is"', '"as it is"'),
        (bytes, b"\xff{", b"\xff{"),
        (bytearray, b"\xff", bytearray(b"\xff")),
        (Reading, b'{"value": 2}', Reading(2.0)),
        (list[Reading], b'[{"value": 2, "unit": "F"}]', [Reading(2.0, "F")]),
        (ReadingStruct, b'{"value": 2}', ReadingStruct(2.0)),
        (ReadingDict, b'{"value": 2}', {"value": 2.0}),
        (ReadingTuple, b"[2]", ReadingTuple(2.0)),
        (Reading | None, b"", None),
        (Reading | None, b"null", None),
        (str | None, b"", None),
        (dict | bytes, b"{", b"{"),
        (dict | str, b"{", "{"),
        (str | bytes, b"\xff", b"\xff"),
        (dict | str | bytes, b'{"a": 1}', {"a": 1}),
        (Annotated[int, msgspec.Meta(ge=0)], b"3", 3),
        (PydanticLike, b'{"value": 3}', PydanticLike(3)),
        (list[PydanticLike], b'[{"value": 3}]', [PydanticLike(3)]),
        (Any, b"[1]", [1]),
        (Any, b"[", b"["),
        (Any, b"", b""),
        (Any, b"\xff", b"\xff"),
    ],
)
def test_a_payload_is_what_its_annotation_says(annotation: Any, payload: bytes, expected: Any) -> None:
    found = decode(annotation, payload)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("annotation", "payload"),
    [
        (dict, b"[]"),
        (dict, b"{"),
        (int, b"1.5"),
        (str, b"\xff"),
        (Reading, b'{"value": "x"}'),
        (PydanticLike, b"{}"),
        (list[PydanticLike], b"[{}]"),
        (Annotated[int, msgspec.Meta(ge=0)], b"-3"),
        (Annotated[str, msgspec.Meta(max_length=1)], b"abc"),
        (list, b"[" * 100_000),
        (Reading | None, b"[]"),
    ],
)
def test_a_payload_that_does_not_fit_says_topic_and_reason(annotation: Any, payload: bytes) -> None:
    with pytest.raises(PayloadError) as caught:
        decode(annotation, payload)
    assert caught.value.topic == "sensors/7/t"
    assert str(caught.value).startswith("sensors/7/t: the payload does not fit: ")


def test_an_unannotated_payload_is_json_when_it_parses_and_bytes_when_not() -> None:
    def handler(payload):  # type: ignore[no-untyped-def]
        return payload

    call = bind(handler, TEMPLATE).call
    assert call(message(b'{"a": 1}')) == {"a": 1}
    assert call(message(b"hello")) == b"hello"


def by_name(client: Any, payload: dict, device_id: int) -> Any:  # type: ignore[type-arg]
    return client, payload, device_id


def test_parameters_are_filled_by_name_in_any_order() -> None:
    bound = bind(by_name, TEMPLATE)
    client = object()
    assert bound.call(message(client=client)) == (client, {"value": 1}, 7)
    assert bound.uses == ("client", "payload", "device_id")
    assert not bound.is_async
    assert bound.location.endswith(f"test_binding.py:{by_name.__code__.co_firstlineno}")


def test_topic_parameters_convert_by_annotation() -> None:
    def handler(device_id: uuid.UUID) -> object:
        return device_id

    bound = bind(handler, TEMPLATE)
    wanted = uuid.uuid4()
    assert bound.call(message(device=str(wanted))) == wanted
    with pytest.raises(PayloadError, match="device_id = '7'"):
        bound.call(message())


def test_a_template_type_and_an_annotation_must_agree() -> None:
    def wants_text(n: str) -> None: ...

    def wants_float(n: float) -> float:
        return n

    template = Template.parse("{n:int}")
    with pytest.raises(BindError, match="'n' is annotated str, but the template makes it int"):
        bind(wants_text, template)
    assert repr(bind(wants_float, template).call(Message("3", {"n": 3}, b""))) == "3.0"


def test_one_parameter_of_any_other_name_is_the_message() -> None:
    assert bind(lambda m: m.topic, TEMPLATE).call(message()) == "sensors/7/t"

    def annotated(first: Message, device_id: str) -> object:
        return first.topic, device_id

    assert bind(annotated, TEMPLATE).call(message()) == ("sensors/7/t", "7")


def test_defaults_keywords_and_the_rest() -> None:
    def handler(device_id, limit=3, *, payload, **params):  # type: ignore[no-untyped-def]
        return device_id, limit, payload, params

    found = bind(handler, TEMPLATE).call(message())
    assert found == ("7", 3, {"value": 1}, {"metric": "t"})


@pytest.mark.parametrize("count", range(5))
def test_every_arity_calls_with_all_parameters(count: int) -> None:
    names = ["device_id", "metric", "payload", "message"][:count]
    handler = eval(f"lambda {', '.join(names)}: [{', '.join(names)}]")
    one = message()
    assert bind(handler, TEMPLATE).call(one) == ["7", "t", {"value": 1}, one][:count]


async def waits(payload: dict) -> Any:  # type: ignore[type-arg]
    await asyncio.sleep(0)
    return payload


class Object:
    async def __call__(self, payload: dict) -> Any:  # type: ignore[type-arg]
        return payload

    async def method(self, payload: dict) -> Any:  # type: ignore[type-arg]
        return payload

    @staticmethod
    async def static(payload: dict) -> Any:  # type: ignore[type-arg]
        return payload


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def ran(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        coroutine = function(*args, **kwargs)
        try:
            coroutine.send(None)
            coroutine.send(None)
        except StopIteration as stop:
            return stop.value
        raise AssertionError("it waited for more")

    return wrapper


@pytest.mark.parametrize(
    "handler",
    [waits, Object(), Object().method, Object.static, functools.partial(waits), wrapped(waits), ran(waits)],
    ids=["function", "object", "method", "static", "partial", "wrapped", "wrapper that runs it"],
)
def test_async_handlers_of_every_make_are_awaited(handler: Callable[..., Any]) -> None:
    bound = bind(handler, TEMPLATE)
    assert bound.is_async
    assert asyncio.run(bound.call(message())) == {"value": 1}


def test_a_sync_handler_that_returns_a_coroutine_fails_loudly() -> None:
    with pytest.raises(TypeError, match="write it as async def"):
        bind(lambda payload: waits(payload), TEMPLATE).call(message())


def typo(device_idd) -> None: ...  # type: ignore[no-untyped-def]
def unknown(a, b) -> None: ...  # type: ignore[no-untyped-def]
def unnamed_payload(data: dict) -> None: ...  # type: ignore[type-arg]
def unresolved(payload: Missing) -> None: ...
def no_data(payload: Callable) -> None: ...  # type: ignore[type-arg]
def yields(payload) -> Any:  # type: ignore[no-untyped-def]
    yield payload


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (typo, r"'device_idd' \(.*test_binding.py:\d+\) \(did you mean \"device_id\"\?"),
        (unknown, "'a' .*the template has device_id, metric; there are also payload, message, client"),
        (unnamed_payload, "'data' .*there are also payload"),
        (unresolved, "annotation of 'payload' cannot be resolved: name 'Missing'.*import the name when"),
        (no_data, "cannot be decoded to"),
        (yields, "generator"),
        (int, "parameters cannot be read"),
    ],
)
def test_a_handler_that_does_not_fit_says_why(handler: Callable[..., Any], said: str) -> None:
    with pytest.raises(BindError, match=said):
        bind(handler, TEMPLATE)


def test_a_message_reads_its_own_payload() -> None:
    assert message(b'{"a": 1}').json() == {"a": 1}
    assert message(b"hi").text() == "hi"


def test_the_call_that_is_written_out_counts_as_our_own_code() -> None:
    # given a handler that fails
    def handler(payload: dict[str, int]) -> None:
        raise KeyError("x")

    bound = bind(handler, TEMPLATE)
    # when its traceback is read, then all before the handler's own frame is in our folder
    with pytest.raises(KeyError) as caught:
        bound.call(message())
    *ours, own = caught.traceback[1:]
    assert own.name == "handler"
    assert all("routemq_tui/routing" in str(step.path) for step in ours)


def test_an_empty_payload_is_called_empty() -> None:
    with pytest.raises(PayloadError, match="the payload does not fit: it is empty"):
        decode(dict[str, int], b"")
