"""Where the broker is, for a command that talks to it without an engine of its own.

Not a command itself. A broker that the engine starts has the address which the running engine wrote to
`.routemq/<node>.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from routemq_tui.commands import options
from routemq_tui.commands.own_node import own_node
from routemq_tui.config.environment import environment_layer, override_layer
from routemq_tui.config.load import ConfigError
from routemq_tui.config.model import NOT_VERIFIED, BrokerConfig
from routemq_tui.config.reader import Reader
from routemq_tui.config.resolve import Layers, resolve_broker
from routemq_tui.config.url import EMBEDDED, STARTED
from routemq_tui.errors import ExitCode, RoutemqError
from routemq_tui.worker.address import external_address
from routemq_tui.worker.spec import BrokerAddress


class NotRunningError(RoutemqError):
    """The broker is one that the engine starts, and no engine runs."""

    exit_code = ExitCode.BROKER_UNAVAILABLE


def find_broker(arguments: argparse.Namespace) -> BrokerAddress:
    """The configured broker's address; without a file, what environment and command line say.

    Raises ConfigError, or NotRunningError when the engine that would have the broker does not run.
    """
    if arguments.config.exists() or arguments.config != options.DEFAULT_FILE:
        config = options.load_from(arguments, routes=False)
        broker, root, node = config.broker, config.root, config.app.node
    else:
        root = arguments.config.absolute().parent
        broker, node = _without_file(arguments, root), own_node(arguments)
    if broker.tls.insecure:
        print(f"warning: {NOT_VERIFIED} (broker.insecure = true)", file=sys.stderr)
    return address_of(broker, root, node)


def address_of(broker: BrokerConfig, root: Path, node: str) -> BrokerAddress:
    if broker.url not in STARTED:
        return external_address(broker)
    running = running_broker(root, node)
    if running is None:
        raise NotRunningError(
            f"the {broker.url} broker runs with routemq-tui, and none runs in {root}\n"
            "  start routemq-tui here, or name another broker: --broker mqtt://HOST:PORT"
        )
    host, port = running
    return BrokerAddress(
        host=host,
        port=port,
        protocol=broker.protocol,
        username=broker.username,
        password=broker.password,
        keepalive=broker.keepalive,
        one_queue_per_group=broker.url == EMBEDDED,
    )


def running_broker(root: Path, node: str) -> tuple[str, int] | None:
    """Host and port of the broker which the engine of this project and node started, if that one runs."""
    try:
        written = json.loads((root / ".routemq" / f"{node}.json").read_bytes())
        host, _, port = written["broker"].rpartition(":")
        address, pid = (host.strip("[]"), int(port)), int(written["pid"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return address if _lives(pid) else None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True  # Another user's.
    except OSError:
        return False
    return True


def _without_file(arguments: argparse.Namespace, root: Path) -> BrokerConfig:
    reader = Reader()
    overrides = {"broker.url": arguments.broker}
    layers = Layers((), (environment_layer(reader, root, None), override_layer(reader, overrides)))
    broker = resolve_broker(reader, layers, root)
    if reader.problems:
        raise ConfigError(reader.problems)
    return broker
