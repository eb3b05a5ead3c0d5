"""Looks after the live processes, twice a second: stuck, beyond the handler's timeout, over the memory limit.

What it finds is reported and, past a bound, ended: the slot then replaces the process, with the reason.
"""

from __future__ import annotations

from routemq_tui.engine.journal import Journal
from routemq_tui.engine.slot import Slot
from routemq_tui.engine.states import Intent, WorkerState
from routemq_tui.units import format_bytes
from routemq_tui.worker import cells

STUCK_AFTER = 10.0
"""Seconds without a heartbeat until it is reported …"""
STUCK_GRACE = 10.0
"""… and from then until it is killed."""
ASYNC_GRACE = 2.0
"""A worker ends an async handler at its timeout by itself; one that resists is killed so much later."""
MEMORY_DRAIN = 5.0
"""Seconds a worker over its memory limit may take for what it has in hand …"""
MEMORY_SLACK = 1.5
"""… unless it is beyond the limit by this factor: then it is killed at once."""
_ENDING = (WorkerState.KILLED, WorkerState.DRAINING)


def look_after(slot: Slot, journal: Journal, now: float, now_ns: int) -> None:
    if slot.process is None or not slot.alive or slot.state is WorkerState.KILLED:
        return
    if _check_timeout(slot, now, now_ns) or _check_heartbeat(slot, journal, now, now_ns):
        return
    _check_memory(slot, journal, now)


def _check_timeout(slot: Slot, now: float, now_ns: int) -> bool:
    limit = slot.route.timeout
    since = slot.words[cells.CURRENT_SINCE_NS]
    if limit is None or not since:
        return False
    grace = 0.0 if slot.is_sync else ASYNC_GRACE
    if (now_ns - since) / 1e9 < limit + grace:
        return False
    topic = slot.current_topic()
    if topic is None:  # it went on at this moment
        return False
    slot.timed_out = True
    slot.kill(now, f"handler beyond its timeout of {limit:g} s on {topic}", blamed=True)
    return True


def _check_heartbeat(slot: Slot, journal: Journal, now: float, now_ns: int) -> bool:
    """Report a process that gives no sign of life, and kill it when it stays so."""
    beat = slot.words[cells.HEARTBEAT_NS]
    silent = (now_ns - beat) / 1e9 if beat else now - slot.started_at
    if silent < STUCK_AFTER:
        if slot.stuck:
            slot.stuck, slot.note = False, ""
            journal.notice("information", f"{slot.name} is alive again", slot.name)
        return False
    topic = slot.current_topic()
    doing = f" in {topic}" if topic else ""
    what = f"no heartbeat for {silent:.0f} s{doing}: stopped, or busy in native code"
    if silent >= STUCK_AFTER + STUCK_GRACE:
        slot.kill(now, what, blamed=True)
        return True
    slot.note = f"{what}; killed at {STUCK_AFTER + STUCK_GRACE:g} s"
    if not slot.stuck:
        slot.stuck = True
        journal.notice("warning", f"{slot.name}: {slot.note}", slot.name)
    return False


def _check_memory(slot: Slot, journal: Journal, now: float) -> None:
    limit = slot.route.limits.memory
    used = slot.usage.rss_bytes if slot.usage else None
    if limit is None or used is None or used <= limit:
        return
    reason = f"over its memory limit: {format_bytes(used)} of {format_bytes(limit)}"
    if used > limit * MEMORY_SLACK:
        slot.kill(now, reason, blamed=True, counts=True)
    elif slot.state not in _ENDING:
        journal.notice("warning", f"{slot.name} {reason}; it is restarted", slot.name)
        slot.fault = reason
        slot.drain(now, Intent.RESTART, MEMORY_DRAIN)
