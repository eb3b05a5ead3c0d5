"""A throw-away certificate authority, and mosquitto with a listener for each way TLS can go."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from tests.conftest import Mosquitto
from tests.waiting import free_port, listens, wait_until


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key, each in a PEM file."""

    cert_file: Path
    key_file: Path


class Authority:
    """Signs certificates; whoever trusts `file` trusts them."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        folder.mkdir(exist_ok=True)
        self._folder, self._name = folder, name
        self._ca = trustme.CA(organization_name=name, key_type=trustme.KeyType.ECDSA)
        self.file = folder / f"{name}.pem"
        self._ca.cert_pem.write_to_path(self.file)

    def issue(self, *names: str, expired: bool = False, file: str = "") -> Issued:
        """For hosts or addresses, the first one also in the files' names."""
        now = datetime.now(UTC)
        since, until = (now - timedelta(30), now - timedelta(1)) if expired else (now - timedelta(1), None)
        issued = self._ca.issue_cert(
            *names, not_before=since, not_after=until, key_type=trustme.KeyType.ECDSA
        )
        stem = f"{self._name}-{file or names[0]}"
        cert, key = self._folder / f"{stem}.pem", self._folder / f"{stem}.key.pem"
        cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return Issued(cert, key)


@dataclass(slots=True)
class TlsBroker:
    """Ports of one mosquitto; each listener is wrong in one way, or right."""

    authority: Authority
    mosquitto: Mosquitto
    client: Issued
    """A client's certificate that the broker trusts."""
    ports: dict[str, int] = field(default_factory=dict)

    @property
    def plain(self) -> int:
        return self.mosquitto.port


def start_tls_broker(folder: Path) -> TlsBroker:
    """With listeners `right`, `expired`, `other-host`, `client` and `client-1.2` (they want a certificate),
    `ws`, `wss` and `wss-client`."""
    folder.mkdir(exist_ok=True)
    authority = Authority(folder)
    right = authority.issue("127.0.0.1", "localhost", file="right")
    expired = authority.issue("127.0.0.1", expired=True, file="expired")
    other = authority.issue("broker.example", file="other")
    client = f"require_certificate true\ncafile {authority.file}"
    listeners = {
        "right": (right, ""),
        "expired": (expired, ""),
        "other-host": (other, ""),
        "client": (right, client),
        "client-1.2": (right, f"{client}\ntls_version tlsv1.2"),
        "ws": (None, "protocol websockets"),
        "wss": (right, "protocol websockets"),
        "wss-client": (right, f"protocol websockets\n{client}"),
    }
    ports = {name: free_port() for name in listeners}
    settings = []
    for name, (issued, more) in listeners.items():
        settings.append(f"listener {ports[name]} 127.0.0.1\n{more}")
        if issued is not None:
            settings.append(f"certfile {issued.cert_file}\nkeyfile {issued.key_file}")
    mosquitto = Mosquitto(folder, "\n".join(settings))
    mosquitto.start()
    wait_until(lambda: all(listens(port) for port in ports.values()), what="all listeners are there")
    return TlsBroker(authority, mosquitto, authority.issue("worker@example.org", file="client"), ports)
