"""What routers a project has, as plain values, asked of another process.

A module that prints, hangs, exits or crashes when it is imported hurts nobody but that process (`discovery`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

IN_WORKER = "ROUTEMQ_WORKER"
"""Set in the environment of a worker process, to its name: a script that it imports must not start another
engine."""
PATIENCE = 60.0
"""Seconds that importing may take."""
_SAID_MOST = 400
"""Characters of what a process said before it died."""


class FoundRoute(msgspec.Struct, frozen=True):
    """A route as the engine knows it."""

    name: str
    topic: str
    reference: str
    """`module:router#name`, then what `declared` tells of: modules to import, the handler it must have."""
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
    # A file takes an answer of any size while nobody reads, which a pipe does not.
    with tempfile.TemporaryFile() as answer:
        process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "routemq_tui.routing.discovery",
                str(answer.fileno()),
                str(root),
                *packages,
            ],
            pass_fds=(answer.fileno(),),
            env={**os.environ, IN_WORKER: "discovery"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=root,
            start_new_session=True,
        )
        try:
            said = process.communicate(timeout=PATIENCE)[0].decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return _failed(packages, f"importing did not end within {PATIENCE:g} s")
        answer.seek(0)
        told = answer.read()
    try:
        return msgspec.json.decode(told, type=Discovery)
    except msgspec.DecodeError:
        last = said.strip()[-_SAID_MOST:].replace("\n", " ⏎ ")
        code = process.returncode
        end = f"exited with code {code}" if code >= 0 else "was killed by a signal"
        return _failed(packages, f"importing it ended the process, which {end}{last and f': {last}'}")


def _failed(packages: Sequence[str], reason: str) -> Discovery:
    return Discovery(problems=(Problem(", ".join(packages), reason),))
