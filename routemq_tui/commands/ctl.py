"""`routemq-tui ctl`: ask a running instance, for scripts and for a second terminal."""

from __future__ import annotations

import argparse
import json
import socket
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from routemq_tui.commands.own_node import NODE_HELP, own_node, running_nodes
from routemq_tui.errors import ExitCode, RoutemqError
from routemq_tui.units import format_seconds, printable

NAME = "ctl"
HELP = "talk to a running instance: snapshot, scale, save, reload, kill, drain, restart, logs, messages, stop"


_ANSWER_SECONDS = 0.4
_TOLD = {"save": (5.0, ("save", "taken out")), "reload": (60.0, ("reloaded",))}
"""Verbs that are answered in any case: how many seconds that may take, and words the answer is known by."""


class ControlError(RoutemqError):
    """The running instance could not be reached, or refused."""

    exit_code = ExitCode.CRASHED


class NobodyThereError(ControlError):
    """Nobody listens at the socket."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", type=Path, default=Path("routemq.toml"), metavar="FILE")
    parser.add_argument("--node", help=NODE_HELP)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    snapshot = verbs.add_parser("snapshot", help="what the screen shows, once")
    scale = verbs.add_parser("scale", help="set a route's workers: `scale temperature 4`, `+1` or `-1`")
    scale.add_argument("route")
    scale.add_argument("count", help="a number, +1 or -1")
    each = [snapshot, scale]
    for name, text in (
        ("start", "start a stopped or failed worker: `start temperature/2`"),
        ("drain", "let a worker finish and leave: `drain temperature/2`"),
        ("kill", "SIGKILL a worker; it comes back under its slot: `kill temperature/2`"),
        ("restart", "restart a worker, or one after the other those of a route"),
    ):
        verb = verbs.add_parser(name, help=text)
        verb.add_argument("worker", help="ROUTE/SLOT" if name != "restart" else "ROUTE/SLOT or ROUTE")
        each.append(verb)
    for name, text in (("pause", "stop handling; the broker queues"), ("resume", "take up handling again")):
        verb = verbs.add_parser(name, help=text)
        verb.add_argument("route")
        each.append(verb)
    logs = verbs.add_parser("logs", help="the last lines of everything, a route or a worker")
    logs.add_argument("of", nargs="?", help="a route, ROUTE/SLOT, engine, broker or traffic")
    logs.add_argument("-n", "--lines", type=int, default=100)
    logs.add_argument("-f", "--follow", action="store_true")
    tap = verbs.add_parser("tap", help="keep the single messages of a route: `tap temperature on`")
    tap.add_argument("route")
    tap.add_argument("switch", choices=("on", "off"))
    autoscale = verbs.add_parser("autoscale", help="scale by need: `autoscale temperature on`")
    autoscale.add_argument("route")
    autoscale.add_argument("switch", choices=("on", "off"))
    messages = verbs.add_parser("messages", help="the last that failed, and those of tapped routes")
    messages.add_argument("route", nargs="?")
    messages.add_argument("-n", "--lines", type=int, default=100)
    messages.add_argument("--payloads", action="store_true", help="with payload and properties")
    errors = verbs.add_parser("errors", help="failed messages by the place in the code where they failed")
    save = verbs.add_parser("save", help="keep the worker counts for the next start, in routemq.local.toml")
    stop = verbs.add_parser("stop", help="drain all workers and end the instance")
    stop.add_argument("--force", action="store_true", help="kill the workers at once")
    reload = verbs.add_parser("reload", help="read routemq.toml anew and apply what has changed in it")
    for verb in [*each, logs, tap, autoscale, messages, errors, save, reload, stop]:
        verb.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the answer; raises ControlError when no instance runs or it refuses."""
    request, path = _request(arguments), _path(arguments)
    for answer in _found(path, arguments, request):
        try:
            if not answer.get("ok"):
                raise ControlError(str(answer.get("error")))
            if arguments.verb in _PRINT:
                _PRINT[arguments.verb](answer, arguments)
            else:
                _print_done(answer, arguments, path)
        except ControlError as error:
            if arguments.json:
                print(json.dumps({"ok": False, "error": str(error)}))
            raise
        sys.stdout.flush()
    return ExitCode.OK


def snapshot_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The snapshot of the instance that runs in a project; raises ControlError when there is none."""
    (answer,) = _found(_path(arguments), arguments, {"do": "snapshot"})
    snapshot: dict[str, Any] = answer["snapshot"]
    return snapshot


def _request(arguments: argparse.Namespace) -> dict[str, Any]:
    request: dict[str, Any] = {"do": "snapshot" if arguments.verb == "errors" else arguments.verb}
    for key in ("route", "worker", "of", "lines", "follow", "force", "payloads"):
        if getattr(arguments, key, None) is not None:
            request[key] = getattr(arguments, key)
    if arguments.verb in ("tap", "autoscale"):
        request["on"] = arguments.switch == "on"
    if arguments.verb == "scale":
        count = arguments.count
        if count in ("+1", "-1"):
            request["change"] = int(count)
        elif count.isascii() and count.isdigit() and len(count) < 10:
            request["count"] = int(count)
        else:
            raise ControlError(f"scale takes a number, +1 or -1, not {count!r}")
    return request


def _found(path: Path, arguments: argparse.Namespace, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The answers of the instance that is meant; when it is not there, the error names those that are."""
    try:
        yield from _ask(path, request)
    except NobodyThereError as error:
        others = running_nodes(arguments.config.absolute().parent)
        if not others:
            raise
        names = " or ".join(f"--node {name}" for name in others)
        raise ControlError(f"{error}; there is {names}") from None


def _ask(path: Path, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except OSError as error:
            raise NobodyThereError(f"no instance runs here ({path}: {error.strerror})") from None
        connection.sendall(json.dumps(request).encode() + b"\n")
        if not request.get("follow"):
            connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as lines:
            for line in lines:
                yield json.loads(line)


def _print_done(answer: dict[str, Any], arguments: argparse.Namespace, path: Path) -> None:
    notices = _notices_after(answer["after_notice"], arguments.verb, path)
    if refused := _refusal(notices, arguments):
        raise ControlError(refused)
    if arguments.json:
        print(json.dumps({**answer, "notices": notices}))
        return
    print(f"{arguments.verb}: asked")
    for notice in notices:
        print(f"  {notice['severity']}: {notice['text']}")


def _refusal(notices: list[dict[str, Any]], arguments: argparse.Namespace) -> str:
    """What the instance said against it after all; what can be known before, it has answered."""
    if arguments.verb in _TOLD:
        said = notices[0] if notices else {"severity": "error", "text": "the instance gave no answer"}
        refused = said["severity"] == "error" or said["text"].startswith("not ")
        return str(said["text"]) if refused else ""
    name = str(getattr(arguments, "route", None) or getattr(arguments, "worker", "")).partition("/")[0]
    against = (f"{name} ", "the engine is stopping", "there is no ")
    bad = (each["text"] for each in notices if each["severity"] != "information")
    return next((str(text) for text in bad if name and text.startswith(against)), "")


def _notices_after(number: int, verb: str, path: Path) -> list[dict[str, Any]]:
    """What the instance had to say until it answered, or in the first moment: a refusal comes at once."""
    found: list[dict[str, Any]] = []
    seconds, words = _TOLD.get(verb, (_ANSWER_SECONDS, ("",)))
    deadline = time.monotonic() + seconds
    while not (found and verb in _TOLD) and time.monotonic() < deadline:
        time.sleep(0.05)
        try:
            (answer,) = _ask(path, {"do": "snapshot"})
        except (ControlError, ValueError):
            break  # it has just been stopped
        later = [each for each in answer["snapshot"]["notices"] if each["number"] > number]
        found = [each for each in later if any(word in each["text"] for word in words)]
    return found


def _path(arguments: argparse.Namespace) -> Path:
    from routemq_tui.engine.control import socket_path

    return socket_path(arguments.config.absolute().parent, own_node(arguments))


def _print_snapshot(answer: dict[str, Any], arguments: argparse.Namespace) -> None:
    snapshot = answer["snapshot"]
    if arguments.json:
        print(json.dumps(snapshot, indent=2))
        return
    broker = snapshot["broker"]
    print(
        f"{snapshot['group']}/{snapshot['node']}  {snapshot['state']}  {snapshot['health']}"
        f"  {snapshot['running']}/{snapshot['desired']} workers  broker {broker['address']} {broker['state']}"
    )
    for route in snapshot["routes"]:
        for worker in route["workers"]:
            print(
                f"{worker['name']:<24} {worker['state']:<9} pid {worker['pid'] or '-':<8}"
                f" ok {worker['ok']:<9} failed {worker['failed']:<6} {worker['rate']:8.1f}/s"
                f"  {worker['reason']}".rstrip()
            )


def _print_logs(answer: dict[str, Any], arguments: argparse.Namespace) -> None:
    if answer["missed"] and not arguments.json:
        print(f"({answer['missed']} lines missed)")
    for line in answer["lines"]:
        if arguments.json:
            print(json.dumps(line))
        else:
            moment = datetime.fromtimestamp(line["time"]).isoformat(sep=" ", timespec="milliseconds")
            print(f"{moment} {line['source']} {line['text']}")


def _print_messages(answer: dict[str, Any], arguments: argparse.Namespace) -> None:
    for message in answer["messages"]:
        if arguments.json:
            print(json.dumps(message))
            continue
        moment = datetime.fromtimestamp(message["time"]).isoformat(sep=" ", timespec="milliseconds")
        line = f"{moment} {message['worker']} {message['outcome']} {format_seconds(message['duration'])}"
        said = (message["topic"], message["error"], message.get("payload", message.get("payload_base64", "")))
        print("  ".join([line, *(printable(each) for each in said if each)]))


def _print_errors(answer: dict[str, Any], arguments: argparse.Namespace) -> None:
    for group in answer["snapshot"]["errors"]:
        if arguments.json:
            print(json.dumps(group))
            continue
        moment = datetime.fromtimestamp(group["last_seen"]).isoformat(sep=" ", timespec="seconds")
        said = (f"{group['kind']}: {group['text']}", group["where"], ", ".join(group["routes"]))
        print("  ".join([f"{group['count']:>7}", moment, *(printable(each) for each in said if each)]))


_PRINT = {
    "snapshot": _print_snapshot,
    "logs": _print_logs,
    "messages": _print_messages,
    "errors": _print_errors,
}
