"""Methods as handlers: of a class that is named, an object is made, one for all its methods."""

from __future__ import annotations

import inspect
import logging
import sys
from typing import Any

_objects: dict[type, Any] = {}
"""One of each class in a process."""


class Controller:
    """Handlers that belong together, as methods; static ones need no object. Made without arguments, once a
    worker, before its first message."""

    logger = logging.getLogger("routemq.controller")


def bound_method(function: Any) -> Any:
    """A method that was taken from its class, bound to the object of that class; anything else as it is.

    Raises TypeError, in words, when the class cannot be made without arguments.
    """
    owner = _owner_of(function)
    return function if owner is None else getattr(object_of(owner), function.__name__)


def object_of(owner: type) -> Any:
    """The one object of a class; raises TypeError, in words, when it needs arguments."""
    if owner not in _objects:
        try:
            inspect.signature(owner).bind()
        except TypeError as error:
            raise TypeError(f"{owner.__name__} cannot be made without arguments: {error}") from None
        _objects[owner] = owner()
    return _objects[owner]


def takes_self(owner: type, name: str) -> bool:
    """Whether what a class has by this name is called with an object of it."""
    raw = inspect.getattr_static(owner, name)
    return inspect.isfunction(raw) and next(iter(inspect.signature(raw).parameters), "") == "self"


def _owner_of(function: Any) -> type | None:
    """The class whose plain method this is."""
    if not inspect.isfunction(function) or "." not in function.__qualname__:
        return None
    found: Any = sys.modules.get(function.__module__)
    for name in function.__qualname__.split(".")[:-1]:
        found = None if name == "<locals>" else getattr(found, name, None)
    if not isinstance(found, type) or not takes_self(found, function.__name__):
        return None
    return found if inspect.getattr_static(found, function.__name__) is function else None
