"""The line of the publish prompt: a topic, whose placeholders are drawn anew each time, and a payload. Pure.

The payload goes out as it was typed.
"""

from __future__ import annotations

import re
import time

from routemq_tui.engine.commands import Publish

_NUMBER = "{int:1..9}"
_DRAWN = {"float": "{float:0..9}"}
"""What fits a parameter of a kind; digits fit all others."""


def proposed_topic(template: str) -> str:
    """A topic that a route takes, with a placeholder for each parameter; empty where it is none."""
    topic = "/".join(map(_level, template.split("/")))
    return "" if publish_problem(topic) else topic


def _level(level: str) -> str:
    if level in ("+", "#"):
        return _NUMBER
    parameter = re.fullmatch(r"\{[^{}:]+(?::(\w+))?\}", level)
    return level if parameter is None else _DRAWN.get(parameter[1], _NUMBER)


def publish_problem(text: str) -> str:
    """What is wrong with the line; empty when nothing is."""
    topic = text.strip().partition(" ")[0]
    if not topic:
        return "a topic comes first"
    if set("+#") & set(topic):
        return "+ and # are for filters: a message has one topic"
    try:
        _filled(topic)
    except ValueError as error:
        return str(error)
    return ""


def read_publish(text: str) -> Publish:
    """The message of a line without a problem."""
    topic, _, payload = text.strip().partition(" ")
    return Publish(_filled(topic), payload.encode())


def _filled(topic: str) -> str:
    from routemq_tui.publisher.traffic import compile_message  # not for every start

    return compile_message(topic, "").make(time.time())[0]
