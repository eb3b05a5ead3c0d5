"""What the broker tells about itself: `$SYS` messages in mosquitto's names, and a full inspection."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from routemq_tui.broker.message import Message

if TYPE_CHECKING:
    from routemq_tui.broker.server import Broker
    from routemq_tui.broker.session import Session
    from routemq_tui.broker.shared import ShareGroup


def totals(broker: Broker) -> dict[str, int | float | str]:
    """Counters since the start and the present sizes."""
    connected = sum(session.link is not None for session in broker.sessions.values())
    return {
        **asdict(broker.ledger.totals),
        "clients_connected": connected,
        "sessions": len(broker.sessions),
        "retained": len(broker.distribution.retained),
        "subscriptions": sum(len(session.subscriptions) for session in broker.sessions.values()),
        "held_bytes": broker.ledger.bytes,
        "state_bytes": broker.ledger.state,
        "unsent_bytes": broker.ledger.unsent,
        "uptime": round(time.monotonic() - broker.started, 3),
    }


_TOPICS = {
    "clients/connected": "clients_connected",
    "clients/total": "sessions",
    "messages/received": "received",
    "messages/sent": "sent",
    "publish/messages/received": "received",
    "publish/messages/sent": "sent",
    "publish/messages/dropped": "dropped",
    "bytes/received": "bytes_received",
    "bytes/sent": "bytes_sent",
    "retained messages/count": "retained",
    "subscriptions/count": "subscriptions",
    "store/messages/bytes": "held_bytes",
}


def messages(broker: Broker) -> Iterator[Message]:
    """All `$SYS` messages, retained."""
    values = totals(broker)
    yield Message("$SYS/broker/version", broker.version.encode(), 0, retain=True)
    uptime = f"{int(float(values['uptime']))} seconds"
    yield Message("$SYS/broker/uptime", uptime.encode(), 0, retain=True)
    for name, value in _TOPICS.items():
        yield Message(f"$SYS/broker/{name}", str(values[value]).encode(), 0, retain=True)


def inspection(broker: Broker) -> dict[str, Any]:
    """Everything a test or a screen wants to see, as plain JSON values."""
    return {
        "version": broker.version,
        "totals": totals(broker),
        "sessions": [_session(session) for session in broker.sessions.values()],
        "groups": [_group(group) for group in broker.distribution.groups.by_key.values()],
    }


def _session(session: Session) -> dict[str, Any]:
    link = session.link
    left = None if session.expires_at is None else max(0.0, round(session.expires_at - time.monotonic(), 3))
    return {
        "client_id": session.client_id,
        "connected": link is not None,
        "window": None if link is None else link.window,
        "unacknowledged": len(session.outgoing),
        "queued": len(session.queue),
        "bytes": session.budget.bytes,
        "expires_in": left,
        "subscriptions": {text: one.qos for text, one in session.subscriptions.items()},
    }


def _group(group: ShareGroup) -> dict[str, Any]:
    members = []
    for client_id, member in group.members.items():
        session = member.session
        link = session.link
        held = sum(one.group == group.key and not one.released for one in session.outgoing.values())
        members.append(
            {
                "client_id": client_id,
                "connected": link is not None,
                "window": None if link is None else link.window,
                "unacknowledged": held,
                "sent": member.sent,
            }
        )
    return {
        "group": group.key[0],
        "filter": group.key[1],
        "queued": group.depth,
        "bytes": group.budget.bytes,
        "unfinished": group.budget.messages,
        "accepted": group.accepted,
        "returned": group.returned,
        "dropped": group.dropped,
        "members": members,
    }
