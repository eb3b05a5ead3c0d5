"""Publishes compiled traffic at its rate until told to stop: connects, waits and tries again by itself."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence

from routemq_tui.publisher.client import PublishClient, UnreachableError
from routemq_tui.publisher.traffic import Schedule, Traffic
from routemq_tui.worker.spec import BrokerAddress

_TICK = 0.1
"""Seconds between two looks at the stop flag, at most."""
_FIRST_WAIT = 0.25
_LONGEST_WAIT = 10.0

Log = Callable[[str, str], None]
"""Takes a level's name and a text."""


class Generator:
    def __init__(
        self, traffic: Sequence[Traffic], address: BrokerAddress, stop: threading.Event, log: Log
    ) -> None:
        self._traffic = traffic
        self._address = address
        self._stop = stop
        self._log = log
        self._client = PublishClient(address, "traffic")
        self._rejected = 0

    def run(self) -> None:
        """Publish until the stop flag is set. Raises PublishError when the broker says no for good."""
        wait = _FIRST_WAIT
        while not self._stop.is_set():
            try:
                self._client.connect()
                wait = _FIRST_WAIT
                self._log("INFO", self._greeting())
                self._publish()
            except UnreachableError as error:
                pause = wait * random.uniform(0.75, 1.25)
                self._log("WARNING", f"{error}; trying again in {pause:.1f} s")
                self._stop.wait(pause)
                wait = min(wait * 2, _LONGEST_WAIT)
        if self._client.connected:
            self._client.close()

    def _publish(self) -> None:
        start = time.monotonic()
        streams = [(each, each.schedule(start)) for each in self._traffic]
        while not self._stop.is_set():
            for traffic, schedule in streams:
                self._publish_due(traffic, schedule)
            next_time = min(schedule.next_time() for _, schedule in streams)
            self._client.step(min(max(next_time - time.monotonic(), 0.0), _TICK))
            self._tell_rejected()

    def _publish_due(self, traffic: Traffic, schedule: Schedule) -> None:
        for _ in range(schedule.take(time.monotonic())):
            while not self._client.ready():
                if self._stop.is_set():
                    return
                self._client.step(_TICK)
            topic, payload = traffic.template.make(time.time())
            self._client.publish(topic, payload, traffic.qos, traffic.retain)

    def _tell_rejected(self) -> None:
        if len(self._client.rejected) > self._rejected:
            self._rejected = len(self._client.rejected)
            self._log("ERROR", f"the broker rejects messages: {', '.join(self._client.rejected)}")

    def _greeting(self) -> str:
        rate = sum(each.rate for each in self._traffic)
        bursts = sum(1 for each in self._traffic if each.burst)
        extra = f" and {bursts} with bursts" if bursts else ""
        return f"publishing {rate:g} messages/s on {len(self._traffic)} topics{extra} to {self._address}"
