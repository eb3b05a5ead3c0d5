"""The broker itself: sessions and their connections, wills, expiry, and the clock that drives them."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import Protocol

import routemq_tui
from routemq_tui.broker import sys_topics, topics
from routemq_tui.broker.budget import Ledger
from routemq_tui.broker.distribution import Distribution
from routemq_tui.broker.limits import Limits
from routemq_tui.broker.message import Message
from routemq_tui.broker.packets import Connect, Will
from routemq_tui.broker.reasons import (
    NOT_AUTHORISED,
    QUOTA_EXCEEDED,
    SERVER_SHUTTING_DOWN,
    SESSION_TAKEN_OVER,
    TOPIC_NAME_INVALID,
    PacketError,
)
from routemq_tui.broker.session import Link, Session, session_weight

log = logging.getLogger("routemq_tui.broker")

TICK = 0.25


class Connection(Link, Protocol):
    """What the broker asks of a connection beyond what a session does."""

    def flush(self) -> None: ...
    def tick(self, now: float) -> None: ...


class Broker:
    """One broker; all its methods run in one event loop."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.ledger = Ledger(self.limits)
        self.ledger.forget_expired = self._forget_expired
        self.distribution = Distribution(self.ledger)
        self.sessions: dict[str, Session] = {}
        self.connections: set[Connection] = set()
        self.version = f"routemq-tui {routemq_tui.__version__}"
        self.started = time.monotonic()
        self._loop = asyncio.get_running_loop()
        self._dirty: list[Connection] = []
        self._assigned = 0
        self._said = self._published = 0.0
        self._stopping = False

    # Connections

    def connect(self, connection: Connection, packet: Connect) -> tuple[Session, bool]:
        """Give the client its session, taking it over from a living connection; says whether it was there."""
        client_id = packet.client_id or self._assign()
        session = self.sessions.get(client_id)
        self._check_room(client_id, packet.will)
        if packet.will is not None:
            self._check_will(packet.will)
        if session is not None and session.link is not None:
            session.link.close(SESSION_TAKEN_OVER, "another client connected with this client id")
            session = self.sessions.get(client_id)
        if session is not None and packet.clean_start:
            self.end(session, "a clean start was asked for")
            session = None
        present = session is not None
        if session is None:
            session = self.sessions[client_id] = Session(client_id, self.ledger)
            self.ledger.state += session.weight
        session.expiry = packet.session_expiry
        session.set_will(packet.will)
        self.ledger.totals.connections += 1
        return session, present

    def _assign(self) -> str:
        self._assigned += 1
        return f"auto-{os.getpid()}-{self._assigned}"

    def _check_room(self, client_id: str, will: Will | None) -> None:
        """Before anything is changed, so that who is refused keeps the session it has."""
        size = 0 if will is None else will.weight
        if client_id not in self.sessions:
            if len(self.sessions) >= self.limits.sessions:
                raise PacketError(QUOTA_EXCEEDED, f"the broker has {len(self.sessions)} sessions, its limit")
            size += session_weight(client_id)
        if not self.ledger.has_place(size):
            raise PacketError(QUOTA_EXCEEDED, "the broker keeps as much as it may for its clients")

    def _check_will(self, will: Will) -> None:
        if not topics.valid_name(will.topic, self.limits.topic_levels):
            raise PacketError(TOPIC_NAME_INVALID, "the will's topic is not one that can be published to")
        if will.topic.startswith("$SYS"):
            raise PacketError(NOT_AUTHORISED, "the will's topic is the broker's own")

    def detach(self, session: Session, link: Link, *, keep_will: bool) -> None:
        """The session loses this connection: work goes back to its groups, the will is due; it may end."""
        if session.link is not link or self._stopping:
            return
        back = session.detach()
        if not keep_will:
            session.set_will(None)
        if not session.expiry:
            self.end(session, "it was not to outlive its connection")
        elif session.will is not None:
            session.will_at = time.monotonic() + min(session.will.delay, session.expiry)
            if not session.will.delay:
                self._send_will(session)
        self.distribution.groups.put_back(back)

    def _send_will(self, session: Session) -> None:
        will, session.will_at = session.will, None
        if will is None:
            return
        session.set_will(None)
        expires_at = None if will.expiry is None else time.monotonic() + will.expiry
        message = Message(will.topic, will.payload, will.qos, will.retain, will.properties, expires_at)
        self.distribution.publish(message, None)

    def end(self, session: Session, why: str) -> None:
        """The session is over; what it still held is lost, which is counted and said."""
        for text in list(session.subscriptions):
            self.distribution.unsubscribe(session, text)
        self._send_will(session)
        lost = session.forget()
        if lost:
            self.ledger.drop(f"the session of {session.client_id} ended ({why})", lost)
        if self.sessions.get(session.client_id) is session:
            del self.sessions[session.client_id]
            self.ledger.let_go(session.weight)

    # Time

    def write_soon(self, connection: Connection) -> None:
        """Send this connection's frames at the end of this turn of the loop, in one system call."""
        if not self._dirty:
            self._loop.call_soon(self._flush)
        self._dirty.append(connection)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            connection.flush()

    def start_clock(self) -> None:
        self._tick()

    def _tick(self) -> None:
        self._loop.call_later(TICK, self._tick)
        now = time.monotonic()
        for connection in list(self.connections):
            connection.tick(now)
        for session in list(self.sessions.values()):
            if session.will_at is not None and now >= session.will_at:
                self._send_will(session)
            if session.expires_at is not None and now >= session.expires_at:
                self.end(session, "it expired")
        self.distribution.groups.forget_abandoned(now)
        if now - self._said >= 1:
            self._said = now
            self.ledger.report()
            self.distribution.retained.forget_expired()
        if now - self._published >= self.limits.sys_interval:
            self._published = now
            for message in sys_topics.messages(self):
                self.distribution.publish(message, None)

    def _forget_expired(self, now: float) -> None:
        """In all queues, as the bytes of one keep out the messages for another."""
        for session in self.sessions.values():
            session.forget_expired(now)
        for group in self.distribution.groups.by_key.values():
            group.forget_expired(now)

    def stop(self) -> None:
        """Tell every client and close; no will is sent and nothing redelivered any more."""
        self._stopping = True
        for connection in list(self.connections):
            connection.close(SERVER_SHUTTING_DOWN, "the broker is stopping")
        self._flush()
        self.ledger.report()
