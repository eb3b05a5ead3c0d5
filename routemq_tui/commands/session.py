"""One engine with one front end, from start to end: whatever happens, the engine is stopped.

Not a command itself: `run`, `demo` and `web` share it.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from routemq_tui.commands.output import OUTPUT_LOST, complain
from routemq_tui.config.model import Config
from routemq_tui.engine.commands import Stop
from routemq_tui.engine.engine import Engine
from routemq_tui.engine.lock import STATE_FOLDER
from routemq_tui.errors import ExitCode
from routemq_tui.imports import importing

LAYOUT_FILE = "layout.json"
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_MARGIN = 3.0
"""Seconds beyond the drain's own deadline before the engine is told to stop by force."""
_FORCED = 5.0


def run_session(
    config: Config,
    *,
    headless: bool,
    duration: float | None,
    log_format: str | None = None,
    reload: Callable[[], Config] | None = None,
) -> int:
    """Run the engine under the screen or with plain lines; returns the exit code.

    The screen is used when both ends are a terminal and nothing else was asked for. `log_format` is "text" or
    "json", and asks for lines. `reload` reads the configuration anew.
    """
    in_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    with running_engine(config, reload) as engine:
        if headless or log_format is not None or not in_terminal:
            why = "--headless" if headless else "--log-format" if log_format is not None else "no terminal"
            return _run_plain(engine, duration, why, log_format)
        return _run_screen(engine, duration, config)


@contextmanager
def running_engine(config: Config, reload: Callable[[], Config] | None) -> Iterator[Engine]:
    """A started engine with its probes; both are ended whatever happens. `reload` reads the configuration
    anew. To be entered before any screen: the fork server must not inherit a replaced stderr."""
    engine = Engine(config, reload=reload)
    with monitored(engine, config):
        engine.start()
        try:
            yield engine
        finally:
            end_engine(engine, config.app.shutdown_timeout)


@contextmanager
def monitored(engine: Engine, config: Config) -> Iterator[None]:
    """Answers probes and scrapes meanwhile, when the configuration asks for it; raises ListenError."""
    if config.http.listen is None:
        yield
        return
    from routemq_tui.monitoring.server import MonitoringServer

    server = MonitoringServer(engine, config.http.listen)
    engine.note(f"/healthz, /readyz and /metrics at {server.address}")
    if not server.is_local:
        engine.note("others can read them, too: they are not protected", logging.WARNING)
    try:
        yield
    finally:
        server.close()


def _run_plain(engine: Engine, duration: float | None, why: str, log_format: str | None) -> int:
    from routemq_tui import headless
    from routemq_tui.headless.json_lines import JsonLines

    wording = JsonLines() if log_format == "json" else None
    try:
        code = headless.run(
            engine, duration=duration, out=sys.stdout, why=why, wording=wording, complain=complain
        )
    except headless.OutputLostError:
        return OUTPUT_LOST
    return engine.exit_code if code == ExitCode.OK else code


def _run_screen(engine: Engine, duration: float | None, config: Config) -> int:
    with importing():
        from routemq_tui.tui import app
        from routemq_tui.tui.layout_memory import LayoutMemory

    timer = None
    if duration is not None:
        timer = threading.Timer(duration, engine.send, (Stop(),))
        timer.daemon = True
        timer.start()
    try:
        with _stopping_on_signals(engine):
            code = app.run(engine, config.ui, LayoutMemory(layout_file(config)))
    finally:
        if timer is not None:
            timer.cancel()
    return engine.exit_code if code == ExitCode.OK else code


def layout_file(config: Config) -> Path | None:
    """Where the screens of this project remember their layout; None when that is not wanted."""
    return config.root / STATE_FOLDER / LAYOUT_FILE if config.ui.remember else None


@contextmanager
def _stopping_on_signals(engine: Engine) -> Iterator[None]:
    """The first signal drains, the second one forces. The screen sees the engine stop and leaves.

    A hangup never forces: a terminal that goes may send it several times, and after another signal.
    """
    seen = 0

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal seen
        force = seen > 0 and number != signal.SIGHUP
        seen += 1
        # On a thread of its own: the signal may have interrupted a `send` that holds the engine's lock.
        threading.Thread(target=engine.send, args=(Stop(force=force),), daemon=True).start()

    before = {number: signal.signal(number, stop) for number in _STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_engine(engine: Engine, deadline: float) -> None:
    """Wait for a drain that is asked for now or was already, then force it."""
    if engine.wait(0):
        return
    engine.send(Stop())
    try:
        if engine.wait(deadline + _MARGIN):
            return
    finally:
        # Also when Ctrl-C cuts the wait short.
        if not engine.wait(0):
            engine.send(Stop(force=True))
            engine.wait(_FORCED)
