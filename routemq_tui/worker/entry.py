"""Where a worker process begins. Naming this function, the engine need not import what a worker does."""

from __future__ import annotations

from typing import Any


def run(*arguments: Any) -> None:
    """`worker.main.run`, which the fork server has imported already."""
    from routemq_tui.worker import main

    main.run(*arguments)
