"""Routes declared in Python: `Router`, its groups and its routes. Pure: nothing is connected or started here.

A router is found by name, as `module:router`; the engine learns of its routes as plain values (`discovery`),
a worker imports the module again and takes its own route out of it (`declared`).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import FrameType, ModuleType, TracebackType
from typing import Any, NamedTuple, TypeVar

from routemq_tui.routing.handler import Handler
from routemq_tui.routing.template import Template
from routemq_tui.routing.topics import group_fault, subscription

Function = TypeVar("Function", bound=Handler)
Middlewares = Iterable[Any] | None

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_FIELD = re.compile(r"\{[^}]*\}")


@dataclass(frozen=True, slots=True)
class Route:
    """One declared route. What is None was not said: `[defaults]` of the configuration, or 0 and 1, count."""

    name: str
    topic: str
    handler: Handler = field(repr=False)
    qos: int | None = None
    shared: bool = False
    worker_count: int | None = None
    group: str | None = None
    """A share name of its own."""
    middleware: tuple[Any, ...] = ()
    """Outermost first: the router's, its groups', its own."""
    named: bool = False
    """The name was chosen, not made of the topic."""
    policies: Mapping[str, Any] = field(default_factory=dict)
    """Any other key of `[routes.NAME]`: prefetch, timeout, retries and so on."""
    file: str = ""
    line: int = 0
    """Where it was declared."""
    module: str = ""
    """Whose import declares it."""

    @property
    def filter(self) -> str:
        """The topic filter: `sensors/+/data`."""
        return Template.parse(self.topic).filter

    @property
    def is_numbered(self) -> bool:
        """The name depends on the routes before it."""
        return not self.named and self.name != name_of(self.topic)

    @property
    def mqtt_topic(self) -> str:
        """The same, as RouteMQ calls it."""
        return self.filter

    def get_subscription_topic(self, group: str | None = None) -> str:
        """What a worker subscribes to: `$share/<group>/<filter>` (MQTT 5 section 4.8.2), or the filter.

        `group` counts for a shared route without a share name of its own.
        """
        return subscription(self.filter, (self.group or group) if self.shared else None)


class Router:
    """Collects routes. Make one at the top level of a module that `[app] routers` names.

    `middleware`: for all its routes, outermost first.
    """

    def __init__(self, middleware: Middlewares = None) -> None:
        self.middleware: tuple[Any, ...] = tuple(middleware or ())
        self.routes: list[Route] = []
        self.starting: list[Handler] = []
        self.stopping: list[Handler] = []
        """What runs at the beginning and the end of each of its workers."""
        self.imports: dict[str, None] = {}
        """Modules whose imports make it, declare on it or lead to one that does, in the order they began."""
        self.module = self._imported(sys._getframe(1))
        """Whose import makes it, itself or through a function or a class elsewhere."""
        self.hook_modules: list[str] = []
        """Whose imports add hooks to it."""

    def on(
        self,
        topic: str,
        handler: Handler | None = None,
        qos: int | None = None,
        middleware: Middlewares = None,
        shared: bool = False,
        worker_count: int | None = None,
        *,
        name: str | None = None,
        group: str | None = None,
        **policies: Any,
    ) -> Any:
        """Declare a route; returns it. Without a handler, a decorator that declares its function.

        `topic` is a template such as `sensors/{device_id}/data`, `name` the one in `[routes.NAME]`, by
        default made of the topic. `qos` is 0 and `worker_count` 1 where nobody says otherwise. Further
        arguments are the keys of a route in `routemq.toml`: `prefetch`, `timeout`, `retries`, …

        Raises ValueError for a topic, name or group that is none, or a name that is taken.
        """
        wish = _Wish(topic, qos, shared, worker_count, name, group, policies, self._place(sys._getframe(1)))
        return self._on(wish, handler, tuple(middleware or ()))

    def group(self, prefix: str = "", middleware: Middlewares = None) -> RouterGroup:
        """Routes whose topics begin with a prefix and that share middleware; also as a context manager."""
        return RouterGroup(self, prefix, tuple(middleware or ()))

    def on_start(self, hook: Function) -> Function:
        """Run this function, sync or async, in each worker before its first message. A decorator.

        It may take the worker (`name`, `route`, `slot`, and `state`, a dict of its own).
        """
        self.starting.append(hook)
        self.hook_modules.append(self._imported(sys._getframe(1)))
        return hook

    def on_stop(self, hook: Function) -> Function:
        """Run this function at the end of each worker, after its last message; the last one first.

        Where a begin fails, these run when one of the router's `on_start` has ended well, or it has none.
        """
        self.stopping.append(hook)
        self.hook_modules.append(self._imported(sys._getframe(1)))
        return hook

    def get_total_workers_needed(self) -> int:
        """Processes for all shared routes together."""
        return sum(route.worker_count or 1 for route in self.routes if route.shared)

    def __iter__(self) -> Iterator[Route]:
        return iter(self.routes)

    def __len__(self) -> int:
        return len(self.routes)

    def __bool__(self) -> bool:
        return True  # an empty one is a router all the same

    def _place(self, frame: FrameType) -> _Place:
        return _Place(frame.f_code.co_filename, frame.f_lineno, self._imported(frame))

    def _imported(self, frame: FrameType) -> str:
        """The module whose top level is being run, however deep in calls; noted with those that import it."""
        modules = _importing_modules(frame)
        self.imports.update(dict.fromkeys(reversed(modules)))
        return modules[0]

    def _on(self, wish: _Wish, handler: Handler | None, middleware: tuple[Any, ...]) -> Any:
        if handler is not None:
            return self._add(wish, handler, middleware)

        def declare(function: Function) -> Function:
            self._add(wish, function, middleware)
            return function

        return declare

    def _add(self, wish: _Wish, handler: Handler, middleware: tuple[Any, ...]) -> Route:
        Template.parse(wish.topic)  # raises TemplateError, which is a ValueError
        if wish.group is not None and (fault := group_fault(wish.group)) is not None:
            raise ValueError(f"{wish.group!r} is no share name: {fault}")
        route = Route(
            name=self._name(wish),
            topic=wish.topic,
            handler=handler,
            qos=wish.qos,
            shared=wish.shared,
            worker_count=wish.worker_count,
            group=wish.group,
            middleware=(*self.middleware, *middleware),
            named=wish.name is not None,
            policies=wish.policies,
            file=wish.place.file,
            line=wish.place.line,
            module=wish.place.module,
        )
        self.routes.append(route)
        return route

    def _name(self, wish: _Wish) -> str:
        taken = {route.name for route in self.routes}
        if wish.name is not None:
            if not _NAME.fullmatch(wish.name):
                raise ValueError(f"{wish.name!r} is no name: up to 64 letters, digits, _ and -")
            if wish.name in taken:
                raise ValueError(f"there is a route {wish.name!r} already")
            return wish.name
        return unused_name(name_of(wish.topic), taken)


class RouterGroup:
    """Part of a router: a prefix and middleware that its routes have in common."""

    def __init__(self, router: Router, prefix: str, middleware: tuple[Any, ...]) -> None:
        self._router, self._middleware = router, middleware
        self.prefix = prefix.strip("/")

    def on(
        self,
        topic: str,
        handler: Handler | None = None,
        qos: int | None = None,
        middleware: Middlewares = None,
        shared: bool = False,
        worker_count: int | None = None,
        *,
        name: str | None = None,
        group: str | None = None,
        **policies: Any,
    ) -> Any:
        """As `Router.on`; the topic goes on from the prefix."""
        place = self._router._place(sys._getframe(1))
        wish = _Wish(self._under(topic), qos, shared, worker_count, name, group, policies, place)
        return self._router._on(wish, handler, (*self._middleware, *(middleware or ())))

    def group(self, prefix: str = "", middleware: Middlewares = None) -> RouterGroup:
        """A group within this one."""
        return RouterGroup(self._router, self._under(prefix), (*self._middleware, *(middleware or ())))

    def __enter__(self) -> RouterGroup:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Nothing to do: what was declared stays."""

    def _under(self, topic: str) -> str:
        rest = topic.lstrip("/") if self.prefix else topic
        return f"{self.prefix}/{rest}" if self.prefix and rest else self.prefix or rest


class _Place(NamedTuple):
    file: str
    line: int
    module: str


@dataclass(frozen=True, slots=True)
class _Wish:
    """What `on` was told."""

    topic: str
    qos: int | None
    shared: bool
    worker_count: int | None
    name: str | None
    group: str | None
    policies: Mapping[str, Any]
    place: _Place


def name_of(topic: str) -> str:
    """A route's name from its topic: `sensors/{device_id}/data` is `sensors-data`."""
    words = [_NOT_IN_A_NAME.sub("-", _FIELD.sub("", level)).strip("-") for level in topic.split("/")]
    return "-".join(filter(None, words))[:60].strip("-") or "all"


def unused_name(name: str, taken: Iterable[str]) -> str:
    """The name, or with the first number that makes it another one."""
    names = set(taken)
    found, number = name, 1
    while found in names:
        number += 1
        found = f"{name}-{number}"
    return found


def variable_of(router: Router, module: ModuleType) -> str | None:
    """The first name at the top level of a module that is this router."""
    return next((name for name, value in list(vars(module).items()) if value is router), None)


def _importing_modules(frame: FrameType) -> list[str]:
    """The modules whose top level is being run, the innermost first."""
    modules: list[str] = []
    outer: FrameType | None = frame
    while outer is not None:
        if outer.f_code.co_name == "<module>":
            modules.append(str(outer.f_globals.get("__name__", "")))
        outer = outer.f_back
    return modules or [str(frame.f_globals.get("__name__", ""))]
