"""What became of the messages a worker had in hand when it died: in one sentence, and one by one. Pure."""

from __future__ import annotations

from collections import Counter

from routemq_tui.engine.snapshot import Ledger, LedgerEntry, Outcome
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
    Outcome.UNKNOWABLE: Face("?", "unknown", Tone.MUTED),
}
UNSEEN = Face("✗", "not seen", Tone.BAD)
"""Awaited in a ledger that is settled: it did not come while it was looked for."""
FACE_WIDTH = 11
AGAIN = (Outcome.REDELIVERED, Outcome.HANDLED, Outcome.HANDLED_TWICE)


def ledgers_of(row: Row) -> list[Ledger]:
    """The ledgers of a row, newest first: of one worker the last one, else the last few."""
    newest_first = reversed(row.snapshot.ledgers)
    if row.worker is not None:
        return [each for each in newest_first if each.worker == row.worker.name][:1]
    if row.route is not None:
        found = [each for each in newest_first if each.worker.rpartition("/")[0] == row.route.name]
        return found[:HEADLINES]
    return list(newest_first)[:HEADLINES]


def headline(ledger: Ledger, now: float, named: bool) -> Fragment:
    """What happened and what became of it in one sentence; `named` says of which worker."""
    tallies = Counter(entry.outcome for entry in ledger.entries)
    parts = [f"{ledger.in_flight} in flight"]
    if again := sum(tallies[outcome] for outcome in AGAIN):
        parts.append(f"{again} redelivered {_span(ledger.entries)}".rstrip())
    if tallies[Outcome.HANDLED_TWICE]:
        parts.append(f"{tallies[Outcome.HANDLED_TWICE]} handled twice")
    if tallies[Outcome.AWAITED]:
        parts.append(f"{tallies[Outcome.AWAITED]} not seen again{'' if ledger.settled else ' yet'}")
    if tallies[Outcome.UNKNOWABLE]:
        parts.append(f"{tallies[Outcome.UNKNOWABLE]} unknowable (QoS 0: never sent again)")
    if ledger.in_flight > len(ledger.entries):
        parts.append(f"only the first {len(ledger.entries)} followed")
    who = f"{ledger.worker} " if named else ""
    age = format_age(max(0.0, now - ledger.time))
    return Fragment(f"{who}{ledger.reason} {age} ago: {', '.join(parts)}", _tone(ledger, tallies))


def _tone(ledger: Ledger, tallies: Counter[Outcome]) -> Tone:
    if tallies[Outcome.AWAITED]:
        return Tone.BAD if ledger.settled else Tone.WARN
    return Tone.WARN if tallies[Outcome.UNKNOWABLE] or tallies[Outcome.HANDLED_TWICE] else Tone.OK


def _span(entries: tuple[LedgerEntry, ...]) -> str:
    """How long the redeliveries took: `in 0.1-0.3 s`, `in 12-40 ms`."""
    times = [entry.after for entry in entries if entry.after is not None]
    if not times:
        return ""
    if max(times) < 0.095:
        low, high, unit = f"{min(times) * 1000:.0f}", f"{max(times) * 1000:.0f}", "ms"
    else:
        low, high, unit = f"{min(times):.1f}", f"{max(times):.1f}", "s"
    return f"in {low if low == high else f'{low}-{high}'} {unit}"


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
    lines += [_entry_line(entry, ledger.settled, width) for entry in ledger.entries[:ENTRIES]]
    if (left := ledger.in_flight - min(len(ledger.entries), ENTRIES)) > 0:
        lines.append([Fragment(f"   and {left} more", Tone.MUTED)])
    return lines


def _entry_line(entry: LedgerEntry, settled: bool, width: int) -> list[Fragment]:
    unseen = settled and entry.outcome is Outcome.AWAITED
    face = UNSEEN if unseen else OUTCOME_FACES[entry.outcome]
    slot = "-" if entry.slot is None else f"/{entry.slot}"
    used = 1 + FACE_WIDTH + 1 + SLOT_WIDTH + 1 + AFTER_WIDTH + 2
    topic = entry.topic or f"not known (#{entry.fingerprint:016x})"
    return [
        Fragment(" " + place(face.text, FACE_WIDTH, "left"), face.tone),
        Fragment(f" {slot:>{SLOT_WIDTH}}"),
        Fragment(f" {format_seconds(entry.after):>{AFTER_WIDTH}}  ", Tone.MUTED),
        Fragment(clip(topic, max(4, width - used - 1)), Tone.TEXT if entry.topic else Tone.MUTED),
    ]
