"""Which routers are in a project's packages: imports them, in a process of its own (`found.discover`).

`python -m routemq_tui.routing.discovery FD ROOT PACKAGE…` is that process; it writes JSON to the descriptor.
"""

from __future__ import annotations

import os
import pkgutil
import sys
from collections.abc import Callable, Container, Iterator, Sequence
from pathlib import Path
from types import ModuleType

import msgspec

from routemq_tui.routing.declared import handler_name, route_reference
from routemq_tui.routing.found import Discovery, FoundRoute, FoundRouter, Problem
from routemq_tui.routing.handler import HandlerImportError, import_module, location, shown_path
from routemq_tui.routing.router import Route, Router, variable_of


def discover_here(packages: Sequence[str], root: Path) -> Discovery:
    """Look through packages in this process; with a problem nothing of it is to be used."""
    modules: dict[str, ModuleType] = {}
    problems: list[Problem] = []
    scans: list[tuple[str, list[ModuleType]]] = []
    for package in packages:
        try:
            scans.append((package, list(_modules(package, root))))
        except HandlerImportError as error:
            problems.append(Problem(package, error.reason, error.hint))
            continue
        modules |= {module.__name__: module for module in scans[-1][1]}
    for package, scanned in scans:
        if not any(_is_of(router, modules) for module in scanned for router in _held(module)):
            problems.append(_without(package, scanned))
    return Discovery(tuple(_routers(modules, root)), tuple(problems))


def home_of(router: Router, modules: Sequence[ModuleType]) -> tuple[ModuleType, str] | None:
    """The module that a router is taken from, and its name there: the one whose import makes it, or else the
    first that has it at its top level, better one that declares routes on it than one that passes it on."""
    declaring = {route.module for route in router.routes}

    def rank(module: ModuleType) -> tuple[bool, bool, bool]:
        name = module.__name__
        return name != router.module, name not in declaring, hasattr(module, "__path__")

    for module in sorted(modules, key=rank):
        name = variable_of(router, module)
        if name is not None:
            return module, name
    return None


def found_router(
    router: Router,
    reference: str,
    root: Path,
    file: str,
    importable: Callable[[str], str | None],
    looked_at: Container[str] = (),
) -> FoundRouter:
    """A router and its routes as plain values. `importable`: the name another process imports a module by.

    `looked_at`: modules that may be imported although they declare nothing, when that keeps the order.
    """
    home = reference.partition(":")[0]
    always = {*router.hook_modules, home if home in sys.modules else "__main__"}
    if router.module != "__main__":  # a script may make it only to run it
        always.add(router.module)
    ordered = any(route.is_numbered for route in router.routes)
    if ordered:
        always.update(route.module for route in router.routes)
        always.update(module for module in router.imports if module in looked_at)
    routes = []
    for route in router.routes:
        needed = {*always, route.module}
        names = [importable(module) for module in router.imports if module in needed]
        seen = handler_name(route.handler, importable) if ordered and not route.named else ""
        routes.append(_found_route(route, route_reference(reference, route.name, names, seen), root))
    return FoundRouter(reference, file, tuple(routes))


def _found_route(route: Route, reference: str, root: Path) -> FoundRoute:
    said = {"qos": route.qos, "workers": route.worker_count, "group": route.group, **route.policies}
    return FoundRoute(
        name=route.name,
        topic=route.topic,
        reference=reference,
        file=shown_path(route.file, root),
        line=route.line,
        shared=route.shared,
        settings={key: value for key, value in said.items() if value is not None},
        handler=location(route.handler, root),
        named=route.named,
    )


def _routers(modules: dict[str, ModuleType], root: Path) -> Iterator[FoundRouter]:
    """Each router once, at its home."""
    scanned = list(modules.values())
    for module in scanned:
        file = shown_path(getattr(module, "__file__", None) or module.__name__, root)
        for router in _held(module):
            home = home_of(router, scanned)
            if home is not None and home[0] is module and _is_of(router, modules):
                reference = f"{module.__name__}:{home[1]}"
                yield found_router(router, reference, root, file, _importable, modules)


def _held(module: ModuleType) -> list[Router]:
    found = {id(value): value for value in list(vars(module).values()) if isinstance(value, Router)}
    return list(found.values())


def _is_of(router: Router, modules: dict[str, ModuleType]) -> bool:
    """Whether it belongs to these modules. One that another module makes and keeps is merely imported, until
    one of these declares a route on it."""
    maker = sys.modules.get(router.module)
    if router.module in modules or maker is None or variable_of(router, maker) is None:
        return True
    return any(route.module in modules for route in router.routes)


def _importable(module: str) -> str | None:
    return None if module == "__main__" else module  # that is this one


def _without(package: str, modules: list[ModuleType]) -> Problem:
    names = ", ".join(module.__name__ for module in modules[:6]) + (" …" if len(modules) > 6 else "")
    hint = "make one at the top level of a module: router = Router()"
    return Problem(package, f"there is no Router in it (looked at {names})", hint)


def _modules(package: str, root: Path) -> Iterator[ModuleType]:
    """A module, or a package with all that is in it, by name; raises HandlerImportError."""
    top = import_module(package, root)
    yield top
    if not hasattr(top, "__path__"):
        return
    for name in sorted(_names_below(package, list(top.__path__))):
        yield import_module(name, root)


def _names_below(package: str, folders: list[str]) -> Iterator[str]:
    for info in pkgutil.iter_modules(folders, f"{package}."):
        last = info.name.rpartition(".")[2]
        if last == "__main__":
            continue
        yield info.name
        if info.ispkg:
            yield from _names_below(info.name, [str(Path(folder) / last) for folder in folders])
    # Folders without __init__.py are packages, too.
    for folder in map(Path, folders):
        for inner in folder.iterdir() if folder.is_dir() else ():
            plain = inner.is_dir() and inner.name.isidentifier() and not (inner / "__init__.py").exists()
            if plain and any(inner.glob("*.py")):
                yield f"{package}.{inner.name}"
                yield from _names_below(f"{package}.{inner.name}", [str(inner)])


def _main(descriptor: str, root: str, *packages: str) -> None:
    os.set_inheritable(int(descriptor), False)
    found = discover_here(packages, Path(root))
    with os.fdopen(int(descriptor), "wb") as answer:
        answer.write(msgspec.json.encode(found))
    sys.stdout.flush()
    os._exit(0)  # Threads that a module has started do not hold us up.


if __name__ == "__main__":
    _main(*sys.argv[1:])
