"""Payloads by annotation: the decoder for what a handler says its `payload` is, chosen once."""

from __future__ import annotations

import marshal
import types
from collections.abc import Callable
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from routemq_tui.errors import RoutemqError

Decode = Callable[[bytes], Any]

DECODE_FAILURES = (msgspec.MsgspecError, ValueError, RecursionError)
"""What a decoder raises for bytes that do not fit: msgspec, Unicode, pydantic, deep nesting."""

_BYTES = (bytes, bytearray, memoryview)
_AS_DECODED = (dict, list, int, float, bool)
"""What is decoded to these is what it is decoded to without an annotation."""
_PLAIN_MARSHAL = 2
"""The last version in which equal values have equal bytes, however often they are referred to."""


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
        return json_or_bytes
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


class Seen:
    """What middleware has read of a payload, or put in its place; and the payload."""

    __slots__ = ("payload", "value")

    def __init__(self, value: Any, payload: bytes) -> None:
        self.value, self.payload = value, payload

    @property
    def unchanged(self) -> bool:
        """It is what the payload says: then a handler gets the payload itself, with all its digits."""
        fresh = json_or_bytes(self.payload)
        if type(fresh) is not type(self.value):
            return False
        try:
            # Not ==, to which 1, 1.0 and True are the same. What cannot be written so is not of JSON.
            return marshal.dumps(self.value, _PLAIN_MARSHAL) == marshal.dumps(fresh, _PLAIN_MARSHAL)
        except ValueError:
            return False


def payload_from_value(seen: Seen, annotation: Any) -> Any:
    """What a handler gets whose payload went through middleware, as its annotation wants it.

    Without an annotation the value as it is. Raises one of DECODE_FAILURES when it cannot be made so.
    """
    if annotation in (Any, object) or (annotation in _AS_DECODED and type(seen.value) is annotation):
        return seen.value
    if seen.unchanged:
        decode = _known_decoder(annotation)
        return seen.payload if decode is None else decode(seen.payload)
    return _from_value(seen.value, annotation)


def _from_value(value: Any, annotation: Any) -> Any:
    plain = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    members = get_args(plain) if get_origin(plain) in (Union, types.UnionType) else (plain,)
    if plain is annotation and any(_is_one(value, each) for each in members):
        return value
    if isinstance(value, _BYTES) or any(each in _RAW for each in members):
        decode = _known_decoder(annotation)
        raw = _bytes_of(value)
        return raw if decode is None else decode(raw)
    if pydantic_model(plain):
        return plain.model_validate(value)
    return msgspec.convert(value, annotation, str_keys=True, dec_hook=_foreign)


def _is_one(value: Any, kind: Any) -> bool:
    try:
        return isinstance(kind, type) and isinstance(value, kind)
    except TypeError:  # a TypedDict
        return False


def _bytes_of(value: Any) -> bytes:
    if isinstance(value, _BYTES):
        return bytes(value)
    return value.encode() if isinstance(value, str) else msgspec.json.encode(value)


_decoders: dict[int, tuple[Any, Decode | None]] = {}
"""By the annotation's id: not all can be hashed, and equal ones differ. A worker has few."""


def _known_decoder(annotation: Any) -> Decode | None:
    known = _decoders.get(id(annotation))
    if known is None:
        known = _decoders[id(annotation)] = annotation, payload_decoder(annotation)
    return known[1]


def pydantic_model(annotation: Any) -> bool:
    """Whether this is a pydantic model, told by its methods: pydantic is never imported here."""
    return isinstance(annotation, type) and hasattr(annotation, "model_validate_json")


def _text(payload: bytes) -> str:
    return payload.decode()


_RAW: dict[Any, Decode] = {bytes: bytes, bytearray: bytearray, memoryview: memoryview, str: _text}


def json_or_bytes(payload: bytes) -> Any:
    """What a payload is to whoever says nothing of it."""
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
