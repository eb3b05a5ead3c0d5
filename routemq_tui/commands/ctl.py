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

from routemq_tui.commands.ctl_outcome import STOPPED, Outcome, outcome
from routemq_tui.commands.own_node import NODE_HELP, own_node, running_nodes
from routemq_tui.errors import ExitCode, RoutemqError
from routemq_tui.units import format_seconds, parse_duration, printable

NAME = "ctl"
HELP = "talk to a running instance: snapshot, scale, save, reload, kill, drain, restart, logs, messages, stop"


_WAIT = 2.0
"""Seconds in which most of what is asked for has happened."""
_REFUSED_WITHIN = 0.4
"""Seconds: a refusal comes at once, and later notices are of something else."""
_TOLD = {"save": (5.0, ("save", "taken out")), "reload": (60.0, ("reloaded",))}
"""Verbs that are answered by a notice: how many seconds that may take, and words the answer is known by."""
_VERBS = {
    "snapshot": "what the screen shows, once",
    "scale": "set a route's workers: `scale temperature 4`, `+1` or `-1`",
    "start": "start a stopped or failed worker: `start temperature/2`",
    "drain": "let a worker finish and leave: `drain temperature/2`",
    "kill": "SIGKILL a worker; it comes back under its slot: `kill temperature/2`",
    "restart": "restart a worker, or one after the other those of a route",
    "pause": "stop handling; the broker queues",
    "resume": "take up handling again",
    "logs": "the last lines of everything, a route or a worker",
    "tap": "keep the single messages of a route: `tap temperature on`",
    "autoscale": "scale by need: `autoscale temperature on`",
    "messages": "the last that failed, and those of tapped routes",
    "errors": "failed messages by the place in the code where they failed",
    "save": "keep the worker counts for the next start, in routemq.local.toml",
    "stop": "drain all workers and end the instance",
    "reload": "read routemq.toml anew and apply what has changed in it",
}


class ControlError(RoutemqError):
    """The running instance could not be reached, or refused."""

    exit_code = ExitCode.CRASHED


class BrokenConfigurationError(ControlError):
    """What was to be reloaded is wrong."""

    exit_code = ExitCode.CONFIGURATION


class NobodyThereError(ControlError):
    """Nobody listens at the socket."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-c", "--config", type=Path, default=Path("routemq.toml"), metavar="FILE")
    parser.add_argument("--node", help=NODE_HELP)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    of = {name: verbs.add_parser(name, help=text) for name, text in _VERBS.items()}
    for name in ("scale", "pause", "resume", "tap", "autoscale"):
        of[name].add_argument("route")
    of["scale"].add_argument("count", type=_count, help="a number, +1 or -1")
    for name in ("start", "drain", "kill", "restart"):
        of[name].add_argument("worker", help="ROUTE/SLOT" if name != "restart" else "ROUTE/SLOT or ROUTE")
    of["logs"].add_argument("of", nargs="?", help="a route, ROUTE/SLOT, engine, broker or traffic")
    of["logs"].add_argument("-n", "--lines", type=int, default=100)
    of["logs"].add_argument("-f", "--follow", action="store_true")
    for name in ("tap", "autoscale"):
        of[name].add_argument("switch", choices=("on", "off"))
    of["messages"].add_argument("route", nargs="?")
    of["messages"].add_argument("-n", "--lines", type=int, default=100)
    of["messages"].add_argument("--payloads", action="store_true", help="with payload and properties")
    of["stop"].add_argument("--force", action="store_true", help="kill the workers at once")
    for name, verb in of.items():
        if name not in _PRINT:
            _add_wait(verb, _TOLD[name][0] if name in _TOLD else _WAIT)
        verb.add_argument("--json", action="store_true", help="print JSON")


def _add_wait(parser: argparse.ArgumentParser, seconds: float) -> None:
    wait = parser.add_mutually_exclusive_group()
    text = f"how long to look at what comes of it (default: {seconds:g}s)"
    wait.add_argument("--wait", type=_duration, metavar="TIME", help=text)
    wait.add_argument("--no-wait", dest="wait", action="store_const", const=0.0, help="only ask")


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> str:
    if text in ("+1", "-1") or (text.isascii() and text.isdigit() and len(text) < 10):
        return text
    raise argparse.ArgumentTypeError(f"scale takes a number, +1 or -1, not {text[:40]!r}")


def run(arguments: argparse.Namespace) -> int:
    """Print the answer; raises ControlError when no instance runs or it refuses."""
    if arguments.verb is None:
        print("routemq-tui ctl VERB, where VERB is one of", file=sys.stderr)
        print("\n".join(f"  {name:<11}{text}" for name, text in _VERBS.items()), file=sys.stderr)
        return ExitCode.CONFIGURATION
    request, path = _request(arguments), _path(arguments)
    before = {} if arguments.verb in _PRINT else snapshot_of(arguments)
    for answer in _found(path, arguments, request):
        try:
            if not answer.get("ok"):
                raise ControlError(str(answer.get("error")))
            if arguments.verb in _PRINT:
                _PRINT[arguments.verb](answer, arguments)
            else:
                _print_done(answer, arguments, _Watch(path, request, before, answer["after_notice"]))
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
        else:
            request["count"] = int(count)
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


class _Watch:
    """Looks again and again at what comes of a request."""

    def __init__(self, path: Path, request: dict[str, Any], before: dict[str, Any], notice: int) -> None:
        self._path, self._request, self._before, self._notice = path, request, before, notice
        self.notices: list[dict[str, Any]] = []
        """What the instance has said meanwhile."""

    def wait(self, seconds: float | None) -> Outcome:
        """What has come of it, at the latest after so many seconds; raises ControlError for a refusal."""
        verb = self._request["do"]
        if seconds == 0:
            return Outcome(f"{verb}: asked", False)
        if verb in _TOLD:
            return self._answer(*_TOLD[verb], seconds)
        began = time.monotonic()
        until = began + (_WAIT if seconds is None else seconds)
        while True:
            time.sleep(0.05)
            now = self._snapshot()
            if now is None:
                return STOPPED if verb == "stop" else Outcome(f"{verb}: asked; the instance is gone", False)
            if time.monotonic() < began + _REFUSED_WITHIN:
                self._raise_refusal()
            seen = outcome(self._request, self._before, now)
            if seen.done or time.monotonic() >= until:
                return seen

    def _answer(self, patience: float, words: tuple[str, ...], seconds: float | None) -> Outcome:
        until = time.monotonic() + (patience if seconds is None else seconds)
        while time.monotonic() < until:
            time.sleep(0.05)
            if self._snapshot() is None:
                break
            self.notices = [each for each in self.notices if any(word in each["text"] for word in words)]
            if self.notices:
                said = self.notices[0]
                if said["severity"] == "error" or said["text"].startswith("not "):
                    raise _failure(str(said["text"]))
                return Outcome(str(said["text"]), True)
        raise ControlError("the instance gave no answer")

    def _raise_refusal(self) -> None:
        """What it said against it after all; what can be known before, it has answered."""
        name = str(self._request.get("route") or self._request.get("worker") or "").partition("/")[0]
        against = (f"{name} ", "the engine is stopping", "there is no ")
        for each in self.notices:
            if name and each["severity"] != "information" and each["text"].startswith(against):
                raise ControlError(str(each["text"]))

    def _snapshot(self) -> dict[str, Any] | None:
        """None when it has just been stopped."""
        try:
            (answer,) = _ask(self._path, {"do": "snapshot"})
        except (ControlError, OSError, ValueError):
            return None
        snapshot: dict[str, Any] = answer["snapshot"]
        self.notices = [each for each in snapshot["notices"] if each["number"] > self._notice]
        return snapshot


def _failure(text: str) -> ControlError:
    from routemq_tui.engine.refusals import is_broken_configuration

    return BrokenConfigurationError(text) if is_broken_configuration(text) else ControlError(text)


def _print_done(answer: dict[str, Any], arguments: argparse.Namespace, watch: _Watch) -> None:
    seen = watch.wait(arguments.wait)
    if arguments.json:
        print(json.dumps({**answer, "notices": watch.notices, **seen.values}))
        return
    print(seen.text)
    for notice in watch.notices:
        if notice["severity"] != "information" and notice["text"] != seen.text:
            print(f"  {notice['severity']}: {notice['text']}")


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
    for concern in snapshot.get("concerns", ()):  # an older instance may answer
        print(f"! {printable(concern)}")
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
