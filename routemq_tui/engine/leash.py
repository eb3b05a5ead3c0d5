"""`python leash.py COMMAND …`: run a program that ends when our standard input does.

A broker that is not ours knows nothing of the engine; held on this leash it goes with it, even when the
engine is killed. Uses the standard library only.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

PATIENCE = 5.0
"""Seconds between SIGTERM and SIGKILL."""


def main(command: list[str]) -> int:
    wake_reader, wake_writer = os.pipe()
    os.set_blocking(wake_writer, False)
    signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # only so that the number arrives in the pipe above
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    while process.poll() is None:
        ready, _, _ = select.select([0, wake_reader], [], [])
        if wake_reader in ready and signal.SIGTERM in os.read(wake_reader, 512):
            return _end(process)
        if 0 in ready and not os.read(0, 512):
            return _end(process)
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def _end(process: subprocess.Popen[bytes]) -> int:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
