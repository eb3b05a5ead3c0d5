"""What the stream takes out is what unmodified paho would have seen: messages, order, properties, answers.

paho is driven through its public calls only: `loop_read`, and a context for `tls_set_context` whose
`wrap_socket` returns a socket that reads from memory.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from routemq_tui.worker.acknowledgements import Qos2Window, pubacks, pubcomps, pubrecs
from routemq_tui.worker.publish_stream import PUBREL, PublishStream
from routemq_tui.worker.wire import StreamError
from tests.worker.reference_stream import Publish, Reference, Release
from tests.worker.streams import PAHO_NAMES, SIZES, cut, others, packets, pubrel

Seen = tuple[str, bytes, int, bool, bool, int, dict[str, Any]]


class MemorySocket:
    """Gives paho these bytes to read and keeps what it writes."""

    check_hostname = True

    def __init__(self) -> None:
        self.incoming = bytearray()
        self.written = bytearray()

    def wrap_socket(self, raw: socket.socket, **_: Any) -> MemorySocket:
        self._raw = raw
        return self

    def recv(self, size: int) -> bytes:
        if not self.incoming:
            raise BlockingIOError
        data = bytes(self.incoming[:size])
        del self.incoming[:size]
        return data

    def send(self, data: bytes) -> int:
        self.written += data
        return len(data)

    def fileno(self) -> int:
        return self._raw.fileno()

    def close(self) -> None:
        self._raw.close()

    def settimeout(self, _: Any) -> None:
        pass

    def setblocking(self, _: Any) -> None:
        pass

    def do_handshake(self) -> None:
        pass


class Paho:
    """A stock client, connected, that notes all it is told."""

    def __init__(self, port: int, v5: bool) -> None:
        self.messages: list[Seen] = []
        self.told: list[tuple[str, int]] = []
        self.socket = MemorySocket()
        context: Any = self.socket
        version = MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311
        self.client = Client(CallbackAPIVersion.VERSION2, client_id="x", protocol=version)
        self.client.tls_set_context(context)
        self.client.on_message = self._on_message
        self.client.on_subscribe = lambda *a: self.told.append(("subscribed", a[2]))
        self.client.on_unsubscribe = lambda *a: self.told.append(("unsubscribed", a[2]))
        self.client.connect("127.0.0.1", port)
        self.client.loop_write()
        self.read(b"\x20\x03\x00\x00\x00" if v5 else b"\x20\x02\x00\x00")
        assert self.client.is_connected()
        self.socket.written.clear()

    def read(self, data: bytes) -> None:
        self.socket.incoming += data
        while self.socket.incoming:
            assert self.client.loop_read() == MQTTErrorCode.MQTT_ERR_SUCCESS
        self.client.loop_write()

    def _on_message(self, _client: Any, _data: Any, got: Any) -> None:
        found = vars(got.properties) if got.properties is not None else {}
        properties = {ours: found[name] for name, ours in PAHO_NAMES.items() if name in found}
        for name in ("user_property", "subscription_identifier"):
            if name in properties:
                properties[name] = tuple(properties[name])
        self.messages.append(
            (got.topic, bytes(got.payload), got.qos, bool(got.retain), bool(got.dup), got.mid, properties)
        )

    def close(self) -> None:
        self.client.disconnect()
        self.socket.close()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Where a TCP connection can be made: paho insists on one before it asks for its socket."""
    server = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                server.accept()[0].close()

    thread = threading.Thread(target=accept)
    thread.start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


class Ours:
    """The stream as a worker uses it, with handlers that end at once, in front of another stock client."""

    def __init__(self, underneath: Paho, v5: bool) -> None:
        self.messages: list[Seen] = []
        self.written = bytearray()
        self.underneath = underneath
        self.stream = PublishStream(v5, str)
        self.window = Qos2Window(memoryview(bytearray(Qos2Window.BYTES)))

    def read(self, chunk: bytes) -> None:
        for first, topic, payload, packet_id, properties in self.stream.feed(chunk):
            if first == PUBREL:
                self.window.release(packet_id)
                self.written += pubcomps([packet_id])
            elif first >> 4 != 3:
                self.underneath.read(payload)
            else:
                qos = first >> 1 & 3
                if qos != 2 or not self.window.seen(packet_id):
                    assert topic is not None
                    flags = bool(first & 1), bool(first & 8)
                    self.messages.append((topic, payload, qos, *flags, packet_id, dict(properties)))
                if qos == 1:
                    self.written += pubacks([packet_id])
                elif qos == 2:
                    self.window.mark(packet_id)
                    self.written += pubrecs([packet_id])


def as_a_broker(sent: list[bytes], v5: bool) -> list[bytes]:
    """A QoS 2 id in use comes again only as the same message with DUP; in the end every id is released."""
    used: dict[int, bytes] = {}
    kept = []
    for raw in sent:
        [what], _ = Reference(v5).read(raw)
        if isinstance(what, Release):
            used.pop(what.packet_id, None)
        elif isinstance(what, Publish) and what.qos == 2 and what.packet_id in used:
            raw = used[what.packet_id]
        elif isinstance(what, Publish) and what.qos == 2:
            used[what.packet_id] = bytes((raw[0] | 8, *raw[1:]))
        kept.append(raw)
    return kept + [pubrel(packet_id) for packet_id in used]


def in_order_of_publish(sent: list[bytes], v5: bool) -> list[bytes]:
    """Payloads of the QoS 2 messages, each once."""
    used: set[int] = set()
    payloads = []
    for what in Reference(v5).read(b"".join(sent))[0]:
        if isinstance(what, Release):
            used.discard(what.packet_id)
        elif isinstance(what, Publish) and what.qos == 2 and what.packet_id not in used:
            used.add(what.packet_id)
            payloads.append(what.payload)
    return payloads


def by_content(messages: list[Seen]) -> list[str]:
    """QoS 2 messages without their order and DUP: of repeats paho keeps the last, we the first."""
    return sorted(repr((*seen[:4], seen[5], sorted(seen[6].items()))) for seen in messages if seen[2] == 2)


@pytest.mark.parametrize("v5", [False, True], ids=["3.1.1", "5"])
@given(data=st.data())
@settings(max_examples=120, deadline=None)
def test_paho_sees_and_answers_the_same(port: int, v5: bool, data: Any) -> None:
    # given what a broker may send, and two stock clients
    sent = as_a_broker(data.draw(packets(v5)), v5)
    stream = b"".join(sent)
    stock, beneath = Paho(port, v5), Paho(port, v5)
    ours = Ours(beneath, v5)
    try:
        # when one gets all of it and the other what the stream leaves, cut anywhere
        stock.read(stream)
        for chunk in cut(stream, data.draw(SIZES)):
            ours.read(chunk)
        # then both were told the same, but for QoS 2, which paho hands over at PUBREL and we at PUBLISH
        assert [seen for seen in ours.messages if seen[2] != 2] == [
            seen for seen in stock.messages if seen[2] != 2
        ]
        assert by_content(ours.messages) == by_content(stock.messages)
        assert [seen[1] for seen in ours.messages if seen[2] == 2] == in_order_of_publish(sent, v5)
        # and the broker was given the same answers, in the same order
        assert ours.written == stock.socket.written
        assert beneath.told == stock.told
        assert beneath.messages == []
        assert beneath.socket.written == b""
    finally:
        stock.close()
        beneath.close()


@pytest.mark.parametrize("v5", [False, True], ids=["3.1.1", "5"])
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_what_is_passed_on_is_what_paho_can_read(port: int, v5: bool, data: Any) -> None:
    # given the answers a broker may send, changed at random
    raw = bytearray(data.draw(others(v5)))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    try:
        passed_on = [packet[2] for packet in PublishStream(v5, str).feed(bytes(raw)) if packet[1] is None]
    except StreamError as error:
        passed_on = [packet[2] for packet in error.packets if packet[1] is None]
    paho = Paho(port, v5)
    try:
        # then whatever passes the checks is no surprise to it
        for each in passed_on:
            if each and each[0] not in (0x20, 0xE0) and b"\xef\xbb\xbf" not in each:
                paho.read(each)
    finally:
        paho.close()
