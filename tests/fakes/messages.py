"""Messages as workers tell them, errors grouped, dead letters; and readers over such lists."""

from __future__ import annotations

from dataclasses import replace

from routemq_tui.engine.letters import Letter, LetterLine
from routemq_tui.engine.messages import MessageBatch, TappedMessage
from routemq_tui.engine.snapshot import ErrorGroup, Snapshot
from tests.fakes.snapshots import NOW

BAD_LEVEL = "5f3a9c0d1b2e4f60"
NO_FIELD = "a1b2c3d4e5f60718"
POISON = "0c0ffee0c0ffee00"
TRACEBACK = """Traceback (most recent call last):
  File "/srv/app/routes/alerts.py", line 31, in alerts
    level = LEVELS[payload["level"]]
            ~~~~~~^^^^^^^^^^^^^^^^^^
KeyError: 'severe'
"""


def message(seq: int, **other: object) -> TappedMessage:
    payload = b'{"device": "%d", "celsius": %d.5}' % (seq % 7 + 1, 15 + seq % 20)
    values: dict[str, object] = {
        "time": NOW - 30 + seq * 0.25,
        "worker": f"temperature/{seq % 3 + 1}",
        "route": "temperature",
        "topic": f"sensors/{seq % 7 + 1}/temperature",
        "outcome": "ok",
        "duration": 0.0008 * (seq % 9 + 1),
        "payload": payload,
        "size": len(payload),
        "qos": 1,
        "properties": {"content_type": "application/json", "user_property": [["trace", f"{seq:08x}"]]},
        "fingerprint": 0xA0 + seq,
        **other,
    }
    values.setdefault("size", len(payload))
    return TappedMessage(seq, **values)  # type: ignore[arg-type]


def failed(seq: int, **other: object) -> TappedMessage:
    payload = b'{"level": "severe", "room": 12}'
    values: dict[str, object] = {
        "worker": "alerts/1",
        "route": "alerts",
        "topic": f"alerts/{seq % 7 + 1}/fire",
        "outcome": "dead-lettered",
        "duration": 0.0021,
        "payload": payload,
        "size": len(payload),
        "attempts": 3,
        "error": "KeyError: 'severe'",
        "traceback": TRACEBACK,
        "group": BAD_LEVEL,
        "letter": 7,
        **other,
    }
    return message(seq, **values)


def told() -> list[TappedMessage]:
    """A tapped route at work, failures of another one, and payloads of every kind."""
    found = [message(seq) for seq in range(1, 101)]
    binary = bytes(range(256)) * 4
    large = b'{"frame": "' + b"x" * (64 * 1024)
    others = {
        12: failed(12, outcome="retried", attempts=1, letter=None),
        13: failed(13),
        31: message(31, payload=b"", size=0),
        44: message(44, payload=binary, size=len(binary), properties={"content_type": "image/png"}),
        57: failed(57, letter=8, retain=True, duplicate=True),
        60: message(60, duration=1.84),
        72: message(72, payload=large[: 64 * 1024], size=1_250_000, retain=True),
        80: message(80, payload="Grüße ☃ \x1b[31mrot\x00".encode(), size=23, qos=0),
        88: failed(
            88,
            worker="temperature/2",
            route="temperature",
            topic="sensors/5/temperature",
            outcome="poison",
            error="its worker process died 3 times while handling it",
            traceback="",
            group=POISON,
            letter=9,
        ),
    }
    return [others.get(each.seq, each) for each in found]


def group(fingerprint: str = BAD_LEVEL, **other: object) -> ErrorGroup:
    values: dict[str, object] = {
        "kind": "KeyError",
        "text": "'severe'",
        "where": "routes/alerts.py:31 in alerts",
        "count": 214,
        "first_seen": NOW - 3600,
        "last_seen": NOW - 16,
        "routes": ("alerts",),
        "workers": ("alerts/1", "alerts/2"),
        "trend": (*[0] * 18, 1, 3, 2, 0, 4, 9, 22, 30, 41, 38, 45, 19),
        "example": 57,
        "traceback": TRACEBACK,
        **other,
    }
    return ErrorGroup(fingerprint, **values)  # type: ignore[arg-type]


def groups() -> tuple[ErrorGroup, ...]:
    return (
        group(
            NO_FIELD,
            kind="payload",
            text="Object missing required field `celsius`",
            where="routes.sensors:temperature",
            count=12,
            last_seen=NOW - 2,
            routes=("temperature",),
            workers=("temperature/1", "temperature/2", "temperature/3"),
            trend=(*[0] * 24, 1, 2, 0, 4, 2, 3),
            example=0,
            traceback="",
        ),
        group(),
        group(
            POISON,
            kind="poison",
            text="its worker process died 3 times while handling it",
            where="sensors/5/temperature",
            count=1,
            first_seen=NOW - 95,
            last_seen=NOW - 8,
            routes=("temperature",),
            workers=("temperature/2",),
            trend=(*[0] * 29, 1),
            example=88,
            traceback="",
        ),
        group(
            "unknown",
            kind="unknown",
            text="the worker was killed before it told",
            where="",
            count=4,
            first_seen=NOW - 500,
            last_seen=NOW - 300,
            trend=(*[0] * 4, 4, *[0] * 25),
            example=0,
            traceback="",
        ),
    )


def with_errors(snapshot: Snapshot) -> Snapshot:
    """The first route is tapped, and shows a part of its messages."""
    first, *others = snapshot.routes
    tapped = replace(first, tapped=True, sampled=0.16)
    return replace(snapshot, routes=(tapped, *others), errors=groups())


def letter_line(id: int, **other: object) -> LetterLine:
    values: dict[str, object] = {
        "time": NOW - 4000 + id * 60,
        "route": "alerts",
        "worker": f"alerts/{id % 2 + 1}",
        "topic": f"alerts/{id}/fire",
        "cause": "handler",
        "error": "KeyError: 'severe'",
        "attempts": 3,
        "state": "stored",
        "size": 31,
        **other,
    }
    return LetterLine(id, **values)  # type: ignore[arg-type]


def letters() -> list[LetterLine]:
    """Newest first."""
    found = [letter_line(id) for id in range(1, 21)]
    others = {
        4: letter_line(4, state="replayed"),
        9: letter_line(
            9,
            route="temperature",
            worker="temperature/2",
            topic="sensors/5/temperature",
            cause="poison",
            error="its worker process died 3 times while handling it",
        ),
        11: letter_line(11, cause="timeout", error="TimeoutError: not done within 30.0 s", attempts=1),
        15: letter_line(15, state="replaying"),
        18: letter_line(18, cause="payload", error="Object missing required field `level`", attempts=1),
    }
    return [others.get(each.id, each) for each in reversed(found)]


class FakeMessages:
    """A `MessageReader` over a list; `let_go` drops the oldest."""

    def __init__(self, messages: list[TappedMessage] | None = None) -> None:
        self.messages = list(messages or ())
        self._gone = 0

    @property
    def last_seq(self) -> int:
        return self.messages[-1].seq if self.messages else self._gone

    def add(self, *messages: TappedMessage) -> None:
        """Each with the `seq` that is next."""
        for each in messages:
            self.messages.append(each._replace(seq=self.last_seq + 1))

    def let_go(self, count: int) -> None:
        self._gone = self.messages[count - 1].seq
        del self.messages[:count]

    def read(self, route: str | None = None, after: int = 0, limit: int = 1000) -> MessageBatch:
        found = [each for each in self.messages if each.seq > after and route in (None, each.route)]
        kept = found[:limit]
        next_seq = kept[-1].seq if len(found) > limit else max(after, self.last_seq)
        return MessageBatch(tuple(kept), next_seq, max(0, self._gone - after) if after else 0)

    def get(self, seq: int) -> TappedMessage | None:
        return next((each for each in self.messages if each.seq == seq), None)


class FakeLetters:
    """A `LetterReader` over a list, the newest first."""

    def __init__(self, lines: list[LetterLine] | None = None) -> None:
        self.lines = list(lines or ())

    def count(self) -> int:
        return sum(each.state in ("stored", "replaying") for each in self.lines)

    def read(self, after: int = 0, limit: int = 200, route: str | None = None) -> tuple[LetterLine, ...]:
        found = [each for each in self.lines if each.id > after and route in (None, each.route)]
        return tuple(found[:limit])

    def get(self, id: int) -> Letter | None:
        for line in self.lines:
            if line.id == id and line.state in ("stored", "replaying"):
                trace = TRACEBACK if line.cause == "handler" else ""
                payload = b'{"level": "severe", "room": 12}'
                return Letter(line, payload, 1, False, {"content_type": "application/json"}, trace)
        return None
