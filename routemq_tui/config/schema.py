"""What may stand in `routemq.toml`, as data: sections, their keys, the kind of each value.

Defaults are those of the values in `model`; a key that is not written is not set here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from routemq_tui.config import kinds
from routemq_tui.config.kinds import Kind
from routemq_tui.config.model import THEME_NAMES, OnError, ScalingPolicy
from routemq_tui.config.url import ALLOWED, parse_broker_url
from routemq_tui.routing.handler import handler_fault
from routemq_tui.routing.template import Template, TemplateError
from routemq_tui.routing.topics import group_fault, topic_fault

GROUP_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Section:
    keys: Mapping[str, Kind]
    required: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    """Keys that hold a table of their own, read by its own section."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Keys people would look for here, and where to put them instead."""


def _url_fault(text: str) -> str | None:
    try:
        parse_broker_url(text)
    except ValueError as error:
        return str(error)
    return None


def _template_fault(text: str) -> str | None:
    try:
        Template.parse(text)
    except TemplateError as error:
        return str(error)
    return None


def _traffic_topic_fault(text: str) -> str | None:
    """Placeholders are the publisher's; what stands around them must be a topic to publish to."""
    bare, depth = [], 0
    for character in text:
        depth += (character == "{") - (character == "}")
        if depth < 0:
            return "a } without its {"
        bare.append("x" if depth or character == "}" else character)
    return "a { without its }" if depth else topic_fault("".join(bare))


def _group_fault(text: str) -> str | None:
    if len(text) > GROUP_LENGTH or any(not c.isprintable() or c.isspace() for c in text):
        return f"it holds spaces, or more than {GROUP_LENGTH} characters"
    return group_fault(text)


def _address_fault(text: str) -> str | None:
    host, colon, port = text.rpartition(":")
    if colon and host and port.isdecimal() and int(port) <= 65535:
        return None
    return "it is written HOST:PORT"


def _module_fault(text: str) -> str | None:
    if "/" in text or text.endswith(".py"):
        return f'a package is written with dots: "{text.removesuffix(".py").strip("./").replace("/", ".")}"'
    bad = next((part for part in text.split(".") if not part.isidentifier()), None)
    return None if bad is None else f"{bad!r} is not a name in Python"


NAME = kinds.name()
_GROUP = kinds.text(f"a share name: up to {GROUP_LENGTH} characters without spaces, /, + and #", _group_fault)
_QOS = kinds.whole(0, 2)
_WORKERS = kinds.whole(1, 1000)

APP = Section(
    keys={
        "group": _GROUP,
        "node": kinds.node(),
        "ephemeral": kinds.boolean(),
        "routers": kinds.texts("a list of packages", _module_fault),
        "middleware": kinds.texts('a list of "module:Class" or "module:function"', handler_fault),
        "log_level": kinds.choice("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", fold=True),
        "shutdown_timeout": kinds.duration(0, 3600),
        "log_memory": kinds.size(1_000_000, "1MB"),
    },
)

BROKER = Section(
    keys={
        "url": kinds.text(ALLOWED, _url_fault),
        "protocol": kinds.choice("5", "3.1.1"),
        "username": kinds.text(),
        "password_file": kinds.text("the path of a file"),
        "ca_file": kinds.text("the path of a PEM file"),
        "cert_file": kinds.text("the path of a PEM file"),
        "key_file": kinds.text("the path of a PEM file"),
        "key_password_file": kinds.text("the path of a file"),
        "server_name": kinds.text("a host name"),
        "insecure": kinds.boolean(),
        "keepalive": kinds.seconds(1, 65535),
        "session_expiry": kinds.seconds(0, 4294967295),
        "port": kinds.whole(1, 65535),
    },
    refused={
        "password": "keep it out of this file: set MQTT_PASSWORD (also in .env) or password_file",
        "host": 'write url = "mqtt://HOST:PORT"',
        "key_password": "keep it out of this file: set MQTT_KEY_PASSWORD (also in .env) or key_password_file",
        "tls": 'write url = "mqtts://HOST:PORT"',
    },
)

LIMITS = Section(
    keys={
        "memory": kinds.size(16_000_000, "16MB"),
        "cpu_time": kinds.duration(1, 1e9),
        "open_files": kinds.whole(16, 2**20),
    },
)

SCALING = Section(
    keys={
        "policy": kinds.choice(*(each.value for each in ScalingPolicy)),
        "target": kinds.number(0, 1),
        "band": kinds.number(0, 1),
        "per_worker": kinds.number(0, 1_000_000),
        "interval": kinds.duration(1, 3600),
        "cooldown_up": kinds.duration(0, 86400),
        "cooldown": kinds.duration(0, 86400),
        "step": kinds.whole(1, 1000),
        "drain": kinds.duration(1, 86400),
    },
)

_POLICY: dict[str, Kind] = {
    "group": _GROUP,
    "qos": _QOS,
    "shared": kinds.boolean(),
    "workers": _WORKERS,
    "min_workers": kinds.whole(0, 1000),
    "max_workers": _WORKERS,
    "autoscale": kinds.boolean(),
    "prefetch": kinds.whole(1, 65535),
    "concurrency": kinds.whole(1, 10_000),
    "timeout": kinds.duration(0.001, 7 * 86400),
    "retries": kinds.whole(0, 1000),
    "retry_delay": kinds.duration(0, 30),
    "max_deliveries": kinds.whole(1, 1000),
    "dead_letter_topic": kinds.text("a topic without wildcards", topic_fault),
    "fast_path": kinds.boolean(),
    "middleware": kinds.texts('a list of "module:Class" or "module:function"', handler_fault),
    "on_start": kinds.text('"module:function"', handler_fault),
    "on_stop": kinds.text('"module:function"', handler_fault),
    "on_error": kinds.choice(*(each.value for each in OnError)),
}

DEFAULTS = Section(
    keys=_POLICY,
    tables=("limits", "scaling"),
    refused={"topic": "each route has its own", "handler": "each route has its own"},
)

ROUTE = Section(
    keys={
        "topic": kinds.text('a topic template such as "sensors/{device_id}/data"', _template_fault),
        "handler": kinds.text('"module:function", such as "routes.sensors:temperature"', handler_fault),
        **_POLICY,
    },
    required=("topic", "handler"),
    tables=("limits", "scaling"),
)

TRAFFIC = Section(
    keys={
        "topic": kinds.text('a topic such as "sensors/{device_id}/data"', _traffic_topic_fault),
        "rate": kinds.number(0, 1_000_000),
        "qos": _QOS,
        "retain": kinds.boolean(),
        "payload": kinds.anything(),
        "values": kinds.placeholder_values(),
    },
    required=("topic",),
    tables=("burst",),
)

BURST = Section(
    keys={"every": kinds.duration(0.01, 86400), "size": kinds.whole(1, 1_000_000)}, required=("every", "size")
)

HTTP = Section(keys={"listen": kinds.text('an address such as "127.0.0.1:9464"', _address_fault)})

UI = Section(
    keys={
        "theme": kinds.choice(*THEME_NAMES),
        "read_only": kinds.boolean(),
        "mouse": kinds.boolean(),
        "remember": kinds.boolean(),
    },
    tables=("keys",),
)
UI_KEY = kinds.one_or_more('a key such as "d" or "ctrl+f", or a list of keys')

TOP = Section(keys={}, tables=("app", "broker", "defaults", "routes", "traffic", "http", "ui"))

BY_NAME: dict[str, Section] = {
    "app": APP,
    "broker": BROKER,
    "defaults": DEFAULTS,
    "http": HTTP,
    "ui": UI,
}
"""Sections whose keys the command line may set by a dotted name."""
