"""The wrapper between paho and the kernel: nothing lost, nothing torn apart, nothing waited for."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from routemq_tui.worker.socket_wrapper import PINGREQ, MqttSocket
from tests.waiting import wait_until


@pytest.fixture
def pair() -> Iterator[tuple[MqttSocket, socket.socket]]:
    server = socket.create_server(("127.0.0.1", 0))
    ours = socket.create_connection(server.getsockname())
    theirs, _ = server.accept()
    server.close()
    ours.setblocking(False)
    theirs.settimeout(5)
    wrapped = MqttSocket(ours)
    yield wrapped, theirs
    wrapped.close()
    theirs.close()


def read_all(wrapped: MqttSocket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        if not wrapped.buffered:
            wrapped.wait_readable(5)
            wrapped.fill()
        data += wrapped.recv(min(7, size - len(data)))
    return data


def test_bytes_come_through_as_asked_for(pair: tuple[MqttSocket, socket.socket]) -> None:
    wrapped, theirs = pair
    with pytest.raises(BlockingIOError):
        wrapped.recv(1)
    sent = bytes(range(256)) * 1000
    writer = threading.Thread(target=theirs.sendall, args=(sent,))
    writer.start()
    assert read_all(wrapped, len(sent)) == sent
    writer.join()


def test_the_end_comes_after_the_last_byte(pair: tuple[MqttSocket, socket.socket]) -> None:
    wrapped, theirs = pair
    theirs.sendall(b"last")
    theirs.close()
    assert read_all(wrapped, 4) == b"last"
    wrapped.wait_readable(5)
    assert wrapped.fill()
    assert wrapped.recv(10) == b""


def test_a_ping_never_falls_into_a_packet(pair: tuple[MqttSocket, socket.socket]) -> None:
    # given a peer that reads slowly and a second thread that pings
    wrapped, theirs = pair
    packet = b"\x30" + b"p" * 99_999
    stop = threading.Event()
    pings = 0

    def ping() -> None:
        nonlocal pings
        while not stop.is_set():
            wrapped.ping()
            pings += 1
            stop.wait(0.0005)

    pinger = threading.Thread(target=ping)
    pinger.start()
    got = bytearray()

    def read() -> None:
        while chunk := theirs.recv(65536):
            got.extend(chunk)
        theirs.close()

    reader = threading.Thread(target=read)
    # when big packets are written, more than the kernel takes at once
    for _ in range(50):
        assert wrapped.send(packet) == len(packet)
        before = pings
        wait_until(lambda before=before: pings > before, what="a ping")
    assert wrapped.unsent > 0
    reader.start()
    wait_until(lambda: wrapped.flush() or None, what="everything is sent")
    stop.set()
    pinger.join()
    wrapped.linger = True
    wrapped.close()
    reader.join()
    # then the stream consists of whole packets and whole pings
    left, packets = bytes(got), 0
    while left:
        whole = packet if left[0] == 0x30 else PINGREQ
        assert left.startswith(whole)
        left = left[len(whole) :]
        packets += whole is packet
    assert packets == 50
    assert pings >= 50


def test_a_peer_that_is_gone_is_an_error_and_not_a_hang(pair: tuple[MqttSocket, socket.socket]) -> None:
    wrapped, theirs = pair
    theirs.close()

    def told() -> bool:
        assert wrapped.send(b"x" * 1000) == 1000  # never raised at whoever publishes
        return wrapped.error is not None

    wait_until(told, timeout=5)
    wrapped.ping()
    assert wrapped.unsent == 0
    with pytest.raises(OSError, match=r"pipe|reset"):
        wrapped.recv(1)


def test_a_failure_told_from_outside_is_what_the_reader_sees(pair: tuple[MqttSocket, socket.socket]) -> None:
    wrapped, theirs = pair
    theirs.sendall(b"unread")
    wrapped.wait_readable(5)
    wrapped.fill()
    wrapped.fail("silence")
    with pytest.raises(ConnectionError, match="silence"):
        wrapped.recv(1)


def test_a_lingering_close_delivers_the_last_bytes_although_some_are_unread(
    pair: tuple[MqttSocket, socket.socket],
) -> None:
    # given unread bytes on our side, which make a plain close a reset
    wrapped, theirs = pair
    theirs.sendall(b"unread" * 1000)
    wrapped.wait_readable(5)
    last = b"z" * 3_000_000
    got = bytearray()

    def read() -> None:
        while chunk := theirs.recv(65536):
            got.extend(chunk)
        theirs.close()

    reader = threading.Thread(target=read)
    wrapped.send(last)
    reader.start()
    # when it is closed in order
    wrapped.linger = True
    wrapped.close()
    reader.join()
    # then the peer has everything
    assert bytes(got) == last
