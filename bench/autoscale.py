"""Autoscale on loads of five shapes, in a model or with real workers on the embedded broker.

    .venv/bin/python bench/autoscale.py [--seeds 20]     # the model: the product's own scaler, and a peer
    .venv/bin/python bench/autoscale.py --live [--seconds 150]

In the model (`queueing.py`) a message takes 100 ms, workers have windows of 20 and start within 0.5 s; looks
are 5 s apart. `queue told` is the policy `utilisation` on a broker that tells what waits (the embedded one);
`queue hidden` on one that does not, as all others; `rate` the page's rule, at 7 messages/s a worker instead
of 100, since 100 belong to handlers of 7 ms; `naive` is ceil(workers x utilisation / target) at each look,
without band, cool-down or bound: what one writes first.

over      most workers above the most that are needed, worst of all seeds
settled   intervals until it is and stays within one worker of what is needed, median and worst; then the runs
          that are within 3 intervals and one worker too many
changes   a minute, mean and worst
backlog   most messages waiting or in hand, mean
cost      worker-seconds of what the need at each moment would cost, mean
"""

from __future__ import annotations

import argparse
import math
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from instance import Instance, free_port, wait_for
from machine import machine
from queueing import Load, Naive, Ours, Rate, Run, Shop, simulate, workers_needed

from routemq_tui.config.model import ScalingConfig, ScalingPolicy

SERVICE, TARGET, INTERVAL = 0.1, 0.7, 5.0
AT = 60.0
"""When a load changes; each seed moves it within an interval."""


@dataclass(frozen=True, slots=True)
class Shape:
    name: str
    seconds: float
    rate: Callable[[float, random.Random], Rate]
    """By the time of the change."""
    bursts: Callable[[float, float], int] = lambda at, now: 0
    step_to: float | None = None
    """The rate after a step."""
    mean: Rate | None = None
    """What is needed follows from this one."""


def _step(before: float, after: float) -> Callable[[float, random.Random], Rate]:
    return lambda at, chance: lambda now: before if now < at else after


def _noise(mean: float, spread: float) -> Callable[[float, random.Random], Rate]:
    """Another rate each second."""

    def make(at: float, chance: random.Random) -> Rate:
        factors = [max(chance.gauss(1, spread), 0) for _ in range(3600)]
        return lambda now: mean * factors[int(now)]

    return make


SHAPES = (
    Shape("step up 10 to 56/s", 180, _step(10, 56), step_to=56),
    Shape("step down 56 to 10/s", 300, _step(56, 10), step_to=10),
    Shape(
        "ramp 10 to 80/s in 120 s", 300, lambda at, _: lambda now: 10 + 70 * min(max(now - at, 0) / 120, 1)
    ),
    Shape("burst of 1,000 on 10/s", 300, lambda at, _: lambda now: 10, lambda at, now: 1000 * (now == at)),
    Shape(
        "sine 10 to 70/s in 300 s",
        900,
        lambda at, _: lambda now: 40 - 30 * math.cos((now - at) / 300 * 2 * math.pi),
    ),
    Shape("noise 50/s +- 20 % each s", 900, _noise(50, 0.2), mean=lambda now: 50),
)


@dataclass(frozen=True, slots=True)
class Contender:
    name: str
    make: Callable[[Shop], Ours | Naive]
    queue_known: bool = False


_UTILISATION = ScalingConfig(target=TARGET, interval=INTERVAL)
_RATE = ScalingConfig(policy=ScalingPolicy.RATE, per_worker=TARGET / SERVICE, interval=INTERVAL)
CONTENDERS = (
    Contender("queue told", lambda shop: Ours(_UTILISATION, shop), True),
    Contender("queue hidden", lambda shop: Ours(_UTILISATION, shop)),
    Contender("rate, queue told", lambda shop: Ours(_RATE, shop), True),
    Contender("naive", lambda shop: Naive(_UTILISATION, shop)),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    over: int
    settled: float | None
    """Intervals."""
    changes: float
    backlog: int
    cost: float


def try_one(shape: Shape, contender: Contender, seed: int) -> Outcome:
    at = AT + seed % 10 / 10 * INTERVAL
    rate = shape.rate(at, random.Random(seed))
    load = Load(rate, lambda now: shape.bursts(at, now), service=SERVICE)
    mean = shape.mean or rate
    needs = [workers_needed(mean(second), SERVICE, TARGET) for second in range(int(shape.seconds))]
    shop = Shop(workers=needs[0], queue_known=contender.queue_known)
    run = simulate(load, shop, contender.make(shop), shape.seconds, seed)
    return _outcome(run, shape, at, needs)


def _outcome(run: Run, shape: Shape, at: float, needs: list[int]) -> Outcome:
    settled = None
    if shape.step_to is not None:
        need = workers_needed(shape.step_to, SERVICE, TARGET)
        took = run.settled(at, shape.seconds, need)
        settled = math.inf if took is None else took / INTERVAL
    most = max(number for _, number in run.changes)
    return Outcome(
        most - max(needs), settled, run.changes_a_minute(), run.backlog_peak, run.worker_seconds / sum(needs)
    )


def told(found: list[Outcome]) -> str:
    settled = [each.settled for each in found if each.settled is not None]
    kept = sum(each.over <= 1 and each.settled is not None and each.settled <= 3 for each in found)
    words = (
        f"{statistics.median(settled):4.1f} {max(settled):5.1f} {kept:3}/{len(found)}"
        if settled
        else f"{'-':>17}"
    )
    changes = [each.changes for each in found]
    return (
        f"{max(each.over for each in found):+5d}  {words}"
        f"  {statistics.mean(changes):5.2f} {max(changes):5.2f}"
        f"  {statistics.mean(each.backlog for each in found):7.0f}"
        f"  {statistics.mean(each.cost for each in found):5.2f}"
    )


def in_the_model(seeds: int) -> None:
    for shape in SHAPES:
        print(f"\n{shape.name:<26} over  settled, in 3    changes/min   backlog   cost")
        for contender in CONTENDERS:
            found = [try_one(shape, contender, seed) for seed in range(seeds)]
            print(f"  {contender.name:<23} {told(found)}", flush=True)


# -- real workers ------------------------------------------------------------------------------------------

HANDLER = "import time\n\n\ndef handle(payload: dict):\n    time.sleep(0.05)\n"
"""20 messages/s a worker."""
PROJECT = """
[broker]
url = "embedded"
port = {port}

[routes.jobs]
topic = "jobs/{{device}}"
handler = "handlers:handle"
qos = 1
workers = 1
min_workers = 1
max_workers = 8
autoscale = true

[routes.jobs.scaling]
interval = "3s"
cooldown = "20s"
drain = "15s"

[[traffic]]
topic = "jobs/{{device}}"
rate = {rate}
qos = 1
payload = '{{"value": 1}}'
[traffic.burst]
every = "{every:g}s"
size = {size}
"""


def live(seconds: float, rate: float, every: float, size: int) -> None:
    """Burst traffic of the program's own publisher; prints the number of workers and why, as it changes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "handlers.py").write_text(HANDLER)
        (folder / "routemq.toml").write_text(
            PROJECT.format(port=free_port(), rate=rate, every=every, size=size).lstrip()
        )
        instance = Instance(folder)
        instance.start()
        try:
            wait_for(lambda: bool(instance.snapshot()["running"]), 20, "the first worker runs")
            _follow(instance, seconds)
        finally:
            instance.stop()


def _follow(instance: Instance, seconds: float) -> None:
    began, last, most = time.monotonic(), "", 1
    print("  time  run/want  in hand  msg/s  decision")
    while (passed := time.monotonic() - began) < seconds:
        route = instance.snapshot()["routes"][0]
        decision = route["scaling"]["decision"]
        most = max(most, route["desired"])
        if decision != last:
            last = decision
            counts = f"{route['running']}/{route['desired']}"
            print(
                f"{passed:5.0f} s  {counts:>8}  {route['in_flight']:7}  {route['rate']:5.0f}  {decision}",
                flush=True,
            )
        time.sleep(0.2)
    route = instance.snapshot()["routes"][0]
    print(
        f"{seconds:5.0f} s  received {route['received']}, handled {route['ok']}, failed {route['failed']},"
        f" in hand {route['in_flight']}; at most {most} workers, {route['desired']} now"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument(
        "--live", action="store_true", help="real workers, the embedded broker, burst traffic"
    )
    parser.add_argument("--seconds", type=float, default=150, help="of the live run")
    parser.add_argument("--rate", type=float, default=10, help="messages/s of the live run")
    parser.add_argument("--every", type=float, default=60, help="seconds from burst to burst")
    parser.add_argument("--size", type=int, default=900, help="messages of a burst")
    given = parser.parse_args()
    print(f"{machine()}; Python {platform.python_version()}", flush=True)
    if given.live:
        live(given.seconds, given.rate, given.every, given.size)
    else:
        in_the_model(given.seeds)


if __name__ == "__main__":
    main()
