"""`python -m routemq_tui.worker.step_aside`: take a failed worker's session out of its share group.

Brokers such as mosquitto go on giving an absent member its share. This connects under its client id, sends
UNSUBSCRIBE and leaves; what is in the session's queue stays there, unacknowledged, until the worker is
started again and subscribes. The WorkerSpec comes as a line of JSON on stdin: it may hold a password.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import msgspec

from routemq_tui.errors import ExitCode
from routemq_tui.worker.paho_client import make_client
from routemq_tui.worker.publish_stream import PUBREL, PublishStream
from routemq_tui.worker.spec import WorkerSpec

SECONDS = 5.0
"""It gives up after so long."""


def start(spec: WorkerSpec) -> subprocess.Popen[bytes]:
    """Returns at once; exit code 0 tells that the broker has confirmed."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "routemq_tui.worker.step_aside"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(spec) + b"\n")
    process.stdin.close()
    return process


def main() -> ExitCode:
    spec = msgspec.json.decode(sys.stdin.buffer.readline(), type=WorkerSpec)
    client = make_client(spec)
    done: list[bool] = []

    def connected(*_: Any) -> None:
        client.unsubscribe(spec.subscription)

    client.on_connect = connected
    client.on_unsubscribe = lambda *_: done.append(True)
    try:
        client.reconnect()
    except OSError:
        return ExitCode.BROKER_UNAVAILABLE
    socket: Any = client.socket()
    # Messages that come meanwhile are not for us: not one of them may be acknowledged, in no way.
    stream = PublishStream(spec.broker.protocol == "5", lambda text: text)
    deadline = time.monotonic() + SECONDS
    while not done and bool(client.socket()) and time.monotonic() < deadline:
        socket.wait_readable(0.1)
        chunk = socket.read()
        for first, _, packet, _, _ in stream.feed(chunk) if chunk else ():
            if first >> 4 != 3 and first != PUBREL:
                socket.give(packet)
        if socket.buffered or socket.over:
            client.loop_read()
        if client.want_write():  # what a callback queued
            client.loop_write()
    if not done:
        return ExitCode.CRASHED
    socket.linger = True
    client.disconnect()
    return ExitCode.OK


if __name__ == "__main__":
    raise SystemExit(main())
