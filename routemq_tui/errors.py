"""The errors every room shares. Each says what is wrong, where, and what to do next."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the program and of worker processes, by cause."""

    OK = 0
    """Finished or drained as asked."""
    CRASHED = 1
    """An error nobody expected; the traceback is in the log."""
    CONFIGURATION = 2
    """The configuration or the command line is wrong; starting again cannot help."""
    IMPORT_FAILED = 3
    """A handler could not be imported or bound to its topic template."""
    BROKER_REFUSED = 4
    """The broker refused the connection for good (credentials, protocol, not authorised)."""
    TAKEN_OVER = 5
    """Another client took the client id (MQTT 5 section 3.1.4, reason 142)."""
    ENGINE_GONE = 6
    """The engine died; the worker drained and left by itself."""
    ALREADY_RUNNING = 7
    """Another engine runs this project under the same node name."""
    BROKER_UNAVAILABLE = 8
    """The broker that was to be started did not start."""
    WORKERS_FAILED = 9
    """The program ended with workers that were given up."""


class RoutemqError(Exception):
    """Base of all errors that are told to the user in words, without a traceback."""

    exit_code: ExitCode = ExitCode.CRASHED
