"""Shared subscriptions: one queue per group and filter, pulled by connected members with a free window.

So a slow member does not hoard, an absent one takes nothing, and what a member had unacknowledged when it
went is at the head of the queue again, in its old order.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from routemq_tui.broker.budget import Budget, Ledger
from routemq_tui.broker.message import Delivery, Message, forget_expired
from routemq_tui.broker.reasons import QUOTA_EXCEEDED, SUCCESS
from routemq_tui.broker.session import Session, Subscription
from routemq_tui.broker.topics import weight

Key = tuple[str, str]
"""Share name and topic filter."""


@dataclass(slots=True, eq=False)
class Member:
    session: Session
    subscription: Subscription
    sent: int = 0


class ShareGroup:
    """One group on one filter."""

    def __init__(self, key: Key, ledger: Ledger, sequence: itertools.count[int]) -> None:
        self.key = key
        self.ledger = ledger
        self.members: dict[str, Member] = {}
        self.budget = Budget(ledger)
        self.abandoned_at: float | None = None
        """Since when it has no subscription any more; what waits is kept a while for the next one."""
        self.accepted = self.returned = self.dropped = 0
        self._sequence = sequence
        self._queue: deque[Delivery] = deque()
        self._back: list[tuple[int, Delivery]] = []
        """A heap of what came back; all of it is older than the queue."""
        self._order: deque[Member] = deque()

    @property
    def depth(self) -> int:
        return len(self._queue) + len(self._back)

    def join(self, subscription: Subscription) -> None:
        session = subscription.session
        self.abandoned_at = None
        known = self.members.get(session.client_id)
        if known is not None:
            known.subscription = subscription
            return
        member = Member(session, subscription)
        self.members[session.client_id] = member
        self._order.append(member)
        session.groups.append(self)

    def leave(self, session: Session) -> None:
        """No new messages to this member; its window it may finish."""
        member = self.members.pop(session.client_id, None)
        if member is not None:
            self._order.remove(member)
            session.groups.remove(self)
        if not self.members:
            self.abandoned_at = time.monotonic()

    def offer(self, message: Message) -> int:
        """Take a message on: to a member at once if one has room, else into the queue. QoS 0 never waits."""
        if not message.qos:
            self._offer_once(message)
            return SUCCESS
        if not self.budget.charge(message.size):
            self.dropped += 1
            self.ledger.drop(f"the queue of $share/{'/'.join(self.key)} is full")
            return QUOTA_EXCEEDED
        self.accepted += 1
        delivery = Delivery(message, self.budget, message.qos, False, b"")
        delivery.group = self.key
        delivery.sequence = next(self._sequence)
        member = None if self._queue or self._back else self._free_member()
        if member is None:
            self._queue.append(delivery)
        else:
            member.session.send(self._addressed(delivery, member))
        return SUCCESS

    def _offer_once(self, message: Message) -> None:
        order = self._order
        connected = False
        for _ in range(len(order)):
            member = order[0]
            order.rotate(-1)
            link = member.session.link
            if link is not None and link.writable:
                subscription = member.subscription
                retain = message.retain and subscription.retain_as_published
                member.session.offer(message, 0, retain, subscription.ids)
                member.sent += 1
                return
            connected = connected or link is not None
        if connected:
            self.dropped += 1
            self.ledger.drop(f"no member of $share/{'/'.join(self.key)} reads fast enough for QoS 0")

    def _free_member(self) -> Member | None:
        """Of the members with room the one with least in flight; those alike take turns."""
        best: Member | None = None
        for member in self._order:
            session = member.session
            if session.has_room and (best is None or session.in_flight < best.session.in_flight):
                best = member
        if best is not None:
            self._order.remove(best)
            self._order.append(best)
        return best

    def pull(self, session: Session) -> Delivery | None:
        """The oldest message that waits, addressed to this member; None when there is none."""
        while self._back or self._queue:
            delivery = heapq.heappop(self._back)[1] if self._back else self._queue.popleft()
            if not delivery.message.expired():
                return self._addressed(delivery, self.members[session.client_id])
            self.ledger.totals.expired += 1
            delivery.release()
        return None

    def _addressed(self, delivery: Delivery, member: Member) -> Delivery:
        message = delivery.message
        subscription = member.subscription
        delivery.qos = min(message.qos, subscription.qos)
        delivery.retain = message.retain and subscription.retain_as_published
        delivery.ids = subscription.ids
        member.sent += 1
        return delivery

    def put_back(self, delivery: Delivery) -> None:
        self.returned += 1
        if delivery.budget is not self.budget:
            delivery.budget.release(delivery.message.size)
            delivery.budget = self.budget
            self.budget.take(delivery.message.size)
        heapq.heappush(self._back, (delivery.sequence, delivery))

    def pump(self) -> None:
        """Hand what waits to members with room, one message a turn."""
        while (self._back or self._queue) and (member := self._free_member()) is not None:
            delivery = self.pull(member.session)
            if delivery is not None:
                member.session.send(delivery)

    def forget_expired(self, now: float) -> None:
        rest = forget_expired(self._queue, now)
        if rest is not None:
            self._queue = deque(rest)
        back = forget_expired([delivery for _, delivery in self._back], now)
        if back is not None:
            self._back = [(delivery.sequence, delivery) for delivery in back]
            heapq.heapify(self._back)

    def discard(self) -> int:
        """Give up what waits; returns how many messages."""
        waiting = [*self._queue, *(delivery for _, delivery in self._back)]
        for delivery in waiting:
            delivery.release()
        self._queue.clear()
        self._back.clear()
        return len(waiting)


def _weight(key: Key) -> int:
    return 2000 + weight("/".join(key))


class ShareGroups:
    """All groups, by share name and filter; those without a subscription linger for a while."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.by_key: dict[Key, ShareGroup] = {}
        self._sequence = itertools.count(1)

    def fits(self, key: Key) -> bool:
        """Whether the group is there or has a place: one that nobody is in any more still lingers."""
        return key in self.by_key or self.ledger.has_place(_weight(key))

    def get(self, key: Key) -> ShareGroup:
        group = self.by_key.get(key)
        if group is None:
            self.ledger.state += _weight(key)
            group = self.by_key[key] = ShareGroup(key, self.ledger, self._sequence)
            group.abandoned_at = time.monotonic()
        return group

    def put_back(self, deliveries: Iterable[Delivery]) -> None:
        """To the head of their queues, and from there at once to members with room."""
        touched: dict[Key, ShareGroup] = {}
        for delivery in deliveries:
            assert delivery.group is not None
            group = touched[delivery.group] = self.get(delivery.group)
            group.put_back(delivery)
        for group in touched.values():
            group.pump()

    def forget_abandoned(self, now: float) -> None:
        """Drop groups nobody subscribed to again in time; what they held is counted and said."""
        for key, group in list(self.by_key.items()):
            if group.abandoned_at is None or now - group.abandoned_at < self.ledger.limits.linger:
                continue
            del self.by_key[key]
            self.ledger.let_go(_weight(key))
            lost = group.discard()
            if lost:
                seconds = self.ledger.limits.linger
                self.ledger.drop(f"nobody subscribed to $share/{'/'.join(key)} for {seconds} s", lost)
