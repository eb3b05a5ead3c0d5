"""Modules of the project that are named like one of Python's own, which a worker would get instead."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from routemq_tui.config.model import Config, Place, Problem


def name_problems(config: Config) -> list[Problem]:
    """One for each setting that names such a module; what else the project has of that name harms nobody."""
    return [
        Problem(
            place,
            key,
            f"found {reference!r}: the project's {file} has the name of a module of Python's own",
            "a worker gets that one: rename yours",
        )
        for place, key, reference in _references(config)
        if (file := _misnamed(reference, config.root)) is not None
    ]


def _references(config: Config) -> Iterator[tuple[Place, str, str]]:
    for reference in config.app.middleware:
        yield Place(config.file, None), "app.middleware", reference
    for route in config.routes:
        named = {
            "handler": (route.handler,),
            "middleware": route.middleware,
            "on_start": (route.on_start,),
            "on_stop": (route.on_stop,),
        }
        for key, references in named.items():
            for each in references:
                if each is not None:
                    yield route.place_of(key), f"routes.{route.name}.{key}", each


def _misnamed(reference: str, root: Path) -> str | None:
    """The file or folder in the project that the reference means, when Python has a module of that name."""
    name = reference.partition(":")[0].partition(".")[0]
    if name not in sys.stdlib_module_names:
        return None
    if (root / f"{name}.py").is_file():
        return f"{name}.py"
    return f"{name}/" if (root / name).is_dir() else None
