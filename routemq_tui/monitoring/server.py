"""`/healthz`, `/readyz` and `/metrics` over HTTP, for probes and Prometheus. Reads, and changes nothing."""

from __future__ import annotations

import json
import socket
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import Any

from routemq_tui.engine.concerns import concern_words
from routemq_tui.engine.snapshot import BrokerState, EngineState, Health, Snapshot
from routemq_tui.errors import ExitCode, RoutemqError
from routemq_tui.monitoring.metrics import EngineMetrics, Observed

FRESH = 5.0
"""Seconds a snapshot is good for: a live engine makes several a second."""
SLOW_CLIENT = 5.0
"""Seconds for a request to come and its answer to go."""
AT_ONCE = 8
"""Requests answered at once; the others are refused."""
_TEXT, _JSON = "text/plain; charset=utf-8", "application/json"
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class ListenError(RoutemqError):
    """The address cannot be listened on."""

    exit_code = ExitCode.CONFIGURATION


def split_address(listen: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT` or `[HOST]:PORT`; raises ValueError."""
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError("an address is written HOST:PORT, such as 127.0.0.1:9464")
    return host, int(port)


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class MonitoringServer:
    def __init__(self, engine: Observed, listen: str) -> None:
        """Listens from now on, on a thread of its own; raises ListenError."""
        host, port = split_address(listen)
        handler = type("Handler", (_Handler,), {"engine": engine, "metrics": EngineMetrics(engine)})
        kind = type("Server", (_Server,), {"address_family": socket.AF_INET6}) if ":" in host else _Server
        try:
            self._server = kind((host, port), handler)
        except OSError as error:
            raise ListenError(
                f"http.listen: {listen} cannot be listened on: {error.strerror or error}; "
                "name another port, or end what has it"
            ) from error
        self.port = int(self._server.server_address[1])
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
        self.is_local = is_loopback(host)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.2,), name="routemq-http")
        self._thread.daemon = True
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5.0)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 16

    def __init__(self, *given: Any) -> None:
        self._room = threading.BoundedSemaphore(AT_ONCE)
        super().__init__(*given)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nobody's concern."""


class _Handler(BaseHTTPRequestHandler):
    engine: Observed
    metrics: EngineMetrics
    timeout = SLOW_CLIENT
    server_version = "routemq-tui"
    sys_version = ""

    def do_GET(self) -> None:
        status, kind, body = self._answer()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def _answer(self) -> tuple[HTTPStatus, str, bytes]:
        match self.path.partition("?")[0]:
            case "/metrics":
                return HTTPStatus.OK, _PROMETHEUS, self.metrics.text()
            case "/healthz":
                return _alive(self.engine.snapshot())
            case "/readyz":
                return _ready(self.engine.snapshot())
        return HTTPStatus.NOT_FOUND, _TEXT, b"there are /healthz, /readyz and /metrics\n"

    def log_message(self, format: str, *args: Any) -> None:
        """Probes come every few seconds: none is worth a line."""


def is_alive(snapshot: Snapshot) -> bool:
    """Whether the engine's thread goes round."""
    return snapshot.state is not EngineState.STOPPED and abs(time.time() - snapshot.time) < FRESH


def _alive(snapshot: Snapshot) -> tuple[HTTPStatus, str, bytes]:
    if is_alive(snapshot):
        return HTTPStatus.OK, _TEXT, b"alive\n"
    return HTTPStatus.SERVICE_UNAVAILABLE, _TEXT, b"the engine does not go round any more\n"


def _ready(snapshot: Snapshot) -> tuple[HTTPStatus, str, bytes]:
    serving = snapshot.state is EngineState.RUNNING and is_alive(snapshot)
    ready = serving and snapshot.health is not Health.UNHEALTHY
    body = {
        "status": snapshot.health.value,
        "state": snapshot.state.value,
        "running": snapshot.running,
        "desired": snapshot.desired,
        "percentage": snapshot.health_percent,
        "concerns": concern_words(snapshot),
        "broker_connected": snapshot.broker.state is BrokerState.UP,
        "routes": {
            route.name: {"running": route.running, "desired": route.desired, "paused": route.paused}
            for route in snapshot.routes
        },
    }
    status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
    return status, _JSON, json.dumps(body).encode() + b"\n"
