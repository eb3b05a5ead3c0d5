"""Process targets that stand in for a worker where a real one never does such a thing."""

from __future__ import annotations

import os
import struct
import time
from typing import Any

from routemq_tui.worker.spec import Subscribed, encode


def _frame(message: bytes) -> bytes:
    return struct.pack("!i", len(message)) + message


def half_a_report(spec: Any, memory: Any, control: Any, logs: Any, stdout: Any, stderr: Any) -> None:
    """One whole report, half of another, and silence."""
    whole = _frame(encode(Subscribed(granted_qos=1)))
    os.write(control.fileno(), whole + whole[:-2])
    time.sleep(60)


def rubbish(spec: Any, memory: Any, control: Any, logs: Any, stdout: Any, stderr: Any) -> None:
    os.write(control.fileno(), _frame(b"\xff\xff\xff"))
    time.sleep(60)


def talker(spec: Any, memory: Any, control: Any, logs: Any, stdout: Any, stderr: Any) -> None:
    """Raw output, a line without an end, half a frame of log records, and death."""
    os.write(stdout.fileno(), b"whole line\nno end")
    os.write(stderr.fileno(), b"bad \x1b[2J\n")
    os.write(logs.fileno(), b"\x00\x00\x10\x00half")
    os._exit(7)


def prompt(spec: Any, memory: Any, control: Any, logs: Any, stdout: Any, stderr: Any) -> None:
    """A line that is begun and never ended."""
    os.write(stdout.fileno(), b"password: ")
    time.sleep(60)


def silent(spec: Any, memory: Any, control: Any, logs: Any, stdout: Any, stderr: Any) -> None:
    """It lives, and its control pipe is closed."""
    control.close()
    time.sleep(60)


def says_its_environment(spec: Any, memory: Any, control: Any, logs: Any, stdout: Any, stderr: Any) -> None:
    text = f"SET_LATER={os.environ.get('SET_LATER')} HOME={os.environ.get('HOME')}\n"
    os.write(stdout.fileno(), text.encode())
    time.sleep(60)
