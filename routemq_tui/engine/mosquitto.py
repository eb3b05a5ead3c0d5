"""The system's mosquitto as a broker of our own: on loopback, with a generated configuration, on a leash."""

from __future__ import annotations

import getpass
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from routemq_tui.engine import leash
from routemq_tui.errors import ExitCode, RoutemqError

HOST = "127.0.0.1"
_QUEUED = 100_000
"""Messages queued for each member; mosquitto's own 1,000 are dropped without a word in a short outage."""
_CONFIGURATION = """\
# Written by routemq-tui at each start.
listener {port} {host}
allow_anonymous true
persistence true
persistence_location {folder}/
autosave_interval 5
max_queued_messages {queued}
log_dest stderr
log_type error
log_type warning
log_type notice
connection_messages false
user {user}
"""


class BrokerStartError(RoutemqError):
    """The broker that was to be started did not start."""

    exit_code = ExitCode.BROKER_UNAVAILABLE


def find_mosquitto() -> str | None:
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


class MosquittoBroker:
    """A running mosquitto. Ends when the engine does, however the engine ends."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, version: str | None) -> None:
        self._process = process
        self.host = HOST
        self.port = port
        self.version = version

    @classmethod
    def start(
        cls, folder: Path, port: int = 1883, *, any_port: bool = True, timeout: float = 10.0
    ) -> MosquittoBroker:
        """Start it on `port`, or on a free one when that is taken and `any_port`; state is kept in `folder`.

        Raises BrokerStartError.
        """
        program = find_mosquitto()
        if program is None:
            raise BrokerStartError(
                'broker.url = "mosquitto": mosquitto is not installed; '
                'install it (apt-get install mosquitto) or use url = "embedded"'
            )
        port = _choose_port(port, any_port)
        data = folder / "mosquitto"
        data.mkdir(parents=True, exist_ok=True)
        settings = data / "mosquitto.conf"
        settings.write_text(
            _CONFIGURATION.format(port=port, host=HOST, folder=data, queued=_QUEUED, user=getpass.getuser())
        )
        process = subprocess.Popen(
            [sys.executable, "-I", leash.__file__, program, "-c", str(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        broker = cls(process, port, _version_of(program))
        broker._wait_until_it_listens(timeout)
        return broker

    @property
    def pid(self) -> int:
        """Of the leash."""
        return self._process.pid

    @property
    def log_fd(self) -> int:
        assert self._process.stderr is not None
        return self._process.stderr.fileno()

    def alive(self) -> bool:
        return self._process.poll() is None

    def exit_reason(self) -> str:
        code = self._process.poll()
        return (
            "it runs" if code is None else f"mosquitto ended with code {code} (its last lines are in the log)"
        )

    def stop(self, timeout: float = 6.0) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()

    def _wait_until_it_listens(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not listens(self.host, self.port, 0.2):
            if not self.alive():
                assert self._process.stderr is not None
                said = self._process.stderr.read(4096).decode("utf-8", "replace").strip()
                self.stop()
                raise BrokerStartError(
                    f"mosquitto did not start on port {self.port}: {said or 'no reason given'}"
                )
            if time.monotonic() > deadline:
                self.stop()
                raise BrokerStartError(f"mosquitto did not listen on port {self.port} within {timeout:g} s")
            time.sleep(0.02)


def listens(host: str, port: int, timeout: float) -> bool:
    """Whether somebody takes a TCP connection there."""
    return connect_fault(host, port, timeout) is None


def connect_fault(host: str, port: int, timeout: float) -> str | None:
    """Why no TCP connection can be made, or None."""
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError as error:
        return error.strerror or str(error) or type(error).__name__
    return None


def _choose_port(port: int, any_port: bool) -> int:
    for wanted in (port, 0) if any_port else (port,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, wanted))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise BrokerStartError(f"port {port} is in use; free it, or set broker.port")


def _version_of(program: str) -> str | None:
    try:
        said = subprocess.run([program, "-h"], capture_output=True, timeout=5, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(rb"version (\d[\w.]*)", said)
    return f"mosquitto {found[1].decode()}" if found else None
