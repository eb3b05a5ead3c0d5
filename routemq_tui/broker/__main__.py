"""`python -m routemq_tui.broker`: the broker in a process of its own, as long as its stdin is open.

One JSON line on stdout when it listens; a line `{"inspect": true}` on stdin is answered by one on stdout.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import logging
import os
import resource
import signal
import socket
import sys

from routemq_tui.broker.connection import Connection
from routemq_tui.broker.conversation import Conversation
from routemq_tui.broker.limits import Limits
from routemq_tui.broker.pipes import LineWriter, LogWriter, read_lines
from routemq_tui.broker.server import Broker
from routemq_tui.broker.sys_topics import inspection
from routemq_tui.errors import ExitCode

HOST = "127.0.0.1"

log = logging.getLogger("routemq_tui.broker")


def parse_limits(settings: list[str]) -> Limits:
    """`name=value` settings as limits; raises ValueError that names the wrong one."""
    known = {field.name for field in dataclasses.fields(Limits)}
    values: dict[str, int] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        if name not in known:
            raise ValueError(f"there is no limit {name!r}; there are: {', '.join(sorted(known))}")
        if not value.isdigit():
            raise ValueError(f"the limit {name} takes a whole number, not {value!r}")
        values[name] = int(value)
    return dataclasses.replace(Limits(), **values)


async def listen(broker: Broker, arguments: argparse.Namespace) -> asyncio.Server:
    def accept() -> Connection:
        connection = Connection(broker)
        connection.conversation = Conversation(connection)
        return connection

    loop = asyncio.get_running_loop()
    if arguments.listener is not None:
        return await loop.create_server(accept, sock=socket.socket(fileno=arguments.listener), backlog=512)
    return await loop.create_server(accept, HOST, arguments.port, backlog=512)


async def serve(arguments: argparse.Namespace, limits: Limits) -> int:
    broker = Broker(limits)
    try:
        server = await listen(broker, arguments)
    except OSError as error:
        log.error("cannot listen on %s port %d: %s", HOST, arguments.port, error.strerror or error)
        return ExitCode.BROKER_UNAVAILABLE
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    output = LineWriter(sys.stdout.fileno())
    port = server.sockets[0].getsockname()[1]
    output.write(json.dumps({"host": HOST, "port": port, "version": broker.version}))

    def answer(line: bytes) -> None:
        try:
            question = json.loads(line)
        except ValueError:
            question = None
        if isinstance(question, dict) and question.get("inspect"):
            output.write(json.dumps({**inspection(broker), "id": question.get("id")}))
        elif line.strip():
            log.warning('not understood on stdin: %r; it takes {"inspect": true}', line[:80])

    read_lines(sys.stdin.fileno(), answer, over.set)
    broker.start_clock()
    log.debug("%s listens on %s port %d", broker.version, HOST, port)  # the engine says it
    await over.wait()
    server.close()
    broker.stop()
    await asyncio.sleep(0)
    return ExitCode.OK


def raise_file_limit() -> None:
    """A socket a client: take as many descriptors as the system lets us."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (ValueError, OSError) as error:
        log.info("the limit of open files stays as it is: %s", error)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m routemq_tui.broker", description=__doc__)
    parser.add_argument("--port", type=int, default=1883, help="port to listen on (default 1883; 0 for any)")
    parser.add_argument("--listener", type=int, metavar="FD", help="a socket that listens already, instead")
    parser.add_argument(
        "--limit", action="append", default=[], metavar="NAME=VALUE", help="change one of the bounds"
    )
    arguments = parser.parse_args()
    try:
        limits = parse_limits(arguments.limit)
    except ValueError as error:
        parser.error(str(error))
    handler = LogWriter(sys.stderr.fileno())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    if not os.isatty(sys.stdin.fileno()):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise_file_limit()
    try:
        return asyncio.run(serve(arguments, limits))
    except KeyboardInterrupt:
        return ExitCode.OK


if __name__ == "__main__":
    raise SystemExit(main())
