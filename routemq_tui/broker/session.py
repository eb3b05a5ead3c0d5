"""A client's session: subscriptions, the receive window both ways, what waits. It outlives connections.

It knows a connection only as a `Link`: something to write frames to, with a window and a way to say stop.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from routemq_tui.broker import encode, topics
from routemq_tui.broker.budget import Budget, Ledger
from routemq_tui.broker.message import Delivery, Message, forget_expired
from routemq_tui.broker.packets import NEVER, Will
from routemq_tui.broker.reasons import QUOTA_EXCEEDED, SUCCESS, protocol_error

IDENTIFIERS = 65535
WITHHELD = 10_000
WINDOW = 50_000
"""No larger window is used, so that free packet identifiers never run out."""


class Link(Protocol):
    """A connection as the session sees it."""

    version: int
    window: int
    maximum_packet: int
    writable: bool

    def write(self, frame: bytes) -> None: ...
    def keeps_up(self, size: int) -> bool: ...
    def close(self, reason: int, text: str) -> None: ...


class Source(Protocol):
    """A share group as a member sees it."""

    def pull(self, session: Session) -> Delivery | None: ...


@dataclass(frozen=True, slots=True, eq=False)
class Subscription:
    session: Session
    filter: str
    qos: int
    no_local: bool
    retain_as_published: bool
    ids: bytes
    """The subscription identifier as an encoded property, or nothing."""


def session_weight(client_id: str) -> int:
    """About the bytes a session costs without will, subscriptions and messages."""
    return 3000 + topics.weight(client_id)


class Session:
    """State of one client id."""

    def __init__(self, client_id: str, ledger: Ledger) -> None:
        self.client_id = client_id
        self.ledger = ledger
        self.weight = session_weight(client_id)
        self.link: Link | None = None
        self.expiry = 0
        self.expires_at: float | None = None
        """When it ends, once it is detached; None while attached or for a session that never expires."""
        self.will: Will | None = None
        self.will_at: float | None = None
        self.subscriptions: dict[str, Subscription] = {}
        """By filter as the client wrote it, `$share/…` included."""
        self.owed: dict[str, Iterator[Message | None]] = {}
        """By filter, retained messages a new subscription is still to get."""
        self.groups: deque[Source] = deque()
        self.queue: deque[Delivery] = deque()
        self.budget = Budget(ledger)
        self.outgoing: dict[int, Delivery] = {}
        """Sent and not completed, by packet identifier, in order."""
        self.in_flight = 0
        """Of those, the ones that count against the present connection's window."""
        self.incoming: set[int] = set()
        """QoS 2 identifiers between PUBLISH and PUBREL."""
        self._resend: deque[int] = deque()
        self._withheld: dict[int, None] = {}
        """QoS 2 identifiers whose message went back to its group: the client may still know them."""
        self._last = 0

    @property
    def has_room(self) -> bool:
        """Whether a message can be sent at once. What is to be resent has filled the window before."""
        link = self.link
        return link is not None and link.writable and self.in_flight < link.window

    def offer(self, message: Message, qos: int, retain: bool, ids: bytes) -> int:
        """Send a message now or later; QoS 0 now or never. Says QUOTA_EXCEEDED when it is dropped."""
        link = self.link
        if not qos:
            if link is not None:
                self.send_once(link, message, retain, ids, link.writable)
            return SUCCESS
        if not self.budget.charge(message.size):
            self.ledger.drop(f"the queue of {self.client_id} is full")
            return QUOTA_EXCEEDED
        delivery = Delivery(message, self.budget, qos, retain, ids)
        if self.queue or not self.has_room:
            self.queue.append(delivery)
        else:
            self.send(delivery)
        return SUCCESS

    def send_once(self, link: Link, message: Message, retain: bool, ids: bytes, writable: bool) -> None:
        """At QoS 0; `writable` is the caller's judgement."""
        if not writable:
            self.ledger.drop(f"{self.client_id} does not read fast enough for QoS 0")
            return
        frame = message.frame(link.version, 0x31 if retain else 0x30, 0, ids)
        if len(frame) > link.maximum_packet:
            self.ledger.drop(f"larger than the Maximum Packet Size of {self.client_id}")
            return
        ledger = self.ledger
        if ledger.crowded and not link.keeps_up(len(frame)):
            ledger.drop(f"too much waits for clients to read it; {self.client_id} gets no QoS 0")
            return
        link.write(frame)
        ledger.totals.sent += 1

    def send(self, delivery: Delivery) -> None:
        """Send what is charged already; the caller has seen that there is room."""
        link = self.link
        assert link is not None
        message = delivery.message
        if message.expired():
            self.ledger.totals.expired += 1
            delivery.release()
            return
        if not delivery.qos:
            self.send_once(link, message, delivery.retain, delivery.ids, link.writable)
            delivery.release()
            return
        packet_id = self._identifier()
        if self._write(link, delivery, packet_id):
            self.outgoing[packet_id] = delivery
            self.in_flight += 1

    def _write(self, link: Link, delivery: Delivery, packet_id: int) -> bool:
        head = 0x30 | delivery.dup << 3 | delivery.qos << 1 | delivery.retain
        frame = delivery.message.frame(link.version, head, packet_id, delivery.ids)
        if len(frame) > link.maximum_packet:
            self.ledger.drop(f"larger than the Maximum Packet Size of {self.client_id}")
            delivery.release()
            return False
        link.write(frame)
        totals = self.ledger.totals
        totals.sent += 1
        totals.redelivered += delivery.dup
        return True

    def _identifier(self) -> int:
        packet_id = self._last
        while True:
            packet_id = packet_id % IDENTIFIERS + 1
            if packet_id not in self.outgoing and packet_id not in self._withheld:
                self._last = packet_id
                return packet_id

    def pump(self) -> None:
        """Fill the window: first what an earlier connection left, then the queue, then the groups in turn."""
        link = self.link
        if link is None:
            return
        while self._resend and link.writable and self.in_flight < link.window:
            self._send_again(link, self._resend.popleft())
        while self.queue and self.has_room:
            self.send(self.queue.popleft())
        idle = 0
        while idle < len(self.groups) and self.has_room:
            delivery = self.groups[0].pull(self)
            self.groups.rotate(-1)
            if delivery is None:
                idle += 1
            else:
                idle = 0
                self.send(delivery)

    def _send_again(self, link: Link, packet_id: int) -> None:
        delivery = self.outgoing.get(packet_id)
        if delivery is None:
            return
        delivery.dup = True
        if self._write(link, delivery, packet_id):
            self.in_flight += 1
        else:
            del self.outgoing[packet_id]

    def acknowledge(self, packet_id: int) -> None:
        """PUBACK."""
        delivery = self.outgoing.get(packet_id)
        if delivery is None:
            return
        if delivery.qos != 1:
            raise protocol_error(f"PUBACK for packet {packet_id}, which has QoS 2")
        delivery.release()
        self._finish(packet_id)

    def receive(self, packet_id: int, refused: bool) -> bool:
        """PUBREC; False when the identifier is not known. A refused message is done with."""
        delivery = self.outgoing.get(packet_id)
        if delivery is None:
            return False
        if delivery.qos != 2:
            raise protocol_error(f"PUBREC for packet {packet_id}, which has QoS 1")
        if not delivery.released:
            delivery.released = True
            delivery.release()
        if refused:
            self._finish(packet_id)
        return True

    def complete(self, packet_id: int) -> None:
        """PUBCOMP."""
        delivery = self.outgoing.get(packet_id)
        if delivery is None:
            return
        if not delivery.released:
            raise protocol_error(f"PUBCOMP for packet {packet_id} before its PUBREC")
        self._finish(packet_id)

    def _finish(self, packet_id: int) -> None:
        del self.outgoing[packet_id]
        self.in_flight = max(0, self.in_flight - 1)
        if self.queue or self.groups or self._resend:
            self.pump()

    def attach(self, link: Link) -> None:
        """Go on over a new connection: PUBRELs, then unacknowledged messages with DUP, then the rest."""
        self.link = link
        self.expires_at = self.will_at = None
        self.in_flight = 0
        self._resend.clear()
        for packet_id, delivery in self.outgoing.items():
            if delivery.released:
                link.write(encode.acknowledgement(encode.PUBREL, packet_id, link.version))
                self.in_flight += 1
            else:
                self._resend.append(packet_id)
        self.pump()

    def detach(self) -> list[Delivery]:
        """The connection is gone; returns what goes back to share groups, marked as sent before."""
        self.link = None
        self.in_flight = 0
        if self.expiry != NEVER:
            self.expires_at = time.monotonic() + self.expiry
        back: list[Delivery] = []
        for packet_id, delivery in list(self.outgoing.items()):
            if delivery.group is not None and not delivery.released:
                del self.outgoing[packet_id]
                if delivery.qos == 2:
                    self._withhold(packet_id)
                delivery.dup = True
                back.append(delivery)
        return back

    def _withhold(self, packet_id: int) -> None:
        self._withheld[packet_id] = None
        if len(self._withheld) > WITHHELD:
            del self._withheld[next(iter(self._withheld))]

    def set_will(self, will: Will | None) -> None:
        """Replace the will, for which there is a place."""
        before, self.will = self.will, will
        self.ledger.state += (will.weight if will else 0) - (before.weight if before else 0)

    def forget_expired(self, now: float) -> None:
        rest = forget_expired(self.queue, now)
        if rest is not None:
            self.queue = deque(rest)

    def forget(self) -> int:
        """Release everything still held; returns how many messages were not delivered."""
        lost = [delivery for delivery in (*self.outgoing.values(), *self.queue) if not delivery.released]
        for delivery in lost:
            delivery.release()
        self.outgoing.clear()
        self.queue.clear()
        return len(lost)
