"""WebSocket frames as RFC 6455 has them, cut anywhere; and servers that speak something else."""

from __future__ import annotations

import base64
import hashlib
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routemq_tui.worker.spec import BrokerAddress
from routemq_tui.worker.tls import explain
from routemq_tui.worker.transport import Transport
from routemq_tui.worker.websocket import Frames, WebSocket, WebSocketError, frame

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PING, CLOSE = 0x9, 0x8


def from_server(opcode: int, payload: bytes, final: bool = True) -> bytes:
    size = len(payload)
    first = bytes(((0x80 if final else 0) | opcode,))
    if size < 126:
        return first + bytes((size,)) + payload
    if size < 65_536:
        return first + b"\x7e" + size.to_bytes(2, "big") + payload
    return first + b"\x7f" + size.to_bytes(8, "big") + payload


def unmask(data: bytes) -> tuple[int, bytes]:
    """Opcode and payload of one whole frame of a client, by the standard's own words (section 5.3)."""
    assert data[0] & 0xF0 == 0x80
    assert data[1] & 0x80
    size, at = data[1] & 0x7F, 2
    if size == 126:
        size, at = int.from_bytes(data[2:4], "big"), 4
    elif size == 127:
        size, at = int.from_bytes(data[2:10], "big"), 10
    key, masked = data[at : at + 4], data[at + 4 :]
    assert len(masked) == size
    return data[0] & 15, bytes(byte ^ key[index % 4] for index, byte in enumerate(masked))


@given(st.integers(0, 15), st.one_of(st.binary(max_size=300), st.integers(65_530, 65_540).map(bytes)))
def test_a_frame_is_what_a_server_unmasks(opcode: int, payload: bytes) -> None:
    assert unmask(frame(opcode, payload)) == (opcode, payload)


PIECES = st.lists(
    st.one_of(
        st.tuples(st.sampled_from((0x0, 0x2)), st.binary(max_size=200), st.booleans()),
        st.tuples(st.just(0x2), st.integers(120, 70_000).map(bytes), st.just(True)),
        st.tuples(st.just(PING), st.binary(max_size=125), st.just(True)),
    ),
    max_size=12,
)


@given(PIECES, st.lists(st.integers(1, 5000), max_size=20))
def test_the_data_of_frames_cut_anywhere_is_given_in_order(
    pieces: list[tuple[int, bytes, bool]], cuts: list[int]
) -> None:
    stream = b"".join(from_server(*piece) for piece in pieces)
    replies: list[bytes] = []
    frames, got, at = Frames(replies.append), b"", 0
    for size in [*cuts, len(stream)]:
        got += frames.feed(stream[at : at + size])
        at += size
    got += frames.feed(b"")
    assert got == b"".join(payload for opcode, payload, _ in pieces if opcode != PING)
    assert [unmask(each) for each in replies] == [
        (0xA, payload) for opcode, payload, _ in pieces if opcode == PING
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        b"\x81\x01x",  # text
        b"\xc2\x01x",  # a reserved bit
        b"\x82\x81keyyx",  # masked
        b"\x83\x01x",  # an opcode that there is not
        b"\x89\x7e\x00\x80",  # a ping of 128 bytes
    ],
)
def test_a_frame_that_breaks_the_rules_is_an_error(wrong: bytes) -> None:
    with pytest.raises(WebSocketError):
        Frames(lambda _: None).feed(wrong)


def test_a_close_is_answered_and_ends_it() -> None:
    replies: list[bytes] = []
    frames = Frames(replies.append)
    assert frames.feed(from_server(0x2, b"last") + from_server(CLOSE, b"\x03\xe8bye") + b"rest") == b"last"
    assert frames.closed
    assert [unmask(each) for each in replies] == [(CLOSE, b"\x03\xe8")]


def connect(answer: Callable[[bytes], bytes]) -> WebSocket:
    """Of a server that answers the upgrade so; the answer gets the key."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    ours.settimeout(5)
    address = BrokerAddress("127.0.0.1", 1, websocket="/mqtt")
    wrapped = Transport(address).wrap_socket(ours)
    assert isinstance(wrapped, WebSocket)

    def serve() -> None:
        with theirs:
            head = b""
            while b"\r\n\r\n" not in head:
                head += theirs.recv(4096)
            assert head.startswith(b"GET /mqtt HTTP/1.1\r\nHost: 127.0.0.1:1\r\n")
            theirs.sendall(answer(head.partition(b"Sec-WebSocket-Key: ")[2].split(b"\r\n")[0]))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        wrapped.do_handshake()
    finally:
        thread.join()
    return wrapped


def accepted(key: bytes, more: str = "Sec-WebSocket-Protocol: mqtt\r\n", right: bool = True) -> bytes:
    accept = base64.b64encode(hashlib.sha1(key + MAGIC).digest()).decode() if right else "AAAA"
    return (
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: WebSocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n{more}\r\n"
    ).encode()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda key: b"HTTP/1.1 404 Not Found\r\n\r\n", "it says '404 Not Found': is the path"),
        (lambda key: accepted(key, right=False), "as RFC 6455 has it"),
        (lambda key: accepted(key, more=""), "not for MQTT"),
        (lambda key: b"", "does not answer as a WebSocket does"),
        (lambda key: b"\x20\x02\x00\x01", "does not answer as a WebSocket does"),
        (lambda key: accepted(key) + from_server(0x2, b"\x20\x02\0\0"), "before it was spoken to"),
    ],
    ids=["404", "wrong key", "not MQTT", "closed", "MQTT", "early"],
)
def test_a_server_that_opens_none_is_told_in_words(answer: Callable[[bytes], bytes], said: str) -> None:
    with pytest.raises(WebSocketError, match=said):
        connect(answer)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tls": True}, "does not answer the TLS handshake: is it a port without TLS?"),
        ({"websocket": "/mqtt"}, "does not answer the WebSocket handshake"),
        ({"tls": True, "websocket": "/mqtt"}, "does not answer the TLS handshake"),
    ],
)
def test_a_server_that_says_nothing_is_told_too(changes: dict[str, Any], said: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = BrokerAddress("127.0.0.1", server.getsockname()[1], **changes)
        wrapped = Transport(address).wrap_socket(socket.create_connection(server.getsockname()))
        wrapped.settimeout(0.1)
        with pytest.raises(OSError) as caught:  # noqa: PT011 - by its explanation
            wrapped.do_handshake()
    fault = explain(caught.value, address)
    assert said in fault.text
    assert not fault.lasting


def test_a_close_in_mid_stream_is_the_end_after_what_came() -> None:
    wrapped = connect(lambda key: accepted(key))
    wrapped._raw.close()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        wrapped._raw = ours
        theirs.sendall(from_server(0x2, b"packet") + from_server(CLOSE, b"\x03\xe8"))
        assert wrapped.read() == b"packet"
        assert wrapped.over
        assert wrapped.error is None
