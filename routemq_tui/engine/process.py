"""The handle of one worker process: start it, speak with it, kill it, and say in words how it ended.

Knows nothing of when to do any of that. Never blocks on the worker: it may be stopped, wedged or hostile.
"""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import msgspec

from routemq_tui.engine import fork_server
from routemq_tui.worker.entry import run
from routemq_tui.worker.spec import WorkerCommand, WorkerReport, WorkerSpec, decode_report, encode

Target = Callable[..., object]

_LENGTH = struct.Struct("!i")
_REPORT_LIMIT = 1024 * 1024
_READ = 64 * 1024
_FORK_SERVER_GONE = 255
"""What multiprocessing reports when the fork server died and the worker perhaps did not."""


class ControlError(Exception):
    """The worker wrote something to its control pipe that is no report."""


class _ReportReader:
    """Reports out of the control pipe as far as they have come.

    `Connection.recv_bytes` would wait for the rest of a half-written one, and a killed or stopped writer
    never sends it. The framing is multiprocessing's own: four bytes of length, then the message.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._buffer = bytearray()
        self.closed = False

    def read(self) -> list[WorkerReport]:
        try:
            while data := os.read(self._fd, _READ):
                self._buffer += data
                if len(data) < _READ:
                    break
            else:
                self.closed = True
        except BlockingIOError:
            pass
        except OSError:  # reset by a peer that died with commands unread
            self.closed = True
        return self._take()

    def _take(self) -> list[WorkerReport]:
        reports: list[WorkerReport] = []
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if not 0 <= length <= _REPORT_LIMIT:
                raise ControlError(f"a report of {length} bytes")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                break
            message = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            try:
                reports.append(decode_report(message))
            except msgspec.DecodeError as error:
                raise ControlError(str(error)) from error
        return reports


@dataclass(frozen=True, slots=True)
class OutputPipes:
    """The reading ends of what a worker says, for the log pump, which closes them."""

    logs: Connection[Any, Any]
    stdout: Connection[Any, Any]
    stderr: Connection[Any, Any]


class WorkerProcess:
    def __init__(self, spec: WorkerSpec, memory: Any, target: Target = run) -> None:
        """Start it. `memory` is the slot's (`worker.cells.allocate`). Takes about 5 ms."""
        control, child_control = fork_server.pipe(duplex=True)
        pairs = [fork_server.pipe(duplex=False) for _ in range(3)]
        readers = [reader for reader, _ in pairs]
        writers = [writer for _, writer in pairs]
        try:
            self._process = fork_server.start_process(
                target, f"routemq {spec.name}", (spec, memory, child_control, *writers)
            )
        except BaseException:
            for connection in (control, *readers):
                connection.close()
            raise
        finally:  # so that each end of file is seen when the worker dies
            for connection in (child_control, *writers):
                connection.close()
        self.spec = spec
        self.outputs = OutputPipes(*readers)
        self._control = control
        os.set_blocking(control.fileno(), False)
        self._reader = _ReportReader(control.fileno())
        self.pid: int = self._process.pid or 0
        self.killed = False
        """Whether we killed it."""

    @property
    def sentinel(self) -> int:
        """Becomes readable when the process has ended."""
        return self._process.sentinel

    @property
    def control(self) -> Connection[Any, Any] | None:
        """Becomes readable when reports are there; None when the worker has closed it."""
        return None if self._reader.closed else self._control

    def reports(self) -> list[WorkerReport]:
        """What has come. Raises ControlError when it is no report."""
        return self._reader.read()

    def send(self, command: WorkerCommand) -> bool:
        """False when the worker does not take it: it is gone, or has not read for very long."""
        try:
            self._control.send_bytes(encode(command))
        except OSError:
            return False
        return True

    def has_ended(self) -> bool:
        return self._process.exitcode is not None

    @property
    def exit_code(self) -> int | None:
        return self._process.exitcode

    def kill(self) -> None:
        """SIGKILL it and its process group: what its handlers started goes with it."""
        self.killed = True
        if not self.has_ended():
            _kill_group(self.pid)

    def close(self) -> None:
        """Let go of a process that has ended, and end what it left running in its process group."""
        if self.exit_code == _FORK_SERVER_GONE:
            _kill_group(self.pid)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if not self._control.closed:
            self._control.close()
        self._process.join(0)
        self._process.close()


def _kill_group(pid: int) -> None:
    try:
        # A worker leads a group of its own once it runs; before that it is in ours.
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


_HINTS: dict[int, str] = {
    signal.SIGKILL: " (out of memory, or killed from outside)",
    signal.SIGXCPU: " (its CPU time, limits.cpu_time, is used up)",
}


def exit_words(exit_code: int | None, topic: str | None, killed: str = "") -> str:
    """How a process ended: "exited by SIGSEGV while handling sensors/7/data".

    `killed` are the words for an end that was our doing: "killed by hand".
    """
    handling = f" while handling {topic}" if topic and topic not in killed else ""
    if killed:
        return f"{killed}{handling}"
    if exit_code is None:
        return f"ended unseen{handling}"
    if exit_code < 0:
        name = _signal_name(-exit_code)
        return f"exited by {name}{handling}{_HINTS.get(-exit_code, '')}"
    # Also our own codes: a handler may use any of them, and a worker that ends with one has said why before.
    return f"left by itself{handling}" if exit_code == 0 else f"exited with code {exit_code}{handling}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
