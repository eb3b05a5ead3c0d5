"""Look at dead letters, replay them, export or purge them.

A dead letter is a message that was given up: its handler failed, it took too long, or it killed its worker.
Dead letters lie in .routemq/ of the project until they are replayed or purged.

examples:
  routemq-tui dead-letters list                     all of them, oldest first
  routemq-tui dead-letters show 12                  payload, error and traceback
  routemq-tui dead-letters replay 12 13             publish them again, each to its own topic
  routemq-tui dead-letters replay --route orders    ... all of a route
  routemq-tui dead-letters export > letters.jsonl   a line of JSON each
  routemq-tui dead-letters purge --route orders
"""

from __future__ import annotations

import argparse
from datetime import datetime

from routemq_tui.commands import options
from routemq_tui.errors import ExitCode, RoutemqError
from routemq_tui.units import printable
from routemq_tui.worker.dead_letters import DeadLetter, DeadLetterStore, export_json_line

NAME = "dead-letters"
HELP = "list, show, replay, export or purge messages that were given up"


class NoSuchLetterError(RoutemqError):
    """An id that is not in the store."""

    exit_code = ExitCode.CONFIGURATION


class ReplayError(RoutemqError):
    """Some letters could not be replayed; they stay."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|show|replay|export|purge")
    for name, text in (
        ("list", "a line each, oldest first"),
        ("show", "everything known of some"),
        ("replay", "publish again and, once acknowledged, remove"),
        ("export", "a line of JSON each, to stdout"),
        ("purge", "remove for good"),
    ):
        verb = verbs.add_parser(name, help=text, description=text)
        verb.add_argument("ids", nargs="+" if name == "show" else "*", type=int, metavar="ID")
        verb.add_argument("--route", metavar="NAME", help="only those of a route")
        if name in ("replay", "purge"):
            verb.add_argument("--all", action="store_true", help=f"needed to {name} all of them")
        options.add_config_arguments(verb)


def run(arguments: argparse.Namespace) -> int:
    """Raises RoutemqError in words: an unknown id, a store that cannot be read, a broker out of reach."""
    store = DeadLetterStore(arguments.config.absolute().parent / ".routemq")
    try:
        ids = tuple(arguments.ids)
        if ids:
            _check_known(store, ids)
        code: int = _VERBS[arguments.verb](store, arguments, ids)
        return code
    finally:
        store.close()


def _check_known(store: DeadLetterStore, ids: tuple[int, ...]) -> None:
    known = {each.letter.id for each in store.headings(ids=ids)}
    if missing := [each for each in ids if each not in known]:
        raise NoSuchLetterError(
            f"no dead letter {', '.join(map(str, missing))}; `list` shows those there are"
        )


def _check_chosen(arguments: argparse.Namespace, ids: tuple[int, ...]) -> None:
    if not (ids or arguments.route or arguments.all):
        raise NoSuchLetterError("say which: ids, --route NAME, or --all")


def _list(store: DeadLetterStore, arguments: argparse.Namespace, ids: tuple[int, ...]) -> int:
    letters = [each.letter for each in reversed(store.headings(arguments.route, ids))]
    if not letters:
        print("no dead letters")
        return ExitCode.OK
    rows = [("id", "time", "route", "cause", "tries", "topic", "error")]
    rows += [
        (str(each.id), _moment(each), each.route, each.cause, str(each.attempts), each.topic, each.error)
        for each in letters
    ]
    widths = [max(len(printable(row[column])) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [printable(cell).ljust(width) for cell, width in zip(row, widths, strict=False)]
        print("  ".join([*cells, printable(row[-1])]))
    return ExitCode.OK


def _show(store: DeadLetterStore, arguments: argparse.Namespace, ids: tuple[int, ...]) -> int:
    for letter in store.read(arguments.route, ids):
        print(f"dead letter {letter.id}")
        for name, value in (
            ("time", _moment(letter)),
            ("route", letter.route),
            ("worker", letter.worker),
            ("topic", letter.topic),
            ("qos", f"{letter.qos}{', retained' if letter.retain else ''}"),
            ("cause", f"{letter.cause}, attempts: {letter.attempts}"),
            ("error", letter.error),
            ("payload", _payload(letter)),
        ):
            print(f"  {name:<11}{printable(value)}")
        for key, value in letter.properties.items():
            print(f"  {key:<11}{printable(str(value))}")
        for line in letter.traceback.splitlines():
            print(f"    {printable(line)}")
    return ExitCode.OK


def _export(store: DeadLetterStore, arguments: argparse.Namespace, ids: tuple[int, ...]) -> int:
    for letter in store.read(arguments.route, ids):
        print(export_json_line(letter))
    return ExitCode.OK


def _purge(store: DeadLetterStore, arguments: argparse.Namespace, ids: tuple[int, ...]) -> int:
    from routemq_tui.publisher.replay import counted

    _check_chosen(arguments, ids)
    print(f"{counted(store.remove(arguments.route, ids))} purged")
    return ExitCode.OK


def _replay(store: DeadLetterStore, arguments: argparse.Namespace, ids: tuple[int, ...]) -> int:
    from routemq_tui.commands.broker_address import find_broker
    from routemq_tui.publisher.client import PublishClient
    from routemq_tui.publisher.replay import counted, replay

    _check_chosen(arguments, ids)
    # Not whole letters: there may be more of them than fits into memory.
    chosen = [each.letter.id for each in reversed(store.headings(arguments.route, ids))]
    if not chosen:
        print("no dead letters")
        return ExitCode.OK
    client = PublishClient(find_broker(arguments), "replay")
    client.connect()
    try:
        done, failed = replay(store, client, chosen)
    finally:
        client.close()
    print(f"{len(done)} of {counted(len(chosen))} replayed")
    if failed:
        raise ReplayError("; ".join(failed))
    return ExitCode.OK


_VERBS = {"list": _list, "show": _show, "replay": _replay, "export": _export, "purge": _purge}


def _moment(letter: DeadLetter) -> str:
    return datetime.fromtimestamp(letter.time).isoformat(sep=" ", timespec="seconds")


def _payload(letter: DeadLetter) -> str:
    text = letter.payload.decode("utf-8", "backslashreplace")
    return text if len(text) <= 2000 else f"{text[:2000]}… ({len(letter.payload)} bytes; export has all)"
