"""The command line: which command is meant, and how errors are told. Every command is a module of `commands`.

Nothing heavy is imported before a command needs it: `--version` and `--help` answer at once.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import sys
from collections.abc import Sequence
from typing import Protocol

from routemq_tui import __version__
from routemq_tui.commands import output
from routemq_tui.errors import ExitCode, RoutemqError

COMMANDS = ("run", "web", "check", "demo", "init", "publish", "ctl", "plan", "dead-letters")
"""In the order of the help; each is a module of `routemq_tui.commands`. The first one is the default."""

_INTERRUPTED = 130
_PIPE_CLOSED = 141
"""What a shell reports for a program that died of SIGINT or SIGPIPE."""

_DESCRIPTION = "A terminal process manager for MQTT workers: routes in TOML, a process per worker."
_EPILOG = """\
examples:
  routemq-tui                              the live screen, for routemq.toml in this folder
  routemq-tui --duration 10s | tee run.log plain lines and a summary, without a terminal
  routemq-tui demo                         example routes and traffic, anywhere
  routemq-tui init                         a starter project in this folder
  routemq-tui publish sensors/1/temperature '{"celsius": 21}'

`routemq-tui COMMAND --help` tells more. Exit codes: 0 as asked, 1 another error, 2 wrong configuration,
handler or command line, 4 broker refused, 7 already running, 8 broker unavailable, 9 workers given up,
74 the output cannot be written (141: nobody reads it).
"""


class CommandModule(Protocol):
    NAME: str
    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, arguments: argparse.Namespace) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code. Expected errors are told in words, without a traceback."""
    words = list(sys.argv[1:] if argv is None else argv)
    output.write_anything()
    try:
        code = int(_dispatch(words))
        sys.stdout.flush()  # What cannot be written is noticed here, not while the interpreter ends.
        return code
    except RoutemqError as error:
        _tell(error)
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        output.silence_stdout()
        return _PIPE_CLOSED
    except OSError as error:
        lost = output.why_lost(error)
        if lost is None:
            raise
        output.complain(lost)
        output.silence_stdout()
        return output.OUTPUT_LOST


def load_command(name: str) -> CommandModule:
    module: CommandModule = importlib.import_module(f"routemq_tui.commands.{name.replace('-', '_')}")
    return module


def _dispatch(words: list[str]) -> int:
    first = words[0] if words else ""
    if first in ("-V", "--version"):
        print(f"routemq-tui {__version__}")
        return ExitCode.OK
    if first in ("-h", "--help", "help"):
        print(_help(), end="")
        return ExitCode.OK
    if first in COMMANDS:
        return _run_command(first, words[1:])
    if first and not first.startswith("-"):
        return _unknown_command(first)
    return _run_command(COMMANDS[0], words)


def _run_command(name: str, words: list[str]) -> int:
    command = load_command(name)
    parser = argparse.ArgumentParser(
        prog=f"routemq-tui {name}",
        description=(command.__doc__ or command.HELP).strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.add_arguments(parser)
    arguments, rest = parser.parse_known_args(words)
    if rest:
        named = next((word for word in rest if word in COMMANDS), None)
        hint = f" (the command comes first: routemq-tui {named} …)" if named else ""
        parser.error(f"unknown argument: {' '.join(rest)}{hint}")
    return command.run(arguments)


def _help() -> str:
    lines = [f"usage: routemq-tui [COMMAND] [OPTIONS]\n\n{_DESCRIPTION}\n\ncommands:"]
    for name in COMMANDS:
        default = " (the default)" if name == COMMANDS[0] else ""
        lines.append(f"  {name:<14}{load_command(name).HELP}{default}")
    lines.append("\noptions:\n  -h, --help      this text\n  -V, --version   the version\n")
    return "\n".join(lines) + f"\n{_EPILOG}"


def _unknown_command(word: str) -> int:
    close = difflib.get_close_matches(word, COMMANDS, n=1)
    hint = f'did you mean "{close[0]}"?' if close else f"there are {', '.join(COMMANDS)}"
    _complain(f'no command "{word}"; {hint} (routemq-tui --help)')
    return ExitCode.CONFIGURATION


def _tell(error: RoutemqError) -> None:
    problems = getattr(error, "problems", None)
    if problems is None:
        _complain(str(error))
        return
    for problem in problems:  # Each begins with file and line, as editors like it.
        print(problem, file=sys.stderr)
    count = f"{len(problems)} problems" if len(problems) > 1 else "1 problem"
    _complain(f"{count} in the configuration; routemq-tui check shows the plan once it is right")


def _complain(text: str) -> None:
    print(f"routemq-tui: {text}", file=sys.stderr)
