"""The clients that `hot_path.py` compares, each as its users would set it up, one in a process of its own.

`python bench/subscribers.py NAME PORT VERSION QOS WARM_UP MESSAGES WINDOW` subscribes, decodes each payload
as JSON, and prints the CPU seconds (user and system, of the whole process) that MESSAGES took after the
first WARM_UP.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import importlib.util
import json
import os
import resource
import sys
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


class Tally:
    """Called once a message."""

    def __init__(self, job: Job) -> None:
        self._left = job.warm_up + job.messages
        self._measured = job.messages
        self._before = 0.0

    def one(self) -> None:
        self._left -= 1
        if self._left == self._measured:
            self._before = cpu_seconds()
        elif not self._left:
            print(cpu_seconds() - self._before, flush=True)
            os._exit(0)  # no client's way of leaving is measured


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def run_paho(job: Job, module: Any) -> None:
    tally = Tally(job)
    v5 = module.MQTTProtocolVersion.MQTTv5
    version = v5 if job.v5 else module.MQTTProtocolVersion.MQTTv311
    client = module.Client(module.CallbackAPIVersion.VERSION2, protocol=version)

    def on_message(_client: Any, _data: Any, message: Any) -> None:
        json.loads(message.payload)
        tally.one()

    client.on_message = on_message
    client.on_connect = lambda *_: client.subscribe(FILTER, job.qos)
    client.connect("127.0.0.1", job.port)
    client.loop_forever()


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
        client = module.Client("bench", **({"receive_maximum": job.window} if job.v5 else {}))
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


def main() -> NoReturn:
    subscriber = SUBSCRIBERS[sys.argv[1]]
    port, version, qos, warm_up, messages, window = map(int, sys.argv[2:])
    job = Job(port, version == 5, qos, warm_up, messages, window)
    subscriber.run(job, importlib.import_module(subscriber.module))
    sys.exit(f"{subscriber.title} ended before {messages} messages had come")


if __name__ == "__main__":
    main()
