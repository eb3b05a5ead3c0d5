"""All that crosses the process boundary, as plain picklable values: what a worker is told at its start,
what the engine may ask of it later, and what it reports. Knows no process, socket or thread.

Commands and reports travel msgpack-encoded, one per `Connection.send_bytes`, over the worker's control pipe.
Counters do not travel at all: they are cells in shared memory (`cells`). Log records have a channel of
their own (`log_queue`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from routemq_tui.config.model import TlsConfig


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """A broker that runs, and how to speak to it."""

    host: str
    port: int
    tls: bool = False
    protocol: Literal["5", "3.1.1"] = "5"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    keepalive: int = 60
    session_expiry: int = 86400
    one_queue_per_group: bool = False
    """True for the embedded broker: a drained member leaves nothing behind, so no sentinel is needed."""
    websocket: str | None = None
    """The path of a WebSocket to speak MQTT in; None speaks it straight on TCP or TLS."""
    security: TlsConfig = field(default_factory=TlsConfig)
    """Read only with `tls`."""

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """One worker process of one route. `slot` counts from 1; `name` is `<route>/<slot>`."""

    route: str
    slot: int
    client_id: str
    template: str
    subscription: str
    """What is sent in SUBSCRIBE: `$share/<group>/<filter>`, or the filter of a route that is not shared."""
    qos: Literal[0, 1, 2]
    handler: str
    root: str
    """Folder put first on `sys.path` for the handler's import."""
    broker: BrokerAddress
    prefetch: int = 20
    concurrency: int = 1
    timeout: float | None = None
    retries: int = 0
    retry_delay: float = 0.5
    """Seconds before the first retry; doubles with each, with jitter."""
    on_error: str = "dead-letter"
    max_deliveries: int = 3
    """A message that was there at so many deaths of its process is given up and not run again."""
    dead_letter_topic: str | None = None
    """Where dead letters are published; None keeps them in the store."""
    state_folder: str = ""
    """`.routemq/` of the project: the dead-letter store lies in it."""
    cpu_time: float | None = None
    """Seconds of CPU after which the process is ended (RLIMIT_CPU)."""
    open_files: int | None = None
    """RLIMIT_NOFILE."""
    log_level: str = "INFO"
    drain_timeout: float = 10.0
    """Seconds a worker whose engine died takes to drain, at most."""
    paused: bool = False
    tapped: bool = False
    """Tell of single messages that go well, too."""
    middleware: tuple[str, ...] = ()
    """By `module:name`, outermost first."""
    on_start: str | None = None
    on_stop: str | None = None
    fast_path: bool = True
    """Take messages out of the byte stream ourselves; False leaves all of it to paho."""

    @property
    def name(self) -> str:
        return f"{self.route}/{self.slot}"


# -- engine to worker ----------------------------------------------------------------------------------


class Drain(msgspec.Struct, tag=True, frozen=True):
    """Stop taking messages, finish and acknowledge those in hand, end the session, exit.

    `keep_session` leaves the session in place (a restart of the slot, or the program's end: the slot comes
    back under its id); otherwise it is ended with the DISCONNECT (MQTT 5 section 3.14.2.2.2).
    """

    keep_session: bool = False
    timeout: float | None = None
    """Seconds; what is unfinished then stays unacknowledged."""


class Pause(msgspec.Struct, tag=True, frozen=True):
    """Handle nothing more for now; stay connected and subscribed, so the broker queues."""


class Resume(msgspec.Struct, tag=True, frozen=True):
    """Take up handling again."""


class TurnTap(msgspec.Struct, tag=True, frozen=True):
    """Tell of single messages that go well, or no longer."""

    on: bool


class ConnectNow(msgspec.Struct, tag=True, frozen=True):
    """The broker is back: do not wait for the end of a back-off."""


WorkerCommand = Drain | Pause | Resume | TurnTap | ConnectNow


# -- worker to engine ----------------------------------------------------------------------------------


class Connected(msgspec.Struct, tag=True, frozen=True):
    """CONNACK with success."""

    session_present: bool
    server_receive_maximum: int | None = None
    expiry_cap: int | None = None
    """Session expiry the server insists on, when it is shorter than asked (seconds)."""


class Subscribed(msgspec.Struct, tag=True, frozen=True):
    """SUBACK with success: messages may come. From here on the worker counts as running."""

    granted_qos: int


class Disconnected(msgspec.Struct, tag=True, frozen=True):
    """The connection was lost; the worker tries again after `retry_in` seconds."""

    reason: str
    retry_in: float


class ImportFailed(msgspec.Struct, tag=True, frozen=True):
    """The handler could not be imported or bound. The process exits with ExitCode.IMPORT_FAILED."""

    reason: str
    """One line with file and line: "ImportError: no module named x (routes/y.py:3)"."""


class StartFailed(msgspec.Struct, tag=True, frozen=True):
    """A hook of the beginning failed, or a factory of what the handler needs for as long as the worker lives.
    The process exits with ExitCode.CRASHED."""

    reason: str
    """One line with file and line: "on_start (app/db.py:7) failed: OSError: no route, at app/db.py:9"."""


class Refused(msgspec.Struct, tag=True, frozen=True):
    """The broker said no for good. The process exits with ExitCode.BROKER_REFUSED."""

    reason: str


class TakenOver(msgspec.Struct, tag=True, frozen=True):
    """Another client took the client id. The process exits with ExitCode.TAKEN_OVER."""


class Draining(msgspec.Struct, tag=True, frozen=True):
    """The drain began with this many messages in hand."""

    in_hand: int


class Drained(msgspec.Struct, tag=True, frozen=True):
    """The drain ended; the process exits with ExitCode.OK."""

    finished: int
    """Messages handled since the drain began."""
    left: int
    """Messages left unacknowledged because the time was up."""


class HandlerFailed(msgspec.Struct, tag=True, frozen=True):
    """A handler raised. Sent at most a few times a second; every failure is in the log and the counters."""

    topic: str
    error: str
    """`ValueError: bad reading`."""


class GivenUp(msgspec.Struct, tag=True, frozen=True):
    """A message was given up by policy. Sent at most a few times a second; the counters have all of them."""

    topic: str
    error: str
    cause: str
    """`handler`, `timeout`, `poison` or `payload`."""
    attempts: int
    outcome: str
    """`stored`, `published`, `dropped` or `stopped`."""


class StoreFailed(msgspec.Struct, tag=True, frozen=True):
    """A dead letter cannot be stored: the worker holds its message unacknowledged and tries again."""

    reason: str


class StoreRecovered(msgspec.Struct, tag=True, frozen=True):
    """The dead letter is stored; the worker goes on."""


class Stopped(msgspec.Struct, tag=True, frozen=True):
    """`on_error = "stop"`: the message stays unacknowledged, the process exits with ExitCode.OK."""

    topic: str
    error: str


Fate = Literal["came", "handled", "handled before", "dead-lettered", "published", "dropped", "stopped"]
"""`came`: it was received, no more. `handled before`: by the slot's last process, and not run again. The last
four failed, or were given up without being run."""


class Seen(msgspec.Struct, tag=True, frozen=True):
    """What became of a message the engine waits for (`cells.read_watched`)."""

    fingerprint: int
    topic: str
    duplicate: bool
    fate: Fate = "came"
    unrun: str = ""
    """Why its handler was not called: `poison`, `timeout` or `payload`; empty when it was."""


PAYLOAD_MOST = 64 * 1024
"""Bytes of a payload that are told, at most."""


class MessageTold(msgspec.Struct, tag=True):
    """One handling of a message. Sent at most some times a second (`tap`), and only while there is room."""

    time: float
    topic: str
    outcome: str
    """As in `engine.messages`."""
    duration: float
    payload: bytes
    """Cut."""
    size: int
    qos: int
    retain: bool = False
    duplicate: bool = False
    properties: dict[str, Any] = {}
    attempts: int = 1
    error: str = ""
    traceback: str = ""
    group: str = ""
    """Fingerprint of the place where it failed."""
    letter: int | None = None
    fingerprint: int = 0
    passed: int = 0
    """Messages finished since the one told before, this one included."""


class ErrorCount(msgspec.Struct, frozen=True):
    fingerprint: str
    kind: str
    where: str
    text: str
    count: int
    """Since it was told the last time."""
    time: float
    """Of the last one."""


class ErrorsCounted(msgspec.Struct, tag=True, frozen=True):
    """Messages that failed for good, by place. All reports of a process add up to its failed counter."""

    groups: list[ErrorCount]


WorkerReport = (
    Connected
    | Subscribed
    | Disconnected
    | ImportFailed
    | StartFailed
    | Refused
    | TakenOver
    | Draining
    | Drained
    | HandlerFailed
    | GivenUp
    | StoreFailed
    | StoreRecovered
    | Stopped
    | Seen
    | MessageTold
    | ErrorsCounted
)

_encoder = msgspec.msgpack.Encoder()
_command_decoder: msgspec.msgpack.Decoder[WorkerCommand] = msgspec.msgpack.Decoder(WorkerCommand)
_report_decoder: msgspec.msgpack.Decoder[WorkerReport] = msgspec.msgpack.Decoder(WorkerReport)


def encode(value: WorkerCommand | WorkerReport) -> bytes:
    return _encoder.encode(value)


def decode_command(data: bytes) -> WorkerCommand:
    """Raises msgspec.DecodeError for bytes that are no command."""
    return _command_decoder.decode(data)


def decode_report(data: bytes) -> WorkerReport:
    """Raises msgspec.DecodeError for bytes that are no report."""
    return _report_decoder.decode(data)
