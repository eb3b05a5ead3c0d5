"""What a worker runs: the handler that a reference names, with all that was declared beside it.

`module:function` is a function, `module:router#name` a route of a router in a module.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from routemq_tui.routing.handler import Handler, HandlerImportError, import_module, load_handler
from routemq_tui.routing.router import Router

OF_A_ROUTER = "#"
IN_WORKER = "ROUTEMQ_WORKER"
"""Set in the environment of a worker process, to its name: a script that it imports must not start another
engine."""


class Declared(NamedTuple):
    handler: Handler
    middleware: tuple[Any, ...] = ()
    """Outermost first; what the configuration names comes outside of these."""


def load_declared(reference: str, root: Path) -> Declared:
    """Import what a reference names; raises HandlerImportError, whatever the module does."""
    place, of_a_router, name = reference.partition(OF_A_ROUTER)
    if not of_a_router:
        return Declared(load_handler(reference, root))
    module_name, _, attribute = place.partition(":")
    module = import_module(module_name, root)
    router = getattr(module, attribute, None)
    if not isinstance(router, Router):
        raise HandlerImportError(f"{place!r} is no Router any more", "it was one when the routes were read")
    for route in router.routes:
        if route.name == name:
            return Declared(route.handler, route.middleware)
    names = ", ".join(route.name for route in router.routes) or "none"
    raise HandlerImportError(
        f"the router {place!r} has no route {name!r} now",
        f"it has {names}; do its routes depend on something that differs from start to start?",
    )
