"""An engine under load: 64 workers in 40 routes whose figures change, a store that a thread floods."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace

from routemq_tui.engine.log_store import LogStore
from routemq_tui.engine.snapshot import Metrics, RouteSnapshot, Snapshot
from tests.fakes.engine import FakeEngine
from tests.fakes.snapshots import route, snapshot, worker

PAUSE = 0.01
TEXTS = (
    "device {0} reads {1}.5 °C",
    "GET /devices/{0} 200 in {1} ms",
    "\x1b[32mstored\x1b[0m reading {0} of \x1b[1;36mdevice {1}\x1b[0m",
    "漢字 emoji \U0001f680 e\u0301 {0} {1}",
    "{0} " + "a long line that is cut " * 8 + "{1}",
)


def crowd(routes: int = 40, workers: int = 64) -> Snapshot:
    """So many workers over so many routes, the first ones with one more where it does not come out even."""
    each, more = divmod(workers, routes)
    return snapshot(
        tuple(
            route(
                f"route-{number:02d}",
                tuple(worker(f"route-{number:02d}", slot) for slot in range(1, each + 1 + (number < more))),
            )
            for number in range(routes)
        )
    )


class FloodEngine(FakeEngine):
    """`start` floods from a thread, `stop` ends that; each look at the snapshot gives new figures."""

    def __init__(self, lines_per_second: int, routes: int = 40, workers: int = 64) -> None:
        super().__init__(crowd(routes, workers))
        self.store = LogStore(64 * 1024**2)
        self.logs = self.store  # type: ignore[assignment]
        self.moving = True
        self._rate = lines_per_second
        self._random = random.Random(1)
        self._ended = threading.Event()
        self._sources = [each.name for one in self._snapshot.routes for each in one.workers]
        self._thread = threading.Thread(target=self._flood, daemon=True)

    def snapshot(self) -> Snapshot:
        if self.moving:
            self.now = time.time()
            self.show(routes=tuple(self._moved(each) for each in self._snapshot.routes))
        return self._snapshot

    def _moved(self, given: RouteSnapshot) -> RouteSnapshot:
        workers = tuple(replace(each, metrics=self._figures(each.metrics)) for each in given.workers)
        return replace(given, workers=workers, metrics=self._figures(given.metrics))

    def _figures(self, metrics: Metrics) -> Metrics:
        dice = self._random.random()
        return replace(
            metrics,
            rate=dice * 100,
            p95=dice / 50,
            cpu_percent=dice * 90,
            in_flight=int(dice * 20),
            ok=metrics.ok + int(dice * 25),
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """No more lines, no more change."""
        self.moving = False
        self._ended.set()
        self._thread.join()

    def _flood(self) -> None:
        begun, written = time.monotonic(), 0
        while not self._ended.wait(PAUSE):
            due = int((time.monotonic() - begun) * self._rate)
            while written < due:
                number = written // 100
                text = "\n".join(
                    TEXTS[line % 5].format(number, line) for line in range(min(100, due - written))
                )
                level = 40 if number % 50 == 0 else 20
                self.store.add_text(self._sources[number % len(self._sources)], text, level, "stdout")
                written += 100
