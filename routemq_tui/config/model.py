"""The configuration as frozen values. What is here has been checked: no other room checks it again.

Knows nothing of TOML; `load` makes these values, every other room only reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from routemq_tui.routing.found import FoundRouter

ProtocolName = Literal["5", "3.1.1"]
THEME_NAMES = ("auto", "dark", "light", "contrast", "ansi")
"""`auto` is dark, or ansi in a terminal of 16 colours."""


class OnError(StrEnum):
    """What becomes of a message whose handler failed for good."""

    DEAD_LETTER = "dead-letter"
    DROP = "drop"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a setting was written."""

    file: Path | None
    line: int | None

    def __str__(self) -> str:
        return f"{self.file or '-'}:{self.line}" if self.line else str(self.file or "-")


@dataclass(frozen=True, slots=True)
class AppConfig:
    group: str = "workers"
    """The share name in `$share/<group>/<filter>`."""
    node: str = "local"
    """Names this engine among those of one group; part of every client id. `{hostname}` is the machine's."""
    ephemeral: bool = False
    """The node never comes back under its name (a container that is replaced): at the end its workers drain
    what their sessions hold, and end these, so that no message waits for it in vain."""
    routers: tuple[str, ...] = ()
    """Packages in which every `Router` is found; their routes are run, too."""
    middleware: tuple[str, ...] = ()
    """`module:Class` or `module:function` around every handler, the outermost first."""
    log_level: str = "INFO"
    """DEBUG, INFO, WARNING, ERROR or CRITICAL: the root level of `logging` in the workers."""
    shutdown_timeout: float = 10.0
    """Seconds all workers together have to drain when the program ends."""
    log_memory: int = 64 * 1024 * 1024
    """Bytes of log text kept in memory for all workers together."""


NOT_VERIFIED = "the broker's certificate is NOT checked: whoever is in between can read and change messages"


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """How `mqtts://` and `wss://` are spoken; paths are absolute and were readable when it was made."""

    ca_file: str | None = None
    """PEM: the authorities trusted instead of the system's."""
    cert_file: str | None = None
    """PEM: the certificate this client shows, with those between it and its authority."""
    key_file: str | None = None
    """PEM; None when the key is in `cert_file`."""
    key_password: str | None = field(default=None, repr=False)
    server_name: str | None = None
    """The name asked for and looked for in the broker's certificate, when it is not the URL's host."""
    insecure: bool = False
    """Neither the certificate's authority nor its name is checked."""


@dataclass(frozen=True, slots=True)
class BrokerConfig:
    url: str = "embedded"
    """`embedded`, `mosquitto`, or a URL of `mqtt`, `mqtts`, `ws` or `wss`; never holds a password."""
    protocol: ProtocolName = "5"
    """The version of MQTT."""
    username: str | None = None
    """Goes with the password of MQTT_PASSWORD, MQTT_PASSWORD_FILE or `password_file`."""
    password: str | None = field(default=None, repr=False)
    keepalive: int = 60
    """Seconds without a packet after which a ping is sent (MQTT 5 section 3.1.2.10)."""
    session_expiry: int = 86400
    """Seconds a broker keeps a worker's session while the worker is away (MQTT 5 section 3.1.2.11.2)."""
    port: int = 1883
    """The port wanted by a broker that we start; a free one is taken when it is in use."""
    tls: TlsConfig = TlsConfig()


@dataclass(frozen=True, slots=True)
class KeyWish:
    """Keys that `[ui.keys]` gives to an id; which ids and keys there are is known where the screen is."""

    keys: tuple[str, ...]
    """As written: "d", "ctrl+f", "Esc"."""
    place: Place = Place(None, None)


@dataclass(frozen=True, slots=True)
class UiConfig:
    theme: str = "auto"
    """One of THEME_NAMES."""
    theme_asked: bool = False
    """The command line named the theme: one that is remembered does not count."""
    read_only: bool = False
    """The screen changes nothing: no worker, no message."""
    mouse: bool = True
    """False leaves the mouse to the terminal."""
    remember: bool = True
    """Keep columns, order and theme from one start to the next, in `.routemq/layout.json`."""
    keys: Mapping[str, KeyWish] = field(default_factory=dict)
    """By id."""


@dataclass(frozen=True, slots=True)
class HttpConfig:
    listen: str | None = None
    """`HOST:PORT` for /healthz, /readyz and /metrics; None serves nothing."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one worker process; None is no bound."""

    memory: int | None = None
    """Bytes of resident memory; a worker beyond is drained and restarted, one far beyond killed."""
    cpu_time: float | None = None
    """Seconds of CPU after which the process is ended and replaced."""
    open_files: int | None = None
    """Descriptors a worker may have open."""


class ScalingPolicy(StrEnum):
    """How the number of workers a route needs is worked out."""

    UTILISATION = "utilisation"
    """From how busy its workers are."""
    RATE = "rate"
    """From messages a second, corrected by CPU and depth."""


@dataclass(frozen=True, slots=True)
class ScalingConfig:
    """How a route's workers are scaled when `autoscale` is on; `engine.autoscale` explains the policies."""

    policy: ScalingPolicy = ScalingPolicy.UTILISATION
    """By how busy the workers are, or by messages a second and CPU."""
    target: float = 0.7
    """Busy time of wall time that each worker is to have, 0 to 1 (`utilisation`)."""
    band: float = 0.1
    """Nothing is added until utilisation is so much above the target; `target + band` is below 1."""
    per_worker: float = 100.0
    """Messages a second that one worker takes (`rate`)."""
    interval: float = 5.0
    """Seconds between two looks; figures are of that time."""
    cooldown_up: float | None = None
    """Seconds after a change before workers are added; None: one interval."""
    cooldown: float = 120.0
    """Seconds after a change, and of lower need, before workers are taken away."""
    step: int = 8
    """Workers that one decision adds or takes away at most."""
    drain: float = 60.0
    """Seconds in which a known queue of the broker is to be worked off."""

    @property
    def rest_up(self) -> float:
        """Seconds after a change before workers are added."""
        return self.interval if self.cooldown_up is None else self.cooldown_up


@dataclass(frozen=True, slots=True)
class RouteConfig:
    name: str
    topic: str
    """The topic template, as written; it parses (`routing.template`)."""
    handler: str
    """`module:attribute`, or `module:router#route` of a router; imported relative to the project's root."""
    group: str
    """The share name; that of `[app]` unless it is said here."""
    qos: Literal[0, 1, 2] = 0
    """Of the subscription; 0 promises nothing when a worker dies."""
    shared: bool = True
    """False: one worker, which keeps the order."""
    workers: int = 1
    """Processes to begin with."""
    min_workers: int = 0
    """Neither a key nor autoscale goes below."""
    max_workers: int = 64
    """Neither a key nor autoscale goes beyond."""
    autoscale: bool = False
    """The number of workers follows the load, as `scaling` says."""
    scaling: ScalingConfig = ScalingConfig()
    prefetch: int = 20
    """Receive Maximum of each worker (MQTT 5 section 3.1.2.11.3): messages in flight to it, at most 65535."""
    concurrency: int = 1
    """Async handlers in flight in one worker."""
    timeout: float | None = None
    """Seconds one message may take; None is no bound."""
    retries: int = 0
    """Times a handler that raised is tried again, in place."""
    retry_delay: float = 0.5
    """Seconds before the first retry; doubles with each."""
    max_deliveries: int = 3
    """A message that was there at so many deaths of its worker process is given up and not run again."""
    dead_letter_topic: str | None = None
    """Publish dead letters there instead of storing them."""
    fast_path: bool = True
    """Take messages out of the byte stream ourselves; False leaves all of it to paho."""
    middleware: tuple[str, ...] = ()
    """`module:Class` or `module:function` around the handler, outermost first; inside those of `[app]`."""
    on_start: str | None = None
    """`module:function` that each worker runs before its first message: it opens what handlers need."""
    on_stop: str | None = None
    """`module:function` that each worker runs after its last message."""
    on_error: OnError = OnError.DEAD_LETTER
    """What becomes of a message that failed for good: stored, let go, or the worker stops with it."""
    limits: Limits = Limits()
    place: Place = Place(None, None)
    written: Mapping[str, Place] = field(default_factory=dict, compare=False, repr=False)
    """Where single keys were written, in this route's table or elsewhere; for messages."""

    def place_of(self, key: str) -> Place:
        return self.written.get(key, self.place)


@dataclass(frozen=True, slots=True)
class Burst:
    """`size` extra messages at once, every `every` seconds."""

    every: float
    """Seconds from one to the next."""
    size: int
    """Messages at once."""


@dataclass(frozen=True, slots=True)
class TrafficConfig:
    """Example traffic for one topic template. The placeholders are explained in `publisher.traffic`."""

    topic: str
    """Where it is published; placeholders may stand in it."""
    rate: float = 1.0
    """Messages a second, above 0."""
    qos: Literal[0, 1, 2] = 0
    """Of the messages."""
    retain: bool = False
    """Whether the broker keeps the last one."""
    payload: Any = None
    """A TOML value; its strings may hold placeholders. A table or list is sent as JSON, a string as it is."""
    values: dict[str, Any] = field(default_factory=dict)
    """Values of named placeholders: a list to choose from, or `"a..b"` for a range."""
    burst: Burst | None = None
    place: Place = Place(None, None)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the configuration, told so that it can be mended without a search."""

    place: Place
    key: str
    """Dotted path: `routes.temperature.qos`; empty for the file itself."""
    message: str
    """What is wrong, with what was found."""
    hint: str = ""
    """What is allowed, or "did you mean …"."""

    def __str__(self) -> str:
        parts = [str(self.place)]
        if self.key:
            parts.append(self.key)
        text = f"{': '.join(parts)}: {self.message}"
        return f"{text} ({self.hint})" if self.hint else text


@dataclass(frozen=True, slots=True)
class Config:
    root: Path
    """The folder that holds `routemq.toml`: handlers are imported relative to it, `.routemq/` lies in it."""
    file: Path
    app: AppConfig = AppConfig()
    broker: BrokerConfig = BrokerConfig()
    routes: tuple[RouteConfig, ...] = ()
    traffic: tuple[TrafficConfig, ...] = ()
    http: HttpConfig = HttpConfig()
    ui: UiConfig = UiConfig()
    routers: tuple[FoundRouter, ...] = ()
    """What `app.routers` was found to hold; their routes are among `routes`."""
    warnings: tuple[Problem, ...] = ()
    """Settings that are read but will not do what the reader may think."""
    overlaid: tuple[str, ...] = ()
    """What `routemq.local.toml` says otherwise than the file, a line each, to be told at the start."""
