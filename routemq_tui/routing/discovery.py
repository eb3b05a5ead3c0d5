"""Which routers a project has: its packages are imported, in a process of their own, and their routes told as
plain values. So a module that prints, hangs, exits or crashes hurts nobody but itself.

`python -m routemq_tui.routing.discovery FD ROOT PACKAGE…` is that process; it writes JSON to the descriptor.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from routemq_tui.routing.declared import IN_WORKER
from routemq_tui.routing.handler import HandlerImportError, import_module, location, shown_path
from routemq_tui.routing.router import Route, Router, routers_of

PATIENCE = 60.0
"""Seconds that importing may take."""
_SAID_MOST = 400
"""Characters of what a process said before it died."""


class FoundRoute(msgspec.Struct, frozen=True):
    """A route as the engine knows it."""

    name: str
    topic: str
    reference: str
    """`module:router#name`, which `handler.load_handler` takes."""
    file: str
    """Where it was declared, relative to the project when it lies in it."""
    line: int
    shared: bool
    settings: dict[str, Any]
    """Keys of `[routes.NAME]` that were said."""
    handler: str
    """Where its handler is written."""
    named: bool = False
    """The name was chosen, not made of the topic."""

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


class FoundRouter(msgspec.Struct, frozen=True):
    reference: str
    """`module:router`."""
    file: str
    routes: tuple[FoundRoute, ...]


class Problem(msgspec.Struct, frozen=True):
    """Why a package cannot be used, in words with file and line."""

    package: str
    reason: str
    hint: str = ""


class Discovery(msgspec.Struct, frozen=True):
    """What is in the packages; with a problem nothing of it is to be used."""

    routers: tuple[FoundRouter, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def routes(self) -> list[FoundRoute]:
        return [route for router in self.routers for route in router.routes]


def discover(packages: Sequence[str], root: Path) -> Discovery:
    """Look through packages, in another process; never raises for what is in them."""
    reading, writing = os.pipe()
    command = [sys.executable, "-P", "-m", __name__, str(writing), str(root), *packages]
    try:
        process = subprocess.Popen(
            command,
            pass_fds=(writing,),
            env={**os.environ, IN_WORKER: "discovery"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=root,
            start_new_session=True,
        )
    finally:
        os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        try:
            said = process.communicate(timeout=PATIENCE)[0].decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return _failed(packages, f"importing did not end within {PATIENCE:g} s")
        told = answer.read()
    try:
        return msgspec.json.decode(told, type=Discovery)
    except msgspec.DecodeError:
        last = said.strip()[-_SAID_MOST:].replace("\n", " ⏎ ")
        code = process.returncode
        end = f"exited with code {code}" if code >= 0 else "was killed by a signal"
        return _failed(packages, f"importing it ended the process, which {end}{last and f': {last}'}")


def discover_here(packages: Sequence[str], root: Path) -> Discovery:
    """The same in this process."""
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


def _failed(packages: Sequence[str], reason: str) -> Discovery:
    return Discovery(problems=(Problem(", ".join(packages), reason),))


def _main(descriptor: str, root: str, *packages: str) -> None:
    os.set_inheritable(int(descriptor), False)
    # By its own name: as __main__ the values would be of other types.
    found = importlib.import_module("routemq_tui.routing.discovery").discover_here(packages, Path(root))
    with os.fdopen(int(descriptor), "wb") as answer:
        answer.write(msgspec.json.encode(found))
    sys.stdout.flush()
    os._exit(0)  # Threads that a module has started do not hold us up.


if __name__ == "__main__":
    _main(*sys.argv[1:])
