"""Settings from the environment, from `.env` beside the configuration file, and from the command line."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from routemq_tui.config import kinds, schema
from routemq_tui.config.kinds import Kind, from_text
from routemq_tui.config.model import Place
from routemq_tui.config.reader import Layer, Reader, Setting, outside
from routemq_tui.config.source import SourceError, read_text, show
from routemq_tui.config.url import EMBEDDED, parse_broker_url

ENVIRONMENT = outside("environment")
COMMAND_LINE = outside("command line")


class _Variable(NamedTuple):
    section: str
    key: str
    kind: Kind


def _address(value: object) -> str:
    """A host, `host:port` or URL as a URL. Here "mosquitto" is a host: compose files call theirs so."""
    text = str(value)
    if "://" not in text and text != EMBEDDED:
        user, at, host = text.rpartition("@")
        host = f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host
        text = f"mqtt://{user}{at}{host}"
    parse_broker_url(text)
    return text


_ADDRESS = Kind(
    _address, "a host, mqtt://HOST[:PORT], mqtts://…, ws://HOST[:PORT][/PATH], wss://… or embedded"
)


def _switch(value: object) -> bool:
    word = str(value).strip().lower()
    if word not in _SWITCH:
        raise ValueError
    return _SWITCH[word]


_SWITCH = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(("0", "false", "no", "off"), False)
_TRUE_OR_FALSE = Kind(_switch, "true or false", ("true", "false"))

VARIABLES: dict[str, _Variable] = {
    "MQTT_BROKER": _Variable("broker", "url", _ADDRESS),
    "MQTT_PORT": _Variable("broker", "url_port", schema.BROKER.keys["port"]),
    "MQTT_USERNAME": _Variable("broker", "username", kinds.text()),
    "MQTT_PASSWORD": _Variable("broker", "password", kinds.secret()),
    "MQTT_PASSWORD_FILE": _Variable("broker", "password_file", schema.BROKER.keys["password_file"]),
    "MQTT_CA_FILE": _Variable("broker", "ca_file", schema.BROKER.keys["ca_file"]),
    "MQTT_CERT_FILE": _Variable("broker", "cert_file", schema.BROKER.keys["cert_file"]),
    "MQTT_KEY_FILE": _Variable("broker", "key_file", schema.BROKER.keys["key_file"]),
    "MQTT_KEY_PASSWORD": _Variable("broker", "key_password", kinds.secret()),
    "MQTT_KEY_PASSWORD_FILE": _Variable(
        "broker", "key_password_file", schema.BROKER.keys["key_password_file"]
    ),
    "MQTT_SERVER_NAME": _Variable("broker", "server_name", schema.BROKER.keys["server_name"]),
    # RouteMQ's names.
    "MQTT_TLS_ENABLED": _Variable("broker", "url_tls", _TRUE_OR_FALSE),
    "MQTT_TLS_CA_CERTS": _Variable("broker", "ca_file", schema.BROKER.keys["ca_file"]),
    "MQTT_TLS_CERTFILE": _Variable("broker", "cert_file", schema.BROKER.keys["cert_file"]),
    "MQTT_TLS_KEYFILE": _Variable("broker", "key_file", schema.BROKER.keys["key_file"]),
    "MQTT_TLS_INSECURE": _Variable("broker", "insecure", _TRUE_OR_FALSE),
    "MQTT_GROUP_NAME": _Variable("app", "group", schema.APP.keys["group"]),
    "WORKER_COUNT": _Variable("defaults", "workers", schema.DEFAULTS.keys["workers"]),
    "MIN_WORKERS": _Variable("defaults", "min_workers", schema.DEFAULTS.keys["min_workers"]),
    "MAX_WORKERS": _Variable("defaults", "max_workers", schema.DEFAULTS.keys["max_workers"]),
    "LOG_LEVEL": _Variable("app", "log_level", schema.APP.keys["log_level"]),
    "ROUTEMQ_NODE": _Variable("app", "node", schema.APP.keys["node"]),
    "ROUTEMQ_HTTP": _Variable("http", "listen", schema.HTTP.keys["listen"]),
}
"""Each variable read; one that is empty counts as not set."""

_NUMBERS = frozenset(("MQTT_PORT", "WORKER_COUNT", "MIN_WORKERS", "MAX_WORKERS"))


def environment_layer(reader: Reader, folder: Path, environment: Mapping[str, str] | None) -> Layer:
    """What the variables say; without `environment`, the process's own before those of `.env` in `folder`."""
    found = Layer()
    sections = {
        "app": found.app,
        "broker": found.broker,
        "defaults": found.defaults,
        "http": found.http,
    }
    for name, (text, place) in _variables(reader, folder, environment).items():
        variable = VARIABLES[name]
        setting = reader.value(_raw(name, text), variable.kind, place, name)
        if setting is not None:
            _refuse_contradiction(reader, sections[variable.section].get(variable.key), setting)
            sections[variable.section][variable.key] = setting
    return found


def _raw(name: str, text: str) -> object:
    if name in _NUMBERS:
        return from_text(text)
    return text if name.startswith("MQTT_") else text.strip()  # a password may end with a space


def _refuse_contradiction(reader: Reader, before: Setting | None, setting: Setting) -> None:
    """RouteMQ's names and ours stand for the same settings."""
    if before is not None and before.value != setting.value:
        message = f"found {show(setting.value)}, but {before.key} says {show(before.value)}"
        reader.report(setting.place, setting.key, message, "leave one of them out")


def override_layer(reader: Reader, overrides: Mapping[str, object]) -> Layer:
    """What the command line says, by dotted keys such as `broker.url`; None is not said."""
    found = Layer()
    sections = {
        "app": found.app,
        "broker": found.broker,
        "defaults": found.defaults,
        "http": found.http,
        "ui": found.ui,
    }
    known = {f"{name}.{key}": kind for name, one in schema.BY_NAME.items() for key, kind in one.keys.items()}
    for name, raw in overrides.items():
        if raw is None:
            continue
        if name not in known:
            close = get_close_matches(name, known, 1)
            reader.report(COMMAND_LINE, name, "unknown key", f'did you mean "{close[0]}"?' if close else "")
            continue
        section, _, key = name.partition(".")
        setting = reader.value(raw, known[name], COMMAND_LINE, name)
        if setting is not None:
            sections[section][key] = setting
    return found


def secret_from_file(reader: Reader, folder: Path, setting: Setting) -> str | None:
    """The first line of the file that a setting names by a path relative to the project."""
    try:
        text = read_text(folder / Path(setting.value).expanduser())
    except (SourceError, RuntimeError) as error:
        reason = error.problem.message if isinstance(error, SourceError) else str(error)
        reader.report(
            setting.place, setting.key, f"found {setting.value!r}: {reason}", "name a readable file"
        )
        return None
    secret = text.partition("\n")[0].rstrip("\r")
    if not secret:
        reader.report(setting.place, setting.key, f"found {setting.value!r}: its first line is empty")
        return None
    return secret


def _variables(
    reader: Reader, folder: Path, environment: Mapping[str, str] | None
) -> dict[str, tuple[str, Place]]:
    own = os.environ if environment is None else environment
    found = {} if environment is not None else _dotenv(reader, folder / ".env")
    for name in VARIABLES:
        if name in own:
            found[name] = own[name], ENVIRONMENT
    return {name: (text, place) for name, (text, place) in found.items() if text.strip()}


def _dotenv(reader: Reader, file: Path) -> dict[str, tuple[str, Place]]:
    if not file.exists():
        return {}
    try:
        text = read_text(file)
    except SourceError as error:
        reader.problems.append(error.problem)
        return {}
    from dotenv import dotenv_values  # here, as most projects have no such file

    values = dotenv_values(stream=io.StringIO(text))
    found = {}
    for name in VARIABLES:
        value = values.get(name)
        if value is not None:
            written = re.search(rf"^[ \t]*(?:export[ \t]+)?{name}[ \t]*=", text, re.MULTILINE)
            line = text.count("\n", 0, written.start()) + 1 if written else None
            found[name] = value, Place(file, line)
    return found
