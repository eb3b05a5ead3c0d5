"""What the broker sends, taken apart: messages to the receiver, QoS 2 releases answered, all else to paho.

With `PublishStream` underneath, paho never sees a PUBLISH; it keeps the connection, the subscriptions and
what handlers publish. How QoS 2 is acknowledged is told in `acknowledgements`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from paho.mqtt.client import MQTTMessage

from routemq_tui.worker.acknowledgements import Qos2Window, pubcomps
from routemq_tui.worker.delivery import Topic
from routemq_tui.worker.hot_path import Packet
from routemq_tui.worker.publish_stream import PUBREL, PublishStream
from routemq_tui.worker.wire import StreamError


class Receiver(Protocol):
    """What takes the messages; `receive` is for those that paho has taken apart."""

    @property
    def read_begins(self) -> Callable[[], None]: ...

    @property
    def read_ended(self) -> Callable[[], None]: ...

    def resolve(self, text: str) -> Topic: ...

    def take_packets(self, packets: list[Packet], chunk: bytes, taken: int) -> None:
        """Messages; if `taken`, they are the whole of so many bytes of the chunk, each with a topic that
        matches, and none with DUP."""

    def receive(self, packet: MQTTMessage) -> None: ...

    def connected(self, session_present: bool) -> None: ...

    def subscribed(self) -> None: ...

    def lost(self) -> None: ...


class Inbound:
    def __init__(
        self,
        v5: bool,
        resolve: Callable[[str], Topic],
        take: Callable[[list[Packet], bytes, int], None],
        window: Qos2Window,
    ) -> None:
        self._stream: PublishStream[Topic] = PublishStream(v5, resolve, ordinary=_matches)
        self._take = take
        self._window = window
        self._others = 0

    def connected_anew(self) -> None:
        """A new connection: what had come in part is forgotten."""
        self._stream.reset()

    def session_lost(self) -> None:
        """The broker numbers anew."""
        self._window.clear()

    def feed(
        self, chunk: bytes, to_paho: Callable[[bytes], bool], send: Callable[[bytes], None]
    ) -> StreamError | None:
        """Deal with what is whole, in order; `to_paho` tells whether the connection is still the same.

        Returns what was wrong with the stream, after the packets before the fault.
        """
        fault = None
        try:
            packets: list[Any] = self._stream.feed(chunk)
        except StreamError as error:
            fault, packets = error, error.packets
        if self._stream.others == self._others:
            if packets:
                # After a fault the place where the whole packets end is not known.
                self._take(packets, self._stream.chunk, 0 if fault else self._stream.taken)
            return fault
        self._others = self._stream.others
        return fault if self._take_mixed(packets, to_paho, send) else None

    def _take_mixed(
        self, packets: list[Packet], to_paho: Callable[[bytes], bool], send: Callable[[bytes], None]
    ) -> bool:
        """False when the connection ended in between."""
        messages: list[Packet] = []
        for packet in packets:
            first, _, whole, packet_id, _ = packet
            if first >> 4 == 3:
                messages.append(packet)
            elif first == PUBREL:
                self._window.release(packet_id)
                send(pubcomps((packet_id,)))
            else:
                if messages:
                    self._take(messages, b"", 0)
                    messages = []
                if not to_paho(whole):
                    return False
        if messages:
            self._take(messages, b"", 0)
        return True


def _matches(topic: Topic) -> bool:
    return topic.params is not None
