"""What a worker runs: the handler that a reference names, with all that was declared beside it.

`module:function` is a function, `module:router#name` a route of a router in a module. Where other modules
declare the route or hooks on that router, they follow: `module:router#name@module,module`, to be imported in
this order, the router's own at its place or else first. Numbers in names go by the order of imports: a route
that bears or might bear one also says which handler it had, `module:router#name@module=module:function`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from routemq_tui.routing.binding import BindError, Bound, bind
from routemq_tui.routing.handler import (
    Handler,
    HandlerImportError,
    import_module,
    load_handler,
    load_object,
    location,
    method_of_object,
    plain_function,
    shown_path,
)
from routemq_tui.routing.middleware import MiddlewareError, with_middleware
from routemq_tui.routing.router import Route, Router
from routemq_tui.routing.template import Template

OF_A_ROUTER = "#"
BY = "@"
WITH = "="


class Declared(NamedTuple):
    handler: Handler
    middleware: tuple[Any, ...] = ()
    """Outermost first; what the configuration names comes outside of these."""
    starting: tuple[Handler, ...] = ()
    stopping: tuple[Handler, ...] = ()
    route: Route | None = None
    """Of a router."""


def route_reference(router: str, name: str, modules: Iterable[str | None], handler: str = "") -> str:
    """The reference of a route of `module:router` which needs these modules imported, in this order.

    `handler`: the `handler_name` that the route of this name must have.
    """
    home = router.partition(":")[0]
    others = list(dict.fromkeys(filter(None, modules)))
    if others and home not in others:
        others.append(home)
    if others[:1] == [home]:
        del others[0]
    by = f"{BY}{','.join(others)}" if others else ""
    return f"{router}{OF_A_ROUTER}{name}{by}{handler and WITH}{handler}"


def handler_name(handler: Handler, importable: Callable[[str], str | None] = str) -> str:
    """`module:function`, where a handler is written. `importable`: a module's name in another process."""
    function = plain_function(handler)
    module = str(getattr(function, "__module__", ""))
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{importable(module) or module}:{name}"


def load_declared(reference: str, root: Path, topic: str | None = None) -> Declared:
    """Import what a reference names; raises HandlerImportError, whatever the module does.

    `topic`: finds the route also where earlier imports of this process gave its number to another one.
    """
    place, of_a_router, rest = reference.partition(OF_A_ROUTER)
    if not of_a_router:
        return Declared(load_handler(reference, root))
    rest, _, seen = rest.partition(WITH)
    name, _, others = rest.partition(BY)
    router = _router(place, others.split(",") if others else [], root)
    route = _route(router, name, seen, topic)
    if route is None:
        names = ", ".join(route.name for route in router.routes) or "none"
        raise HandlerImportError(
            f"the router {place!r} has no route {name!r} now",
            f"it has {names}; do its routes depend on something that differs from start to start?",
        )
    if seen and (found := handler_name(route.handler)) != seen:
        where = location(route.handler, root)
        raise _other(route, f"has the handler {found} here ({where}), and had {seen}")
    handler = method_of_object(route.handler, root)
    return Declared(handler, route.middleware, tuple(router.starting), tuple(router.stopping), route)


def _router(place: str, modules: list[str], root: Path) -> Router:
    home, _, attribute = place.partition(":")
    for each in modules if home in modules else (home, *modules):
        import_module(each, root)
    router = getattr(import_module(home, root), attribute, None)
    if not isinstance(router, Router):
        raise HandlerImportError(f"{place!r} is no Router any more", "it was one when the routes were read")
    return router


def _route(router: Router, name: str, seen: str, topic: str | None) -> Route | None:
    named = next((route for route in router.routes if route.name == name), None)
    if not seen or topic is None:
        return named
    fitting = [each for each in router.routes if each.topic == topic and handler_name(each.handler) == seen]
    return named if named in fitting or not fitting else fitting[0]


def _other(route: Route, what: str) -> HandlerImportError:
    reason = f"the route {route.name!r} {what} when the routes were read"
    if route.named:
        return HandlerImportError(reason, "does it depend on something that differs from start to start?")
    hint = 'its name goes by the order of imports: give it one of its own, router.on(..., name="...")'
    return HandlerImportError(reason, hint)


def load_middleware(references: Iterable[str], root: Path) -> tuple[Any, ...]:
    """Objects of classes, or functions, by `module:name`; raises HandlerImportError."""
    return tuple(_middleware(reference, root) for reference in references)


def _middleware(reference: str, root: Path) -> Any:
    found = load_object(reference, root)
    if not isinstance(found, type):
        return found
    try:
        return found()
    except Exception as error:
        hint = "make an object of it in the module, and name that"
        raise HandlerImportError(f"{reference!r} cannot be made without arguments: {error}", hint) from error


def bind_declared(
    declared: Declared, template: Template, root: Path, middleware: tuple[Any, ...] = ()
) -> Bound:
    """The handler with all middleware around it, that of the configuration outermost.

    Raises BindError, and HandlerImportError for a route that is not of this template.
    """
    route = declared.route
    if route is not None and route.topic != template.text:
        where = f"{shown_path(route.file, root)}:{route.line}"
        raise _other(route, f"is for {route.topic!r} here ({where}), and was for {template.text!r}")
    bound = bind(declared.handler, template, root)
    try:
        return with_middleware(bound, (*middleware, *declared.middleware))
    except MiddlewareError as error:
        raise BindError(str(error)) from error


def load_bound(
    reference: str, template: Template, root: Path, middleware: Iterable[str], hooks: Iterable[str]
) -> Bound:
    """Import all that a route names, and bind its handler; raises HandlerImportError and BindError."""
    declared = load_declared(reference, root, template.text)
    bound = bind_declared(declared, template, root, load_middleware(middleware, root))
    for hook in hooks:
        load_handler(hook, root)
    return bound
