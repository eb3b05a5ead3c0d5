"""A slot's shared-memory cells: single-writer 64-bit counters, a latency histogram, the messages in hand.

The worker writes, the engine reads, nobody locks: each cell is one aligned 64-bit word. Only the suspects and
the watched are written by the engine and read by the worker. The memory belongs to the slot, is anonymous (a
RawArray handed over at spawn) and outlives the process, so counts go on rising across restarts and the last
messages of a killed worker can be named.
"""

from __future__ import annotations

import ctypes
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from typing import Any

_NAMES = (
    "received",  # PUBLISH packets taken from the broker
    "ok",  # handlers that returned
    "failed",  # messages whose handler failed for good
    "retried",  # handler calls beyond a message's first
    "dead_lettered",
    "dropped",  # given up by policy, not stored anywhere
    "duplicates",  # PUBLISH packets with the DUP flag
    "bytes",  # payload bytes received
    "busy_ns",  # time spent in handlers
    "in_flight",  # received, not yet acknowledged
    "log_dropped",  # log records the worker had to drop
    "heartbeat_ns",  # time.monotonic_ns(), at least once a second while the process lives
    "current_since_ns",  # time.monotonic_ns() at which the current handler call began; 0 when idle
    "current_length",  # bytes of the current topic that are stored
    "connected",  # 1 while connected and subscribed
    "connects",  # CONNACKs with success
    "pid",
    "generation",  # raised each time the broker had no session for us
    "acknowledged",  # of `received`, those that are no longer in hand: all before them are not either
    "current_fingerprint",  # of the message whose handler call is under way
    "holding",  # 1 while a message is held because its dead letter cannot be stored
    "done_from",  # numbers of receipt from here …
    "done_to",  # … to here are handled, and their acknowledgement is not out yet
    "record_from",  # number of receipt of the first message in the record (`black_box`)
    "record_count",  # messages in it
    "record_bytes",
    "record_v5",  # 1 when its packets are of MQTT 5
)

# Module constants so that the hot path indexes with a global load, not an attribute chain.
(
    RECEIVED,
    OK,
    FAILED,
    RETRIED,
    DEAD_LETTERED,
    DROPPED,
    DUPLICATES,
    BYTES,
    BUSY_NS,
    IN_FLIGHT,
    LOG_DROPPED,
    HEARTBEAT_NS,
    CURRENT_SINCE_NS,
    CURRENT_LENGTH,
    CONNECTED,
    CONNECTS,
    PID,
    GENERATION,
    ACKNOWLEDGED,
    CURRENT_FINGERPRINT,
    HOLDING,
    DONE_FROM,
    DONE_TO,
    RECORD_FROM,
    RECORD_COUNT,
    RECORD_BYTES,
    RECORD_V5,
) = range(len(_NAMES))

OF_A_PROCESS = (CURRENT_SINCE_NS, CURRENT_FINGERPRINT, IN_FLIGHT, CONNECTED, HOLDING, PID, HEARTBEAT_NS)
"""Cells that tell of the moment and mean nothing without the process; the others go on over restarts."""

HISTOGRAM = 32
"""First word of the histogram."""
_SUB_BITS = 4
_SUB = 1 << _SUB_BITS
BUCKETS = _SUB * 40
"""16 buckets an octave: a bucket is at most 1/16 wide, so its middle is within 3.2 % of any value in it."""
CURRENT_TOPIC = HISTOGRAM + BUCKETS
CURRENT_TOPIC_BYTES = 512
IN_HAND = CURRENT_TOPIC + CURRENT_TOPIC_BYTES // 8
IN_HAND_RING = 1024
"""Fingerprints by number of receipt, modulo this: those from `acknowledged` to `received` are in hand. Of
those in the record they are not written here but computed when asked for."""
QOS2 = IN_HAND + IN_HAND_RING
QOS2_WORDS = 65536 // 64
"""A bit for each packet id between our PUBREC and the broker's PUBREL (MQTT 5 section 4.3.3)."""
SUSPECTS = QOS2 + QOS2_WORDS
SUSPECTS_MOST = 64
"""Written by the engine: the number of entries, then fingerprint and deaths of each message that was being
handled when its process died."""
TIMED_OUT = 1 << 32
"""Added to the deaths when the last one was the engine's doing: the handler was beyond its timeout."""
WATCHED = SUSPECTS + 1 + 2 * SUSPECTS_MOST
WATCHED_MOST = 256
"""Written by the engine: the number of entries, then the fingerprints whose redelivery it waits for."""
RECORD = WATCHED + 1 + WATCHED_MOST
RECORD_MOST = 96 * 1024
"""Bytes of packets as they came, of messages that the hot path has taken."""
WORDS = RECORD + RECORD_MOST // 8


def bucket_of(nanoseconds: int) -> int:
    """The histogram bucket of a latency; values beyond about 2.4 hours share the last one."""
    if nanoseconds < _SUB:
        return nanoseconds if nanoseconds > 0 else 0
    shift = nanoseconds.bit_length() - _SUB_BITS - 1
    index = (shift + 1) * _SUB + (nanoseconds >> shift) - _SUB
    return index if index < BUCKETS else BUCKETS - 1


def bucket_middle(index: int) -> float:
    """The middle of a bucket, in seconds."""
    if index < _SUB:
        return index / 1e9
    shift = index // _SUB - 1
    low = (index % _SUB + _SUB) << shift
    return (low + (1 << shift) / 2) / 1e9


def allocate(context: BaseContext) -> Any:
    """Zeroed shared memory for one slot, to be passed to `Process(args=…)` of the same context."""
    return context.RawArray(ctypes.c_uint64, WORDS)


def words_of(memory: Any) -> memoryview:
    """The cells of `allocate`'s memory as a view of unsigned 64-bit words."""
    return memoryview(memory).cast("B").cast("Q")


@dataclass(frozen=True, slots=True)
class Counters:
    """The cells at one moment."""

    received: int
    ok: int
    failed: int
    retried: int
    dead_lettered: int
    dropped: int
    duplicates: int
    bytes: int
    busy_ns: int
    in_flight: int
    log_dropped: int
    heartbeat_ns: int
    current_since_ns: int
    current_length: int
    connected: int
    connects: int
    pid: int
    generation: int
    acknowledged: int
    current_fingerprint: int
    holding: int
    done_from: int
    done_to: int
    record_from: int
    record_count: int
    record_bytes: int
    record_v5: int


def read_counters(words: memoryview) -> Counters:
    return Counters(*words[: len(_NAMES)])


def read_histogram(words: memoryview) -> tuple[int, ...]:
    return tuple(words[HISTOGRAM : HISTOGRAM + BUCKETS])


def fingerprint(topic: bytes, payload: bytes) -> int:
    """Tells messages apart well enough to follow one across processes, never 0; brokers give it no id."""
    return (zlib.crc32(payload, zlib.crc32(topic)) << 32 | len(payload) & 0xFFFFFFFF) or 1


def write_suspects(words: memoryview, deaths: Mapping[int, int]) -> None:
    """By the engine only: the newest SUSPECTS_MOST fingerprints with the deaths each was there at."""
    newest = list(deaths.items())[-SUSPECTS_MOST:]
    words[SUSPECTS] = 0  # a reader in between sees none rather than half an entry
    for index, (which, times) in enumerate(newest):
        words[SUSPECTS + 1 + 2 * index] = which
        words[SUSPECTS + 2 + 2 * index] = times
    words[SUSPECTS] = len(newest)


def read_suspects(words: memoryview) -> dict[int, int]:
    count = words[SUSPECTS]
    start = SUSPECTS + 1
    return {words[start + 2 * index]: words[start + 1 + 2 * index] for index in range(count)}


def write_watched(words: memoryview, which: Sequence[int]) -> None:
    """By the engine only: workers report when one of these comes and when it was handled."""
    newest = which[-WATCHED_MOST:]
    words[WATCHED] = 0
    for index, each in enumerate(newest):
        words[WATCHED + 1 + index] = each
    words[WATCHED] = len(newest)


def read_watched(words: memoryview) -> frozenset[int]:
    count = words[WATCHED]
    return frozenset(words[WATCHED + 1 : WATCHED + 1 + count])


def set_current(words: memoryview, topic: bytes, now_ns: int) -> None:
    """Name the message whose handler is about to run; cut to CURRENT_TOPIC_BYTES. Read by `black_box`."""
    stored = topic[:CURRENT_TOPIC_BYTES]
    start = CURRENT_TOPIC * 8
    words.cast("B")[start : start + len(stored)] = stored
    words[CURRENT_LENGTH] = len(stored)
    words[CURRENT_SINCE_NS] = now_ns


def clear_current(words: memoryview) -> None:
    words[CURRENT_SINCE_NS] = 0
