"""How a worker process ended, read off its exit code and the slot's cells, and written into the books.

The deaths table learns which message was being handled, the ledgers what was in hand.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from routemq_tui.engine import reports
from routemq_tui.engine.ledgers import Death
from routemq_tui.engine.process import WorkerProcess, exit_words
from routemq_tui.engine.sanitise import harmless
from routemq_tui.engine.states import WorkerState
from routemq_tui.engine.told import Current
from routemq_tui.errors import ExitCode
from routemq_tui.worker import black_box, cells
from routemq_tui.worker.spec import Drained

if TYPE_CHECKING:
    from routemq_tui.engine.slot import Slot


@dataclass(frozen=True, slots=True)
class End:
    words: str
    unfinished: int
    """Messages that were in hand."""
    killed: bool
    """By the slot, for the reason in its status."""
    drained: Drained | None
    """What the worker said at the end of a drain that went through."""
    suspect: int = 0
    """Fingerprint of the message that is blamed for this death; 0 for none."""

    @property
    def account(self) -> str:
        """Of one that was to go: the drain it ended with, or how it ended and what it left."""
        if self.drained:
            return drained_words(self.drained)
        return f"{self.words}, {self.unfinished} unfinished"

    @property
    def left_words(self) -> str:
        """Where the broker has one queue for all workers of the route, what becomes of what a drain left."""
        if not self.drained or not self.drained.left:
            return ""
        return " with the broker; another worker of the route, or one added, takes them up"


def drained_words(drained: Drained) -> str:
    return f"drained: {drained.finished} finished, {drained.left} left"


def describe_end(slot: Slot, process: WorkerProcess, now: float) -> End:
    """Read all there is to know of an ended process, before its cells are used again."""
    reports.tell_untold(slot)
    code = process.exit_code
    killed = slot.state is WorkerState.KILLED
    drained = slot.drained if code == ExitCode.OK else None
    by_us = "killed for what it wrote to its control pipe" if process.killed else ""
    topic = slot.current_topic()
    by_us = slot.status.reason if killed else by_us
    told = slot.start_fault if not by_us else ""
    words = harmless(told or exit_words(code, topic, by_us))
    in_flight = slot.words[cells.IN_FLIGHT]
    suspect = 0
    in_order = drained is not None or slot.stopped or slot.hopeless or slot.start_fault
    if not in_order:
        if topic is not None and (slot.blamed or not process.killed):
            suspect = black_box.current_fingerprint(slot.words)
        if suspect:
            words += _suspect(slot, suspect, topic or "", words, now)
        if not slot.is_stopping:
            slot.around.ledgers.open(death_of(slot, process, words), now)
    slot.around.ledgers.gone(slot.route.name, slot.number, now)
    if slot.foretold and not suspect:
        slot.deaths.withdraw(slot.foretold)
    return End(words, drained.left if drained else in_flight, killed, drained, suspect)


def foretell(slot: Slot, now: float) -> None:
    """Before a kill: a broker may give the message to another worker before the end of this one is seen."""
    slot.foretold = black_box.current_fingerprint(slot.words) if slot.current_topic() is not None else 0
    if slot.foretold:
        slot.deaths.add(slot.foretold, now, slot.timed_out)


def _suspect(slot: Slot, fingerprint: int, topic: str, words: str, now: float) -> str:
    times = slot.deaths.deaths_of(fingerprint)
    if fingerprint != slot.foretold or not times:
        if slot.foretold:
            slot.deaths.withdraw(slot.foretold)
        times = slot.deaths.add(fingerprint, now, slot.timed_out)
    most = slot.deaths.most
    if times == most:
        text = f"{topic} was being handled at {times} deaths of its worker: it is given up and not run again"
        slot.around.journal.notice("error", text, slot.name)
    memory, since = slot.words, slot.words[cells.CURRENT_SINCE_NS]
    running = max(time.monotonic_ns() - since, 0) / 1e9
    current = Current(topic, fingerprint, running, black_box.current_payload(memory))
    deaths = f" ({_deaths_words(times, most)})"
    slot.around.told.died(slot.name, current, words + deaths, times, slot.timed_out)
    return deaths


def _deaths_words(times: int, most: int) -> str:
    """A broker may hand a message to another worker before the table says that it is to be given up."""
    if times <= most:
        return f"{times} of {most} deaths"
    ending = "th" if times % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(times % 10, "th")
    return f"{times}{ending} death, limit {most}"


def death_of(slot: Slot, process: WorkerProcess, reason: str) -> Death:
    """What a process that dies, or is about to, has in hand."""
    memory = slot.words
    current = black_box.read_current(memory)
    fingerprint = black_box.current_fingerprint(memory)
    handled = memory[cells.OK] + memory[cells.FAILED] - slot.ended_before
    cut_short = memory[cells.DONE_TO] - memory[cells.ACKNOWLEDGED]  # a run of the hot path: not counted yet
    in_hand = black_box.in_hand_fingerprints(memory)
    # Of more than the ring holds the oldest are not told.
    untold = memory[cells.RECEIVED] - memory[cells.ACKNOWLEDGED] - len(in_hand)
    let_go = memory[cells.ACKNOWLEDGED] - slot.received_before + untold
    return Death(
        route=slot.route.name,
        slot=slot.number,
        pid=process.pid,
        reason=reason,
        qos=slot.route.qos,
        in_flight=memory[cells.IN_FLIGHT],
        in_hand=in_hand,
        finished=max(handled - let_go, cut_short, 0),
        in_order=slot.route.concurrency == 1,
        current=(fingerprint, current[0]) if current is not None and fingerprint else None,
    )
