"""The messages a worker holds: waiting, in a handler, or done and not yet acknowledged. Pure bookkeeping.

An acknowledgement goes out in the order of receipt (MQTT 5 section 4.6), and only on the connection its
message came on: packet ids start anew with a session, so a late one would acknowledge another message.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from routemq_tui.routing.message import Message

Acknowledge = Callable[[int, int], None]
"""Takes packet id and QoS."""


class Delivery:
    """One PUBLISH. `link` is the number of the connection it came on."""

    __slots__ = ("done", "link", "message", "packet_id", "qos", "raw_topic")

    def __init__(
        self, raw_topic: bytes, message: Message | None, qos: int, packet_id: int, link: int
    ) -> None:
        self.raw_topic = raw_topic
        self.message = message
        """None for what is not for the handler (a drain's sentinel)."""
        self.qos = qos
        self.packet_id = packet_id
        self.link = link
        self.done = False

    def same_as(self, other: Delivery) -> bool:
        return (
            self.raw_topic == other.raw_topic
            and self.message is not None
            and other.message is not None
            and self.message.payload == other.message.payload
        )


class Deliveries:
    """`acknowledge` is called for each message whose turn it is."""

    def __init__(self, acknowledge: Acknowledge) -> None:
        self.waiting: deque[Delivery] = deque()
        self.waiting_bytes = 0
        self.link = 0
        """Number of the connection we have, 0 while there is none."""
        self.hold = False
        """While True nothing is acknowledged (see `release`)."""
        self._acknowledge = acknowledge
        self._window: deque[Delivery] = deque()
        self._held: list[Delivery] = []
        self._cut_off: dict[int, Delivery] = {}

    @property
    def in_hand(self) -> int:
        """Received, neither acknowledged nor, without a need to be, finished."""
        window = sum(each.message is not None for each in self._window)
        return len(self.waiting) + window + len(self._held)

    @property
    def unfinished(self) -> int:
        """Those that can be handled now and whose handler has not ended."""
        return len(self.waiting) + sum(not each.done for each in self._window)

    def add(self, delivery: Delivery) -> None:
        """Take a message; one that a handler had begun on the connection before is not handled again."""
        if delivery.qos and delivery.packet_id in self._cut_off:
            begun = self._cut_off.pop(delivery.packet_id)
            if delivery.message is not None and delivery.message.duplicate and delivery.same_as(begun):
                begun.link = delivery.link
                self._window.append(begun)
                self._advance()
                return
        if delivery.message is None:
            # In its place in the order, but nothing to do for it.
            delivery.done = True
            self._window.append(delivery)
            self._advance()
            return
        self.waiting.append(delivery)
        self.waiting_bytes += len(delivery.message.payload)

    def begin(self) -> Delivery:
        """The next message for a handler."""
        delivery = self.waiting.popleft()
        if delivery.message is not None:
            self.waiting_bytes -= len(delivery.message.payload)
        self._window.append(delivery)
        return delivery

    def finish(self, delivery: Delivery) -> None:
        """Its handler ended: acknowledge it, and what waited behind it, when all before are done."""
        delivery.done = True
        self._advance()

    def release(self) -> None:
        """Acknowledge what was held back, in order."""
        self.hold = False
        self._advance()

    def _advance(self) -> None:
        if self.hold or not self.link:  # without a connection: what ended may come again, and is known then
            return
        window = self._window
        while window and window[0].done:
            first = window.popleft()
            if first.qos and first.link == self.link:
                self._acknowledge(first.packet_id, first.qos)

    # -- connections come and go -------------------------------------------------------------------------

    def lost(self) -> None:
        """The connection went: what was not begun waits for what the broker says of the session."""
        self.link = 0
        kept: list[Delivery] = []
        for delivery in self.waiting:
            (self._held if delivery.qos else kept).append(delivery)
        self._set_waiting(kept)

    def connected(self, link: int, session_present: bool) -> None:
        """A new connection. With the session kept, the broker sends again what we had not acknowledged.

        Without it nobody does: what we hold is handled all the same, and never acknowledged. QoS 2 messages
        whose PUBLISH the broker has had confirmed are not sent again, only their PUBREL: they stay.
        """
        self.link = link
        self._cut_off.clear()
        if session_present:
            for delivery in (*self._held, *self._window):
                if delivery.qos == 2:
                    delivery.link = link
            self._held = [each for each in self._held if each.qos == 2]
            self._cut_off = {each.packet_id: each for each in self._window if each.qos == 1}
            self._window = deque(each for each in self._window if each.qos != 1)
        self._set_waiting([*self._held, *self.waiting])
        self._held = []
        self._advance()

    def _set_waiting(self, deliveries: Iterable[Delivery]) -> None:
        self.waiting = deque(deliveries)
        self.waiting_bytes = sum(
            len(each.message.payload) for each in self.waiting if each.message is not None
        )
