"""Run the routes of routemq.toml: the live screen in a terminal, plain lines anywhere else.

The engine starts the broker (unless the configuration names one), the workers and the example traffic, and
all of them end with it. SIGINT and SIGTERM drain the workers first; a second one does not wait. SIGHUP drains
the workers of a live screen, whose terminal is gone; with plain lines it reads the configuration anew.

examples:
  routemq-tui                          the live screen
  routemq-tui --workers 4 --group blue override settings of the file
  routemq-tui --headless               plain lines, also in a terminal
  routemq-tui --duration 10s           ends by itself; plain lines print a summary then
  routemq-tui --log-format json        a JSON object a line, for those who collect logs

Plain lines end with exit code 9 when a worker was given up (state "failed"), and by themselves once every
worker was. Ended by --duration with all workers well, the exit code is 0.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from routemq_tui.commands import options
from routemq_tui.config.model import Config
from routemq_tui.errors import ExitCode, RoutemqError
from routemq_tui.imports import importing
from routemq_tui.units import parse_duration

NAME = "run"
HELP = "the live screen in a terminal, plain lines anywhere else"


class MissingConfigError(RoutemqError):
    """There is no configuration file."""

    exit_code = ExitCode.CONFIGURATION

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path}: no such file\n"
            "  routemq-tui init   writes a starter project in this folder\n"
            "  routemq-tui demo   shows example routes at work without writing anything here\n"
            "  -c FILE            names a configuration that is elsewhere"
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_config_arguments(parser)
    add_session_arguments(parser)
    options.add_screen_arguments(parser)


def add_session_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--http", metavar="HOST:PORT", help="serve /healthz, /readyz and /metrics, such as 127.0.0.1:9464"
    )
    parser.add_argument("--headless", action="store_true", help="plain lines instead of the screen")
    parser.add_argument(
        "--duration", type=_duration, metavar="TIME", help='end by itself after "10s", "2m" or "1h"'
    )
    parser.add_argument(
        "--log-format",
        choices=("text", "json"),
        help="lines instead of the screen: text, or a JSON object each",
    )


def run(arguments: argparse.Namespace) -> int:
    with importing():
        config = prepared_config(arguments)
        from routemq_tui.commands.session import run_session

    return run_session(
        config,
        headless=arguments.headless,
        duration=arguments.duration,
        log_format=arguments.log_format,
        reload=lambda: read_again(arguments),
    )


def read_again(arguments: argparse.Namespace) -> Config:
    """The configuration as the same command would find it now; raises ConfigError."""
    from routemq_tui.commands.module_names import name_problems
    from routemq_tui.config.load import ConfigError
    from routemq_tui.publisher.traffic import check_traffic
    from routemq_tui.tui.keymap import key_problems

    config = options.load_from(arguments)
    problems = [*name_problems(config), *check_traffic(config.traffic), *key_problems(config.ui)]
    if problems:
        raise ConfigError(problems)
    return config


def prepared_config(arguments: argparse.Namespace) -> Config:
    """The configuration to run with, its warnings told; raises ConfigError with all that is wrong."""
    if not arguments.config.exists():
        raise MissingConfigError(arguments.config)
    from routemq_tui.engine import fork_server  # here, so that --help loads nothing heavy

    fork_server.begin()
    config = read_again(arguments)
    for warning in config.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return config


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
