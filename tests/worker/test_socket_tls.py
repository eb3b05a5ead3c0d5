"""The wrapper over TLS: records of any size, in any pieces, and every way a connection can end."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from routemq_tui.worker import socket_wrapper
from routemq_tui.worker.socket_wrapper import PINGREQ, MqttSocket
from tests.waiting import wait_until

SECONDS = 10


class Server:
    """The other side, whose TLS is all in memory: the test decides when which bytes go over the wire."""

    def __init__(self, plain: socket.socket, context: ssl.SSLContext) -> None:
        self.plain = plain
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def shake_hands(self) -> None:
        self._until_done(self._tls.do_handshake)
        self.plain.sendall(self._outgoing.read())

    def encrypted(self, data: bytes) -> bytes:
        while data:
            data = data[self._tls.write(data) :]
        return self._outgoing.read()

    def close_notify(self) -> bytes:
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        return self._outgoing.read()

    def read(self) -> bytes:
        """What came next; empty at the end that TLS tells of. SSLError when the connection just ends."""
        found = b""

        def take() -> None:
            nonlocal found
            try:
                found = self._tls.read(65536)
            except ssl.SSLZeroReturnError:
                found = b""

        self._until_done(take)
        return found

    def read_all(self) -> bytes:
        got = bytearray()
        while chunk := self.read():
            got += chunk
        return bytes(got)

    def _until_done(self, step: Callable[[], None]) -> None:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                if out := self._outgoing.read():
                    self.plain.sendall(out)
                chunk = self.plain.recv(65536)
                self._incoming.write(chunk) if chunk else self._incoming.write_eof()


Pair = tuple[MqttSocket, Server]


@pytest.fixture
def pair(certificate: Path) -> Iterator[Pair]:
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate, certificate.with_name("key.pem"))
    server_side.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    client_side = ssl.create_default_context(cafile=str(certificate))
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
    ours = socket.create_connection(listening.getsockname())
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32_768)
    theirs, _ = listening.accept()
    listening.close()
    theirs.settimeout(SECONDS)
    ours.settimeout(SECONDS)
    server = Server(theirs, server_side)
    thread = threading.Thread(target=server.shake_hands)
    thread.start()
    ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    wrapped = MqttSocket(
        client_side.wrap_socket(ours, server_hostname="127.0.0.1", do_handshake_on_connect=False)
    )
    wrapped.do_handshake()
    thread.join()
    wrapped.setblocking(False)
    theirs.sendall(server.encrypted(b"!"))
    assert read_some(wrapped, 1) == b"!"  # and the tickets in front of it
    yield wrapped, server
    wrapped.close()
    theirs.close()


def read_some(wrapped: MqttSocket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        wrapped.wait_readable(SECONDS)
        got += wrapped.read() or b""
    return got


def test_a_record_that_came_in_part_is_waited_for(pair: Pair) -> None:
    # given one record of 16 KiB, cut in its header, its body and before its last byte
    wrapped, server = pair
    data = bytes(range(256)) * 64
    record = server.encrypted(data)
    for start, end in ((0, 3), (3, 700), (700, len(record) - 1)):
        server.plain.sendall(record[start:end])
        wrapped.wait_readable(SECONDS)
        assert wrapped.read() is None
        assert not wrapped.over
    server.plain.sendall(record[-1:])
    assert read_some(wrapped, len(data)) == data


def test_what_is_left_in_the_tls_layer_is_taken_too(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    # given a record that is larger than one read, all of which the descriptor has announced
    wrapped, server = pair
    monkeypatch.setattr(socket_wrapper, "CHUNK_BYTES", 1000)
    data = bytes(range(256)) * 60
    server.plain.sendall(server.encrypted(data))
    wrapped.wait_readable(SECONDS)
    # then one read gives all of it, since nothing would tell of the rest
    assert wrapped.read() == data
    assert wrapped.read() is None


def test_many_records_and_a_megabyte_come_through(pair: Pair) -> None:
    wrapped, server = pair
    parts = [b"a" * 1, b"b" * 100, b"c" * 1_000_000, b"d" * 16_384, b"e" * 5]
    sent = b"".join(server.encrypted(part) for part in parts)
    writer = threading.Thread(target=server.plain.sendall, args=(sent,))
    writer.start()
    whole = b"".join(parts)
    assert read_some(wrapped, len(whole)) == whole
    writer.join()


def test_what_the_kernel_does_not_take_goes_later_and_whole(pair: Pair) -> None:
    # given a peer that does not read, while packets of all sizes and pings are written
    wrapped, server = pair
    packets = [bytes((0x30,)) + b"p" * size for size in (1, 20_000, 900_000, 3, 70_000, 2_500_000, 1)]
    for packet in packets:
        assert wrapped.send(packet) == len(packet)
        wrapped.ping()
    assert wrapped.unsent > 1_000_000
    assert not wrapped.flush()
    # when it reads at last
    expected = b"".join(packet + PINGREQ for packet in packets)
    got = bytearray()

    def read() -> None:
        while len(got) < len(expected):
            got.extend(server.read())

    reader = threading.Thread(target=read)
    reader.start()
    wait_until(wrapped.flush, what="all is sent")
    reader.join()
    # then nothing is missing, doubled or out of order
    assert bytes(got) == expected


def test_an_end_that_tls_tells_of_comes_after_the_last_byte(pair: Pair) -> None:
    wrapped, server = pair
    server.plain.sendall(server.encrypted(b"last") + server.close_notify())
    assert read_some(wrapped, 4) == b"last"
    wrapped.wait_readable(SECONDS)
    assert wrapped.read() == b""
    assert wrapped.over
    assert wrapped.error is None
    assert wrapped.recv(1) == b""


def test_an_end_that_tls_does_not_tell_of_is_an_end_as_well(pair: Pair) -> None:
    wrapped, server = pair
    server.plain.sendall(server.encrypted(b"last"))
    server.plain.close()
    assert read_some(wrapped, 4) == b"last"
    wrapped.wait_readable(SECONDS)
    assert wrapped.read() == b""
    assert wrapped.over


def test_an_end_within_a_record_gives_nothing_of_it(pair: Pair) -> None:
    wrapped, server = pair
    server.plain.sendall(server.encrypted(b"never whole" * 100)[:-1])
    server.plain.close()

    def ended() -> bool:
        assert not wrapped.read()
        return wrapped.over

    wait_until(ended)


def test_bytes_that_are_no_tls_break_the_connection_and_raise_nothing(pair: Pair) -> None:
    wrapped, server = pair
    server.plain.sendall(b"this is no record of TLS, but long enough to be looked at")
    wrapped.wait_readable(SECONDS)
    assert wrapped.read() == b""
    assert isinstance(wrapped.error, ssl.SSLError)
    with pytest.raises(ssl.SSLError):
        wrapped.recv(1)
    assert wrapped.send(b"more") == 4


def test_a_reset_is_an_end_and_not_a_hang(pair: Pair) -> None:
    wrapped, server = pair
    server.plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    server.plain.close()
    wrapped.wait_readable(SECONDS)
    assert wrapped.read() == b""
    assert wrapped.over  # Python's ssl tells it as an end or as an error, as the versions go


@pytest.mark.parametrize("unread", [0, 100_000])
def test_a_lingering_close_delivers_the_last_bytes_and_says_that_it_is_the_end(
    unread: int, pair: Pair
) -> None:
    # given more than the kernel takes, on a connection on which some is unread
    wrapped, server = pair
    if unread:
        server.plain.sendall(server.encrypted(b"unread" * (unread // 6)))
        wrapped.wait_readable(SECONDS)
    last = b"z" * 3_000_000
    wrapped.send(last)
    assert wrapped.unsent
    got: list[bytes] = []

    def read() -> None:
        got.append(server.read_all())  # fails when TLS is not ended in order
        server.plain.close()

    reader = threading.Thread(target=read)
    reader.start()
    wrapped.linger = True
    wrapped.close()
    reader.join()
    assert got == [last]
