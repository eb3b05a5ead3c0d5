"""One connection to the configured broker, to see whether address, certificates and credentials are right.

Not a command itself; `check --connect` does it.
"""

from __future__ import annotations

from typing import NamedTuple

from routemq_tui.commands.broker_address import NotRunningError, address_of
from routemq_tui.config.model import NOT_VERIFIED, Config
from routemq_tui.config.url import STARTED
from routemq_tui.errors import RoutemqError


class Outcome(NamedTuple):
    text: str
    error: RoutemqError | None = None


def connect_once(config: Config) -> Outcome:
    """Connect, and leave again. A broker that the engine starts is only there while it runs."""
    from routemq_tui.publisher.client import PublishClient  # late: `check` alone needs no client

    broker = config.broker
    try:
        address = address_of(broker, config.root, config.app.node)
    except NotRunningError as error:
        return Outcome(str(error).splitlines()[0])
    client = PublishClient(address, "check")
    try:
        client.connect()
    except RoutemqError as error:
        return Outcome(str(error), error)
    client.close()
    where = str(address) if broker.url in STARTED else broker.url
    checked = ""
    if address.tls:
        checked = f"; {NOT_VERIFIED}" if address.security.insecure else ", its certificate is right"
    return Outcome(f"{where} takes us (MQTT {address.protocol}){checked}")
