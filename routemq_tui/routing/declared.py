"""What a worker runs: the handler that a reference names, with all that was declared beside it.

`module:function` is a function, `module:router#name` a route of a router in a module. Where other modules
declare the route or hooks on that router, they follow: `module:router#name@module,module`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from routemq_tui.routing.binding import BindError, Bound, bind
from routemq_tui.routing.handler import (
    Handler,
    HandlerImportError,
    import_module,
    load_handler,
    load_object,
    method_of_object,
)
from routemq_tui.routing.middleware import MiddlewareError, with_middleware
from routemq_tui.routing.router import Router
from routemq_tui.routing.template import Template

OF_A_ROUTER = "#"
BY = "@"


class Declared(NamedTuple):
    handler: Handler
    middleware: tuple[Any, ...] = ()
    """Outermost first; what the configuration names comes outside of these."""
    starting: tuple[Handler, ...] = ()
    stopping: tuple[Handler, ...] = ()


def route_reference(router: str, name: str, modules: Iterable[str | None]) -> str:
    """The reference of a route of `module:router` which needs these modules imported as well."""
    home = router.partition(":")[0]
    others = ",".join(each for each in modules if each and each != home)
    return f"{router}{OF_A_ROUTER}{name}{others and BY}{others}"


def load_declared(reference: str, root: Path) -> Declared:
    """Import what a reference names; raises HandlerImportError, whatever the module does."""
    place, of_a_router, rest = reference.partition(OF_A_ROUTER)
    if not of_a_router:
        return Declared(load_handler(reference, root))
    module_name, _, attribute = place.partition(":")
    name, _, others = rest.partition(BY)
    module = import_module(module_name, root)
    for other in filter(None, others.split(",")):
        import_module(other, root)
    router = getattr(module, attribute, None)
    if not isinstance(router, Router):
        raise HandlerImportError(f"{place!r} is no Router any more", "it was one when the routes were read")
    for route in router.routes:
        if route.name == name:
            handler = method_of_object(route.handler, root)
            return Declared(handler, route.middleware, tuple(router.starting), tuple(router.stopping))
    names = ", ".join(route.name for route in router.routes) or "none"
    raise HandlerImportError(
        f"the router {place!r} has no route {name!r} now",
        f"it has {names}; do its routes depend on something that differs from start to start?",
    )


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
    """The handler with all middleware around it, that of the configuration outermost; raises BindError."""
    bound = bind(declared.handler, template, root)
    try:
        return with_middleware(bound, (*middleware, *declared.middleware))
    except MiddlewareError as error:
        raise BindError(str(error)) from error


def load_bound(
    reference: str, template: Template, root: Path, middleware: Iterable[str], hooks: Iterable[str]
) -> Bound:
    """Import all that a route names, and bind its handler; raises HandlerImportError and BindError."""
    bound = bind_declared(load_declared(reference, root), template, root, load_middleware(middleware, root))
    for hook in hooks:
        load_handler(hook, root)
    return bound
