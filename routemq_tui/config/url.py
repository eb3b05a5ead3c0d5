"""The broker's URL."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

EMBEDDED = "embedded"
MOSQUITTO = "mosquitto"
STARTED = (EMBEDDED, MOSQUITTO)
"""Brokers that the engine starts itself."""

ALLOWED = '"embedded", "mosquitto", "mqtt://HOST[:PORT]" or "mqtts://HOST[:PORT]"'
_PORTS = {"mqtt": 1883, "mqtts": 8883}
_SCHEME_MEANT = {"tcp": "mqtt", "mqtt+ssl": "mqtts", "ssl": "mqtts", "tls": "mqtts"}


@dataclass(frozen=True, slots=True)
class BrokerUrl:
    """A broker that runs somewhere."""

    host: str
    """Without the brackets of an IPv6 address."""
    port: int
    tls: bool = False
    username: str | None = None
    explicit_port: bool = True

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def parse_broker_url(text: str) -> BrokerUrl | None:
    """The broker's address, None for a broker that we start; raises ValueError saying what is wrong."""
    if text in STARTED:
        return None
    if not text.isprintable() or " " in text:
        raise ValueError("it holds spaces or control characters")
    scheme, separator, rest = text.partition("://")
    if not separator:
        if "." in text or text.startswith("localhost"):
            raise ValueError(f'did you mean "mqtt://{text}"?')
        raise ValueError("it is no URL")
    if scheme not in _PORTS:
        meant = _SCHEME_MEANT.get(scheme)
        raise ValueError(
            f'did you mean "{meant}://{rest.rpartition("@")[2]}"?' if meant else "unknown scheme"
        )
    try:
        parts = urlsplit(text)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        # The message of urllib may hold the password when it stands where the port is looked for.
        reason = "the port is no number from 1 to 65535" if "ort" in str(error) else "the host is malformed"
        raise ValueError(reason) from None
    if parts.password is not None:
        raise ValueError("a password does not belong here: use MQTT_PASSWORD or broker.password_file")
    if not host:
        raise ValueError("there is no host in it")
    if port == 0:
        raise ValueError("the port is no number from 1 to 65535")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("nothing may follow the host and port")
    return BrokerUrl(
        host=host,
        port=port or _PORTS[scheme],
        tls=scheme == "mqtts",
        username=unquote(parts.username) if parts.username else None,
        explicit_port=port is not None,
    )
