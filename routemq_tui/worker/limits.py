"""The bounds the operating system keeps for a worker: CPU time and open files."""

from __future__ import annotations

import logging
import math
import resource

from routemq_tui.worker.spec import WorkerSpec

_CPU_GRACE = 5
"""Seconds of CPU between SIGXCPU, which ends the process unless a handler catches it, and SIGKILL."""

_log = logging.getLogger("routemq.worker")


def set_limits(spec: WorkerSpec) -> None:
    """Set the limits of this process. One that cannot be set is logged: the work goes on without it."""
    if spec.cpu_time is not None:
        seconds = math.ceil(spec.cpu_time)
        _set(resource.RLIMIT_CPU, "cpu_time", seconds, seconds + _CPU_GRACE)
    if spec.open_files is not None:
        _set(resource.RLIMIT_NOFILE, "open_files", spec.open_files, spec.open_files)


def _set(which: int, name: str, soft: int, hard: int) -> None:
    try:
        resource.setrlimit(which, (soft, hard))
    except (OSError, ValueError) as error:
        most = resource.getrlimit(which)[1]
        allowed = "unlimited" if most == resource.RLIM_INFINITY else most
        _log.error("limits.%s = %s could not be set: %s (the system allows %s)", name, soft, error, allowed)
