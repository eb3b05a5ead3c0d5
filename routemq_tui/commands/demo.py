"""Show example routes at work: an embedded broker, four routes, seven workers, and traffic for them.

Nothing is written to this folder; the example project lives in a temporary one that goes with the demo.

examples:
  routemq-tui demo
  routemq-tui demo --keep            leave the project there, to look at and to change
  routemq-tui demo --duration 10s    ends by itself
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from routemq_tui.commands import options
from routemq_tui.commands import run as run_command

NAME = "demo"
HELP = "example routes and traffic at work; nothing is written here"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    run_command.add_session_arguments(parser)
    options.add_screen_arguments(parser)
    parser.add_argument("--keep", action="store_true", help="do not remove the example project at the end")
    parser.add_argument("--broker", metavar="URL", help="another broker than the embedded one")
    parser.add_argument("--workers", type=int, metavar="N", help="workers of each shared route")


def run(arguments: argparse.Namespace) -> int:
    from routemq_tui.commands.starter import CONFIG_NAME, starter_files, write_files

    folder = Path(tempfile.mkdtemp(prefix="routemq-demo-"))
    try:
        write_files(folder, starter_files())
        arguments.config = folder / CONFIG_NAME
        return run_command.run(arguments)
    finally:
        if arguments.keep:
            print(f"the example project is in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
