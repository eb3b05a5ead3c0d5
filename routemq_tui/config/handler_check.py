"""Whether handlers can be imported and fit their templates. Runs the user's modules, in a child process:
one that hangs, exits or crashes when it is imported hurts no other's check.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import msgspec

from routemq_tui.config.handlers import concurrency_fault
from routemq_tui.config.model import Problem, RouteConfig
from routemq_tui.config.source import printable
from routemq_tui.routing.binding import BindError
from routemq_tui.routing.declared import OF_A_ROUTER, WITH, handler_name, load_bound, load_declared
from routemq_tui.routing.handler import HandlerImportError, location
from routemq_tui.routing.template import Template

PATIENCE = 60.0
"""Seconds that importing one handler may take."""


class FoundHandler(msgspec.Struct, frozen=True):
    """A handler that fits."""

    location: str
    """`routes/sensors.py:12`."""
    is_async: bool
    uses: tuple[str, ...]
    """The parameters that are filled, in order."""
    name: str = ""
    """`routes.sensors:temperature`, also of a router's route."""


class _Fault(msgspec.Struct, frozen=True, tag=True):
    key: str
    message: str
    hint: str
    location: str = ""
    """Of a handler that was found and does not fit."""


class _Fine(msgspec.Struct, frozen=True, tag=True):
    handler: FoundHandler
    fault: _Fault | None


_answers = msgspec.json.Decoder(_Fault | _Fine)


@dataclass(frozen=True, slots=True)
class HandlerCheck:
    """What importing all handlers showed."""

    problems: tuple[Problem, ...]
    found: dict[str, FoundHandler]
    """By route, those that could be imported and bound."""
    locations: dict[str, str] = field(default_factory=dict)
    """By route, where its handler is written, as far as it was found."""

    def name_of(self, route: RouteConfig) -> str:
        """`module:function` of a route's handler; of a router's that was not found, what is known of it."""
        found = self.found.get(route.name)
        place, of_a_router, rest = route.handler.partition(OF_A_ROUTER)
        return found.name if found else (of_a_router and rest.partition(WITH)[2]) or place


def check_handlers(
    routes: tuple[RouteConfig, ...], root: Path, everywhere: tuple[str, ...] = ()
) -> HandlerCheck:
    """Import and bind each route's handler, with its middleware; nothing it does is raised.

    `everywhere`: middleware of all routes. Forks, so there must be no other thread.
    """
    problems: list[Problem] = []
    found: dict[str, FoundHandler] = {}
    locations: dict[str, str] = {}
    left = list(routes)
    while left:
        answers, end = _ask_child(left, root, everywhere)
        for route, answer in zip(left, answers, strict=False):
            fault = answer.fault if isinstance(answer, _Fine) else answer
            if isinstance(answer, _Fine):
                found[route.name] = answer.handler
            place = answer.handler.location if isinstance(answer, _Fine) else answer.location
            if place:
                locations[route.name] = place
            if fault is not None:
                problems.append(_problem(route, fault))
        left = left[len(answers) :]
        if left:
            problems.append(_problem(left.pop(0), _Fault("handler", f"importing it {end}", "")))
    return HandlerCheck(tuple(problems), found, locations)


def _ask_child(
    routes: Sequence[RouteConfig], root: Path, everywhere: tuple[str, ...]
) -> tuple[list[_Fault | _Fine], str]:
    """The answers for the first of the routes, and what became of the child where there is none for all."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if not pid:
        os.close(reading)
        _answer(writing, routes, root, everywhere)
    os.close(writing)
    answers: list[_Fault | _Fine] = []
    received, late = bytearray(), False
    with os.fdopen(reading, "rb", buffering=0) as answering:
        until = time.monotonic() + PATIENCE
        while len(answers) < len(routes):
            if not select.select([answering], [], [], max(0.0, until - time.monotonic()))[0]:
                late = True
                break
            data = answering.read(65536)
            if not data:
                break
            received += data
            *lines, rest = received.split(b"\n")
            received = bytearray(rest)
            answers += map(_answers.decode, lines)
            until = time.monotonic() + PATIENCE
    if len(answers) < len(routes) and not late:
        return answers, f"ended the process, which {_end_of(os.waitpid(pid, 0)[1])}"
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return answers, f"did not end within {PATIENCE:g} s"


def _end_of(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"exited with code {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"


def _answer(
    descriptor: int, routes: Sequence[RouteConfig], root: Path, everywhere: tuple[str, ...]
) -> NoReturn:
    try:
        os.set_inheritable(descriptor, False)
        for route in routes:
            line = msgspec.json.encode(_look_at(route, root, everywhere)) + b"\n"
            sys.stdout.flush()
            sys.stderr.flush()
            while line:
                line = line[os.write(descriptor, line) :]
    finally:
        os._exit(1)  # Threads that a module has started do not hold us up.


def _look_at(route: RouteConfig, root: Path, everywhere: tuple[str, ...]) -> _Fault | _Fine:
    try:
        bound = load_bound(
            route.handler,
            Template.parse(route.topic),
            root,
            (*everywhere, *route.middleware),
            [each for each in (route.on_start, route.on_stop) if each is not None],
        )
    except HandlerImportError as error:
        return _Fault("handler", error.reason, error.hint)
    except BindError as error:
        return _Fault("handler", error.reason, error.hint, _location(route, root))
    fault = concurrency_fault(route.concurrency, bound)
    handler = FoundHandler(bound.location, bound.is_async, tuple(bound.uses), _name(route, root))
    return _Fine(handler, None if fault is None else _Fault("concurrency", *fault))


def _location(route: RouteConfig, root: Path) -> str:
    try:
        return location(load_declared(route.handler, root).handler, root)
    except HandlerImportError:
        return ""


def _name(route: RouteConfig, root: Path) -> str:
    if OF_A_ROUTER not in route.handler:
        return route.handler
    return handler_name(load_declared(route.handler, root, route.topic).handler)


def _problem(route: RouteConfig, fault: _Fault) -> Problem:
    place, key = route.place_of(fault.key), f"routes.{route.name}.{fault.key}"
    return Problem(place, key, printable(fault.message), printable(fault.hint))
