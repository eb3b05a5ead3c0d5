"""Publish messages to the configured broker.

With the embedded broker, that is the one of the engine which runs in this folder. Without a routemq.toml,
name the broker: --broker mqtt://127.0.0.1:1883.

examples:
  routemq-tui publish sensors/1/temperature '{"celsius": 21.5}'
  routemq-tui publish 'sensors/{int:1..5}/temperature' '{"celsius": {float:15..30}}' -n 1000 --rate 50
  routemq-tui publish orders/1 --file order.json --qos 2
  tail -f readings.txt | routemq-tui publish readings - --lines

placeholders, in topic and payload (any other brace is just a brace):
  {int:1..20}  {float:15..30}  {choice:on|off}  {seq}  {time}  {uuid}
  {name} in the topic is 1 to 10, and the same in the payload
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from routemq_tui.commands import options
from routemq_tui.errors import ExitCode, RoutemqError

NAME = "publish"
HELP = "publish messages to the configured broker"

Message = tuple[str, bytes]

_STDIN = "-"
_TICK = 0.05
_PATIENCE = 10.0
"""Seconds without any progress before publishing is given up."""

_UNREACHABLE_HINT = (
    "  is it running? The embedded one runs while routemq-tui does; --broker URL names another."
)
_LOST_HINT = "  with a message under way; a broker that tells no limit hangs up on what is too large for it."


class UsageError(RoutemqError):
    """The command line asks for something that cannot be."""

    exit_code = ExitCode.CONFIGURATION


class RejectedError(RoutemqError):
    """The broker acknowledged messages with a failure."""

    exit_code = ExitCode.BROKER_REFUSED


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("topic", metavar="TOPIC", help="may hold placeholders")
    parser.add_argument(
        "payload", metavar="PAYLOAD", nargs="?", help='may hold placeholders; "-" is stdin; default: empty'
    )
    parser.add_argument("-q", "--qos", type=int, choices=(0, 1, 2), default=1, help="default: 1")
    parser.add_argument("-r", "--retain", action="store_true", help="the broker keeps the last one")
    parser.add_argument("-n", "--count", type=_count, metavar="N", help="how often (default: once)")
    parser.add_argument("--rate", type=_rate, metavar="N", help="messages a second (default: no limit)")
    parser.add_argument("-f", "--file", type=Path, metavar="FILE", help="the payload is in a file, as it is")
    parser.add_argument("--lines", action="store_true", help="each line of the file or stdin is a message")
    options.add_config_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Publish, wait for every acknowledgement, and say what became of the messages."""
    from routemq_tui.commands.broker_address import find_broker
    from routemq_tui.publisher.client import PublishClient, UnreachableError

    messages = _messages(arguments)
    address = find_broker(arguments)
    client = PublishClient(address)
    try:
        client.connect()
    except UnreachableError as error:
        raise UnreachableError(f"{error}\n{_UNREACHABLE_HINT}") from error
    start = time.monotonic()
    count = 0
    try:
        for topic, payload in _paced(messages, arguments.rate, client.step):
            _wait_for_room(client.ready, client.step)
            client.publish(topic, payload, arguments.qos, arguments.retain)
            count += 1
        client.drain(_PATIENCE)
    except (RoutemqError, KeyboardInterrupt) as error:
        print(f"{count} messages handed over, {client.under_way} of them unconfirmed", file=sys.stderr)
        if isinstance(error, UnreachableError) and client.under_way:
            raise UnreachableError(f"{error}\n{_LOST_HINT}") from error
        raise
    elapsed = time.monotonic() - start
    client.close()
    print(_report(count, elapsed, arguments, str(address), client.unmatched))
    if client.rejected:
        reasons = ", ".join(f"{number} × {reason}" for reason, number in client.rejected.items())
        raise RejectedError(f"the broker rejected messages: {reasons}")
    return ExitCode.OK


def _messages(arguments: argparse.Namespace) -> Iterator[Message | None]:
    """The messages asked for, None while there is none yet. Raises UsageError at once for what cannot be."""
    from routemq_tui.publisher.traffic import compile_message

    if arguments.file is not None and arguments.payload is not None:
        raise UsageError("give PAYLOAD or --file, not both")
    from_source = arguments.file is not None or arguments.payload == _STDIN
    if arguments.lines and not from_source:
        raise UsageError('--lines needs --file or the payload "-" (stdin)')
    try:
        template = compile_message(
            arguments.topic, "" if from_source else arguments.payload or "", strict=False
        )
    except ValueError as error:
        raise UsageError(str(error)) from None
    if not from_source:
        return (template.make(time.time()) for _ in range(arguments.count or 1))
    return (
        None if payload is None else (template.make(time.time())[0], payload)
        for payload in _source_payloads(arguments)
    )


def _source_payloads(arguments: argparse.Namespace) -> Iterator[bytes | None]:
    """What a file or stdin holds, as it is: a placeholder in data would be a surprise."""
    name = arguments.file or "stdin"
    try:
        source = _source(arguments.file)
        if arguments.lines:
            return _lines(source, name, arguments.count)
        return itertools.repeat(source.read(), arguments.count or 1)
    except OSError as error:
        raise _unreadable(name, error) from None


def _source(file: Path | None) -> BinaryIO:
    if file is not None:
        return file.open("rb")
    if sys.stdin is None:
        raise UsageError("stdin: is closed")
    return sys.stdin.buffer


def _lines(source: BinaryIO, name: object, most: int | None) -> Iterator[bytes | None]:
    from routemq_tui.publisher.lines import arriving_lines

    count = 0
    try:
        for line in arriving_lines(source.fileno(), _TICK):
            yield line
            count += line is not None
            if count == most:
                return
    except OSError as error:
        raise _unreadable(name, error) from None


def _unreadable(name: object, error: OSError) -> UsageError:
    return UsageError(f"{name}: cannot be read: {error.strerror}")


def _paced(
    messages: Iterator[Message | None], rate: float | None, step: Callable[[float], None]
) -> Iterator[Message]:
    """The messages, each not before its time; counted from the start, so the rate does not drift. The
    connection is kept up while they are waited for, however often one comes."""
    start = stepped = time.monotonic()
    number = 0
    for message in messages:
        now = time.monotonic()
        if message is None or now - stepped >= _TICK:
            step(0.0)
            stepped = now
        if message is None:
            if rate:  # what was not sent in a quiet time is not made up for
                start = max(start, now - number / rate)
            continue
        if rate:
            while (left := start + number / rate - time.monotonic()) > 0:
                step(min(left, _TICK))
        number += 1
        yield message


def _wait_for_room(ready: Callable[[], bool], step: Callable[[float], None]) -> None:
    from routemq_tui.publisher.client import PublishError

    deadline = time.monotonic() + _PATIENCE
    while not ready():
        if time.monotonic() > deadline:
            raise PublishError(f"the broker takes nothing any more: no acknowledgement for {_PATIENCE:g} s")
        step(_TICK)


def _report(count: int, elapsed: float, arguments: argparse.Namespace, address: str, unmatched: int) -> str:
    messages = "1 message" if count == 1 else f"{count} messages"
    rate = f" in {elapsed:.2f} s ({count / elapsed:.0f}/s)" if count > 1 and elapsed > 0 else ""
    outcome = "sent (QoS 0: nothing is acknowledged)" if arguments.qos == 0 else "all acknowledged"
    nobody = f"; {unmatched} had no subscriber" if unmatched else ""
    return f"published {messages} to {arguments.topic} at {address}{rate}: {outcome}{nobody}"


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"a number from 1, not {text!r}")
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"messages a second, above 0, not {text!r}")
    return rate
