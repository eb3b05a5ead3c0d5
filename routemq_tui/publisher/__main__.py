"""`python -m routemq_tui.publisher`: the traffic generator's own process.

Its first line on stdin holds the settings; when stdin closes, whoever started it is done or dead, and it
ends. It logs to stderr, a level's name and a text a line.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress

from routemq_tui.errors import ExitCode, RoutemqError
from routemq_tui.publisher.generator import Generator
from routemq_tui.publisher.process import decode_settings
from routemq_tui.publisher.traffic import compile_traffic

_GRACE = 1.0
"""Seconds between the end of stdin and the end of this process, whatever it is doing."""


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line = sys.stdin.buffer.readline()
    if not line:
        return ExitCode.OK
    try:
        settings = decode_settings(line)
        traffic = [compile_traffic(each) for each in settings.traffic]
    except ValueError as error:  # msgspec.DecodeError is one too.
        log("ERROR", f"traffic: {error}")
        return ExitCode.CONFIGURATION
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    threading.Thread(target=_stop_at_end_of_stdin, args=(stop,), name="stdin", daemon=True).start()
    try:
        Generator(traffic, settings.address, stop, log).run()
    except RoutemqError as error:
        log("ERROR", str(error))
        return error.exit_code
    return ExitCode.OK


def log(level: str, text: str) -> None:
    with suppress(BrokenPipeError):  # Nobody reads any more: stdin is about to end as well.
        print(level, text, file=sys.stderr, flush=True)


def _stop_at_end_of_stdin(stop: threading.Event) -> None:
    # The plain file descriptor: a buffered reader's lock, held here, would abort the interpreter's exit.
    while os.read(0, 4096):
        pass
    stop.set()
    threading.Event().wait(_GRACE)
    os._exit(ExitCode.OK)


if __name__ == "__main__":
    raise SystemExit(main())
