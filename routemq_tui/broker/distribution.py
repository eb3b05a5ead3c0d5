"""Who gets a message: subscriptions and share groups by topic, and the handing out of one publication."""

from __future__ import annotations

import time
from collections.abc import Sequence

from routemq_tui.broker import properties, topics
from routemq_tui.broker.budget import Ledger
from routemq_tui.broker.message import Message
from routemq_tui.broker.packets import Request
from routemq_tui.broker.reasons import (
    NO_MATCHING_SUBSCRIBERS,
    NO_SUBSCRIPTION_EXISTED,
    QUOTA_EXCEEDED,
    SUCCESS,
    TOPIC_FILTER_INVALID,
    TOPIC_NAME_INVALID,
    PacketError,
    protocol_error,
)
from routemq_tui.broker.retained import Retained
from routemq_tui.broker.session import Link, Session, Subscription
from routemq_tui.broker.shared import ShareGroup, ShareGroups
from routemq_tui.broker.topics import SHARE_PREFIX, SubscriptionTree

CACHED_TOPICS = 4096
CACHED_LENGTH = 256
CACHED_ENTRIES = 100_000
"""Subscriptions in all plans together: one topic may be taken by a great many."""
SLICE = 0.005
"""Seconds of retained messages for one client, after which others have their turn."""


class Target:
    """One session that gets a topic, by one or more subscriptions: once, at the highest QoS of them."""

    __slots__ = ("ids", "local", "qos", "retain_as_published", "session", "subscriptions")

    def __init__(self, subscriptions: Sequence[Subscription]) -> None:
        self.subscriptions = subscriptions
        self.session = subscriptions[0].session
        self.qos = max(subscription.qos for subscription in subscriptions)
        self.ids = b"".join(subscription.ids for subscription in subscriptions)
        self.retain_as_published = any(one.retain_as_published for one in subscriptions)
        self.local = not any(subscription.no_local for subscription in subscriptions)
        """Whether the session gets its own messages by all of them."""


Plan = tuple[tuple[Target, ...], tuple[ShareGroup, ...]]


class Distribution:
    """Subscriptions of all sessions, retained messages, and the delivery of each publication."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.groups = ShareGroups(ledger)
        self.retained = Retained(ledger.limits)
        self._tree: SubscriptionTree[Subscription | ShareGroup] = SubscriptionTree()
        self._plans: dict[str, Plan] = {}
        self._planned = 0

    def publish(self, message: Message, origin: Session | None) -> int:
        """Hand a message to all who want it; the reason is what a PUBACK says."""
        topic = message.topic
        plan = self._plans.get(topic)
        if plan is None:
            plan = self._make_plan(topic)
        reason = SUCCESS
        if message.retain and not self.retained.store(message):
            self.ledger.drop("the store of retained messages is full")
            reason = QUOTA_EXCEEDED
        targets, groups = plan
        qos, retain = message.qos, message.retain
        for target in targets:
            session = target.session
            if session is origin and not target.local:
                rest = [one for one in target.subscriptions if not one.no_local]
                if not rest:
                    continue
                target = Target(rest)
            wanted = target.qos
            retained = retain and target.retain_as_published
            if session.offer(message, qos if qos < wanted else wanted, retained, target.ids):
                reason = QUOTA_EXCEEDED
        for group in groups:
            if group.offer(message):
                reason = QUOTA_EXCEEDED
        if not targets and not groups and reason == SUCCESS:
            return NO_MATCHING_SUBSCRIBERS
        return reason

    def _make_plan(self, topic: str) -> Plan:
        if not topics.valid_name(topic, self.ledger.limits.topic_levels):
            raise PacketError(TOPIC_NAME_INVALID, f"{topic[:80]!r} is not a topic that can be published to")
        groups: list[ShareGroup] = []
        by_session: dict[str, list[Subscription]] = {}
        entries = self._tree.match(topic)
        for entry in entries:
            if isinstance(entry, ShareGroup):
                groups.append(entry)
            else:
                by_session.setdefault(entry.session.client_id, []).append(entry)
        plan = tuple(Target(found) for found in by_session.values()), tuple(groups)
        if len(topic) <= CACHED_LENGTH:
            if len(self._plans) >= CACHED_TOPICS or self._planned + len(entries) > CACHED_ENTRIES:
                self._forget_plans()
            self._planned += len(entries)
            self._plans[topic] = plan
        return plan

    def _forget_plans(self) -> None:
        self._plans.clear()
        self._planned = 0

    def subscribe(self, session: Session, request: Request, identifier: int | None) -> tuple[int, bool]:
        """Add or replace a subscription: the SUBACK code, and whether it is a new one."""
        limits = self.ledger.limits
        text = request.filter
        share = topics.split_share(text) if text.startswith(SHARE_PREFIX) else None
        if share is not None and request.no_local:
            raise protocol_error("No Local on a shared subscription")
        plain = text if share is None else share[1]
        if (text.startswith("$share") and share is None) or not topics.valid_filter(
            plain, limits.topic_levels
        ):
            return TOPIC_FILTER_INVALID, False
        known = text in session.subscriptions
        if not known and not self._take_on(session, text, share):
            return QUOTA_EXCEEDED, False
        code = properties.SUBSCRIPTION_ID
        subscription = Subscription(
            session=session,
            filter=plain,
            qos=request.qos,
            no_local=request.no_local,
            retain_as_published=request.retain_as_published,
            ids=b"" if identifier is None else properties.encode_one(code, identifier),
        )
        session.subscriptions[text] = subscription
        self._forget_plans()
        if share is None:
            self._tree.add(plain, session.client_id, subscription)
        else:
            group = self.groups.get(share)
            group.join(subscription)
            self._tree.add(plain, _group_key(group), group)
        return request.qos, not known

    def _take_on(self, session: Session, text: str, share: tuple[str, str] | None) -> bool:
        """Whether there is a place for one more subscription, which is accounted for then."""
        if len(session.subscriptions) >= self.ledger.limits.subscriptions:
            return False
        size = topics.weight(text)
        if not self.ledger.keep(size):
            return False
        if share is not None and not self.groups.fits(share):
            self.ledger.let_go(size)
            return False
        return True

    def owe_retained(self, session: Session, request: Request, is_new: bool) -> None:
        """Note what a subscription is to get, by its Retain Handling; a shared one gets nothing."""
        text = request.filter
        if text.startswith(SHARE_PREFIX) or request.retain_handling == 2:
            return
        if request.retain_handling == 1 and not is_new:
            return
        # One that is asked for twice goes to the end of the line.
        session.owed.pop(text, None)
        session.owed[text] = self.retained.matching(text)

    def send_owed(self, session: Session) -> bool:
        """Send what is owed while the client reads, for a slice of time; True when it is not done by then."""
        link = session.link
        if link is None or not link.writable:
            return False
        until = time.monotonic() + SLICE
        while session.owed:
            text, messages = next(iter(session.owed.items()))
            for message in messages:
                if message is not None and not _send_retained(session.subscriptions[text], link, message):
                    return False
                if message is None and time.monotonic() >= until:
                    return True
            del session.owed[text]
            if time.monotonic() >= until:
                return True
        return False

    def unsubscribe(self, session: Session, text: str) -> int:
        subscription = session.subscriptions.pop(text, None)
        if subscription is None:
            return NO_SUBSCRIPTION_EXISTED
        session.owed.pop(text, None)
        self.ledger.let_go(topics.weight(text))
        self._forget_plans()
        share = topics.split_share(text) if text.startswith(SHARE_PREFIX) else None
        if share is None:
            self._tree.remove(subscription.filter, session.client_id)
            return SUCCESS
        group = self.groups.get(share)
        group.leave(session)
        if not group.members:
            self._tree.remove(subscription.filter, _group_key(group))
        return SUCCESS


def _send_retained(subscription: Subscription, link: Link, message: Message) -> bool:
    """Whether the client can take more after this one."""
    session, ids = subscription.session, subscription.ids
    if qos := min(message.qos, subscription.qos):
        session.offer(message, qos, True, ids)
    else:
        session.send_once(link, message, True, ids, True)
    return link.writable


def _group_key(group: ShareGroup) -> str:
    """Apart from every client id, which cannot hold U+0000."""
    return f"{group.key[0]}\0"
