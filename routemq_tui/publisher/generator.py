"""Publishes compiled traffic at its rate until told to stop: connects, waits and tries again by itself."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Sequence

from routemq_tui.publisher.client import PublishClient, PublishError, UnreachableError
from routemq_tui.publisher.traffic import Schedule, Traffic
from routemq_tui.worker.spec import BrokerAddress

_TICK = 0.1
"""Seconds between two looks at the stop flag, at most."""
_FIRST_WAIT = 0.25
_LONGEST_WAIT = 10.0
_LONGEST_AWAY = 2.0
"""For a broker that is not reached: nobody tells this process that it is back, as workers are told."""
_STEADY_SECONDS = 5.0
"""A connection that held for so long, and on which something got through, starts the back-off anew."""
_FRUITLESS = 2
"""Connections lost in a row without an acknowledgement, before what is under way is let go. A broker that
tells no limit hangs up on a message that is too large, and would each time it is sent again."""

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
        self._left_out: set[int] = set()
        """Indices of the traffic that the broker does not take."""
        self._limit = self._client.largest
        self._wait = _FIRST_WAIT
        self._fruitless = 0

    def run(self) -> None:
        """Publish until the stop flag is set. Raises PublishError when the broker says no for good."""
        while not self._stop.is_set():
            longest = _LONGEST_AWAY
            try:
                self._client.connect()
                longest = _LONGEST_WAIT
                self._log("INFO", self._greeting())
                self._publish_until_lost()
            except UnreachableError as error:
                pause = min(self._wait, longest) * random.uniform(0.75, 1.25)
                self._log("WARNING", f"{error}; trying again in {pause:.1f} s")
                self._stop.wait(pause)
                self._wait = min(self._wait * 2, _LONGEST_WAIT)
        if self._client.connected:
            self._client.close()

    def _publish_until_lost(self) -> None:
        client = self._client
        start, done, acknowledged = time.monotonic(), client.done, client.acknowledged
        try:
            self._publish(start)
        except UnreachableError:
            if client.done > done and time.monotonic() - start >= _STEADY_SECONDS:
                self._wait = _FIRST_WAIT
            self._fruitless = 0 if client.acknowledged > acknowledged else self._fruitless + 1
            if self._fruitless >= _FRUITLESS and (count := client.forget()):
                self._fruitless = 0
                self._log(
                    "WARNING",
                    f"{count} messages are let go: the connection was lost twice with them under way; one may"
                    " be larger than the broker takes",
                )
            raise

    def _publish(self, start: float) -> None:
        if self._client.largest != self._limit:  # what was too large may fit now
            self._limit = self._client.largest
            self._left_out.clear()
        streams = [(each, each.schedule(start)) for each in self._traffic]
        while not self._stop.is_set():
            next_time = math.inf
            for index, (traffic, schedule) in enumerate(streams):
                if index not in self._left_out:
                    self._publish_or_leave_out(index, traffic, schedule)
                    next_time = min(next_time, schedule.next_time())
            self._client.step(min(max(next_time - time.monotonic(), 0.0), _TICK))
            self._tell_rejected()

    def _publish_or_leave_out(self, index: int, traffic: Traffic, schedule: Schedule) -> None:
        try:
            self._publish_due(traffic, schedule)
        except UnreachableError:
            raise
        except PublishError as error:
            self._left_out.add(index)
            self._log("ERROR", f"{error}; its traffic is left out")

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
