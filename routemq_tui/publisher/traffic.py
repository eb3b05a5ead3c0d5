"""Example traffic: which message is published next, and when. Pure: no clock, no client.

The placeholders are explained in `placeholders`. A named one draws from `[traffic.values]`; a name of the
topic that is not listed there is 1 to 10 (`float`: 0 to 100).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from routemq_tui.config.model import Burst, Problem, TrafficConfig
from routemq_tui.publisher.placeholders import Draw, Fill, find_names, parse, parse_range

_encode_json = msgspec.json.encode
_DEFAULT_PAYLOAD = {"seq": "{seq}", "time": "{time}"}
_ARREARS = 1.0
"""Seconds of messages that are made up for after a stall; older ones are let go, so no flood follows one."""

Value = Callable[[random.Random], Any]


@dataclass(slots=True)
class Template:
    """Makes the messages of one traffic entry, one after the other."""

    topic: Fill
    payload: Callable[[Draw], bytes]
    values: Mapping[str, Value]
    """The named values that are used, drawn once a message."""
    random: random.Random = field(default_factory=random.Random)
    made: int = 0

    def make(self, now: float) -> tuple[str, bytes]:
        """The next message's topic and payload; `now` is Unix time."""
        self.made += 1
        names = {name: pick(self.random) for name, pick in self.values.items()}
        draw = Draw(self.made, now, names, self.random)
        return self.topic(draw), self.payload(draw)


class Schedule:
    """When messages are due: `rate` a second, and bursts; counted from the start, so it never drifts."""

    def __init__(self, rate: float, burst: Burst | None, start: float) -> None:
        self._rate = rate
        self._burst = burst
        self._start = start
        self._sent = 0
        self._next_burst = start + burst.every if burst else math.inf

    def take(self, now: float) -> int:
        """How many messages are due and not yet taken."""
        due = math.floor((now - self._start) * self._rate + 1e-9) - self._sent
        if due > 0:
            self._sent += due
            due = min(due, math.ceil(self._rate * _ARREARS))
        count = max(due, 0)
        if self._burst and now >= self._next_burst:
            count += self._burst.size
            missed = math.floor((now - self._next_burst) / self._burst.every)
            self._next_burst += (missed + 1) * self._burst.every
        return count

    def next_time(self) -> float:
        """When the next message will be due."""
        return min(self._start + (self._sent + 1) / self._rate, self._next_burst)


@dataclass(slots=True)
class Traffic:
    """One compiled `[[traffic]]` entry."""

    template: Template
    rate: float
    qos: Literal[0, 1, 2]
    retain: bool
    burst: Burst | None

    def schedule(self, start: float) -> Schedule:
        return Schedule(self.rate, self.burst, start)


def compile_traffic(config: TrafficConfig) -> Traffic:
    """Check an entry and make it ready to publish. Raises ValueError that says what is wrong."""
    payload = _DEFAULT_PAYLOAD if config.payload is None else config.payload
    template = compile_message(config.topic, payload, config.values)
    if not config.rate > 0:
        raise ValueError(f"rate must be above 0, found {config.rate}")
    if config.burst and not config.burst.every > 0:
        raise ValueError(f"burst.every must be above 0, found {config.burst.every}")
    return Traffic(template, config.rate, config.qos, config.retain, config.burst)


def check_traffic(traffic: Iterable[TrafficConfig]) -> tuple[Problem, ...]:
    """What is wrong with the placeholders of the configured traffic, an entry a problem."""
    problems = []
    for config in traffic:
        try:
            compile_traffic(config)
        except ValueError as error:
            problems.append(Problem(config.place, "traffic", str(error)))
    return tuple(problems)


def compile_message(
    topic: str, payload: Any, values: Mapping[str, Any] | None = None, *, strict: bool = True
) -> Template:
    """Find the placeholders of a topic and a payload. Raises ValueError that says what is wrong.

    A payload that is a string is sent as it is after filling, anything else as JSON. Without `strict`,
    an unknown placeholder in the payload is literal text.
    """
    picks = {name: _default(kind) for name, kind in find_names(topic).items()}
    for name, value in (values or {}).items():
        picks[name] = _value(name, value)
    names = frozenset(picks)
    topic_text = parse(topic, names)
    _check_topic(topic, {name: (values or {}).get(name) for name in topic_text.names})
    used = set(topic_text.names)
    if isinstance(payload, str):
        text = parse(payload, names, strict=strict)
        used |= text.names
        make = _text_payload(text.text)
    else:
        make = _json_payload(_compile_value(payload, names, strict, used))
    return Template(topic_text.text, make, {name: picks[name] for name in sorted(used)})


def _text_payload(fill: Callable[[Draw], str]) -> Callable[[Draw], bytes]:
    # The bytes that were meant: a command line's that are not UTF-8 come as lone surrogates (PEP 383).
    return lambda draw: fill(draw).encode("utf-8", "surrogateescape")


def _json_payload(fill: Fill) -> Callable[[Draw], bytes]:
    return lambda draw: _encode_json(fill(draw))


def _compile_value(value: Any, names: frozenset[str], strict: bool, used: set[str]) -> Fill:
    """A function that fills a TOML value, at any depth."""
    if isinstance(value, str):
        text = parse(value, names, strict=strict)
        used |= text.names
        return text.value
    if isinstance(value, Mapping):
        fields = [(key, _compile_value(item, names, strict, used)) for key, item in value.items()]
        return lambda draw: {key: fill(draw) for key, fill in fields}
    if isinstance(value, list | tuple):
        items = [_compile_value(item, names, strict, used) for item in value]
        return lambda draw: [fill(draw) for fill in items]
    return lambda draw: value


def _default(kind: str) -> Value:
    return parse_range("0.0..100.0" if kind == "float" else "1..10")


def _value(name: str, value: Any) -> Value:
    if isinstance(value, str):
        try:
            return parse_range(value)
        except ValueError as error:
            raise ValueError(f"values.{name}: {error}; or give a list to choose from") from None
    if isinstance(value, list | tuple) and value:
        choices = list(value)
        return lambda source: source.choice(choices)
    raise ValueError(f'values.{name}: give a list to choose from or a range such as "1..20", found {value!r}')


def _check_topic(topic: str, values: Mapping[str, Any]) -> None:
    """A topic that is published to is UTF-8 (MQTT 5 section 1.5.4) and may hold no wildcard (section 4.7.1),
    from whichever value."""
    if not topic:
        raise ValueError("the topic is empty")
    texts = [("topic", topic)]
    for name, value in values.items():
        if isinstance(value, list | tuple):
            texts += [(f"values.{name}", str(item)) for item in value]
    for where, text in texts:
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise ValueError(f"{where}: a topic must be UTF-8, found {text!r}")
        for character in "+#\0":
            if character in text:
                raise ValueError(f"{where}: a topic to publish to cannot hold {character!r}, found {text!r}")
