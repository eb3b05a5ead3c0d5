"""A worker's environment is that of its program when the worker starts.

The fork server has that of its own start, which in a notebook may be long ago.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def run_in(environment: Mapping[str, str], target: Callable[..., object], args: Sequence[Any]) -> None:
    """Call `target` with `args`, with this environment and no other; in the child, before anything else."""
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    for name, value in environment.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    target(*args)
