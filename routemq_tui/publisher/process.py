"""The handle of the traffic generator's process: how it is started, watched and stopped. No policy."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal

import msgspec

from routemq_tui import children
from routemq_tui.config.model import Burst, TrafficConfig
from routemq_tui.worker.spec import BrokerAddress


class Stream(msgspec.Struct, frozen=True):
    """A `[[traffic]]` entry as it travels."""

    topic: str
    rate: float
    qos: Literal[0, 1, 2]
    retain: bool
    payload: Any
    values: dict[str, Any]
    burst: Burst | None


class Settings(msgspec.Struct, frozen=True):
    """The first line of the process's stdin. On stdin, not in argv, since it may hold a password."""

    address: BrokerAddress
    streams: tuple[Stream, ...]

    @property
    def traffic(self) -> list[TrafficConfig]:
        return [TrafficConfig(**msgspec.structs.asdict(stream)) for stream in self.streams]


def encode_settings(traffic: Sequence[TrafficConfig], address: BrokerAddress) -> bytes:
    fields = Stream.__struct_fields__
    streams = tuple(Stream(**{name: getattr(each, name) for name in fields}) for each in traffic)
    return msgspec.json.encode(Settings(address, streams)) + b"\n"


def decode_settings(line: bytes) -> Settings:
    """Raises msgspec.DecodeError for a line that holds no settings."""
    return msgspec.json.decode(line, type=Settings)


class TrafficProcess:
    """`python -m routemq_tui.publisher`: publishes until it is stopped or its starter is gone."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @classmethod
    def start(cls, traffic: Sequence[TrafficConfig], address: BrokerAddress) -> TrafficProcess:
        """Returns at once; the process connects, and connects again, by itself."""
        process = subprocess.Popen(
            [*children.MODULE, "routemq_tui.publisher"],
            env=children.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # The terminal's Ctrl-C is for the engine, which then stops us.
        )
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # It died at once: `alive` and its stderr tell.
            process.stdin.write(encode_settings(traffic, address))
            process.stdin.flush()
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log_fd(self) -> int:
        """Its stderr: text lines, each beginning with a level's name and a space."""
        assert self._process.stderr is not None
        return self._process.stderr.fileno()

    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """An `errors.ExitCode`, a negative signal number, or None while it lives."""
        return self._process.poll()

    def stop(self, timeout: float = 2.0) -> None:
        """End it: asked first, killed when the time is up. Safe to call again."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Stop it and let go of its log."""
        self.stop()
        if self._process.stderr is not None:
            self._process.stderr.close()
