"""The messages a worker holds: waiting, in a handler, or done and not yet acknowledged. Pure bookkeeping.

An acknowledgement goes out in the order of receipt (MQTT 5 section 4.6), and only on the connection its
message came on: packet ids start anew with a session, so a late one would acknowledge another message.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from routemq_tui.worker.delivery import Delivery
from routemq_tui.worker.hot_path import Batch, HotPath, Packet, Ran
from routemq_tui.worker.receipts import Receipts


class Acknowledger(Protocol):
    """Where acknowledgements go out, on the connection there is."""

    def acknowledge(self, packet_id: int, qos: int) -> None: ...

    def confirm_again(self, packet_id: int) -> None:
        """PUBREC of a message handled before; there is nothing to confirm once it was released."""

    def acknowledge_all(self, qos1: Sequence[int], qos2: Sequence[int]) -> None: ...


class Deliveries:
    """A batch for the hot path is kept as it came; whatever needs more than that makes it deliveries first.

    `confirmed_early`: the client underneath has a QoS 2 message confirmed before it gives it to us.
    """

    def __init__(self, out: Acknowledger, receipts: Receipts, confirmed_early: bool = False) -> None:
        self.hot: HotPath | None = None
        self.batch = Batch()
        """Received and not begun, all before what waits; empty unless the hot path may run."""
        self.waiting: deque[Delivery] = deque()
        self.waiting_bytes = 0
        self.link = 0
        """Number of the connection we have, 0 while there is none."""
        self.hold = False
        """While True nothing is acknowledged (see `release`)."""
        self._out = out
        self._confirmed_early = confirmed_early
        self._receipts = receipts
        self._window: deque[Delivery] = deque()
        self._held: list[Delivery] = []
        self._linked = False
        self._cut_off: dict[int, Delivery] = {}
        """Begun on a connection before, by packet id: they are known when the broker sends them again."""

    @property
    def in_hand(self) -> int:
        """Received, neither acknowledged nor, without a need to be, finished."""
        return self._receipts.in_hand

    @property
    def unfinished(self) -> int:
        """Those that can be handled now and whose handler has not ended."""
        begun = (*self._window, *self._cut_off.values())
        return self.not_begun + sum(not each.done for each in begun)

    @property
    def not_begun(self) -> int:
        return len(self.waiting) + len(self.batch)

    def __iter__(self) -> Iterator[Delivery]:
        """All in hand."""
        self.spill()
        yield from (each for each in self._cut_off.values() if not each.done)
        yield from (each for each in self._window if not each.private)
        yield from self._held
        yield from (each for each in self.waiting if not each.private)

    def unacknowledged(self) -> dict[int, Delivery]:
        """Those of this connection that are not acknowledged yet, by packet id."""
        self.spill()
        both = (*self._window, *self.waiting)
        return {each.packet_id: each for each in both if each.qos and each.link == self.link}

    # -- the hot path ------------------------------------------------------------------------------------

    def take(self, packets: list[Packet], chunk: bytes = b"", taken: int = 0) -> bool:
        """Take a batch for the hot path; False when it, or what is in hand, is out of the ordinary.

        `taken` bytes of `chunk` are these packets, all ordinary, and no others; 0 when that is not known.
        """
        if self.hot is None or self.waiting or self._window or self._held or not self.link:
            return False
        if not taken and any(first & 8 or topic.params is None for first, topic, *_ in packets):
            return False  # and nothing is forgotten yet: those that come again may be before the new ones
        if self._expects_again and any(first & 6 for first, *_ in packets):
            self._new_ones_come()
        if self._cut_off:
            return False
        return self.hot.take(self.batch, packets, chunk, taken, self.link)

    def conclude(self, ran: Ran, count: int) -> None:
        """The `count` messages of the batch that were run last are done: acknowledge them."""
        self._out.acknowledge_all(ran.pubacks, ran.pubrecs)
        self._receipts.leave_all(count)

    def keep_done(self, indices: range) -> list[Delivery]:
        """Make deliveries of messages of the batch that are done, for `release` to acknowledge."""
        kept = [self._of_batch(index) for index in indices]
        for delivery in kept:
            delivery.done = True
        self._window.extend(kept)
        return kept

    def open(self) -> Delivery:
        """Make deliveries of the batch: the one begun last is in a handler, those behind it wait."""
        delivery = self._of_batch(self.batch.at - 1)
        self._window.append(delivery)
        self.spill()
        return delivery

    def spill(self) -> None:
        """Make deliveries of the batch, for whatever the hot path does not do."""
        batch = self.batch
        if batch.packets:
            for index in range(batch.at, len(batch.packets)):
                delivery = self._of_batch(index)
                self.waiting.append(delivery)
                self.waiting_bytes += len(delivery.payload)
            batch.clear()
            self._receipts.end_record()

    def _of_batch(self, index: int) -> Delivery:
        batch = self.batch
        first, topic, payload, packet_id, properties = batch.packets[index]
        delivery = Delivery(
            topic,
            payload,
            first >> 1 & 3,
            packet_id,
            batch.link,
            retain=bool(first & 1),
            properties=properties,
        )
        self._receipts.enter(delivery, self._receipts.received - len(batch.packets) + index)
        return delivery

    # -- one by one --------------------------------------------------------------------------------------

    def add(self, delivery: Delivery) -> None:
        """Take a message; one that a handler had begun on the connection before is not handled again."""
        self.spill()
        if delivery.private:
            delivery.done = True
            self._keep_place(delivery)
            self._advance()
            return
        if delivery.qos and not delivery.duplicate and self._expects_again:
            self._new_ones_come()
        self._receipts.take(delivery)
        if delivery.qos and self._receipts.was_done(delivery):
            delivery.done = True
            self._keep_place(delivery)
            self._advance()
            return
        if delivery.qos and self._cut_off and self._came_again(delivery):
            return
        self.waiting.append(delivery)
        self.waiting_bytes += len(delivery.payload)

    @property
    def _expects_again(self) -> bool:
        return bool(self._cut_off) or self._receipts.awaits_done

    def _new_ones_come(self) -> None:
        """A broker sends again what was in flight before anything new (MQTT 5 section 4.4): what has not
        come by now was given to another member, or will never come."""
        self._receipts.forget_done()
        self._cut_off = {number: each for number, each in self._cut_off.items() if not each.done}

    def _keep_place(self, delivery: Delivery) -> None:
        """Behind what came before it, though it is not to be begun (any more)."""
        delivery.begun = True
        self.waiting.append(delivery)
        self._pass_begun()

    def _pass_begun(self) -> None:
        """There is nothing to begin at the head of what waits: a handler's turn is the next one's."""
        while self.waiting and self.waiting[0].begun:
            self._window.append(self.waiting.popleft())

    def _came_again(self, delivery: Delivery) -> bool:
        begun = self._cut_off.pop(delivery.packet_id, None)
        if begun is None:
            return False
        again = delivery.duplicate and delivery.same_as(begun)
        if again:
            begun.link, begun.number = delivery.link, delivery.number
            self._keep_place(begun)
            self._receipts.renumber(self)
            self._advance()
        elif not begun.done:  # its id is another message's now: it is never acknowledged, only finished
            self._window.appendleft(begun)
        return again

    def begin(self) -> Delivery:
        """The next message for a handler."""
        self.spill()
        delivery = self.waiting.popleft()
        self.waiting_bytes -= len(delivery.payload)
        delivery.begun = True
        self._window.append(delivery)
        self._pass_begun()
        return delivery

    def finish(self, delivery: Delivery) -> None:
        """Its handler ended: acknowledge it, and what waited behind it, when all before are done."""
        delivery.done = True
        if self._cut_off and self._cut_off.get(delivery.packet_id) is delivery:
            self._receipts.renumber(self)
        self._advance()

    def release(self) -> None:
        """Acknowledge what was held back, in order."""
        self.hold = False
        self._advance()
        self._receipts.settle()

    def _advance(self) -> None:
        if self.hold or not self.link:  # without a connection: what ended may come again, and is known then
            return
        window = self._window
        while window and window[0].done:
            first = window.popleft()
            if first.qos and first.link == self.link:
                if first.again:
                    self._out.confirm_again(first.packet_id)
                else:
                    self._out.acknowledge(first.packet_id, first.qos)
            if not first.private and not self._receipts.leave(first):
                self._receipts.renumber(self)

    # -- connections come and go -------------------------------------------------------------------------

    def lost(self) -> None:
        """The connection went: what was not begun waits for what the broker says of the session."""
        self.spill()
        self.link = 0
        kept: list[Delivery] = []
        for delivery in self.waiting:
            if delivery.private:
                continue
            if delivery.begun:
                self._window.append(delivery)
            else:
                (self._held if delivery.qos else kept).append(delivery)
        self._set_waiting(kept)

    def connected(self, link: int, session_present: bool) -> None:
        """A new connection. With the session kept, the broker sends again what we had not acknowledged.

        Without it nobody does: what we hold is handled all the same, and never acknowledged. QoS 2 messages
        that were confirmed early are not sent again, only their PUBREL: they stay.
        """
        self.spill()
        if self._linked or not session_present:
            self._receipts.forget_done()
        self._linked = True
        self.link = link
        running = {number: each for number, each in self._cut_off.items() if not each.done}
        if session_present:
            stays = {0, 2} if self._confirmed_early else {0}
            for delivery in (*self._held, *self._window):
                if delivery.qos in stays:
                    delivery.link = link
            self._held = [each for each in self._held if each.qos in stays]
            again = [each for each in self._window if each.qos not in stays and not each.private]
            self._cut_off = running | {each.packet_id: each for each in again}
            self._window = deque(each for each in self._window if each.qos in stays)
        else:
            self._cut_off = {}
            self._window.extendleft(running.values())
        self._set_waiting([*self._held, *self.waiting])
        self._held = []
        self._receipts.renumber(self)
        self._advance()

    def _set_waiting(self, deliveries: Iterable[Delivery]) -> None:
        self.waiting = deque(deliveries)
        self.waiting_bytes = sum(len(each.payload) for each in self.waiting)
