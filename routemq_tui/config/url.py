"""The broker's URL."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit

EMBEDDED = "embedded"
MOSQUITTO = "mosquitto"
STARTED = (EMBEDDED, MOSQUITTO)
"""Brokers that the engine starts itself."""

ALLOWED = '"embedded", "mosquitto", "mqtt://HOST[:PORT]", "mqtts://…", "ws://HOST[:PORT][/PATH]" or "wss://…"'
WEBSOCKET_PATH = "/mqtt"
"""Where brokers take WebSockets unless told otherwise; some take them anywhere."""
_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
_ENCRYPTED = ("mqtts", "wss")
_WEBSOCKET = ("ws", "wss")
_SCHEME_MEANT = {
    "tcp": "mqtt",
    "mqtt+ssl": "mqtts",
    "ssl": "mqtts",
    "tls": "mqtts",
    "http": "ws",
    "https": "wss",
    "mqtt+ws": "ws",
    "mqtt+wss": "wss",
}


@dataclass(frozen=True, slots=True)
class BrokerUrl:
    """A broker that runs somewhere."""

    host: str
    """Without the brackets of an IPv6 address."""
    port: int
    tls: bool = False
    username: str | None = None
    explicit_port: bool = True
    path: str | None = None
    """Of a WebSocket; None for MQTT straight on TCP or TLS."""

    @property
    def scheme(self) -> str:
        """`mqtt`, `mqtts`, `ws` or `wss`."""
        return ("mqtt" if self.path is None else "ws") + ("s" if self.tls else "")

    def encrypted(self) -> BrokerUrl:
        """The same over TLS, on its usual port unless one is named."""
        secure = replace(self, tls=True)
        return secure if self.explicit_port else replace(secure, port=_PORTS[secure.scheme])

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path or ''}"


def parse_broker_url(text: str) -> BrokerUrl | None:
    """The broker's address, None for a broker that we start; raises ValueError saying what is wrong."""
    if text in STARTED:
        return None
    if not text.isprintable() or " " in text:
        raise ValueError("it holds spaces or control characters")
    scheme, separator, rest = text.partition("://")
    if not separator:
        if "." in text or text.startswith("localhost"):
            raise ValueError(f'did you mean "mqtt://{text.rpartition("@")[2]}"?')
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
    websocket = scheme in _WEBSOCKET
    if parts.query or parts.fragment or (parts.path not in ("", "/") and not websocket):
        raise ValueError(f"nothing may follow the {'path' if websocket else 'host and port'}")
    if not parts.path.isascii():
        raise ValueError("the path holds letters that a URL writes as %XX")
    return BrokerUrl(
        host=host,
        port=port or _PORTS[scheme],
        tls=scheme in _ENCRYPTED,
        username=unquote(parts.username) if parts.username else None,
        explicit_port=port is not None,
        path=(parts.path or WEBSOCKET_PATH) if websocket else None,
    )
