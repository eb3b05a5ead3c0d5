"""What each report of a worker means for its slot: a table of small functions, one a kind of report."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from routemq_tui.engine.sanitise import harmless
from routemq_tui.engine.states import Event
from routemq_tui.units import format_seconds
from routemq_tui.worker import cells, spec

if TYPE_CHECKING:
    from routemq_tui.engine.slot import Slot

GIVEN_UP_EVERY = 60.0
"""Least seconds between two notices of a slot about messages given up; the log has or counts them all."""


@dataclass(slots=True)
class GivenUpLines:
    """What a slot's log says of messages given up. A worker reports some of many; its cells count all."""

    noticed_at: float = float("-inf")
    counted: int = 0

    def take(self, words: memoryview) -> int:
        """How many were given up since the last call."""
        before, self.counted = self.counted, words[cells.DEAD_LETTERED] + words[cells.DROPPED]
        return self.counted - before


def take(slot: Slot, report: spec.WorkerReport, now: float) -> None:
    _TAKE[type(report)](slot, report, now)


def _connected(slot: Slot, report: spec.Connected, now: float) -> None:
    slot.note = ""
    slot.around.sessions.connected(slot.client_id)
    slot.around.ledgers.connected(slot.route.name, now)
    slot.say("connected, " + ("session taken up again" if report.session_present else "new session"))
    if report.expiry_cap is not None:
        slot.say(
            f"the broker keeps the session for {report.expiry_cap} s only: "
            "messages for this worker are lost when it is away longer",
            logging.WARNING,
        )


def _subscribed(slot: Slot, report: spec.Subscribed, now: float) -> None:
    level = logging.INFO if report.granted_qos >= slot.route.qos else logging.WARNING
    slot.say(f"subscribed, QoS {report.granted_qos} granted (asked for {slot.route.qos})", level)
    slot.become(Event.SUBSCRIBED, now)
    slot.settle_pause(now)


def _disconnected(slot: Slot, report: spec.Disconnected, now: float) -> None:
    slot.note = f"no connection: {report.reason}"
    slot.say(f"{slot.note}; next try in {format_seconds(report.retry_in)}", logging.WARNING)


def _hopeless(slot: Slot, report: spec.ImportFailed | spec.Refused | spec.TakenOver, now: float) -> None:
    reason = "another client uses it" if isinstance(report, spec.TakenOver) else report.reason
    slot.unwelcome = not isinstance(report, spec.ImportFailed)
    slot.hopeless = harmless(f"{_HOPELESS[type(report)]}: {reason}")


def _start_failed(slot: Slot, report: spec.StartFailed, now: float) -> None:
    slot.start_fault = report.reason


def _draining(slot: Slot, report: spec.Draining, now: float) -> None:
    slot.say(f"draining, {report.in_hand} in hand")


def _drained(slot: Slot, report: spec.Drained, now: float) -> None:
    slot.drained = report


def _handler_failed(slot: Slot, report: spec.HandlerFailed, now: float) -> None:
    slot.last_error = f"{report.error} ({report.topic})"


def _given_up(slot: Slot, report: spec.GivenUp, now: float) -> None:
    slot.last_error = f"{report.error} ({report.topic})"
    times = f" after {report.attempts} attempts" if report.attempts > 1 else ""
    text = f"gave up {report.topic}{times}: {report.error}; {_OUTCOMES.get(report.outcome, report.outcome)}"
    if report.outcome != "stopped":
        text += _more_words(slot.given_up.take(slot.words) - 1)
    if now - slot.given_up.noticed_at < GIVEN_UP_EVERY:
        slot.say(text, logging.WARNING)
    else:
        slot.given_up.noticed_at = now
        slot.around.journal.notice("warning", f"{slot.name} {text}", slot.name)


def _more_words(more: int) -> str:
    if more < 0:  # the cells had it before its report was read
        return " (counted above)"
    return f" (and {more} more since)" if more else ""


def tell_untold(slot: Slot) -> None:
    """One line for the messages given up since the last line, if there are any."""
    if (more := slot.given_up.take(slot.words)) > 0:
        slot.say(f"gave up {more} more since", logging.WARNING)


def _store_failed(slot: Slot, report: spec.StoreFailed, now: float) -> None:
    reason = f"holds a message: dead letters: {report.reason}"
    if not slot.holding:
        text = f"{slot.name} {reason}; it is paused, nothing is acknowledged, and it tries again"
        slot.around.journal.notice("error", text, slot.name)
    slot.holding = reason
    slot.settle_pause(now)


def _store_recovered(slot: Slot, report: spec.StoreRecovered, now: float) -> None:
    if slot.holding:
        slot.around.journal.notice("information", f"{slot.name} stores dead letters again", slot.name)
    slot.holding = ""
    slot.settle_pause(now)


def _stopped(slot: Slot, report: spec.Stopped, now: float) -> None:
    slot.last_error = f"{report.error} ({report.topic})"
    slot.stopped = f'stopped by on_error = "stop": {report.error} on {report.topic}, which is kept'


def _seen(slot: Slot, report: spec.Seen, now: float) -> None:
    slot.around.ledgers.seen(slot.route.name, slot.number, report, now)
    given_up_unrun = report.unrun in ("poison", "timeout")
    if report.fate not in ("came", "stopped") and not given_up_unrun:
        slot.deaths.survived(report.fingerprint)


def _message_told(slot: Slot, report: spec.MessageTold, now: float) -> None:
    slot.around.told.take(slot.name, report, now)


def _errors_counted(slot: Slot, report: spec.ErrorsCounted, now: float) -> None:
    slot.around.told.count(slot.name, report)
    tell_untold(slot)


_OUTCOMES = {
    "stored": "it is a dead letter",
    "published": "published as a dead letter",
    "dropped": "dropped",
    "stopped": "the worker stops",
}
_HOPELESS: dict[type, str] = {
    spec.ImportFailed: "the handler cannot be used",
    spec.Refused: "the broker refused it",
    spec.TakenOver: "its client id was taken over",
}
_TAKE: dict[type, Callable[..., None]] = {
    spec.Connected: _connected,
    spec.Subscribed: _subscribed,
    spec.Disconnected: _disconnected,
    spec.ImportFailed: _hopeless,
    spec.StartFailed: _start_failed,
    spec.Refused: _hopeless,
    spec.TakenOver: _hopeless,
    spec.Draining: _draining,
    spec.Drained: _drained,
    spec.HandlerFailed: _handler_failed,
    spec.GivenUp: _given_up,
    spec.StoreFailed: _store_failed,
    spec.StoreRecovered: _store_recovered,
    spec.Stopped: _stopped,
    spec.Seen: _seen,
    spec.MessageTold: _message_told,
    spec.ErrorsCounted: _errors_counted,
}
