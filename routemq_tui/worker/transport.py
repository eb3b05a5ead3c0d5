"""What a connection to the broker is made of: TCP, TLS on it, a WebSocket on that, as the address says."""

from __future__ import annotations

import socket

from routemq_tui.worker.socket_wrapper import MqttSocket
from routemq_tui.worker.spec import BrokerAddress
from routemq_tui.worker.tls import client_context
from routemq_tui.worker.websocket import WebSocket


class Transport:
    """Stands where paho expects an SSL context; `wrap_socket` gives it a MqttSocket.

    `check_hostname` is True so that paho leaves checking the name to whoever made the connection: with TLS
    the real context does it in the handshake, without there is none to check.
    """

    check_hostname = True

    def __init__(self, address: BrokerAddress) -> None:
        self._address = address

    def wrap_socket(
        self, raw: socket.socket, server_hostname: str | None = None, do_handshake_on_connect: bool = False
    ) -> MqttSocket:
        """Raises TlsFileError; the connection is closed then."""
        address = self._address
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if address.tls:
                raw = client_context(address.security).wrap_socket(
                    raw,
                    server_hostname=address.security.server_name or address.host,
                    do_handshake_on_connect=False,
                )
        except BaseException:
            raw.close()
            raise
        return MqttSocket(raw) if address.websocket is None else WebSocket(raw, address)
