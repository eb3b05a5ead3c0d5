"""A worker's session in the test's own process, with a handler that is a function of the test."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from routemq_tui.routing.binding import bind
from routemq_tui.routing.template import Template
from routemq_tui.worker import cells
from routemq_tui.worker.control import Control
from routemq_tui.worker.guardian import Guardian
from routemq_tui.worker.session import WorkerSession
from routemq_tui.worker.socket_wrapper import MqttSocket
from routemq_tui.worker.spec import BrokerAddress, WorkerSpec
from tests.worker.peer import Peer


class Here:
    """What a script may see of the session, and do to its socket."""

    session: WorkerSession

    @property
    def socket(self) -> MqttSocket:
        found = self.session._connection.socket
        assert found is not None
        return found

    def shrink_send_buffer(self) -> None:
        self.socket._raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


def run_session(
    peer: Peer,
    handler: Callable[..., Any],
    script: Callable[[], None],
    folder: Path,
    v5: bool,
    here: Here | None = None,
    **changes: Any,
) -> None:
    """Run a session on the main thread for as long as `script` runs on another; both may fail.

    The script plays the broker with the peer, which is closed at its end. Nobody pings: the guardian's thread
    is not started.
    """
    template = Template.parse("t/{rest:path}")
    address = BrokerAddress(
        "127.0.0.1", peer.port, protocol="5" if v5 else "3.1.1", tls=changes.pop("tls", False)
    )
    settings = {"qos": 2, "prefetch": 1000, "on_error": "drop", "state_folder": str(folder), **changes}
    spec = WorkerSpec("r", 1, "here", "t/{rest:path}", "t/#", handler="", root="", broker=address, **settings)
    words = memoryview(bytearray(cells.WORDS * 8)).cast("Q")
    ours, theirs = multiprocessing.Pipe()

    async def main() -> None:
        guardian = Guardian(words, theirs.fileno(), 1.0, lambda: None)
        session = WorkerSession(spec, words, Control(theirs), guardian, template, bind(handler, template))
        if here is not None:
            here.session = session
        running = asyncio.ensure_future(session.run())
        playing = asyncio.ensure_future(asyncio.to_thread(script))
        try:
            await asyncio.wait((running, playing), return_when=asyncio.FIRST_COMPLETED)
            assert not running.done(), f"the session ended: {running.result()}"
            playing.result()
        finally:
            session._connection.stay_away()
            peer.close()
            await _until_unconnected(session)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    with ours, theirs:
        asyncio.run(main())


async def _until_unconnected(session: WorkerSession) -> None:
    """Its end of the connection is closed, and none is being made."""
    while session._connection.link.socket is not None or any(
        thread.name == "routemq-connect" for thread in threading.enumerate()
    ):
        await asyncio.sleep(0.001)
