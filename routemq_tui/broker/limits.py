"""Every bound of the broker in one place: memory and counts are limited, and what exceeds a limit is said."""

from __future__ import annotations

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Counts, bytes and seconds. Each can be set with `--limit name=value`."""

    packet_bytes: int = 16 * MEBIBYTE
    """Largest packet accepted; announced as Maximum Packet Size."""
    receive_maximum: int = 1000
    """QoS 2 messages a client may have between PUBLISH and PUBREL; announced."""
    topic_aliases: int = 100
    topic_levels: int = 128
    default_window: int = 20
    """Unacknowledged messages to a client that names no Receive Maximum (3.1.1 cannot)."""
    queue_messages: int = 100_000
    """Messages waiting for one session or one share group."""
    queue_bytes: int = 64 * MEBIBYTE
    """Bytes waiting, or unacknowledged, for one session or one share group."""
    total_bytes: int = 256 * MEBIBYTE
    """The same over all of them."""
    write_buffer: int = MEBIBYTE
    """Bytes written to a client that does not read; beyond, QoS 0 is dropped and the rest waits."""
    unsent_bytes: int = 256 * MEBIBYTE
    """Written to all clients and not read yet; beyond, who lags gets no QoS 0, and nobody a large message."""
    sessions: int = 10_000
    subscriptions: int = 1000
    """Of one session, and topic filters of one packet."""
    state_bytes: int = 128 * MEBIBYTE
    """All sessions, filters, groups, wills, topic aliases and unfinished packets, about."""
    retained_messages: int = 10_000
    retained_bytes: int = 64 * MEBIBYTE
    linger: int = 60
    """Seconds a share group's waiting messages are kept after its last subscription went."""
    connect_timeout: int = 10
    close_timeout: int = 5
    sys_interval: int = 5
    """Seconds between two publications of `$SYS`."""
