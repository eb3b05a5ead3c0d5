"""TLS settings, read and tried out: a file that cannot be used is told with the line that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from routemq_tui.config.environment import COMMAND_LINE, secret_from_file
from routemq_tui.config.model import NOT_VERIFIED, Problem, TlsConfig
from routemq_tui.config.reader import Reader, Setting, Settings
from routemq_tui.config.url import BrokerUrl

TLS_KEYS = (
    "ca_file",
    "cert_file",
    "key_file",
    "key_password",
    "key_password_file",
    "server_name",
    "insecure",
)
"""Settings of `[broker]` that only `mqtts://` and `wss://` use."""


def with_wanted_tls(
    reader: Reader, wish: Setting | None, url: Setting | None, address: BrokerUrl | None
) -> BrokerUrl | None:
    """The address over TLS if MQTT_TLS_ENABLED says so; it takes no TLS away, and the command line wins."""
    if wish is None or wish.value == (address is not None and address.tls):
        return address
    if address is None or (wish.value and url is not None and url.place == COMMAND_LINE):
        _warn_of_no_effect(reader, {"url_tls": wish}, address)
        return address
    if wish.value:
        return address.encrypted()
    message = f"has no effect: the broker's URL is {address.scheme}://, which is encrypted"
    reader.warnings.append(Problem(wish.place, wish.key, message, "leave it out"))
    return address


def resolve_tls(reader: Reader, root: Path, settings: Settings, address: BrokerUrl | None) -> TlsConfig:
    """The settings of TLS_KEYS as a value; reports files that cannot be used."""
    if address is None or not address.tls:
        _warn_of_no_effect(reader, settings, address)
        return TlsConfig()
    values: dict[str, Any] = {
        key: settings[key].value for key in ("server_name", "insecure") if key in settings
    }
    for key in ("ca_file", "cert_file", "key_file"):
        if key in settings:
            values[key] = _readable(reader, root, settings[key])
    if "key_password" in settings:
        values["key_password"] = settings["key_password"].value
    elif "key_password_file" in settings:
        values["key_password"] = secret_from_file(reader, root, settings["key_password_file"])
    _refuse_key_alone(reader, settings)
    tls = TlsConfig(**values)
    _try_out(reader, settings, tls)
    if tls.insecure:
        setting = settings["insecure"]
        hint = "remove it, and name the broker's authority with ca_file"
        reader.warnings.append(Problem(setting.place, setting.key, NOT_VERIFIED, hint))
    return tls


def _warn_of_no_effect(reader: Reader, settings: Settings, address: BrokerUrl | None) -> None:
    for setting in settings.values():
        if setting.value is False:
            continue  # MQTT_TLS_INSECURE=false asks for nothing
        message = "has no effect: the broker is one that routemq-tui starts, without TLS"
        if address is not None:
            message = f"has no effect: the broker's URL is {address.scheme}://, which is not encrypted"
        hint = "write mqtts:// or wss://"
        if address is not None and setting.key.startswith("MQTT_TLS_") and setting.value is not True:
            hint = "set MQTT_TLS_ENABLED=true"
        reader.warnings.append(Problem(setting.place, setting.key, message, hint))


def _readable(reader: Reader, root: Path, setting: Setting) -> str | None:
    try:
        path = root / Path(setting.value).expanduser()
        with path.open("rb"):
            return str(path)
    except FileNotFoundError:
        reason = "there is no such file"
    except (OSError, RuntimeError) as error:  # RuntimeError: no home folder of that name
        reason = getattr(error, "strerror", None) or str(error)
    reader.report(
        setting.place, setting.key, f"found {setting.value!r}: {reason}", "name a readable PEM file"
    )
    return None


def _refuse_key_alone(reader: Reader, settings: Settings) -> None:
    for key in ("key_file", "key_password_file"):
        if key in settings and "cert_file" not in settings:
            setting = settings[key]
            reader.report(setting.place, setting.key, "a key without its certificate", "set cert_file too")


def _try_out(reader: Reader, settings: Settings, tls: TlsConfig) -> None:
    from routemq_tui.config import certificates  # here, as it loads OpenSSL

    if tls.ca_file is not None:
        certificates.check_authorities(reader, settings["ca_file"], tls.ca_file)
    if tls.cert_file is not None and ("key_file" not in settings or tls.key_file is not None):
        certificates.check_certificate(reader, settings, tls)
