"""Payloads by annotation: the decoder for what a handler says its `payload` is, chosen once."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from routemq_tui.errors import RoutemqError

Decode = Callable[[bytes], Any]

DECODE_FAILURES = (msgspec.MsgspecError, ValueError, RecursionError)
"""What a decoder raises for bytes that do not fit: msgspec, Unicode, pydantic, deep nesting."""


class PayloadError(RoutemqError, ValueError):
    """A message that is not what the handler's annotations say; raised by the call, before the handler."""

    def __init__(self, topic: str, what: str, reason: str) -> None:
        super().__init__(f"{topic}: {what}: {reason}")
        self.topic = topic
        self.reason = reason


class UndecodableError(TypeError):
    """An annotation no payload can be decoded to."""


def payload_decoder(annotation: Any) -> Decode | None:
    """The decoder for an annotation, or None when the bytes are wanted as they are.

    `bytes` is the payload itself, `str` its UTF-8 text, all else is JSON. Without an annotation: JSON when it
    parses, else the bytes. `X | None` gives None for an empty payload. Raises UndecodableError.
    """
    if annotation in (Any, object):
        return _json_or_bytes
    plain = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    if plain is bytes and plain is annotation:
        return None
    if plain is annotation and plain in _RAW:
        return _RAW[plain]
    if plain in _RAW:
        raw = _RAW[plain]
        return lambda payload: msgspec.convert(raw(payload), annotation)
    if get_origin(plain) in (Union, types.UnionType):
        return _union_decoder(get_args(plain))
    return _json_decoder(annotation)


def payload_from_value(value: Any, annotation: Any) -> Any:
    """A value that somebody made of a payload, or put in its place, as a handler's annotation wants it.

    Without an annotation it is handed on as it is. Raises one of DECODE_FAILURES when it cannot be made so.
    """
    if annotation in (Any, object):
        return value
    plain = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    if isinstance(plain, type) and isinstance(value, plain):
        return value
    if pydantic_model(plain):
        return plain.model_validate(value)
    if plain in _RAW or isinstance(value, bytes):
        decode = payload_decoder(annotation)
        raw = value.encode() if isinstance(value, str) else value
        raw = raw if isinstance(raw, bytes | bytearray) else msgspec.json.encode(raw)
        return bytes(raw) if decode is None else decode(bytes(raw))
    return msgspec.convert(value, annotation, dec_hook=_foreign)


def pydantic_model(annotation: Any) -> bool:
    """Whether this is a pydantic model, told by its methods: pydantic is never imported here."""
    return isinstance(annotation, type) and hasattr(annotation, "model_validate_json")


def _text(payload: bytes) -> str:
    return payload.decode()


_RAW: dict[Any, Decode] = {bytes: bytes, bytearray: bytearray, memoryview: memoryview, str: _text}


def _json_or_bytes(payload: bytes) -> Any:
    try:
        return msgspec.json.decode(payload)
    except DECODE_FAILURES:
        return payload


def _json_decoder(annotation: Any) -> Decode:
    if pydantic_model(annotation):
        return annotation.model_validate_json  # type: ignore[no-any-return]
    try:
        described = msgspec.inspect.type_info(annotation)
        decode: Decode = msgspec.json.Decoder(annotation, dec_hook=_foreign).decode
    except (TypeError, NameError, AttributeError) as error:
        raise UndecodableError(str(error)) from error
    if isinstance(described, msgspec.inspect.CustomType):
        raise UndecodableError("nothing is known about how it is made from JSON")
    return decode


def _foreign(wanted: Any, value: Any) -> Any:
    """Types msgspec leaves to us inside others, such as `list[Model]` of a pydantic model."""
    if pydantic_model(wanted):
        return wanted.model_validate(value)
    raise ValueError(f"nothing is known about how a {getattr(wanted, '__name__', wanted)} is made from JSON")


def _union_decoder(members: tuple[Any, ...]) -> Decode:
    optional = type(None) in members
    raw = [_RAW[member] for member in members if member in _RAW]
    others = tuple(member for member in members if member not in _RAW and member is not type(None))
    models = [member for member in others if pydantic_model(member)]
    if models and len(others) > 1:
        raise UndecodableError("a union with a pydantic model: name one model")
    if models:
        steps = [_json_decoder(models[0])]
    else:
        # None stays in: "null" is one too.
        steps = [_json_decoder(Union[tuple(m for m in members if m not in _RAW)])] if others else []  # noqa: UP007
    # Text says more than bytes, and bytes always fit: so bytes come last.
    steps += sorted(raw, key=lambda decode: decode is not _text)

    def decode(payload: bytes) -> Any:
        if optional and not payload:
            return None
        for step in steps[:-1]:
            try:
                return step(payload)
            except DECODE_FAILURES:
                continue
        return steps[-1](payload)

    return decode
