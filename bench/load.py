"""Load for the benches of real brokers: sessions that queue, and a publisher that costs next to nothing.

`python bench/load.py PORT QOS (--messages N | --rate R [--burst B])` publishes peer.py's messages over one
connection: N of them as fast as the broker takes them, and ends when the last one is acknowledged; or R a
second, B at a time, until it is stopped. The packets are made before.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import time

from peer import DEVICES, KINDS, Ring, packet

BATCH = 100
"""Packets handed to the kernel at once, at full speed."""
WINDOW = 500
"""Unacknowledged at QoS 1, at full speed."""
LIMIT = 60.0


class Link:
    """A client of MQTT 5 or 3.1.1, and no more of one than is needed."""

    def __init__(self, port: int, client_id: str, v5: bool = False, keep: bool = False) -> None:
        """With `keep` the session stays when the connection goes."""
        self._v5 = v5
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        version, flags = (5, 2) if v5 else (4, 0 if keep else 2)
        properties = (b"\x05\x11\x00\x00\x0e\x10" if keep else b"\x00") if v5 else b""
        name = client_id.encode()
        fixed = b"\x00\x04MQTT" + bytes((version, flags, 0, 0)) + properties
        self.socket.sendall(packet(0x10, fixed + len(name).to_bytes(2, "big") + name))
        answer = self.socket.recv(256)
        if answer[0] != 0x20 or answer[3]:
            raise RuntimeError(f"the broker refused the connection: {answer.hex()}")

    def subscribe(self, topic_filter: str, qos: int) -> None:
        name = topic_filter.encode()
        body = b"\x00\x01" + (b"\x00" if self._v5 else b"") + len(name).to_bytes(2, "big") + name
        self.socket.sendall(packet(0x82, body + bytes((qos,))))
        answer = self.socket.recv(256)
        if answer[0] != 0x90 or answer[-1] > 2:
            raise RuntimeError(f"the broker refused the subscription to {topic_filter}: {answer.hex()}")

    def close(self) -> None:
        self.socket.sendall(b"\xe0\x00")
        self.socket.close()

    def publish(self, ring: Ring, qos: int, count: int) -> None:
        """As fast as the broker takes them."""
        sent = answered = 0
        while sent < count or answered < sent * 4 * qos:
            room = min(count - sent, BATCH, WINDOW - sent + answered // 4 if qos else BATCH)
            if room > 0:
                data, taken = ring.slice(sent, room)
                self.socket.sendall(data)
                sent += taken
            if qos and room < BATCH:
                answered += self._answers()
        self.socket.sendall(b"\xc0\x00")  # its answer comes behind all that was published
        self._answers()

    def _answers(self) -> int:
        answers = self.socket.recv(65536)
        if not answers:
            raise RuntimeError("the broker closed the publisher's connection")
        return len(answers)

    def publish_paced(self, ring: Ring, rate: float, burst: int) -> None:
        """Until it is stopped: so many messages at once, or more when it could not be on time."""
        began, sent = time.perf_counter(), 0
        while True:
            elapsed = time.perf_counter() - began
            due = int(elapsed * rate) // burst * burst
            if due <= sent:
                time.sleep((sent + burst) / rate - elapsed)
                continue
            data, taken = ring.slice(sent, due - sent)
            self.socket.sendall(data)
            sent += taken
            with contextlib.suppress(BlockingIOError):
                self.socket.recv(65536, socket.MSG_DONTWAIT)


def queueing_session(port: int, client_id: str, topic_filter: str, qos: int, v5: bool) -> None:
    """Leave a session at the broker that keeps what is published from now on."""
    link = Link(port, client_id, v5, keep=True)
    link.subscribe(topic_filter, qos)
    link.close()


def ring_of(qos: int) -> Ring:
    return Ring(False, qos, KINDS * DEVICES * 64, distinct=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("qos", type=int, choices=(0, 1))
    parser.add_argument("--messages", type=int, default=0, help="as fast as they are taken, then end")
    parser.add_argument("--rate", type=float, default=0.0, help="messages/s, until it is stopped")
    parser.add_argument("--burst", type=int, default=1, help="so many of these at once")
    arguments = parser.parse_args()
    link = Link(arguments.port, "bench-publisher")
    ring = ring_of(arguments.qos)
    if arguments.rate:
        link.publish_paced(ring, arguments.rate, arguments.burst)
        return
    link.publish(ring, arguments.qos, arguments.messages)
    link.close()


if __name__ == "__main__":
    main()
