"""A publishing MQTT client on one thread: paho, a bounded window, errors that say what happened.

The caller drives it: `publish` while `ready()`, and `step` to let the network move. Messages of QoS 1 and 2
that are not acknowledged are sent again on the next connection, as paho keeps them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, error_string
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from routemq_tui.errors import ExitCode, RoutemqError
from routemq_tui.worker import tls
from routemq_tui.worker.packet_size import LARGEST_PACKET, largest_taken, publish_size
from routemq_tui.worker.paho_client import take_back
from routemq_tui.worker.spec import BrokerAddress
from routemq_tui.worker.transport import Transport

WINDOW = 100
"""Messages of QoS 1 and 2 under way at once, or the broker's Receive Maximum (MQTT 5 section 3.3.4)."""
_WINDOW_UNTOLD = 20
"""The same for MQTT 3.1.1, where a broker cannot say: mosquitto hangs up on more of QoS 2 by default."""
_CONNECT_TIMEOUT = 5.0
_FAILURE = 0x80
_NO_MATCHING_SUBSCRIBERS = 16
_LASTING_REFUSALS = frozenset({"Bad user name or password", "Not authorized", "Banned"})
_TOO_OLD = frozenset({"Unsupported protocol version"})


class PublishError(RoutemqError):
    """Publishing did not work."""

    exit_code = ExitCode.BROKER_UNAVAILABLE


class TooLargeError(PublishError):
    """A message that is larger than the broker takes; it was not sent, and the connection is as it was."""

    exit_code = ExitCode.BROKER_REFUSED


class UnreachableError(PublishError):
    """Nobody answers at the broker's address, or the connection was lost."""


class RefusedError(PublishError):
    """The broker said no for good; trying again cannot help."""

    exit_code = ExitCode.BROKER_REFUSED


class PublishClient:
    """One connection that only publishes."""

    def __init__(self, address: BrokerAddress, name: str = "publish") -> None:
        self._address = address
        self._v5 = address.protocol == "5"
        version = MQTTProtocolVersion.MQTTv5 if self._v5 else MQTTProtocolVersion.MQTTv311
        # 3.1.1 promises 23 characters of client id (section 3.1.3.1).
        client_id = f"rmq-{name[:8]}-{os.getpid()}"
        clean = None if self._v5 else True
        self._client = Client(CallbackAPIVersion.VERSION2, client_id, clean, protocol=version)
        self._client.max_inflight_messages_set(0)  # Our own window bounds them.
        self._client.connect_timeout = _CONNECT_TIMEOUT
        if address.username is not None:
            self._client.username_pw_set(address.username, address.password)
        transport: Any = Transport(address)
        self._client.tls_set_context(transport)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.on_socket_close = self._on_socket_close
        self._accepted = False
        """The broker has taken us once: what is wrong with it may pass."""
        self._answer: ReasonCode | None = None
        self._lost = ""
        self._fault: tls.Fault | None = None
        """Why the connection ended before there was an answer."""
        self._waiting: dict[int, int] = {}
        self.window = WINDOW if self._v5 else _WINDOW_UNTOLD
        self.largest = LARGEST_PACKET
        """Bytes of the largest packet the broker takes, if it said so (MQTT 5 section 3.2.2.3.6)."""
        self.done = 0
        """Messages written out (QoS 0) or acknowledged (QoS 1 and 2), rejected ones included."""
        self.acknowledged = 0
        """Those of QoS 1 and 2."""
        self.unmatched = 0
        """Acknowledged with "no matching subscribers" (MQTT 5 section 3.4.2.1)."""
        self.rejected: dict[str, int] = {}
        """Acknowledged with a failure, by reason."""

    @property
    def connected(self) -> bool:
        return self._client.is_connected()

    @property
    def under_way(self) -> int:
        """Messages neither written out nor acknowledged."""
        return len(self._waiting)

    def connect(self, timeout: float = _CONNECT_TIMEOUT) -> None:
        """Connect, or connect again. Raises UnreachableError or RefusedError."""
        self._answer, self._lost, self._fault = None, "", None
        self._waiting = {mid: qos for mid, qos in self._waiting.items() if qos}
        deadline = time.monotonic() + timeout
        try:
            self._connect()
        except (OSError, ValueError) as error:
            raise self._unreachable(tls.explain(error, self._address)) from error
        answer = self._wait_for_answer(deadline)
        if answer is None and self._fault is not None:
            raise self._unreachable(self._fault)
        if answer is None:
            why = self._lost or f"no answer within {timeout:g} s"
            raise UnreachableError(f"{self._address} does not speak MQTT {self._address.protocol}: {why}")
        if answer.is_failure:
            raise self._refusal(answer)
        self._accepted = True

    def ready(self) -> bool:
        """True while connected and there is room for one more message."""
        return self.connected and not self._unsent() and len(self._waiting) < self.window

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int,
        retain: bool,
        properties: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        """Hand one message over. Raises PublishError for one that cannot be sent at all.

        `properties` are MQTT 5's, by the names of `Message.properties`; 3.1.1 has none.
        """
        try:
            sent = _properties(properties) if self._v5 and properties else None
            size = publish_size(topic, payload, qos, sent, self._v5)
            if size > self.largest:
                raise TooLargeError(
                    f"cannot publish to {topic!r}: a packet of {size} bytes is larger than the broker takes"
                    f" ({self.largest})"
                )
            info = self._client.publish(topic, payload, qos, retain, sent)
        except ValueError as error:
            raise PublishError(f"cannot publish to {topic!r}: {error}") from error
        # A small QoS 0 message is written, and its callback has run, before paho's `publish` returns.
        if qos or (info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS and not info.is_published()):
            self._waiting[info.mid] = qos
        if info.rc not in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_NO_CONN):
            raise UnreachableError(f"lost the broker at {self._address}: {error_string(info.rc)}")

    def step(self, timeout: float) -> None:
        """Let the network move for at most `timeout` seconds. Raises UnreachableError when it was lost."""
        self._loop(timeout)
        if self._lost:
            raise UnreachableError(f"lost the broker at {self._address}: {self._lost}")

    def drain(self, timeout: float) -> None:
        """Wait until nothing is under way any more. Raises PublishError when the time is up."""
        deadline = time.monotonic() + timeout
        while self._waiting or self._unsent():
            if time.monotonic() > deadline:
                left = len(self._waiting)
                raise PublishError(f"{self._address} left {left} messages unacknowledged for {timeout:g} s")
            self.step(0.05)

    def forget(self) -> int:
        """Let go of what is under way, between two connections: it is not sent again. Returns how many."""
        take_back(self._client, *self._waiting)
        count = len(self._waiting)
        self._waiting.clear()
        return count

    def close(self) -> None:
        socket: Any = self._client.socket()
        if socket is not None:
            socket.linger = True
        self._client.disconnect()

    def _connect(self) -> None:
        address = self._address
        if self._v5:
            self._client.connect(address.host, address.port, address.keepalive, clean_start=True)
        else:
            self._client.connect(address.host, address.port, address.keepalive)

    def _wait_for_answer(self, deadline: float) -> ReasonCode | None:
        while self._answer is None and not self._lost and time.monotonic() < deadline:
            self._loop(0.05)
        return self._answer

    def _loop(self, timeout: float) -> None:
        """Let paho read what comes within the time, and write what waits."""
        client = self._client
        socket: Any = client.socket()
        if socket is None:
            self._lost = self._lost or "the connection is closed"
            return
        socket.wait(max(timeout, 0.0))
        try:
            socket.flush()
        except OSError as error:
            socket.fail(str(error))
        socket.fill()
        while self._holds(socket) and (socket.buffered or socket.over):
            client.loop_read()
        if self._holds(socket):
            if client.want_write():  # what a callback queued
                client.loop_write()
            client.loop_misc()

    def _holds(self, socket: object) -> bool:
        return self._client.socket() is socket

    def _unsent(self) -> bool:
        socket: Any = self._client.socket()
        return self._client.want_write() or (socket is not None and socket.unsent > 0)

    def _unreachable(self, fault: tls.Fault) -> PublishError:
        text = fault.text
        if str(self._address) not in text:
            text = f"cannot reach the broker at {self._address}: {text}"
        return RefusedError(text) if fault.lasting and not self._accepted else UnreachableError(text)

    def _refusal(self, answer: ReasonCode) -> PublishError:
        reason = str(answer)
        text = f"the broker at {self._address} refused the connection: {reason.lower()}"
        if reason in _LASTING_REFUSALS:
            return RefusedError(f"{text}; check MQTT_USERNAME and MQTT_PASSWORD (environment or .env)")
        if reason in _TOO_OLD:
            return RefusedError(f'{text}; set protocol = "3.1.1" under [broker]')
        return UnreachableError(text)

    # -- paho's callbacks, on the caller's own thread -----------------------------------------------------

    def _on_connect(
        self,
        _client: Client,
        _data: Any,
        _flags: ConnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._answer = code
        self.largest = largest_taken(properties)
        if self._v5:
            self.window = min(WINDOW, getattr(properties, "ReceiveMaximum", WINDOW))

    def _on_disconnect(
        self, _client: Client, _data: Any, _flags: DisconnectFlags, code: ReasonCode, _properties: Any
    ) -> None:
        self._lost = self._lost or str(code).lower()

    def _on_socket_close(self, _client: Client, _data: Any, socket: Any) -> None:
        if self._answer is None:
            self._fault = tls.explain_end(socket.first, socket.error, self._address, self._accepted)
        elif socket.error is not None:
            self._lost = str(socket.error)

    def _on_publish(
        self, _client: Client, _data: Any, mid: int, code: ReasonCode, _properties: Properties | None
    ) -> None:
        self.acknowledged += self._waiting.pop(mid, 0) > 0
        self.done += 1
        if code.value >= _FAILURE:
            self.rejected[str(code).lower()] = self.rejected.get(str(code).lower(), 0) + 1
        elif code.value == _NO_MATCHING_SUBSCRIBERS:
            self.unmatched += 1


_SENDABLE = {
    "payload_format_indicator": "PayloadFormatIndicator",
    "content_type": "ContentType",
    "response_topic": "ResponseTopic",
    "correlation_data": "CorrelationData",
    "user_property": "UserProperty",
}
"""An expiry has passed its time, and a subscription identifier is the receiver's."""


def _properties(values: Mapping[str, Any]) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    for name, theirs in _SENDABLE.items():
        if name in values:
            value = values[name]
            pairs = name == "user_property"
            setattr(properties, theirs, [tuple(each) for each in value] if pairs else value)
    return properties
