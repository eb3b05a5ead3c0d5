"""Whether handlers can be imported and fit their templates. Runs the user's modules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from routemq_tui.config.model import Problem, RouteConfig
from routemq_tui.config.source import printable
from routemq_tui.routing.binding import BindError, Bound
from routemq_tui.routing.declared import load_bound
from routemq_tui.routing.handler import HandlerImportError
from routemq_tui.routing.template import Template


@dataclass(frozen=True, slots=True)
class HandlerCheck:
    """What importing all handlers showed."""

    problems: tuple[Problem, ...]
    bound: dict[str, Bound]
    """By route, those without a problem."""


def check_handlers(
    routes: tuple[RouteConfig, ...], root: Path, everywhere: tuple[str, ...] = ()
) -> HandlerCheck:
    """Import and bind each route's handler in this process, with its middleware; nothing it does is raised.

    `everywhere`: middleware of all routes.
    """
    problems: list[Problem] = []
    found: dict[str, Bound] = {}
    for route in routes:
        try:
            bound = load_bound(
                route.handler,
                Template.parse(route.topic),
                root,
                (*everywhere, *route.middleware),
                [each for each in (route.on_start, route.on_stop) if each is not None],
            )
            found[route.name] = bound
        except (HandlerImportError, BindError) as error:
            problems.append(_problem(route, "handler", error.reason, error.hint))
            continue
        fault = concurrency_fault(route.concurrency, found[route.name])
        if fault is not None:
            problems.append(_problem(route, "concurrency", *fault))
    return HandlerCheck(tuple(problems), found)


def concurrency_fault(concurrency: int, bound: Bound) -> tuple[str, str] | None:
    """What is wrong with so many of this handler at once, and what would be right; None when nothing is."""
    if concurrency == 1 or bound.is_async:
        return None
    return (
        f"found {concurrency} with a handler that is not async ({bound.location})",
        "it handles one message at a time: add workers, or write it as async def",
    )


def _problem(route: RouteConfig, key: str, message: str, hint: str) -> Problem:
    return Problem(route.place_of(key), f"routes.{route.name}.{key}", printable(message), printable(hint))
