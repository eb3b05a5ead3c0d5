"""Which engine of a project is meant, for a command that talks to one; and which ones there are.

Not a command itself. Only `[app]` is looked at, and what else is wrong with the configuration does not
matter: whoever has just broken it asks the engine that runs all the same.
"""

from __future__ import annotations

import argparse
import socket
from pathlib import Path

NODE_HELP = "which engine of the project (default: app.node, as the engine takes it)"


def own_node(arguments: argparse.Namespace) -> str:
    """The node that an engine started with this configuration has; `--node` wins, as it does there."""
    from routemq_tui.config.environment import environment_layer, override_layer
    from routemq_tui.config.reader import Layer, Reader
    from routemq_tui.config.resolve import Layers, resolve_app
    from routemq_tui.config.source import LOCAL_FILE, SourceError, read_source

    reader, files, path = Reader(), [Layer()], arguments.config
    for each in (path, path.with_name(LOCAL_FILE)):
        try:
            files.append(reader.layer(read_source(each)))
        except SourceError:
            continue
    forced = override_layer(reader, {"app.node": arguments.node})
    return resolve_app(Layers(files, (environment_layer(reader, path.parent.resolve(), None), forced))).node


def running_nodes(root: Path) -> list[str]:
    """The nodes whose engines answer in this project, by name."""
    from routemq_tui.engine.control import socket_path
    from routemq_tui.engine.lock import STATE_FOLDER

    state = root / STATE_FOLDER
    # The socket's folder names them all, but that of a long path: there the sockets have other names.
    names = {each.stem for each in (*state.glob("*.json"), *socket_path(root, "any").parent.glob("*.sock"))}
    return sorted(name for name in names if "." not in name and _answers(socket_path(root, name)))


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True
