"""One engine served to browsers, from start to end: whatever happens, the engine is stopped.

Not a command itself; imported only when textual-serve is there.
"""

from __future__ import annotations

import asyncio
import shlex
import signal
import sys
import webbrowser
from collections.abc import Callable

from routemq_tui.commands.session import layout_file, running_engine
from routemq_tui.config.model import Config
from routemq_tui.engine.commands import Stop
from routemq_tui.engine.engine import Engine
from routemq_tui.engine.remote import EngineServer
from routemq_tui.errors import ExitCode, RoutemqError
from routemq_tui.tui.attached import Welcome
from routemq_tui.web.server import WebServer

_LOOK = 0.2
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class PortError(RoutemqError):
    """The port cannot be listened on."""

    exit_code = ExitCode.CONFIGURATION


def run_web_session(config: Config, port: int, open_browser: bool, reload: Callable[[], Config]) -> int:
    """Serve until a signal, or until a screen or `ctl` has stopped the engine; returns the exit code.

    `reload` reads the configuration anew.
    """
    welcome = Welcome(config.ui, layout_file(config), config.app.log_memory)
    with running_engine(config, reload) as engine:
        served = EngineServer(engine, welcome, config.ui.read_only)
        try:
            served.start()
            asyncio.run(_serve(engine, served.address, port, open_browser))
        finally:
            served.stop()
    return engine.exit_code


async def _serve(engine: Engine, address: str, port: int, open_browser: bool) -> None:
    """Until a signal, or until the engine has been stopped by a screen or by `ctl`."""
    command = "exec " + shlex.join([sys.executable, "-P", "-m", "routemq_tui.web.screen", address])
    server = WebServer(command, lambda: print(f"opened; for another browser: {server.url}", flush=True))
    try:
        await server.start(port)
    except OSError as error:
        hint = "name another one with --port, or any free one with --port 0"
        raise PortError(f"port {port} of 127.0.0.1: {error.strerror}; {hint}") from error
    print(f"the screen is at {server.url}\nCtrl-C drains the workers and ends", flush=True)
    if open_browser:
        webbrowser.open(server.url)
    _stop_on_signals(engine)
    try:
        while not engine.wait(0):
            await asyncio.sleep(_LOOK)
    finally:
        await server.stop()


def _stop_on_signals(engine: Engine) -> None:
    """The first one drains, the second one forces. Open screens show it, and leave at the end."""
    seen = 0

    def stop() -> None:
        nonlocal seen
        seen += 1
        engine.send(Stop(force=seen > 1))
        print("killing the workers" if seen > 1 else "draining the workers", flush=True)

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
