"""`routemq-tui check`: the plan of a configuration, with every handler imported; exits 2 on any error.

With --connect it connects to the broker once, too: exit code 4 when that refuses, 8 when it is not reached.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

from routemq_tui.commands.broker_test import Outcome, connect_once
from routemq_tui.commands.module_names import name_problems
from routemq_tui.commands.options import add_config_arguments, load_from
from routemq_tui.config.handler_check import HandlerCheck, check_handlers
from routemq_tui.config.load import ConfigError
from routemq_tui.config.model import Config, Place, Problem, RouteConfig
from routemq_tui.errors import ExitCode
from routemq_tui.publisher.traffic import check_traffic
from routemq_tui.routing.template import Template
from routemq_tui.routing.topics import overlaps, subscription
from routemq_tui.tui.keymap import key_lines, key_problems

NAME = "check"
HELP = "check the configuration and every handler, and print the plan"

_HEADINGS = (
    "route",
    "filter",
    "subscription",
    "qos",
    "workers",
    "autoscale",
    "workers set in",
    "handler",
    "location",
)
_NUMERIC = {"qos", "workers"}


def add_arguments(parser: ArgumentParser) -> None:
    add_config_arguments(parser)
    parser.add_argument(
        "--keys", action="store_true", help="print the keys of the screen with their ids instead"
    )
    parser.add_argument("--connect", action="store_true", help="connect to the broker once, too")
    parser.add_argument("--json", action="store_true", help="print the plan and the problems as JSON")


def run(arguments: Namespace) -> int:
    """Print the plan to standard output, problems to standard error (with --json all to standard output)."""
    try:
        config = load_from(arguments)
    except ConfigError as error:
        if arguments.json:
            _print_json({"ok": False, "problems": [_as_json(problem) for problem in error.problems]})
        else:
            _print_problems(error.problems)
        return ExitCode.CONFIGURATION
    if arguments.keys:
        problems = key_problems(config.ui)
        print("\n".join(key_lines(config.ui)) if not problems else "", end="" if problems else "\n")
        _print_problems(problems)
        return ExitCode.CONFIGURATION if problems else ExitCode.OK
    names = name_problems(config)
    misnamed = {problem.key for problem in names}
    routes = tuple(each for each in config.routes if f"routes.{each.name}.handler" not in misnamed)
    with _stdout_to_stderr():
        checked = check_handlers(routes, config.root, config.app.middleware)
    others = (*names, *check_traffic(config.traffic), *key_problems(config.ui))
    checked = replace(checked, problems=(*checked.problems, *others))
    tried = connect_once(config) if arguments.connect else None
    (_print_all_json if arguments.json else _print_all)(config, checked, tried)
    if checked.problems:
        return ExitCode.CONFIGURATION
    return tried.error.exit_code if tried is not None and tried.error is not None else ExitCode.OK


def _print_all(config: Config, checked: HandlerCheck, tried: Outcome | None) -> None:
    _print_plan(config, checked)
    _print_problems(checked.problems)
    if tried is not None:
        print(f"connection: {tried.text}", file=sys.stderr if tried.error else sys.stdout)


def _print_all_json(config: Config, checked: HandlerCheck, tried: Outcome | None) -> None:
    values = _plan_as_json(config, checked)
    if tried is not None:
        values["connection"] = {"ok": tried.error is None, "text": tried.text}
    _print_json(values)


def overlap_notes(routes: Sequence[RouteConfig]) -> list[str]:
    """A line for each two routes that some topic matches both of."""
    notes = []
    for one, other in combinations(routes, 2):
        left, right = Template.parse(one.topic).filter, Template.parse(other.topic).filter
        if overlaps(left, right) and not (
            one.shared and other.shared and left == right and one.group == other.group
        ):
            notes.append(f"{one.name} ({left}) and {other.name} ({right}) overlap: each gets such a message")
    return notes


def _row(route: RouteConfig, checked: HandlerCheck) -> dict[str, Any]:
    topic_filter = Template.parse(route.topic).filter
    return {
        "route": route.name,
        "filter": topic_filter,
        "subscription": subscription(topic_filter, route.group if route.shared else None),
        "qos": route.qos,
        "workers": route.workers,
        "autoscale": f"{route.min_workers}-{route.max_workers}" if route.autoscale else None,
        "workers set in": _count_source(route),
        "handler": checked.name_of(route),
        "location": checked.locations.get(route.name),
    }


def _count_source(route: RouteConfig) -> str | None:
    """Where the count of workers was said: `routemq.local.toml:3`, `environment`, `default`."""
    if not route.shared:
        return None
    place = route.written.get("workers")
    if place is None or place.file is None:
        return "default"
    return str(Place(Path(place.file.name), place.line))


def _print_plan(config: Config, checked: HandlerCheck) -> None:
    rows = [_row(route, checked) for route in config.routes]
    if rows:
        # Few use it: without it there is no such column.
        headings = [each for each in _HEADINGS if each != "autoscale" or any(row[each] for row in rows)]
        cells = [[str(row[each] if row[each] is not None else "-") for each in headings] for row in rows]
        print(_table(headings, cells))
        print()
    for router in config.routers:
        print(f"router: {router.reference} has {_counted(len(router.routes), 'route')} ({router.file})")
    for warning in config.warnings:
        print(f"warning: {warning}")
    for note in overlap_notes(config.routes):
        print(f"note: {note}")
    workers = sum(route.workers for route in config.routes)
    counts = f"{_counted(len(rows), 'route')}, {_counted(workers, 'worker')}, broker {config.broker.url}"
    print(f"{counts}: {_counted(len(checked.problems), 'problem') if checked.problems else 'no problems'}")


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [[heading.upper() for heading in headings], *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = []
    for line in lines:
        cells = [
            cell.rjust(width) if heading in _NUMERIC else cell.ljust(width)
            for heading, cell, width in zip(headings, line, widths, strict=True)
        ]
        shown.append("  ".join(cells).rstrip())
    return "\n".join(shown)


def _plan_as_json(config: Config, checked: HandlerCheck) -> dict[str, Any]:
    routes = []
    for route in config.routes:
        found = checked.found.get(route.name)
        row = _row(route, checked)
        row["workers_from"] = row.pop("workers set in")
        row["handler_name"], row["handler"] = row["handler"], route.handler
        row["autoscale"] = _autoscale_as_json(route)
        routes.append(
            row
            | {
                "topic": route.topic,
                "shared": route.shared,
                "group": route.group,
                "async": found.is_async if found else None,
                "parameters": list(found.uses) if found else None,
            }
        )
    return {
        "ok": not checked.problems,
        "file": str(config.file),
        "broker": config.broker.url,
        "node": config.app.node,
        "routers": [
            {"router": each.reference, "file": each.file, "routes": len(each.routes)}
            for each in config.routers
        ],
        "routes": routes,
        "notes": overlap_notes(config.routes),
        "warnings": [_as_json(warning) for warning in config.warnings],
        "problems": [_as_json(problem) for problem in checked.problems],
    }


def _autoscale_as_json(route: RouteConfig) -> dict[str, Any] | None:
    if not route.autoscale:
        return None
    return {
        "min_workers": route.min_workers,
        "max_workers": route.max_workers,
        "policy": str(route.scaling.policy),
    }


def _as_json(problem: Problem) -> dict[str, Any]:
    return {
        "file": str(problem.place.file) if problem.place.file else None,
        "line": problem.place.line,
        "key": problem.key,
        "message": problem.message,
        "hint": problem.hint,
    }


def _print_problems(problems: Sequence[Problem]) -> None:
    sys.stdout.flush()
    for problem in problems:
        print(problem, file=sys.stderr)


def _print_json(value: dict[str, Any]) -> None:
    print(json.dumps(value, indent=2))


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """What handler modules print when imported goes to standard error, written past `sys.stdout` too."""
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)
