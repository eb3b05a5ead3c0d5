"""The embedded broker as its owner sees it: a process that is started, looked into and stopped."""

from __future__ import annotations

import errno
import json
import os
import selectors
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from routemq_tui import children
from routemq_tui.errors import ExitCode, RoutemqError

HOST = "127.0.0.1"
_BACKLOG = 512


class BrokerStartError(RoutemqError):
    """The embedded broker did not start."""

    exit_code = ExitCode.BROKER_UNAVAILABLE


class EmbeddedBroker:
    """A running broker process. It ends by itself when this process ends, however that happens."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self._lock = threading.Lock()
        self._questions = 0
        self._received = bytearray()
        self.pid = process.pid
        self.host, self.port = HOST, port
        self.version = ""

    @classmethod
    def start(
        cls,
        port: int = 1883,
        *,
        any_port: bool = True,
        timeout: float = 10,
        limits: Mapping[str, int] | None = None,
        on_bound: Callable[[EmbeddedBroker], object] = lambda _: None,
    ) -> EmbeddedBroker:
        """Start a broker on loopback and wait until it works; raises BrokerStartError with its own words.

        With `any_port` a taken port is replaced by a free one. `limits` are those of `broker.limits`.
        `on_bound` is called as soon as connections queue up at its port, while it is still being loaded.
        """
        with closing(_listener(port, any_port)) as listener:
            process = subprocess.Popen(
                _command(listener.fileno(), limits or {}),
                pass_fds=(listener.fileno(),),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                env=children.environment(),
            )
            broker = cls(process, listener.getsockname()[1])
        try:
            on_bound(broker)
            broker.version = broker._read_line(time.monotonic() + timeout)["version"]
        except (TimeoutError, EOFError) as error:
            process.kill()
            said = broker._last_words()
            broker.stop(timeout=0)
            raise BrokerStartError(f"the embedded broker did not start: {error}\n{said}".rstrip()) from None
        os.set_blocking(broker.log_fd, False)
        return broker

    @property
    def log_fd(self) -> int:
        """Read end of its stderr, not blocking: lines of `LEVEL text`. Those nobody reads are dropped."""
        assert self._process.stderr is not None
        return self._process.stderr.fileno()

    def alive(self) -> bool:
        return self._process.poll() is None

    def exit_reason(self) -> str:
        """Why it is not running; empty while it is."""
        code = self._process.poll()
        if code is None:
            return ""
        if code < 0:
            return f"the embedded broker was killed by {signal.Signals(-code).name}"
        if code == ExitCode.OK:
            return "the embedded broker was stopped"
        return f"the embedded broker ended with exit code {code}; its log says why"

    def inspect(self, timeout: float = 5) -> dict[str, Any]:
        """Its inner state: `totals`, `sessions`, `groups`; TimeoutError, or EOFError when it is gone."""
        with self._lock:
            assert self._process.stdin is not None
            self._questions += 1
            question = json.dumps({"inspect": True, "id": self._questions}).encode() + b"\n"
            try:
                os.write(self._process.stdin.fileno(), question)
            except (BrokenPipeError, ValueError):
                raise EOFError(self.exit_reason() or "the embedded broker is ending") from None
            deadline = time.monotonic() + timeout
            while True:
                answer = self._read_line(deadline)
                if answer.get("id") == self._questions:
                    return answer

    def stop(self, timeout: float = 5) -> None:
        """Let it tell its clients and end; after the timeout it is killed. Closes `log_fd`."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        with self._lock:
            process.stdin.close()
            try:
                process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
            process.stderr.close()

    def _read_line(self, deadline: float) -> dict[str, Any]:
        """The next JSON line of its stdout."""
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(fd, selectors.EVENT_READ)
            while (end := self._received.find(b"\n")) < 0:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise TimeoutError("no answer from the embedded broker in time")
                data = os.read(fd, 65536)
                if not data:
                    raise EOFError("it ended at once")
                self._received += data
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        assert self._process.stderr is not None
        return self._process.stderr.read(4000).decode("utf-8", "replace")


def _listener(port: int, any_port: bool) -> socket.socket:
    try:
        return socket.create_server((HOST, port), backlog=_BACKLOG)
    except OSError as error:
        if not any_port or error.errno not in (errno.EADDRINUSE, errno.EACCES):
            reason = error.strerror or error
            raise BrokerStartError(
                f"the embedded broker cannot listen on {HOST} port {port}: {reason}"
            ) from None
    return socket.create_server((HOST, 0), backlog=_BACKLOG)


def _command(listener: int, limits: Mapping[str, int]) -> list[str]:
    command = [*children.MODULE, "routemq_tui.broker", "--listener", str(listener)]
    for name, value in limits.items():
        command += ["--limit", f"{name}={value}"]
    return command
