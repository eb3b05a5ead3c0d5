"""CPU that middleware adds to a message: none of it, and such that does nothing, in every form.

    PYTHONPATH=. .venv/bin/python bench/middleware.py [--messages N] [--rounds N]

In the real worker process, fed as `hot_path.py` does it, MQTT 5 at QoS 1.
"""

from __future__ import annotations

import argparse
import statistics

from hot_path import machine, measure_ours, pumping
from subscribers import Job

CASES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("sync handler, none", "handle", ()),
    ("sync handler, a function", "handle", ("handlers:through",)),
    ("sync handler, an async function", "handle", ("handlers:through_async",)),
    ("sync handler, a class", "handle", ("handlers:Through",)),
    ("async handler, none", "handle_async", ()),
    ("async handler, a function", "handle_async", ("handlers:through",)),
    ("async handler, an async function", "handle_async", ("handlers:through_async",)),
    ("async handler, a class", "handle_async", ("handlers:Through",)),
    ("async handler, three classes", "handle_async", ("handlers:Through",) * 3),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, of which the median counts")
    arguments = parser.parse_args()
    print(machine())
    print(f"{'':<36}{'CPU us/msg':>12}{'added':>8}")
    none = 0.0
    for title, handler, middleware in CASES:
        figure = statistics.median(
            measure(handler, middleware, arguments.messages) for _ in range(arguments.rounds)
        )
        none = figure if not middleware else none
        print(f"{title:<36}{figure:>12.2f}{figure - none if middleware else 0:>8.2f}", flush=True)


def measure(handler: str, middleware: tuple[str, ...], messages: int) -> float:
    warm_up = messages // 10
    with pumping(warm_up + messages, 1000, False) as port:
        return measure_ours(handler, Job(port, True, 1, warm_up, messages, 1000), middleware=middleware)


if __name__ == "__main__":
    main()
