"""How many workers a load needs: throughput x time, bounded by cores and memory, with the arithmetic shown.

With --rate and --time it calculates with these. Without them it asks the instance that runs in this project,
and says for each route how many workers there are and how many its own figures of the last seconds ask for.

examples:
  routemq-tui plan --rate 500 --time 100ms               a handler that waits for others
  routemq-tui plan --rate 500 --time 0.1 --cores 8 --cpu 0.5
  routemq-tui plan --rate 500 --time 0.1 --memory-per-worker 80MB --memory 2GB
  routemq-tui plan                                       by what runs here now
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from routemq_tui.commands.own_node import NODE_HELP
from routemq_tui.errors import ExitCode, RoutemqError
from routemq_tui.units import parse_duration, parse_size

NAME = "plan"
HELP = "how many workers a load needs, by given figures or those of a running instance"


class PlanError(RoutemqError):
    """The figures do not go together."""

    exit_code = ExitCode.CONFIGURATION


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", type=Path, default=Path("routemq.toml"), metavar="FILE")
    parser.add_argument("--node", help=NODE_HELP)
    load = parser.add_argument_group("the load (without --rate and --time: that of the running instance)")
    load.add_argument("--rate", type=_number("a rate", above=0), metavar="N", help="messages a second")
    load.add_argument("--time", type=_time, metavar="TIME", help='of a handler for one: "0.1", "100ms"')
    load.add_argument(
        "--cpu", type=_number("a part", 0, 1), metavar="PART", help="of that time it computes, 0 to 1"
    )
    load.add_argument(
        "--concurrency", type=_count, metavar="N", help="messages a worker has in hand at once (default: 1)"
    )
    load.add_argument("--memory-per-worker", type=_size, metavar="SIZE", help='such as "80MB"')
    machine = parser.add_argument_group("the machine")
    machine.add_argument(
        "--cores", type=_number("cores", above=0), metavar="N", help="default: of this machine"
    )
    machine.add_argument("--memory", type=_size, metavar="SIZE", help="for all workers together")
    parser.add_argument(
        "--headroom", type=_number("headroom", 1), metavar="N", help="room for bursts (default: 1.3)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the plan. Raises PlanError for figures that are missing, ControlError when nothing runs."""
    given = [arguments.rate is not None, arguments.time is not None]
    if all(given):
        print(_of_figures(arguments))
        return ExitCode.OK
    if any(given):
        missing = "--time" if given[0] else "--rate"
        raise PlanError(f"{missing} is missing: a plan takes --rate and --time, or neither of them")
    print(_of_instance(arguments))
    return ExitCode.OK


def _of_figures(arguments: argparse.Namespace) -> str:
    from routemq_tui.engine.plan import Load, advise, answer

    load = Load(
        arguments.rate,
        arguments.time,
        arguments.cpu,
        arguments.concurrency or 1,
        arguments.memory_per_worker,
    )
    if arguments.memory is not None and arguments.memory_per_worker is None:
        raise PlanError("--memory bounds the workers only with --memory-per-worker")
    advice = advise(load, _machine(arguments), _headroom(arguments))
    if arguments.json:
        return json.dumps(_values(load, advice), indent=2)
    lines = [f"{step.what:<10}{step.text}" for step in advice.steps]
    return "\n".join([*lines, "", answer(load, advice)])


def _of_instance(arguments: argparse.Namespace) -> str:
    from routemq_tui.commands.ctl import ControlError, snapshot_of

    try:
        snapshot = snapshot_of(arguments)
    except ControlError as error:
        raise ControlError(f"{error}; start it, or give figures: --rate and --time") from None
    concurrency = _concurrency(arguments)
    routes = [_planned(route, concurrency.get(route["name"], 1), arguments) for route in snapshot["routes"]]
    if arguments.json:
        return json.dumps({"routes": [values for values, _ in routes]}, indent=2)
    blocks = ["\n".join(lines) for _, lines in routes]
    return "\n\n".join([*blocks, _sum(routes, arguments)])


def _planned(
    route: dict[str, Any], concurrency: int, arguments: argparse.Namespace
) -> tuple[dict[str, Any], list[str]]:
    """What is advised for one route, as values and in words."""
    from dataclasses import replace

    from routemq_tui.engine.plan import advise, answer, is_saturated, measured_load

    name, now = route["name"], route["desired"]
    load = measured_load(route, arguments.concurrency or concurrency)
    if load is None:
        values = {"route": name, "now": now, "advised": None}
        return values, [f"{name}: {now} now; no message passed in the last seconds, so nothing to go by"]
    if arguments.cpu is not None or arguments.memory_per_worker is not None:
        cpu = load.cpu if arguments.cpu is None else arguments.cpu
        load = replace(load, cpu=cpu, memory=arguments.memory_per_worker or load.memory)
    most = route["max_workers"] if route["shared"] else 1
    advice = advise(load, replace(_machine(arguments), most=most), _headroom(arguments))
    saturated = is_saturated(route)
    lines = [f"{name}: {_change(now, advice.workers)}"]
    lines += [f"  {step.what:<10}{step.text}" for step in advice.steps]
    if saturated:
        lines.append("  backlog   its workers are busy all of the time: more may be waiting than it seems")
    lines.append(f"  {answer(load, advice)}")
    values = {"route": name, "now": now, "advised": advice.workers, "saturated": saturated}
    return values | _values(load, advice), lines


def _change(now: int, advised: int) -> str:
    if now == advised:
        return f"{now} now, and that is right"
    return f"{now} now, {advised} advised ({advised - now:+d})"


def _sum(routes: list[tuple[dict[str, Any], list[str]]], arguments: argparse.Namespace) -> str:
    """All routes share the cores; and how to do what is advised."""
    known = [values for values, _ in routes if values["advised"] is not None]
    used = sum(each["rate"] * each["time"] * (each["cpu"] or 0.0) for each in known)
    cores = _machine(arguments).cores
    lines = [f"all routes compute on {used:.2g} of {cores:g} cores"]
    if used * _headroom(arguments) > cores:
        lines[0] += ": together they want more than there are"
    changes = [each for each in known if each["advised"] != each["now"]]
    lines += [f"routemq-tui ctl scale {each['route']} {each['advised']}" for each in changes]
    return "\n".join(lines)


def _values(load: Any, advice: Any) -> dict[str, Any]:
    return {
        **asdict(load),
        "workers": advice.workers,
        "wanted": advice.wanted,
        "bound": advice.bound or None,
        "capacity": advice.capacity,
        "enough": advice.enough(load),
        "steps": [asdict(step) for step in advice.steps],
    }


def _machine(arguments: argparse.Namespace) -> Any:
    from routemq_tui.engine.plan import Machine

    return Machine(arguments.cores or _own_cores(), arguments.memory)


def _own_cores() -> int:
    """Those this process may run on, where the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _headroom(arguments: argparse.Namespace) -> float:
    from routemq_tui.engine.plan import HEADROOM

    return HEADROOM if arguments.headroom is None else arguments.headroom


def _concurrency(arguments: argparse.Namespace) -> dict[str, int]:
    from routemq_tui.config.load import load

    return {route.name: route.concurrency for route in load(arguments.config).routes}


def _number(
    what: str, low: float = 0.0, high: float = 1e9, above: float | None = None
) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{what} is a number, not {text!r}") from None
        if not low <= value <= high or (above is not None and value <= above):
            least = f"above {above:g}" if above is not None else f"from {low:g}"
            raise argparse.ArgumentTypeError(f"{what} is a number {least} to {high:g}, not {text}")
        return value

    return read


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"a whole number from 1 to 10000, not {text!r}")
    return int(text)


def _time(text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if seconds <= 0:
        raise argparse.ArgumentTypeError("a handler takes some time: more than 0")
    return seconds


def _size(text: str) -> int:
    try:
        size = parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if size <= 0:
        raise argparse.ArgumentTypeError("a size above 0")
    return size
