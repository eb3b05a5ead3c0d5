"""The clients that `hot_path.py` compares, each as its users would set it up, one in a process of its own.

`python bench/subscribers.py NAME PORT VERSION QOS WARM_UP MESSAGES WINDOW [SESSION]` subscribes, decodes each
payload as JSON, prints a line after the first WARM_UP messages, and after MESSAGES more what they took: CPU
seconds (user and system, of the whole process), how often it slept, and seconds. SESSION is a client id whose
session the broker has kept.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import importlib.util
import json
import os
import resource
import select
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from peer import FILTER


class Job(NamedTuple):
    port: int
    v5: bool
    qos: int
    warm_up: int
    messages: int
    window: int
    session: str = ""
    """Client id of a session that the broker keeps; some clients here do without."""


class Tally:
    """Called once a message."""

    def __init__(self, job: Job) -> None:
        self._left = job.warm_up + job.messages
        self._measured = job.messages
        self._before = Usage(0.0, 0, 0.0)

    def one(self) -> None:
        self._left -= 1
        if self._left == self._measured:
            print("begun", flush=True)
            self._before = usage()
        elif not self._left:
            print(*(now - then for now, then in zip(usage(), self._before, strict=True)), flush=True)
            os._exit(0)  # no client's way of leaving is measured


class Usage(NamedTuple):
    cpu: float
    sleeps: int
    seconds: float


def usage() -> Usage:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return Usage(used.ru_utime + used.ru_stime, used.ru_nvcsw, time.monotonic())


def run_paho(job: Job, module: Any) -> None:
    tally = Tally(job)
    v5 = module.MQTTProtocolVersion.MQTTv5
    version = v5 if job.v5 else module.MQTTProtocolVersion.MQTTv311
    clean = None if job.v5 else not job.session
    client = module.Client(module.CallbackAPIVersion.VERSION2, job.session, clean, protocol=version)

    def on_message(_client: Any, _data: Any, message: Any) -> None:
        json.loads(message.payload)
        tally.one()

    client.on_message = on_message
    client.on_connect = lambda *_: client.subscribe(FILTER, job.qos)
    if job.v5 and job.session:
        properties = module.Properties(module.PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        client.connect("127.0.0.1", job.port, clean_start=False, properties=properties)
    else:
        client.connect("127.0.0.1", job.port)
    client.loop_forever()


def run_bare(job: Job, module: Any) -> None:
    """No client: only what any must do, a wake-up, a read and a write, and telling the packets apart."""
    tally = Tally(job)
    link = module.Link(job.port, "bench", job.v5)
    link.subscribe(FILTER, job.qos)
    raw = link.socket
    raw.setblocking(False)
    poller = select.epoll()
    poller.register(raw.fileno(), select.EPOLLIN)
    data, properties = b"", 1 if job.v5 else 0
    while True:
        poller.poll()
        data += raw.recv(65536)
        at, answers = 0, b""
        while len(data) - at > 4:
            long = data[at + 1] >> 7
            end = at + 2 + long + (data[at + 1] & 127 | data[at + 2] << 7 if long else data[at + 1])
            if end > len(data):
                break
            cut = at + 4 + long + (data[at + 2 + long] << 8 | data[at + 3 + long])
            if job.qos:
                answers += b"\x40\x02" + data[cut : cut + 2]
            json.loads(data[cut + 2 * (job.qos > 0) + properties : end])
            tally.one()
            at = end
        data = data[at:]
        if answers:
            raw.send(answers)


def run_aiomqtt(job: Job, module: Any) -> None:
    tally = Tally(job)
    version = module.ProtocolVersion.V5 if job.v5 else module.ProtocolVersion.V311

    async def subscribe() -> None:
        async with module.Client("127.0.0.1", job.port, protocol=version) as client:
            await client.subscribe(FILTER, qos=job.qos)
            async for message in client.messages:
                json.loads(message.payload)
                tally.one()

    asyncio.run(subscribe())


def run_gmqtt(job: Job, module: Any) -> None:
    tally = Tally(job)
    uvloop = importlib.import_module("uvloop")
    constants = importlib.import_module("gmqtt.mqtt.constants")

    def on_message(_client: Any, _topic: str, payload: bytes, _qos: int, _properties: Any) -> int:
        json.loads(payload)
        tally.one()
        return 0

    async def subscribe() -> None:
        properties = {"receive_maximum": job.window} if job.v5 else {}
        if job.v5 and job.session:
            properties["session_expiry_interval"] = 3600
        client = module.Client(job.session or "bench", clean_session=not job.session, **properties)
        client.on_message = on_message
        await client.connect(
            "127.0.0.1", job.port, version=constants.MQTTv50 if job.v5 else constants.MQTTv311
        )
        client.subscribe(FILTER, qos=job.qos)
        await asyncio.Event().wait()

    uvloop.run(subscribe())


def run_mqttium(job: Job, module: Any) -> None:
    tally = Tally(job)
    version = module.MQTTProtocolVersion.MQTTv5 if job.v5 else module.MQTTProtocolVersion.MQTTv311

    def on_message(message: Any) -> None:
        json.loads(message.payload)
        tally.one()

    async def subscribe() -> None:
        client = importlib.import_module("mqttium.api").AsyncClient(
            "bench", protocol=version, message_delivery="callback", max_inbound_inflight=job.window
        )
        client.on_message = on_message
        await client.connect("127.0.0.1", job.port)
        await client.subscribe(FILTER, qos=job.qos)
        await asyncio.Event().wait()

    asyncio.run(subscribe())


def run_faststream(job: Job, module: Any) -> None:
    tally = Tally(job)

    async def subscribe() -> None:
        broker = module.MQTTBroker(
            f"mqtt://127.0.0.1:{job.port}",
            version="5.0" if job.v5 else "3.1.1",
            receive_maximum=job.window if job.v5 else None,
            client_id="bench",
            logger=None,  # it logs each message otherwise
        )

        async def handle(body: dict[str, Any]) -> None:
            tally.one()

        # Its decorator looks annotations up in this module's globals.
        handle.__annotations__ = {"body": dict[str, Any], "return": None}
        broker.subscriber(FILTER, qos=module.QoS(job.qos))(handle)
        await broker.start()
        await asyncio.Event().wait()

    asyncio.run(subscribe())


class Subscriber(NamedTuple):
    title: str
    module: str
    distributions: tuple[str, ...]
    run: Callable[[Job, Any], None]
    share: float
    """Of the messages a run has: the slow ones get fewer."""

    @property
    def missing(self) -> str:
        """The packages that are not installed, or nothing."""
        return " and ".join(name for name in self.distributions if not _installed(name))


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


SUBSCRIBERS = {
    "paho": Subscriber("paho on_message + json", "paho.mqtt.client", ("paho-mqtt",), run_paho, 0.5),
    "aiomqtt": Subscriber("aiomqtt + json", "aiomqtt", ("aiomqtt",), run_aiomqtt, 0.2),
    "gmqtt": Subscriber("gmqtt + uvloop + json", "gmqtt", ("gmqtt", "uvloop"), run_gmqtt, 1.0),
    "mqttium": Subscriber("mqttium + json", "mqttium", ("mqttium",), run_mqttium, 1.0),
    "faststream": Subscriber(
        "FastStream mqtt", "faststream.mqtt", ("faststream", "zmqtt"), run_faststream, 0.1
    ),
}

WITH_BARE = SUBSCRIBERS | {"bare": Subscriber("bare socket + json", "load", (), run_bare, 1.0)}


def main() -> NoReturn:
    subscriber = WITH_BARE[sys.argv[1]]
    port, version, qos, warm_up, messages, window = map(int, sys.argv[2:8])
    job = Job(port, version == 5, qos, warm_up, messages, window, *sys.argv[8:])
    subscriber.run(job, importlib.import_module(subscriber.module))
    sys.exit(f"{subscriber.title} ended before {messages} messages had come")


if __name__ == "__main__":
    main()
