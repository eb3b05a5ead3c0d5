"""What became of the messages a worker had in hand when it died: in one sentence, and one by one. Pure."""

from __future__ import annotations

from routemq_tui.engine.ledgers import fate_words, is_with_broker
from routemq_tui.engine.snapshot import FAILED, Ledger, LedgerEntry, Outcome
from routemq_tui.tui.fitting import clip, place
from routemq_tui.tui.rows import Row
from routemq_tui.tui.tones import Face, Fragment, Tone
from routemq_tui.units import format_age, format_seconds

HEADLINES = 3
"""So many of a route's ledgers are told; the newest first."""
ENTRIES = 100
"""So many messages of one ledger are listed."""
SLOT_WIDTH = 5
AFTER_WIDTH = 6

OUTCOME_FACES = {
    Outcome.AWAITED: Face("…", "awaited", Tone.WARN),
    Outcome.REDELIVERED: Face("↪", "running", Tone.ACCENT),
    Outcome.HANDLED: Face("✓", "handled", Tone.OK),
    Outcome.HANDLED_TWICE: Face("²", "twice", Tone.WARN),
    Outcome.DEAD_LETTERED: Face("✗", "dead letter", Tone.BAD),
    Outcome.PUBLISHED: Face("✗", "published", Tone.BAD),
    Outcome.DROPPED: Face("✗", "dropped", Tone.BAD),
    Outcome.STOPPED: Face("✗", "stopped", Tone.BAD),
    Outcome.UNKNOWABLE: Face("?", "unknown", Tone.MUTED),
}
UNSEEN = Face("✗", "not seen", Tone.BAD)
"""Awaited in a ledger that is settled: it did not come while it was looked for."""
LOST = Face("✗", "lost", Tone.BAD)
"""Unknowable in a ledger in which all that was handled is known."""
WITH_BROKER = Face("…", "with broker", Tone.WARN)
"""Awaited once more: the worker it had come to went without having handled it."""
FACE_WIDTH = 13
NOTES = {"poison": "  not run again", "timeout": "  not run again", "payload": "  not run"}
"""Of a message given up, by why its handler was not called at last."""


def ledgers_of(row: Row) -> list[Ledger]:
    """The ledgers of a row, newest first: of one worker the last one, else the last few.

    Of a worker whose last death left nothing in hand the one before is told, too.
    """
    newest_first = reversed(row.snapshot.ledgers)
    if row.worker is not None:
        own = [each for each in newest_first if each.worker == row.worker.name]
        return own[:1] if own and own[0].in_flight else own[:2]
    if row.route is not None:
        found = [each for each in newest_first if each.worker.rpartition("/")[0] == row.route.name]
        return found[:HEADLINES]
    return list(newest_first)[:HEADLINES]


def headline(ledger: Ledger, now: float, named: bool) -> Fragment:
    """What happened and what became of it in one sentence; `named` says of which worker."""
    parts = [f"{ledger.in_flight} in flight" if ledger.in_flight else "nothing in hand"]
    if again := sum(entry.slot is not None for entry in ledger.entries):
        parts.append(f"{again} redelivered in {ledger.span_words()}")
    parts += fate_words(ledger)
    if with_broker := sum(map(is_with_broker, ledger.entries)):
        parts.append(f"{with_broker} with the broker")
    if unseen := ledger.counts[Outcome.AWAITED] - with_broker:
        parts.append(f"{unseen} not seen again{'' if ledger.settled else ' yet'}")
    if ledger.in_flight > len(ledger.entries):
        parts.append(f"only the first {len(ledger.entries)} followed")
    who = f"{ledger.worker} " if named else ""
    age = format_age(max(0.0, now - ledger.time))
    return Fragment(f"{who}{ledger.reason} {age} ago: {', '.join(parts)}", _tone(ledger))


def _tone(ledger: Ledger) -> Tone:
    counts = ledger.counts
    unseen = counts[Outcome.AWAITED] - sum(map(is_with_broker, ledger.entries))
    if any(counts[outcome] for outcome in FAILED) or (unseen and ledger.settled):
        return Tone.BAD
    uncertain = counts[Outcome.AWAITED] or counts[Outcome.HANDLED_TWICE] or ledger.handled_before
    return Tone.WARN if uncertain or not ledger.qos else Tone.OK


def entry_lines(ledger: Ledger, width: int) -> list[list[Fragment]]:
    """A title and a line a message, in the order in which they were received."""
    number = f" pid {ledger.pid}" if width >= 60 else ""
    lines = [
        [
            Fragment(" In hand when ", Tone.MUTED),
            Fragment(f"{ledger.worker}{number}", Tone.TITLE),
            Fragment(" died", Tone.MUTED),
        ],
        [
            Fragment(
                f"   {'outcome':<{FACE_WIDTH - 2}} {'to':>{SLOT_WIDTH}} {'after':>{AFTER_WIDTH}}  topic",
                Tone.MUTED,
            )
        ],
    ]
    lines += [_entry_line(entry, _face(entry, ledger), width) for entry in ledger.entries[:ENTRIES]]
    if (left := ledger.in_flight - min(len(ledger.entries), ENTRIES)) > 0:
        lines.append([Fragment(f"   and {left} more", Tone.MUTED)])
    return lines


def _face(entry: LedgerEntry, ledger: Ledger) -> Face:
    if is_with_broker(entry):
        return WITH_BROKER
    if entry.outcome is Outcome.AWAITED and ledger.settled:
        return UNSEEN
    if entry.outcome is Outcome.UNKNOWABLE and not ledger.handled_before:
        return LOST
    return OUTCOME_FACES[entry.outcome]


def _entry_line(entry: LedgerEntry, face: Face, width: int) -> list[Fragment]:
    slot = "-" if entry.slot is None else f"/{entry.slot}"
    used = 1 + FACE_WIDTH + 1 + SLOT_WIDTH + 1 + AFTER_WIDTH + 2
    topic = entry.topic or f"not known (#{entry.fingerprint:016x})"
    note = NOTES.get(entry.unrun, "")
    return [
        Fragment(" " + place(face.text, FACE_WIDTH, "left"), face.tone),
        Fragment(f" {slot:>{SLOT_WIDTH}}"),
        Fragment(f" {format_seconds(entry.after):>{AFTER_WIDTH}}  ", Tone.MUTED),
        Fragment(clip(topic, max(4, width - used - len(note) - 1)), Tone.TEXT if entry.topic else Tone.MUTED),
        *([Fragment(note, Tone.WARN)] if note else []),
    ]
