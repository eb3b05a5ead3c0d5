"""Which message a log line is about: the one its worker handled at that time. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from routemq_tui.engine.messages import TappedMessage
from routemq_tui.engine.port import LogLine

MOST_APART = 0.5
"""Seconds: what is said of a message that failed is said after its end."""


def message_near(messages: Iterable[TappedMessage], line: LogLine) -> TappedMessage | None:
    """The message of the line's worker that was handled then, or that ended or began just before or after."""
    near = [(_apart(each, line.time), each) for each in messages if each.worker == line.source]
    apart, found = min(near, key=lambda pair: (pair[0], -pair[1].seq), default=(MOST_APART, None))
    return found if apart < MOST_APART else None


def _apart(message: TappedMessage, time: float) -> float:
    return max(message.time - message.duration - time, time - message.time, 0.0)
