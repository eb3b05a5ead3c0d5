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
from routemq_tui.worker.replies import CONNACK, DISCONNECT
from routemq_tui.worker.wire import PROTOCOL_ERROR, StreamError


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
        self._greeted = False
        """CONNACK came."""

    def connected_anew(self) -> None:
        """A new connection: what had come in part is forgotten."""
        self._stream.reset()
        self._greeted = False

    def session_lost(self) -> None:
        """The broker numbers anew."""
        self._window.clear()

    def feed(
        self, chunk: bytes, to_paho: Callable[[bytes], bool], send: Callable[[bytes], None]
    ) -> StreamError | None:
        """Deal with what is whole, in order; `to_paho` tells whether the connection is still the same.

        Returns what was wrong with the stream, after the packets before the fault.
        """
        stream, fault = self._stream, None
        try:
            packets: list[Any] = stream.feed(chunk)
        except StreamError as error:
            fault, packets = error, error.packets
        if packets and not self._greeted and packets[0][0] not in (CONNACK, DISCONNECT):
            return StreamError(PROTOCOL_ERROR, "what came first was not CONNACK")
        if stream.others == self._others:
            if packets:
                # After a fault the place where the whole packets end is not known.
                self._take(packets, stream.chunk, 0 if fault else stream.taken)
                stream.chunk = b""  # it may be big
            return fault
        self._others = stream.others
        stream.chunk = b""
        return self._take_mixed(packets, to_paho, send, fault)

    def _take_mixed(
        self,
        packets: list[Packet],
        to_paho: Callable[[bytes], bool],
        send: Callable[[bytes], None],
        fault: StreamError | None,
    ) -> StreamError | None:
        """The fault that is to be dealt with: none when the connection ended before."""
        messages: list[Packet] = []
        released: list[int] = []
        again = False
        for packet in packets:
            first, _, whole, packet_id, _ = packet
            if first >> 4 == 3:
                messages.append(packet)
                again = again or first & 8 != 0
            elif first == PUBREL:
                if again:  # the mark tells whether they were handled
                    self._take(messages, b"", 0)
                    messages, again = [], False
                self._window.release(packet_id)
                released.append(packet_id)
            else:
                if messages:
                    self._take(messages, b"", 0)
                    messages, again = [], False
                if first == CONNACK and self._greeted:
                    fault = StreamError(PROTOCOL_ERROR, "a second CONNACK")
                    break
                self._greeted = True
                if not to_paho(whole):
                    return None
        if released:
            send(pubcomps(released))
        if messages:
            self._take(messages, b"", 0)
        return fault


def _matches(topic: Topic) -> bool:
    return topic.params is not None
