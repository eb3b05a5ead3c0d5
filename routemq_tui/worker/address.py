"""The address of a broker that is not ours to start, from the configuration."""

from __future__ import annotations

from routemq_tui.config.model import BrokerConfig
from routemq_tui.config.url import parse_broker_url
from routemq_tui.worker.spec import BrokerAddress


def external_address(settings: BrokerConfig) -> BrokerAddress:
    """Of a URL; the configuration has checked it. Raises ValueError for a broker that the engine starts."""
    url = parse_broker_url(settings.url)
    if url is None:
        raise ValueError(f"the {settings.url} broker has no address before it runs")
    return BrokerAddress(
        host=url.host,
        port=url.port,
        tls=url.tls,
        protocol=settings.protocol,
        username=settings.username,
        password=settings.password,
        keepalive=settings.keepalive,
        session_expiry=settings.session_expiry,
        websocket=url.path,
        security=settings.tls,
    )
