"""The MQTT dialogue with one client: what each packet means and what is answered."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from routemq_tui.broker import encode, packets, properties, reasons
from routemq_tui.broker.connection import Connection
from routemq_tui.broker.message import Message
from routemq_tui.broker.packets import V3, V5
from routemq_tui.broker.properties import Value
from routemq_tui.broker.reasons import PacketError, protocol_error
from routemq_tui.broker.session import WINDOW, Session
from routemq_tui.broker.topics import weight

log = logging.getLogger("routemq_tui.broker")

LARGEST_PACKET = 0x10000004


class Conversation:
    """The state of one connection; the session may have had others before and may have others after."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._broker = connection.broker
        self._totals = connection.broker.ledger.totals
        self._publish = connection.broker.distribution.publish
        self._session: Session | None = None
        self._version = V5
        self._aliases: dict[int, str] = {}
        self._keep_will = True
        self._handlers: dict[int, Callable[[bytes], None]] = {}
        self._turn_taken = self._owing = False
        """Whether retained messages were sent in this turn of the loop, and whether more could be."""

    def handle(self, first: int, body: bytes) -> None:
        """One packet: its first byte and all behind its Remaining Length."""
        kind = first >> 4
        if kind == properties.PUBLISH and self._session is not None:
            self._on_publish(self._session, first & 15, body)
            return
        packets.check_header(first, len(body))
        if self._session is None:
            if kind != properties.CONNECT:
                raise protocol_error(f"{packets.NAMES[kind]} before CONNECT")
            self._on_connect(body)
            return
        handler = self._handlers.get(kind)
        if handler is None:
            raise protocol_error(f"{packets.NAMES[kind]} is not for this client to send now")
        handler(body)

    # Beginning and end

    def _on_connect(self, body: bytes) -> None:
        name, level = packets.protocol_of(body)
        connection = self._connection
        if (name, level) not in (("MQTT", V3), ("MQTT", V5)):
            old = level < V5
            self._version = V3 if old else V5
            self._refuse(
                reasons.UNSUPPORTED_VERSION, f"protocol {name[:20]!r} level {level} is not spoken here"
            )
            return
        self._version = connection.version = level
        try:
            packet = packets.decode_connect(body)
            self._check(packet)
            session, present = self._broker.connect(connection, packet)
        except PacketError as violation:
            self._refuse(violation.reason, violation.text)
            return
        self._introduce(packet, session, present)
        session.attach(connection)
        self._catch_up()

    def _check(self, packet: packets.Connect) -> None:
        if not packet.client_id and packet.version == V3 and not packet.clean_start:
            raise PacketError(reasons.CLIENT_ID_INVALID, "a session that is kept needs a client id")
        if packet.authentication is not None:
            raise PacketError(reasons.BAD_AUTHENTICATION_METHOD, "enhanced authentication is not spoken here")

    def _refuse(self, reason: int, text: str) -> None:
        connection = self._connection
        self._totals.refused += 1
        log.warning("refused a connection: %s (reason 0x%02x)", text, reason)
        pairs = [(properties.REASON_STRING, text)]
        if frame := encode.connack(self._version, False, reason, pairs):
            connection.write(frame)
        connection.hang_up()

    def _introduce(self, packet: packets.Connect, session: Session, present: bool) -> None:
        connection, limits = self._connection, self._broker.limits
        self._session = session
        connection.client = session.client_id
        connection.introduced = True
        connection.accepted_packet = limits.packet_bytes
        connection.keepalive = packet.keepalive * 1.5
        connection.maximum_packet = packet.maximum_packet or LARGEST_PACKET
        connection.window = min(packet.receive_maximum or limits.default_window, WINDOW)
        self._handlers = self._table(session)
        pairs: list[tuple[int, Value]] = [
            (properties.RECEIVE_MAXIMUM, limits.receive_maximum),
            (properties.MAXIMUM_PACKET_SIZE, limits.packet_bytes),
            (properties.TOPIC_ALIAS_MAXIMUM, limits.topic_aliases),
        ]
        if not packet.client_id:
            pairs.append((properties.ASSIGNED_CLIENT_ID, session.client_id))
        connection.write(encode.connack(self._version, present, reasons.SUCCESS, pairs))
        spoken = "5" if self._version == V5 else "3.1.1"
        log.info(
            "%s connected (MQTT %s, keepalive %d s, session %s)",
            session.client_id,
            spoken,
            packet.keepalive,
            "resumed" if present else "new",
        )

    def _table(self, session: Session) -> dict[int, Callable[[bytes], None]]:
        connection, version = self._connection, self._version

        def on_puback(body: bytes) -> None:
            packet_id, _ = packets.decode_acknowledgement(properties.PUBACK, body, version)
            session.acknowledge(packet_id)

        def on_pubcomp(body: bytes) -> None:
            packet_id, _ = packets.decode_acknowledgement(properties.PUBCOMP, body, version)
            session.complete(packet_id)

        return {
            properties.PUBACK: on_puback,
            properties.PUBREC: self._on_pubrec,
            properties.PUBREL: self._on_pubrel,
            properties.PUBCOMP: on_pubcomp,
            properties.SUBSCRIBE: self._on_subscribe,
            properties.UNSUBSCRIBE: self._on_unsubscribe,
            properties.PINGREQ: lambda _: connection.write(encode.PINGRESP),
            properties.DISCONNECT: self._on_disconnect,
        }

    def _on_disconnect(self, body: bytes) -> None:
        session = self._held()
        reason, expiry = packets.decode_disconnect(body, self._version)
        if expiry is not None:
            if expiry and not session.expiry:
                raise protocol_error("DISCONNECT sets a session expiry where CONNECT had none")
            session.expiry = expiry
        self._keep_will = reason != reasons.SUCCESS
        self._connection.hang_up()

    def lost(self) -> None:
        """The connection is gone, or is as good as gone; happens once however often it is told."""
        session, self._session = self._session, None
        for topic in self._aliases.values():
            self._broker.ledger.let_go(weight(topic))
        self._aliases.clear()
        if session is not None:
            log.info("%s disconnected", session.client_id)
            self._broker.detach(session, self._connection, keep_will=self._keep_will)

    def writable(self) -> None:
        if self._session is not None:
            self._session.pump()
            self._catch_up()

    def _held(self) -> Session:
        assert self._session is not None
        return self._session

    # Publishing

    def _on_publish(self, session: Session, flags: int, body: bytes) -> None:
        version = self._version
        topic, packet_id, payload, passing, expiry, alias = packets.decode_publish(flags, body, version)
        if alias is not None:
            topic = self._resolve(topic, alias)
        elif not topic and version == V5:
            raise protocol_error("PUBLISH with neither topic nor alias")
        self._totals.received += 1
        expires_at = None if expiry is None else time.monotonic() + expiry
        qos = flags >> 1 & 3
        message = Message(topic, payload, qos, bool(flags & 1), passing, expires_at)
        if qos == 2:
            self._on_publish_twice(session, message, packet_id)
            return
        reason = self._route(message, session)
        if qos:
            self._connection.write(encode.acknowledgement(encode.PUBACK, packet_id, version, reason))

    def _route(self, message: Message, session: Session) -> int:
        if message.topic.startswith("$SYS") or message.topic.startswith("$share"):
            return reasons.NOT_AUTHORISED
        return self._publish(message, session)

    def _on_publish_twice(self, session: Session, message: Message, packet_id: int) -> None:
        """QoS 2: handed on at once; the identifier is remembered until PUBREL, so that it is once."""
        reason = reasons.SUCCESS
        if packet_id not in session.incoming:
            if len(session.incoming) >= self._broker.limits.receive_maximum and self._version == V5:
                limit = self._broker.limits.receive_maximum
                raise PacketError(
                    reasons.RECEIVE_MAXIMUM_EXCEEDED, f"more than {limit} QoS 2 messages under way"
                )
            reason = self._route(message, session)
            if reason < reasons.UNSPECIFIED or self._version != V5:
                session.incoming.add(packet_id)
        self._connection.write(encode.acknowledgement(encode.PUBREC, packet_id, self._version, reason))

    def _resolve(self, topic: str, alias: int) -> str:
        if alias > self._broker.limits.topic_aliases:
            raise PacketError(reasons.TOPIC_ALIAS_INVALID, f"topic alias {alias} is above the maximum")
        if topic:
            self._set_alias(alias, topic)
            return topic
        known = self._aliases.get(alias)
        if known is None:
            raise protocol_error(f"topic alias {alias} was never set")
        return known

    def _set_alias(self, alias: int, topic: str) -> None:
        ledger = self._broker.ledger
        before = self._aliases.get(alias)
        if before == topic:
            return
        if before is not None:
            ledger.let_go(weight(before))
            del self._aliases[alias]
        if not ledger.keep(weight(topic)):
            raise PacketError(reasons.QUOTA_EXCEEDED, "the broker has no place for one more topic alias")
        self._aliases[alias] = topic

    def _on_pubrel(self, body: bytes) -> None:
        packet_id, _ = packets.decode_acknowledgement(properties.PUBREL, body, self._version)
        incoming = self._held().incoming
        reason = reasons.SUCCESS if packet_id in incoming else reasons.PACKET_ID_NOT_FOUND
        incoming.discard(packet_id)
        self._connection.write(encode.acknowledgement(encode.PUBCOMP, packet_id, self._version, reason))

    def _on_pubrec(self, body: bytes) -> None:
        packet_id, code = packets.decode_acknowledgement(properties.PUBREC, body, self._version)
        refused = code >= reasons.UNSPECIFIED
        known = self._held().receive(packet_id, refused)
        if refused:
            return
        reason = reasons.SUCCESS if known else reasons.PACKET_ID_NOT_FOUND
        self._connection.write(encode.acknowledgement(encode.PUBREL, packet_id, self._version, reason))

    # Subscribing

    def _on_subscribe(self, body: bytes) -> None:
        session, distribution = self._held(), self._broker.distribution
        packet = packets.decode_subscribe(body, self._version, self._broker.limits.subscriptions)
        answers = [distribution.subscribe(session, request, packet.identifier) for request in packet.requests]
        codes = [code for code, _ in answers]
        self._connection.write(encode.suback(packet.packet_id, self._version, codes))
        for request, (code, is_new) in zip(packet.requests, answers, strict=True):
            if code < reasons.UNSPECIFIED:
                distribution.owe_retained(session, request, is_new)
        self._catch_up()
        session.pump()

    def _catch_up(self) -> None:
        """Send retained messages that are owed: one slice a turn of the loop, however many packets ask."""
        if self._session is None or not self._session.owed:
            return
        if self._turn_taken:
            self._owing = True
            return
        self._turn_taken = True
        asyncio.get_running_loop().call_soon(self._next_turn)
        self._owing = self._broker.distribution.send_owed(self._session)

    def _next_turn(self) -> None:
        self._turn_taken = False
        if self._owing:
            self._catch_up()

    def _on_unsubscribe(self, body: bytes) -> None:
        session = self._held()
        packet = packets.decode_unsubscribe(body, self._version, self._broker.limits.subscriptions)
        codes = [self._broker.distribution.unsubscribe(session, text) for text in packet.filters]
        self._connection.write(encode.unsuback(packet.packet_id, self._version, codes))
