"""Run the routes of routemq.toml with the live screen in a browser, on this machine only.

The address printed holds a token that opens one browser, once; the next address is printed then. The engine
belongs to this command: closing or reloading a page ends nothing. Ctrl-C drains the workers and ends, a
second one does not wait. From elsewhere, forward the port: ssh -L 8000:127.0.0.1:8000 HOST

examples:
  routemq-tui web                      then open the address it prints
  routemq-tui web --open               opens it in the usual browser
  routemq-tui web --read-only          for somebody who is only to look

Needs textual-serve: pip install 'routemq-tui[web]'
"""

from __future__ import annotations

import argparse
import importlib.util

from routemq_tui.commands import options
from routemq_tui.commands.run import prepared_config, read_again
from routemq_tui.errors import ExitCode, RoutemqError

NAME = "web"
HELP = "the live screen in a browser, on this machine only"

PORT = 8000


class MissingPackageError(RoutemqError):
    """The screen cannot be served without another package."""

    exit_code = ExitCode.CONFIGURATION


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port", type=_port, default=PORT, metavar="N", help=f"default: {PORT}; 0 takes any that is free"
    )
    parser.add_argument("--open", action="store_true", help="open the address in the usual browser")
    options.add_config_arguments(parser)
    options.add_screen_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    if importlib.util.find_spec("textual_serve") is None:
        raise MissingPackageError(
            "the screen in a browser needs textual-serve: pip install 'routemq-tui[web]'"
        )
    config = prepared_config(arguments)
    # Imported here: a mistake in the configuration is told at once.
    from routemq_tui.commands.web_session import run_web_session

    return run_web_session(config, arguments.port, arguments.open, lambda: read_again(arguments))


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"a number from 0 to 65535, not {text!r}")
    return int(text)
