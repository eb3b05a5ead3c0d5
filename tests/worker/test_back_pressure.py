"""Peers that do not read, and handlers that do not keep up: nothing torn, nothing lost, nothing unbounded."""

from __future__ import annotations

import itertools
import select
import socket
import time
from pathlib import Path

import pytest

from routemq_tui.routing.message import Message
from routemq_tui.worker import cells
from tests.waiting import wait_until
from tests.worker.harness import Project, Publisher
from tests.worker.peer import Link, Peer
from tests.worker.session_here import Here, run_session
from tests.worker.streams import publish, pubrel

PING = b"\xc0\x00"


@pytest.mark.parametrize("v5", [True, False], ids=["5", "3.1.1"])
def test_acknowledgements_that_the_kernel_does_not_take_come_whole_and_in_order(
    v5: bool, tmp_path: Path
) -> None:
    # given a broker that sends and does not read, over sockets with little room
    handled: list[int] = []
    here = Here()
    count = 30_000
    block = b"" if v5 else None
    got: list[bytes] = []

    def handle(message: Message) -> None:
        handled.append(int(message.payload))

    with Peer(receive_buffer=2048) as peer:

        def script() -> None:
            link = peer.greet(v5)
            wait_until(lambda: here.session._connection.socket, what="the session is connected")
            here.shrink_send_buffer()
            packets = bytearray()
            for number in range(1, count + 1):
                packets += publish("t/a", b"%d" % number, 1 + number % 2, number, block=block)
                if number % 50 == 0:
                    packets += pubrel(number)
            # In big pieces: one by one, two threads of one process take turns of 5 ms for each.
            link.send(bytes(packets))
            wait_until(lambda: len(handled) == count, what="all are handled")
            # when the kernel has taken no more for a while, and a ping was due meanwhile
            assert here.socket.unsent > 1000
            here.socket.ping()
            before = here.socket.unsent
            # and it reads at last
            wanted = count + count // 50 + 1
            while len(got) < wanted:
                got.append(link.packet())
            assert before > 0
            link.close()

        run_session(peer, handle, script, tmp_path, v5, here)
    # then each answer is whole, and each kind in its order
    assert handled == list(range(1, count + 1))
    assert ids(got, 0x40) == list(range(2, count + 1, 2))
    assert ids(got, 0x50) == list(range(1, count + 1, 2))
    assert ids(got, 0x70) == list(range(50, count + 1, 50))
    assert got.count(PING) == 1


def test_what_is_wrong_is_said_behind_the_acknowledgements_that_wait(tmp_path: Path) -> None:
    # given a broker that has not read for a while
    handled: list[bytes] = []
    here = Here()
    got: list[bytes] = []
    with Peer(receive_buffer=2048) as peer:

        def script() -> None:
            link = peer.greet()
            wait_until(lambda: here.session._connection.socket, what="the session is connected")
            here.shrink_send_buffer()
            link.send(b"".join(publish("t/a", b"", 1, number, block=b"") for number in range(1, 10_001)))
            wait_until(lambda: len(handled) == 10_000, what="all are handled")
            assert here.socket.unsent > 1000
            # when it breaks the rules, and reads then
            link.send(b"\x00\x00" + PING * 100)
            got.extend(link.rest())
            link.close()

        run_session(peer, lambda message: handled.append(message.payload), script, tmp_path, True, here)
    # then it has every acknowledgement, and the reason
    assert ids(got[:-1], 0x40) == list(range(1, 10_001))
    assert got[-1] == b"\xe0\x02\x81\x00"


def ids(packets: list[bytes], first: int) -> list[int]:
    return [int.from_bytes(each[2:4], "big") for each in packets if each[0] == first]


def stuff(link: Link, data: bytes, seconds: float) -> int:
    """Send over and over until the other side has taken nothing for so long; how much it took."""
    link.socket.setblocking(False)
    sent = 0
    while select.select([], [link.socket], [], seconds)[1]:
        try:
            sent += link.socket.send(data[sent % len(data) :])
        except BlockingIOError:
            continue
    link.socket.settimeout(10)
    return sent


def test_with_its_buffer_full_a_worker_stops_reading_and_goes_on_pinging(tmp_path: Path) -> None:
    # given a worker with a keepalive of a second, whose handler is busy
    with Peer(receive_buffer=65536) as peer:
        go = tmp_path / "go"
        project = Project(
            tmp_path,
            peer.port,
            f"""
            seen = 0
            def handle(n, payload: bytes):
                global seen
                seen += 1
                while not os.path.exists({str(go)!r}):
                    time.sleep(0.01)
                if len(payload) == 1:
                    record(seen)
            """,
        )
        try:
            worker = project.worker(qos=0, keepalive=1)
            worker.start()
            link = peer.greet()
            one = publish("t/1", b"x" * 1000, block=b"")
            # when more comes than it may hold
            sent = stuff(link, one, 0.3)
            assert link.packet() == PING
            # then it holds a bounded part, and the kernel no more than its buffers
            held = worker.counters.received
            assert held < 256 + 65536 / len(one) + 1
            assert sent < 32 * 1024 * 1024
            # and pings come in time, ever again
            came = []
            for _ in range(4):
                assert link.packet() == PING
                came.append(time.monotonic())
            assert max(b - a for a, b in itertools.pairwise(came)) < 1.0
            assert worker.counters.received == held
            # and when the handler is done with it, all is handled
            go.touch()
            rest = one[sent % len(one) :] if sent % len(one) else b""
            link.send(rest + publish("t/1", b"!", block=b""))
            total = -(-sent // len(one)) + 1
            worker.wait_until(lambda: project.calls() == [str(total)], 30, "the last one")
            assert worker.counters.in_flight == 0
            assert worker.words[cells.CONNECTS] == 1
        finally:
            project.stop()


def test_a_broker_with_a_short_keepalive_keeps_a_busy_worker_with_a_full_buffer(
    project: object, publisher: Publisher
) -> None:
    # given a keepalive of 2 s, after one and a half of which mosquitto ends a silent connection
    here = project("""
        def handle(n):
            if n == "0":
                time.sleep(3.6)
            record(n)
    """)  # type: ignore[operator]
    worker = here.running(qos=0, keepalive=2)
    # when a handler takes longer than that while more waits than the worker may hold
    publisher.publish_many(1500, qos=0)
    worker.wait_until(lambda: worker.counters.received > 256, what="the buffer is full")
    # then it was never sent away, and all is handled
    worker.wait_handled(1500, timeout=20)
    assert here.calls() == [str(number) for number in range(1500)]
    assert worker.words[cells.CONNECTS] == 1


def test_a_broker_that_goes_while_nothing_is_read_is_missed_at_the_next_ping(tmp_path: Path) -> None:
    with Peer() as peer:
        project = Project(tmp_path, peer.port, "def handle(n): time.sleep(0.05)")
        try:
            worker = project.worker(qos=0, keepalive=1)
            worker.start()
            link = peer.greet()
            link.send(publish("t/1", b"x", block=b"") * 3000)
            worker.wait_until(lambda: worker.counters.received > 256, what="it is full")
            # when the connection is reset while it does not read
            link.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            link.close()
            # then it is back before all it holds is handled
            peer.greet(present=True)
            worker.wait_until(lambda: worker.words[cells.CONNECTS] == 2, what="it connects again")
            assert worker.counters.in_flight > 256
        finally:
            project.stop()
