"""routemq-tui: a terminal process manager for MQTT workers.

What an application imports is here; each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from routemq_tui.manager import WorkerManager as WorkerManager
    from routemq_tui.routing.depends import Depends as Depends
    from routemq_tui.routing.message import Message as Message
    from routemq_tui.routing.methods import Controller as Controller
    from routemq_tui.routing.middleware import Middleware as Middleware
    from routemq_tui.routing.router import Route as Route
    from routemq_tui.routing.router import Router as Router

__version__ = "0.1.0"

_HOMES = {
    "Controller": "routemq_tui.routing.methods",
    "Depends": "routemq_tui.routing.depends",
    "Message": "routemq_tui.routing.message",
    "Middleware": "routemq_tui.routing.middleware",
    "Route": "routemq_tui.routing.router",
    "Router": "routemq_tui.routing.router",
    "WorkerManager": "routemq_tui.manager",
}
__all__ = [
    "Controller",
    "Depends",
    "Message",
    "Middleware",
    "Route",
    "Router",
    "WorkerManager",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
