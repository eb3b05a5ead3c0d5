"""The paho client as a worker uses it: how it is set up, and the calls of it that may block."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from routemq_tui.worker.spec import WorkerSpec
from routemq_tui.worker.transport import Transport


def make_client(spec: WorkerSpec, clean: bool = False) -> Client:
    """A paho client set up for this worker, not connected yet.

    MQTT 3.1.1 knows no receive window: there the broker's own limit holds, and the dispatcher's.
    """
    broker = spec.broker
    v5 = broker.protocol == "5"
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=spec.client_id,
        clean_session=None if v5 else clean,
        protocol=MQTTProtocolVersion.MQTTv5 if v5 else MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.connect_timeout = 5.0
    client.max_queued_messages_set(10_000)
    client.username_pw_set(broker.username, broker.password)
    context: Any = Transport(broker)
    client.tls_set_context(context)
    properties = None
    if v5:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = broker.session_expiry
        properties.ReceiveMaximum = max(1, min(spec.prefetch, 65535))
    client.connect_async(broker.host, broker.port, broker.keepalive, clean_start=clean, properties=properties)
    return client


async def end_session_311(spec: WorkerSpec, timeout: float) -> None:
    """Have a 3.1.1 broker forget the session: connect with clean session, leave (section 3.1.2.4)."""
    client = make_client(spec, clean=True)
    await asyncio.wait_for(in_thread(lambda: _connect_and_leave(client, timeout)), timeout)


def _connect_and_leave(client: Client, timeout: float) -> None:
    answered = threading.Event()
    client.on_connect = lambda *_: answered.set()
    client.reconnect()
    deadline = time.monotonic() + timeout
    socket: Any = client.socket()
    while not answered.is_set() and client.socket() is not None and time.monotonic() < deadline:
        socket.wait_readable(0.1)
        if socket.fill():
            client.loop_read()
    if client.socket() is not None:
        socket.linger = True
        client.disconnect()


def take_back(client: Client, *packet_ids: int) -> None:
    """Have the client forget messages of QoS 1 and 2, which it would send again on the next connection.

    Only between two connections, and not out of a callback: paho may be going through its messages then.
    """
    with client._out_message_mutex:
        for packet_id in packet_ids:
            client._out_messages.pop(packet_id, None)


def in_thread(function: Callable[[], object]) -> asyncio.Future[None]:
    """Run what may block on a thread that does not hold up the end of the process, as an executor's would."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def finish(error: BaseException | None) -> None:
        if not future.done():
            future.set_exception(error) if error is not None else future.set_result(None)

    def run() -> None:
        error: BaseException | None = None
        try:
            function()
        except Exception as caught:  # noqa: BLE001 - handed to whoever awaits
            error = caught
        try:
            loop.call_soon_threadsafe(finish, error)
        except RuntimeError:  # the loop has ended
            return

    threading.Thread(target=run, name="routemq-connect", daemon=True).start()
    return future
