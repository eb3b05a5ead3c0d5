"""Which routers are in a project's packages: imports them, in a process of its own (`found.discover`).

`python -m routemq_tui.routing.discovery FD ROOT PACKAGE…` is that process; it writes JSON to the descriptor.
"""

from __future__ import annotations

import os
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import msgspec

from routemq_tui.routing.found import Discovery, FoundRoute, FoundRouter, Problem
from routemq_tui.routing.handler import HandlerImportError, import_module, location, shown_path
from routemq_tui.routing.router import Route, Router, routers_of


def discover_here(packages: Sequence[str], root: Path) -> Discovery:
    """Look through packages in this process; with a problem nothing of it is to be used."""
    routers: list[FoundRouter] = []
    problems: list[Problem] = []
    for package in packages:
        try:
            modules = list(_modules(package, root))
        except HandlerImportError as error:
            problems.append(Problem(package, error.reason, error.hint))
            continue
        found = [each for module in modules for each in _found_in(module, root)]
        if not found:
            names = ", ".join(module.__name__ for module in modules[:6]) + (" …" if len(modules) > 6 else "")
            hint = "make one at the top level of a module: router = Router()"
            problems.append(Problem(package, f"there is no Router in it (looked at {names})", hint))
        known = {each.reference for each in routers}
        routers += [each for each in found if each.reference not in known]
    return Discovery(tuple(routers), tuple(problems))


def found_router(router: Router, reference: str, root: Path, file: str = "") -> FoundRouter:
    """A router and its routes as plain values."""
    routes = tuple(_found_route(route, reference, root) for route in router.routes)
    return FoundRouter(reference, file, routes)


def _found_route(route: Route, reference: str, root: Path) -> FoundRoute:
    said = {"qos": route.qos, "workers": route.worker_count, "group": route.group, **route.policies}
    return FoundRoute(
        name=route.name,
        topic=route.topic,
        reference=f"{reference}#{route.name}",
        file=shown_path(route.file, root),
        line=route.line,
        shared=route.shared,
        settings={key: value for key, value in said.items() if value is not None},
        handler=location(route.handler, root),
        named=route.named,
    )


def _found_in(module: ModuleType, root: Path) -> Iterator[FoundRouter]:
    file = shown_path(getattr(module, "__file__", None) or module.__name__, root)
    for name, router in routers_of(module.__name__, vars(module)).items():
        yield found_router(router, f"{module.__name__}:{name}", root, file)


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
