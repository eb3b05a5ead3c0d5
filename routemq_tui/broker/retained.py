"""Retained messages: the last one of each topic, within bounds of count and bytes."""

from __future__ import annotations

from collections.abc import Iterator

from routemq_tui.broker.limits import Limits
from routemq_tui.broker.message import Message
from routemq_tui.broker.topics import matches

STRIDE = 32


class Retained:
    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._messages: dict[str, Message] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._messages)

    def store(self, message: Message) -> bool:
        """Keep the message, or delete the topic's when its payload is empty; False when there is no place."""
        known = self._messages.pop(message.topic, None)
        if known is not None:
            self._bytes -= known.size
        if not message.payload:
            return True
        fits = self._bytes + message.size <= self._limits.retained_bytes
        if len(self._messages) >= self._limits.retained_messages or not fits:
            if known is not None:
                self._messages[known.topic] = known
                self._bytes += known.size
            return False
        self._messages[message.topic] = message
        self._bytes += message.size
        return True

    def matching(self, topic_filter: str) -> Iterator[Message | None]:
        """Those a new subscription gets, each as it is when its turn comes; expired ones are forgotten.

        Every few topics there is a None, where the caller may pause.
        """
        plain = "+" not in topic_filter and "#" not in topic_filter
        for at, topic in enumerate([topic_filter] if plain else list(self._messages), 1):
            if plain or matches(topic_filter, topic):
                message = self._messages.get(topic)
                if message is not None and message.expired():
                    self.forget(topic)
                elif message is not None:
                    yield message
            if at % STRIDE == 0:
                yield None

    def forget(self, topic: str) -> None:
        message = self._messages.pop(topic, None)
        if message is not None:
            self._bytes -= message.size

    def forget_expired(self) -> None:
        for topic in [topic for topic, message in self._messages.items() if message.expired()]:
            self.forget(topic)
